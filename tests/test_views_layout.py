"""Boxes and lines that do not get in each other's way."""

from __future__ import annotations

import itertools
import random

import pytest

from pgrunbook.views import layout
from pgrunbook.views.layout import Layout, Place

A4 = (785.0, 490.0)
Lines = list[tuple[str, str]]


def made_up(seed: int) -> tuple[dict[str, tuple[float, float]], Lines]:
    """Return up to nine boxes that refer to earlier ones, now and then to themselves."""
    chance = random.Random(seed)
    count = chance.randint(1, 9)
    sizes = {f"t{n}": (float(chance.randint(80, 190)), float(chance.randint(40, 170))) for n in range(count)}
    lines = [
        (f"t{chance.randint(0, n)}", f"t{n}")
        for n in range(count)
        for _ in range(chance.choice([0, 1, 1, 2]))
    ]
    return sizes, lines


@pytest.mark.parametrize("seed", range(30))
def test_nothing_lies_on_anything_and_every_line_is_drawn(seed: int) -> None:
    sizes, lines = made_up(seed)
    found = layout.arrange(sizes, lines, page=A4)
    assert layout.flaws(found) == 0
    assert found == layout.arrange(sizes, lines, page=A4)
    assert {name: (box.width, box.height) for name, box in found.boxes.items()} == sizes
    for one, other in itertools.combinations(found.boxes.values(), 2):
        assert (
            one.x + one.width < other.x
            or other.x + other.width < one.x
            or one.y + one.height < other.y
            or other.y + other.height < one.y
        )
    for (start, end), line in zip(lines, found.lines, strict=True):
        assert on_edge(line[0], found.boxes[start])
        assert on_edge(line[-1], found.boxes[end])
        assert all(x0 == x1 or y0 == y1 for (x0, y0), (x1, y1) in itertools.pairwise(line))
        assert all(0 <= x <= found.width and 0 <= y <= found.height for x, y in line)


def on_edge(point: tuple[float, float], box: Place) -> bool:
    x, y = point
    right, bottom = round(box.x + box.width, 1), round(box.y + box.height, 1)
    level = x in (box.x, right) and box.y < y < bottom
    return level or (y in (box.y, bottom) and box.x < x < right)


def test_several_lines_between_two_boxes_have_ends_of_their_own() -> None:
    found = layout.arrange({"a": (100, 80), "b": (100, 80)}, [("a", "b")] * 3, page=A4)
    assert layout.flaws(found) == 0
    for end in (0, -1):
        assert len({line[end] for line in found.lines}) == 3


@pytest.mark.parametrize(
    ("line", "flaw"),
    [
        ([(10.0, 30.0), (100.0, 30.0)], "through the second box"),
        ([(10.0, 5.0), (20.0, 5.0), (20.0, 90.0), (90.0, 90.0)], "ends before its symbol"),
    ],
)
def test_a_flaw_is_found(line: list[tuple[float, float]], flaw: str) -> None:
    boxes = {"a": Place(0, 0, 10, 60), "b": Place(40, 20, 30, 30)}
    assert layout.flaws(Layout(boxes, (tuple(line),), 200, 200)) == 1, flaw


def test_lines_on_one_another_are_a_flaw_and_crossing_ones_are_none() -> None:
    def flaws(*lines: tuple[tuple[float, float], ...]) -> int:
        return layout.flaws(Layout({}, lines, 200, 200))

    assert flaws(((0, 10), (50, 10)), ((40, 11), (90, 11))) == 1
    assert flaws(((0, 10), (50, 10)), ((60, 10), (90, 10))) == 0
    assert flaws(((0, 10), (50, 10)), ((20, 0), (20, 50))) == 0
