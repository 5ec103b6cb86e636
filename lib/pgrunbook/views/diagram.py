"""The picture of tables and the foreign keys between them: an entity-relationship diagram for an A4 page."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Circle, Rectangle
from matplotlib.textpath import text_to_path

from pgrunbook.shape.model import Column, ForeignKey, Schema, Table
from pgrunbook.views import layout, style
from pgrunbook.views.layout import Layout, Place, Point
from pgrunbook.views.style import Picture, label
from pgrunbook.views.text import visible

__all__ = ["diagram"]

# A4 landscape within margins of a centimetre, and the sizes of what is drawn, all in points.
PAGE = (785.0, 538.0)
_ROW, _HEAD, _TEXT, _NAME, _MARK, _EDGE = 12.0, 17.0, 7.6, 9.0, 6.2, 5.0
_MOST_ROWS, _LONGEST = 12, 34
_TOP, _BOTTOM = 24.0, 26.0
_ENDS = (("exactly one", False, False), ("none or one", False, True), ("none or more", True, True))
_WORDS = "PK primary key · FK foreign key · U unique · ? may be NULL"
_SHORT = {
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "time with time zone": "timetz",
    "time without time zone": "time",
    "character varying": "varchar",
    "character": "char",
    "double precision": "float8",
}
_TYPE = re.compile("|".join(_SHORT))


@dataclass(frozen=True, slots=True)
class _Row:
    mark: str
    name: str
    type: str


@dataclass(frozen=True, slots=True)
class _Box:
    table: Table
    outside: bool
    rows: tuple[_Row, ...]
    marks: float
    width: float
    height: float


@style.house
def diagram(schema: Schema, *, around: Schema = Schema(), heading: str = "") -> Picture:  # noqa: B008
    """Return the diagram of the tables of `schema`; those of `around` are drawn, faintly, where a key points at them.

    The ends of a line say how many rows: of the table it points at one, or none or one where a column of the key
    may be NULL; of its own table none or more, or none or one where the key's columns are unique.
    """
    if not schema.tables:
        return style.nothing("no table to draw")
    own = {table.name for table in schema.tables}
    wanted = {key.table for table in schema.tables for key in table.foreign_keys} - own
    outside = tuple(table for table in around.tables if table.name in wanted)
    drawn = Schema(tuple(sorted((*schema.tables, *outside), key=lambda table: table.name))).in_order
    boxes = {table.name: _box(table, outside=table.name not in own, drawn=drawn) for table in drawn}
    keys = [(t, key) for t in drawn if t.name in own for key in t.foreign_keys if key.table in boxes]
    page = (PAGE[0], PAGE[1] - _TOP - _BOTTOM)
    sizes = {name: (box.width, box.height) for name, box in boxes.items()}
    placed = layout.arrange(sizes, [(key.table, table.name) for table, key in keys], page=page)
    words = Schema(schema.tables).summary
    picture = _draw(boxes, keys, placed, label(f"{heading}: {words}" if heading else words, 120))
    says = f"<title>{escape(picture.alt)}</title><desc>{escape(visible(_told(drawn, own, keys)))}</desc>"
    return dataclasses.replace(
        picture, svg=re.sub(r"(<svg [^>]*>)", lambda m: m[1] + says, picture.svg, count=1)
    )


def _told(drawn: Sequence[Table], own: set[str], keys: Sequence[tuple[Table, ForeignKey]]) -> str:
    """Return the diagram in sentences, for who cannot see it."""
    told = [
        f"{table.name} ({', '.join(f'{c.name} {_type(c)}' for c in table.columns)})"
        + ("." if table.name in own else ", not of this change.")
        for table in drawn
    ]
    for table, key in keys:
        one = "none or one" if _is_optional(table, key) else "exactly one"
        many = "none or one" if table.is_unique(key.columns) else "none or more"
        told.append(
            f"{table.name} ({', '.join(key.columns)}) refers to {key.table} ({', '.join(key.referred)}):"
            f" to each row of {table.name} {one} of {key.table}, to each row of {key.table} {many} of {table.name}."
        )
    return " ".join(told)


def _is_optional(table: Table, key: ForeignKey) -> bool:
    return any(table.column(name).nullable for name in key.columns)


def _type(column: Column) -> str:
    return _TYPE.sub(lambda found: _SHORT[found[0]], column.type) + ("?" if column.nullable else "")


def _box(table: Table, *, outside: bool, drawn: Sequence[Table]) -> _Box:
    referred = {
        name for one in drawn for key in one.foreign_keys if key.table == table.name for name in key.referred
    }
    key = set(table.primary_key.columns if table.primary_key else ())
    marked = [(column, _marks(table, column.name)) for column in table.columns]
    if outside:
        shown = [(column, mark) for column, mark in marked if column.name in key | referred]
    elif len(marked) > _MOST_ROWS:
        first = [pair for pair in marked if pair[1]][: _MOST_ROWS - 1]
        others = [pair for pair in marked if pair not in first][: _MOST_ROWS - 1 - len(first)]
        shown = [pair for pair in marked if pair in first or pair in others]
    else:
        shown = marked
    rows = [_Row(mark, label(column.name, _LONGEST), label(_type(column), 24)) for column, mark in shown]
    if len(shown) < len(marked):
        rows.append(_Row("", f"… {len(marked) - len(shown)} more", ""))
    marks = max((_width(row.mark, _MARK) for row in rows), default=0)
    marks += 5 if marks else 0
    inner = max(
        [_width(label(table.name, _LONGEST), _NAME, bold=True)]
        + [marks + _width(row.name, _TEXT) + 9 + _width(row.type, _TEXT) for row in rows]
    )
    return _Box(table, outside, tuple(rows), marks, inner + 2 * _EDGE, _HEAD + _ROW * len(rows) + 4)


def _marks(table: Table, column: str) -> str:
    """Return what keys a column is part of: `PK`, `FK` (with their numbers where there are several), `U`."""
    numbers = [str(n) for n, key in enumerate(table.foreign_keys, 1) if column in key.columns]
    marks = []
    if table.primary_key and column in table.primary_key.columns:
        marks.append("PK")
    if numbers:
        marks.append("FK" + (",".join(numbers) if len(table.foreign_keys) > 1 else ""))
    if table.is_unique([column]) and "PK" not in marks:
        marks.append("U")
    return " ".join(marks)


def _width(text: str, size: float, *, bold: bool = False) -> float:
    from matplotlib.font_manager import FontProperties

    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal", size=size)
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return float(round(width, 1))


def _draw(
    boxes: Mapping[str, _Box], keys: Sequence[tuple[Table, ForeignKey]], placed: Layout, heading: str
) -> Picture:
    words = _WORDS + (" · dashed: not of this change" if any(box.outside for box in boxes.values()) else "")
    legend = sum(40 + _width(text, _TEXT) for text, _, _ in _ENDS) + _width(words, _TEXT)
    width = max(
        placed.width, legend + 2 * layout.MARGIN, _width(heading, 10.5, bold=True) + 2 * layout.MARGIN
    )
    height = placed.height + _TOP + _BOTTOM
    scale = min(1.0, PAGE[0] / width, PAGE[1] / height)
    fig = style.figure(width * scale / 72, height * scale / 72)
    fig.set_layout_engine("none")
    axes = fig.add_axes((0, 0, 1, 1))
    axes.axis("off")
    axes.set_xlim(-(width - placed.width) / 2, placed.width + (width - placed.width) / 2)
    axes.set_ylim(height - _TOP, -_TOP)
    pen = _Pen(axes, scale)
    left = layout.MARGIN - (width - placed.width) / 2
    pen.text(left, -_TOP / 2 + 2, heading, 10.5, weight="bold")
    for (table, key), route in zip(keys, placed.lines, strict=True):
        pen.line(table, key, route)
    for name, box in boxes.items():
        pen.box(box, placed.boxes[name])
    pen.legend(left, placed.height + _BOTTOM / 2, words)
    return style.render(fig, alt=f"Entity-relationship diagram, {heading}")


class _Pen:
    """Draws in points of the unscaled page."""

    def __init__(self, axes: Axes, scale: float) -> None:
        self.axes, self.scale = axes, scale

    def text(self, x: float, y: float, text: str, size: float, **how: Any) -> None:
        self.axes.text(
            x, y, text, fontsize=size * self.scale, **{"va": "center_baseline", "ha": "left", **how}, zorder=5
        )

    def stroke(self, points: Sequence[Point], width: float = 0.9, **how: object) -> None:
        xs, ys = zip(*points, strict=True)
        [line] = self.axes.plot(
            xs, ys, color=style.INK, linewidth=width * self.scale, solid_joinstyle="round"
        )
        line.set(**how)

    def box(self, box: _Box, at: Place) -> None:
        dashes = (0, (4, 2)) if box.outside else "solid"
        frame = Rectangle(
            (at.x, at.y), at.width, at.height, facecolor="white", edgecolor=style.INK,
            linewidth=1.0 * self.scale, linestyle=dashes, zorder=3,
        )  # fmt: skip
        style.tip(frame, f"{box.table.name}: {box.table.comment or 'no comment'}")
        self.axes.add_patch(frame)
        head = Rectangle(
            (at.x, at.y), at.width, _HEAD, facecolor="white" if box.outside else style.FAINT,
            edgecolor=style.INK, linewidth=0.7 * self.scale, linestyle=dashes, zorder=4,
        )  # fmt: skip
        self.axes.add_patch(head)
        self.text(at.x + _EDGE, at.y + _HEAD / 2, label(box.table.name, _LONGEST), _NAME, weight="bold")
        for number, row in enumerate(box.rows):
            y = at.y + _HEAD + 2 + _ROW * (number + 0.5)
            self.text(at.x + _EDGE, y, row.mark, _MARK, weight="bold", color=style.QUIET)
            is_key = "PK" in row.mark
            self.text(at.x + _EDGE + box.marks, y, row.name, _TEXT, weight="bold" if is_key else "normal")
            self.text(at.x + at.width - _EDGE, y, row.type, _TEXT, ha="right", color=style.QUIET)

    def line(self, table: Table, key: ForeignKey, route: Sequence[Point]) -> None:
        says = (
            f"{key.name}: {table.name} ({', '.join(key.columns)}) to {key.table} ({', '.join(key.referred)})"
        )
        self.stroke(route, gid=f"tip:{label(says, 400)}")
        self.one(route[0], route[1], optional=_is_optional(table, key))
        if table.is_unique(key.columns):
            self.one(route[-1], route[-2], optional=True)
        else:
            self.many(route[-1], route[-2])
        if len(table.foreign_keys) > 1:
            self.number(route, f"FK{table.foreign_keys.index(key) + 1}")

    def number(self, route: Sequence[Point], text: str) -> None:
        (x, y), is_level = _along(route[-1], route[-2], 17), route[-1][1] == route[-2][1]
        x, y = (x, y - 6) if is_level else (x + 9, y)
        self.text(x, y, text, _MARK, weight="bold", color=style.QUIET, ha="center")

    def one(self, end: Point, towards: Point, *, optional: bool) -> None:
        self.bar(end, towards, 4)
        if optional:
            self.ring(_along(end, towards, 8.6))
        else:
            self.bar(end, towards, 6.5)

    def many(self, end: Point, towards: Point) -> None:
        tip = _along(end, towards, 7.5)
        self.stroke([_along(end, towards, 0, -4.2), tip, _along(end, towards, 0, 4.2)])
        self.ring(_along(end, towards, 10))

    def bar(self, end: Point, towards: Point, by: float) -> None:
        self.stroke([_along(end, towards, by, -4), _along(end, towards, by, 4)])

    def ring(self, at: Point) -> None:
        ring = Circle(at, 2.4, facecolor="white", edgecolor=style.INK, linewidth=0.9 * self.scale, zorder=3)
        self.axes.add_patch(ring)

    def legend(self, x: float, y: float, words: str) -> None:
        for text, many, optional in _ENDS:
            end, other = (x + 22, y), (x, y)
            self.stroke([end, other])
            if many:
                self.many(end, other)
            else:
                self.one(end, other, optional=optional)
            self.text(x + 26, y, text, _TEXT, color=style.QUIET)
            x += 40 + _width(text, _TEXT)
        self.text(x, y, words, _TEXT, color=style.QUIET)


def _along(end: Point, towards: Point, by: float, aside: float = 0.0) -> Point:
    """Return the place that far from the end of a line, and that far beside it."""
    dx = (towards[0] > end[0]) - (towards[0] < end[0])
    dy = (towards[1] > end[1]) - (towards[1] < end[1])
    return (end[0] + dx * by + dy * aside, end[1] + dy * by + dx * aside)
