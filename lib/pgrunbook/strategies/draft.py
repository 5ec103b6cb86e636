"""A draft: the text of a remedy that a strategy wrote, and the question what it would do to each row."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

__all__ = ["Draft"]

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Draft:
    """One remedy: `effect` says in one sentence what happens to each row, `warnings` what to look at before.

    `statement` is the remedy; `outlook` is a SELECT of `key` (jsonb) and `fate` (text), one row for each row
    that it would change, whatever the batch.
    """

    strategy: str
    title: str
    effect: str
    warnings: tuple[str, ...]
    statement: str
    outlook: str

    @property
    def text(self) -> str:
        """Return the file: header, warnings as comments, the statement."""
        lines = [f"-- {_line(self.title)}"]
        lines += _wrapped(f"effect: {_line(self.effect)}", "--   ")
        lines += [""] if self.warnings else []
        for warning in self.warnings:
            lines += _wrapped(f"Mind: {_line(warning)}", "-- ")
        return "\n".join([*lines, "", f"{self.statement};", ""])


def _line(text: str) -> str:
    """Return text on one line: a comment that ended early would go on as SQL."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        _WIDTH,
        initial_indent="-- ",
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
