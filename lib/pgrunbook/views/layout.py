"""The places of boxes and of the lines between them: layers, right angles, nothing on top of anything."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Layout", "Place", "Point", "arrange", "flaws"]

Point = tuple[float, float]

# Room around each box that stays free but for the ends of its own lines, in points.
MARGIN = 17.0
# How far the ends of lines keep from a box's corners, and from one another where there is room.
_CORNER, _APART = 6.0, 12.0
# The length of a symbol, the room between two lines, and the gaps that are tried, in inches.
_SYMBOL, _ROOM, _GAPS = 12.5, 2.0, (0.06, 0.1, 0.16, 0.25, 0.4, 0.6)
_TREMBLE = 4.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a box is: its left upper corner, its width and its height, in points."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """All boxes, and for each line its corners, from the first box's edge to the second's; y grows downwards."""

    boxes: Mapping[str, Place]
    lines: tuple[tuple[Point, ...], ...]
    width: float
    height: float


def arrange(sizes: Mapping[str, Point], lines: Sequence[tuple[str, str]], *, page: Point) -> Layout:
    """Return the best of some layouts: the one with the fewest flaws, then the largest on a page.

    Graphviz decides (its wheel brings it along), from left to right and from top to bottom, with little room and
    with more; the same sizes and lines give the same layout.
    """
    found = [_run(sizes, lines, way, gap) for gap in _GAPS for way in ("LR", "TB")]
    return min(found, key=lambda one: (flaws(one), -min(page[0] / one.width, page[1] / one.height)))


def flaws(layout: Layout) -> int:
    """Return how often a line runs through a box or on another line, or ends too near a bend for its symbol."""
    parts = [
        (number, min(one, other), max(one, other))
        for number, line in enumerate(layout.lines)
        for one, other in itertools.pairwise(line)
    ]
    through = sum(
        low[0] < box.x + box.width and high[0] > box.x and low[1] < box.y + box.height and high[1] > box.y
        for _, low, high in parts
        for box in layout.boxes.values()
    )
    shared = sum(
        first != second and (_on(low, high, start, end, 0) or _on(low, high, start, end, 1))
        for (first, low, high), (second, start, end) in itertools.combinations(parts, 2)
    )
    ends = [pair for line in layout.lines for pair in (line[:2], line[-2:])]
    short = sum(abs(x - X) + abs(y - Y) < _SYMBOL for (x, y), (X, Y) in ends)
    return through + shared + short


def _on(low: Point, high: Point, start: Point, end: Point, level: int) -> bool:
    """Return whether two parts of lines run side by side, nearer than can be told apart."""
    along = 1 - level
    return (
        low[level] == high[level]
        and start[level] == end[level]
        and abs(low[level] - start[level]) < _ROOM
        and low[along] < end[along]
        and start[along] < high[along]
    )


def _run(sizes: Mapping[str, Point], lines: Sequence[tuple[str, str]], direction: str, gap: float) -> Layout:
    # It takes long to load, and only a diagram needs it.
    from pygraphviz import AGraph

    graph: Any = AGraph(
        strict=False,
        directed=True,
        rankdir=direction,
        splines="ortho",
        nodesep=f"{gap}",
        ranksep=f"{2 * gap}",
    )
    names = {name: f"n{number}" for number, name in enumerate(sizes)}
    for name, (width, height) in sizes.items():
        graph.add_node(
            names[name],
            shape="box",
            fixedsize="true",
            label="",
            width=f"{(width + 2 * MARGIN) / 72:.4f}",
            height=f"{(height + 2 * MARGIN) / 72:.4f}",
        )
    for number, (start, end) in enumerate(lines):
        graph.add_edge(names[start], names[end], key=f"e{number}", dir="none")
    graph.layout(prog="dot")
    left, low, right, top = map(float, graph.graph_attr["bb"].split(","))
    boxes = {}
    for name, (width, height) in sizes.items():
        x, y = map(float, graph.get_node(names[name]).attr["pos"].split(","))
        boxes[name] = Place(
            round(x - left - width / 2, 1), round(top - y - height / 2, 1), round(width, 1), round(height, 1)
        )
    routes = []
    for number, (start, end) in enumerate(lines):
        text = graph.get_edge(names[start], names[end], f"e{number}").attr["pos"]
        spline = [tuple(map(float, point.split(","))) for point in text.split()]
        routes.append(_bendable([(round(x - left, 1), round(top - y, 1)) for x, y in spline[::3]]))
    for name, box in boxes.items():
        ends = [_End(route, (0, 1, 2)) for route, line in zip(routes, lines, strict=True) if line[0] == name]
        ends += [
            _End(route, (-1, -2, -3)) for route, line in zip(routes, lines, strict=True) if line[1] == name
        ]
        _meet(box, ends)
    drawn = tuple(tuple(_simple(_smoothed(route))) for route in routes)
    return Layout(boxes, drawn, round(right - left, 1), round(top - low, 1))


def _bendable(corners: list[Point]) -> list[Point]:
    """Return the corners of a line, two more in the middle of one that is straight, so that each end can move."""
    points = _simple(corners)
    if len(points) > 2:
        return points
    (x0, y0), (x1, y1) = points[0], points[-1]
    middle = (round((x0 + x1) / 2, 1), round((y0 + y1) / 2, 1))
    return [points[0], middle, middle, points[-1]]


@dataclass(frozen=True, slots=True)
class _End:
    """An end of a line: the places in it of the last point, the one before, and the one before that."""

    line: list[Point]
    places: tuple[int, int, int]

    @property
    def points(self) -> tuple[Point, Point, Point]:
        last, before, further = self.places
        return self.line[last], self.line[before], self.line[further]

    @property
    def is_level(self) -> bool:
        return self.points[0][1] == self.points[1][1]

    def across(self) -> tuple[float, float]:
        """Return where on the side it ends, and which way the line goes from there: what to sort by."""
        last, _, further = self.points
        return (last[1], further[1]) if self.is_level else (last[0], further[0])

    def move(self, edge: float, at: float) -> None:
        level, (last, before, _) = self.is_level, self.places
        (x, y) = self.line[before]
        self.line[last], self.line[before] = ((edge, at), (x, at)) if level else ((at, edge), (at, y))


def _meet(box: Place, ends: Iterable[_End]) -> None:
    """Draw the ends of lines through the free room to a box, side by side and off its corners.

    Graphviz ends them at the outer edge of that room, now and then beyond a corner of the box or on one another.
    """
    sides: dict[tuple[bool, float], list[_End]] = {}
    for end in ends:
        at, near, length = (
            (end.points[0][0], box.x, box.width) if end.is_level else (end.points[0][1], box.y, box.height)
        )
        edge = near if at < near + length / 2 else round(near + length, 1)
        sides.setdefault((end.is_level, edge), []).append(end)
    for (is_level, edge), found in sides.items():
        found.sort(key=_End.across)
        low, length = (box.y, box.height) if is_level else (box.x, box.width)
        places = _apart([end.across()[0] for end in found], low + _CORNER, low + length - _CORNER)
        for end, at in zip(found, places, strict=True):
            end.move(edge, at)


def _apart(wanted: Sequence[float], low: float, high: float) -> list[float]:
    """Return places in a range, near those that are wanted, in the same order and with room between them.

    >>> _apart([0, 5, 6, 50], 2, 40)
    [2, 14.0, 26.0, 40.0]
    """
    room = min(_APART, (high - low) / max(len(wanted) - 1, 1))
    found: list[float] = []
    for number, at in enumerate(wanted):
        least = found[-1] + room if found else low
        most = high - room * (len(wanted) - 1 - number)
        found.append(round(min(max(at, least), most), 1))
    return found


def _smoothed(line: list[Point]) -> list[Point]:
    """Return the line without a step in its middle that is no more than a tremble."""
    if len(line) == 4:
        (x0, y0), _, _, (x1, y1) = line
        if line[0][1] == line[1][1] and line[2][1] == line[3][1] and abs(y0 - y1) < _TREMBLE:
            return [(x0, y0), (x1, y0)]
        if line[0][0] == line[1][0] and line[2][0] == line[3][0] and abs(x0 - x1) < _TREMBLE:
            return [(x0, y0), (x0, y1)]
    return line


def _simple(points: Iterable[Point]) -> list[Point]:
    """Return the points without those that repeat, or lie on the way between two others."""
    kept: list[Point] = []
    for point in points:
        if kept and point == kept[-1]:
            continue
        if len(kept) > 1 and _straight(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def _straight(first: Point, second: Point, third: Point) -> bool:
    return (first[0] == second[0] == third[0]) or (first[1] == second[1] == third[1])
