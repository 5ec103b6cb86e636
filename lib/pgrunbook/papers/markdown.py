"""The little Markdown that papers need: code, tables, links; nothing that a name could break out of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ["anchor", "cell", "code", "codes", "table"]


def code(text: str) -> str:
    """Return text as code, whatever backticks it has, on one line.

    >>> code("a`b"), code(" ")
    ('``a`b``', '')
    """
    line = " ".join(text.split())
    if not line:
        return ""
    fence = "`" * (max((len(run) for run in re.findall("`+", line)), default=0) + 1)
    pad = " " if line[0] == "`" or line[-1] == "`" else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def codes(texts: Iterable[str]) -> str:
    """Return pieces of code with commas between them."""
    return ", ".join(map(code, texts))


def cell(text: str) -> str:
    r"""Return text for a cell of a table: one line, its bars escaped.

    >>> cell("a | b")
    'a \\| b'
    """
    return " ".join(text.split()).replace("|", "\\|")


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return the lines of a table without the columns that are empty in every row; none without rows.

    >>> table(["a", "b"], [("1", ""), ("2", "")])
    ['| a |', '|---|', '| 1 |', '| 2 |', '']
    """
    cells = [[cell(text) for text in row] for row in rows]
    if not cells:
        return []
    shown = [n for n in range(len(heads)) if n == 0 or any(row[n] for row in cells)]
    lines = [[heads[n] for n in shown], *([row[n] for n in shown] for row in cells)]
    drawn = ["|" + "".join(f" {text} |" if text else " |" for text in line) for line in lines]
    return [drawn[0], "|" + "---|" * len(shown), *drawn[1:], ""]


def anchor(heading: str) -> str:
    """Return the link to a heading, as GitHub and most others make it.

    >>> anchor("Table `weekly_plan`")
    '#table-weekly_plan'
    """
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
