"""The board of a run: a deterministic verdict with the call that goes on; what varies is for live eyes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import throwaway

from pgrunbook.bearings import Bearings, Place
from pgrunbook.views import bearings

pytestmark = pytest.mark.static

HOSTILE = "<script>alert(1)</script>\u202e"


@pytest.fixture
def found(tmp_path: Path) -> Bearings:
    first, second, third = throwaway.write(tmp_path).steps
    places = (
        Place(first, "done", "", 1.25, 6.04, "2026-11-22 02:00:00 UTC", "ann"),
        Place(second, "blocked", f"gate closed: {HOSTILE}"),
        Place(third, "not run"),
    )
    call = 'run the cell await runbook.gate("002")'
    return Bearings(
        "700_throwaway", places, {"10_doubled_codes": "applied"}, call, "gate closed", ("pid 7 'x'",)
    )


def test_the_verdict_counts_and_says_where_to_go_on(found: Bearings) -> None:
    said = (
        '700_throwaway: 1 of 3 steps done\nresume here: run the cell await runbook.gate("002") (gate closed)'
    )
    for live in (True, False):
        assert bearings.view(found, live=live).text == said
    assert bearings.view(dataclasses.replace(found, why="", remedies={}), live=True).text.endswith(
        'gate("002")'
    )


def test_a_live_board_tells_when_by_whom_and_who_is_in_the_way(found: Bearings) -> None:
    html = bearings.view(found, live=True).html or ""
    for told in (
        "2026-11-22 02:00:00 UTC",
        "ann",
        "1.25 s",
        "6.04 ms",
        "pid 7",
        "10_doubled_codes",
        "blocked",
    ):
        assert told in html
    assert "&lt;script&gt;" in html
    assert "<script>" not in html


def test_a_rehearsals_board_holds_nothing_that_varies(found: Bearings) -> None:
    view = bearings.view(found, live=False)
    for varies in ("2026", "ann", "1.25", "6.04", "pid"):
        assert varies not in (view.html or "")
    assert view.facts["steps"] == bearings.rows(found)
    assert view.facts["in the way"] == ["pid 7 'x'"]
