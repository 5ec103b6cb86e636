"""The pictures of a record are those of the notebook, drawn from what the ledger tells."""

from __future__ import annotations

from dataclasses import replace

import pytest
import recorded

from pgrunbook.history import summarise
from pgrunbook.views import drawings
from pgrunbook.views.summary import Summary

pytestmark = pytest.mark.static


@pytest.fixture(scope="module")
def summary() -> Summary:
    return recorded.summary("things", steps=2)


def test_every_picture_has_a_text_that_says_what_it_shows(summary: Summary) -> None:
    (build, *_) = drawings.builds(summary)
    pictures = {
        "stalls": drawings.stalls(summary),
        "waits": drawings.waits(summary),
        "queries": drawings.queries(summary),
        "sizes": drawings.sizes(summary),
        "builds": build[1],
    }
    said = {name: picture.alt for name, picture in pictures.items() if picture}
    assert said.keys() == pictures.keys()
    assert "41.5 ms" in said["stalls"]
    assert "worst stall 41.5 ms" in said["waits"]
    assert "18 times faster" in said["queries"]
    assert "8 kB → 16 kB" in said["sizes"]
    assert build[0] == "000_things"


def test_waits_of_the_second_step_stand_behind_those_of_the_first(summary: Summary) -> None:
    picture = drawings.waits(summary)
    assert picture is not None
    # Two steps of 900 ms, each with one wait of a session of the same number.
    assert "1 session" in picture.alt


def test_of_a_run_that_was_not_watched_nothing_is_drawn() -> None:
    bare = Summary(**summarise("r1", [], chain=""))
    assert [drawings.stalls(bare), drawings.waits(bare), drawings.queries(bare), drawings.sizes(bare)] == [
        None
    ] * 4
    assert drawings.builds(bare) == []


def test_what_was_not_measured_is_not_drawn(summary: Summary) -> None:
    (row,) = summary.sizes[:1]
    assert drawings.sizes(replace(summary, sizes=({**row, "after bytes": None},))) is None
    (who,) = summary.in_the_way[:1]
    bare = {name: value for name, value in who.items() if name != "to ms"}
    alone = [drawings.waits(replace(summary, in_the_way=held)) for held in ((), (bare,))]
    assert alone[0] == alone[1] != drawings.waits(summary)


def test_the_same_summary_is_drawn_alike(summary: Summary) -> None:
    first, second = drawings.waits(summary), drawings.waits(summary)
    assert first == second


def test_of_very_many_steps_the_worst_are_drawn() -> None:
    many = recorded.summary("x", steps=90)
    picture = drawings.stalls(many)
    assert picture is not None
    assert picture.svg.count("<text") < 300
