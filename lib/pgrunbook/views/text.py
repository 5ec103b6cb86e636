"""Text from outside, made safe to read: nothing hidden, nothing endless, always one line."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from pgrunbook.detail import shorten

__all__ = ["encodable", "marks", "shorten", "visible"]

_NAMED = {"\n": "↵", "\t": "⇥", "\r": "␍"}
# Control, format (bidi overrides, zero widths), surrogate, private, unassigned, line and paragraph ends.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_PLAIN = re.compile(r"[ -~]*")


def _mark(character: str) -> str | None:
    if character in _NAMED:
        return _NAMED[character]
    category = unicodedata.category(character)
    if category in _HIDDEN or (category == "Zs" and character != " "):
        code = ord(character)
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return None


def marks(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the text in runs of (characters, whether they stand for something that cannot be seen).

    >>> list(marks("a" + chr(10) + "b"))
    [('a', False), ('↵', True), ('b', False)]
    """
    run: list[str] = []
    for character in text:
        mark = _mark(character)
        if mark is None:
            run.append(character)
            continue
        if run:
            yield "".join(run), False
            run = []
        yield mark, True
    if run:
        yield "".join(run), False


def visible(text: object) -> str:
    r"""Return the text on one line, with every character that hides or reorders others spelled out.

    >>> visible("a" + chr(9) + chr(0x202E) + "b")
    'a⇥\\u202eb'
    """
    line = str(text)
    return line if _PLAIN.fullmatch(line) else "".join(run for run, _ in marks(line))


def encodable(text: str) -> str:
    r"""Return the text with lone surrogates spelled out, so that it can be written as UTF-8.

    >>> encodable("a" + chr(0xD800))
    'a\\ud800'
    """
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
