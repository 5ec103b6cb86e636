"""Rows as tables, in HTML and in plain text; every value is taken for hostile text."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from html import escape

from pgrunbook.views.facts import json_safe
from pgrunbook.views.text import marks, shorten, visible
from pgrunbook.views.units import counted

__all__ = ["CAP", "columns_of", "heading", "html_text", "jointed", "to_html", "to_text"]

CAP = 50  # rows shown unless told otherwise
_LONGEST_HTML = 300  # characters of one value
_LONGEST_TEXT = 40
_HASH = re.compile(r"[0-9a-f]{32,128}")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d\S*")
_LONG_WORD = re.compile(r"\S{36}")
_TAG_OR_LONG_NAME = re.compile(r"<[^<>]*>|[\w./]{16,}")
_JOINT = re.compile(r"[_./]")
_JUDGED = frozenset({"outcome", "result", "status", "verdict", "decision"})
_GOOD = {"done", "go", "ok", "passed", "holds", "approved", "the same", "open", "proved"}
_BAD = {"failed", "no-go", "not ok", "broken", "refused", "stopped", "differs", "closed", "cancelled"}


def columns_of(rows: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Return every column that occurs, in order of first appearance.

    >>> columns_of([{"b": 1}, {"a": 2, "b": 3}])
    ('b', 'a')
    """
    return tuple(dict.fromkeys(name for row in rows for name in row))


def heading(column: str) -> str:
    """Return a column's name as a table heading.

    >>> heading("first_seen_at")
    'first seen at'
    """
    return visible(column).replace("_", " ")


def _plain(value: object) -> str:
    """Return a value that is not NULL as text, the way PostgreSQL would spell it."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(json_safe(value), ensure_ascii=False)
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _numeric(rows: Sequence[Mapping[str, object]], name: str) -> bool:
    values = [row[name] for row in rows if row.get(name) is not None]
    return bool(values) and all(map(_is_number, values))


def html_text(text: str) -> str:
    """Return text as HTML: escaped, hidden characters and outer blanks shown as marks.

    >>> html_text("<b> ")
    '&lt;b&gt;<span class="mark">·</span>'
    """
    body = text.strip(" ")
    ahead = len(text) - len(text.lstrip(" ")) if body else len(text)
    pieces = [("·" * ahead, True), *marks(body), ("·" * (len(text) - ahead - len(body)), True)]
    return "".join(
        f'<span class="mark">{escape(run)}</span>' if hidden else escape(run) for run, hidden in pieces if run
    )


def jointed(html: str) -> str:
    """Return HTML that may break long names at their joints, so that columns can be narrow.

    >>> jointed('<td class="a_class_of_its_own">a_short_name, migrate/001_unique_code</td>')
    '<td class="a_class_of_its_own">a_short_name, migrate/<wbr>001_<wbr>unique_<wbr>code</td>'
    """
    return _TAG_OR_LONG_NAME.sub(
        lambda one: one[0] if one[0].startswith("<") else _JOINT.sub(r"\g<0><wbr>", one[0]), html
    )


def _cell(column: str, value: object, *, null: str) -> str:
    if value is None:
        return f'<td><em class="null">{escape(null)}</em></td>'
    text = _plain(value)
    if not text:
        return '<td><em class="null">empty text</em></td>'
    name = ""
    if _is_number(value):
        name = "number"
    elif _HASH.fullmatch(text):
        name = "hash"
    elif _TIME.fullmatch(text):
        name = "time"
    elif column.casefold() in _JUDGED:
        word = text.casefold().split(",")[0]
        name = "good" if word in _GOOD else "bad" if word in _BAD else ""
    if not name and _LONG_WORD.search(text):
        name = "long"
    attribute = f' class="{name}"' if name else ""
    more = ""
    if len(text) > _LONGEST_HTML:
        more = f'<span class="more">… ({len(text):,} characters)</span>'
        text = text[:_LONGEST_HTML]
    return f"<td{attribute}>{html_text(text)}{more}</td>"


def _head(name: str, *, all_numbers: bool) -> str:
    attribute = ' class="number"' if all_numbers else ""
    return f'<th scope="col"{attribute}>{escape(heading(name))}</th>'


def _caption(caption: str | None, shown: int, total: int) -> str:
    capped = f"first {shown:,} of {counted(total, 'row')}" if total > shown else ""
    said = visible(caption) if caption else ""
    return f"{said.removesuffix('.')}: {capped}" if said and capped else said or capped


def to_html(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str] | None = None,
    *,
    caption: str | None = None,
    total: int | None = None,
    cap: int | None = CAP,
    null: str = "NULL",
) -> str:
    """Return the rows as an HTML table, at most `cap` of them, saying how many there are.

    `total` is the number of rows found where `rows` is only their beginning; `null` is what stands for NULL,
    set apart from text. NULL, the text 'NULL' and the
    empty text look different from each other; blanks at the ends and characters that hide are marked.
    """
    names = tuple(columns) if columns is not None else columns_of(rows)
    shown = rows if cap is None else rows[:cap]
    said = _caption(caption, len(shown), max(total or 0, len(rows)))
    lines = ['<table class="pgrunbook">']
    if said:
        lines.append(f"<caption>{escape(said)}</caption>")
    heads = "".join(_head(name, all_numbers=_numeric(shown, name)) for name in names)
    lines.append(f"<thead><tr>{heads}</tr></thead>")
    lines.append("<tbody>")
    lines += [f"<tr>{''.join(_cell(name, row.get(name), null=null) for name in names)}</tr>" for row in shown]
    lines.append("</tbody></table>")
    return "\n".join(lines)


def _literal(value: object) -> str:
    """Return a value for a terminal; text that could be taken for something else stands in quotes."""
    if value is None:
        return "NULL"
    text = _plain(value)
    quoted = isinstance(value, str) and (
        not text or text != text.strip() or text.upper() == "NULL" or text.startswith("'")
    )
    line = shorten(visible(text), _LONGEST_TEXT)
    return "'" + line.replace("'", "''") + "'" if quoted else line


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def to_text(
    rows: Sequence[Mapping[str, object]],
    columns: Sequence[str] | None = None,
    *,
    caption: str | None = None,
    total: int | None = None,
    cap: int | None = CAP,
) -> str:
    """Return the rows as a table for a terminal, at most `cap` of them, saying how many there are.

    >>> print(to_text([{"code": "A1", "n": 2}, {"code": None, "n": 10}, {"code": "null", "n": 3}]))
    code   | n
    -------+---
    A1     |  2
    NULL   | 10
    'null' |  3
    """
    names = tuple(columns) if columns is not None else columns_of(rows)
    shown = rows if cap is None else rows[:cap]
    said = _caption(caption, len(shown), max(total or 0, len(rows)))
    heads = [shorten(heading(name), _LONGEST_TEXT) for name in names]
    body = [[_literal(row.get(name)) for name in names] for row in shown]
    right = [_numeric(shown, name) for name in names]
    widths = [max(map(_width, column)) for column in zip(heads, *body, strict=True)]

    def line(cells: Sequence[str], *, align: bool) -> str:
        padded = [
            " " * (wide - _width(cell)) + cell if align and to_right else cell + " " * (wide - _width(cell))
            for cell, wide, to_right in zip(cells, widths, right, strict=True)
        ]
        return " | ".join(padded).rstrip()

    lines = [said] if said else []
    lines += [line(heads, align=False), "-+-".join("-" * wide for wide in widths)]
    return "\n".join(lines + [line(cells, align=True) for cells in body])
