"""The picture of the contest: bars for one number of writers, lines and a table for several."""

from __future__ import annotations

import functools

import pytest
from contestants import CLEAN, DOUBLING, GAPPY, YARDSTICK, Ran, several
from drawing import HOSTILE, text_of

from pgrunbook.views import contest
from pgrunbook.views.style import Picture

pytestmark = pytest.mark.static


@functools.cache
def lines() -> Picture:
    return contest.chart(several())


def test_bars_say_what_each_method_did() -> None:
    said = text_of(contest.chart([YARDSTICK, CLEAN, GAPPY, DOUBLING]))
    assert "2,000 classes, 16 writers, one hot prefix" in said
    for part in ("no duplicate, no gap", "no duplicate, 112 gaps", "1,600 duplicates, no gap", "12.2"):
        assert part in said


def test_lines_stand_for_one_prefix_and_for_many_with_every_figure_below() -> None:
    picture = lines()
    said = text_of(picture)
    for part in (
        "one hot prefix: codes per second",
        "64 prefixes: p99 of one creation, ms",
        "codes/s, 64 prefixes, by writers",
    ):
        assert part in said
    assert "28" in said  # the duplicates of all of its results
    assert "max, 64 writers, one hot prefix: 4,000 codes/s, p99 12.2 ms, 7 duplicates, no gap" in picture.alt


def test_kinds_differ_without_colour() -> None:
    drawn = [contest.chart([one]).svg for one in (CLEAN, GAPPY, DOUBLING)]
    assert ["pattern" in svg for svg in drawn] == [False, True, True]
    assert "stroke-dasharray" in lines().svg


def test_what_was_stopped_has_a_mark() -> None:
    stopped = [*several(), Ran("slow", 1, codes=7, stopped=True), Ran("slow", 64, codes=0, stopped=True)]
    assert "* stopped when its time was over" in text_of(contest.chart(stopped))
    assert "* stopped" not in text_of(lines())


def test_figures_are_in_the_metadata_and_not_in_the_verdict() -> None:
    view = contest.contest([CLEAN, DOUBLING])
    assert view.text == "16 writers; no duplicate, no gap: counter; duplicates: max"
    assert set(view.data()) == {"text/plain", "image/png"}
    kept = view.metadata()["pgrunbook"]
    assert "4,000 codes/s" in str(kept["picture"])
    assert [one["p99 ms"] for one in kept["results"]] == [12.25, 12.25]  # type: ignore[union-attr]


def test_the_same_results_give_the_same_picture() -> None:
    assert contest.chart(several()).svg == lines().svg


def test_a_hostile_name_stays_text() -> None:
    assert "<script>" not in contest.chart([Ran(HOSTILE), Ran(HOSTILE, 64)]).svg
    assert "<script>" not in contest.chart([Ran(HOSTILE)]).svg


def test_no_result_is_said() -> None:
    assert "no method was measured" in text_of(contest.chart([]))
    assert contest.contest([]).text == "no method created a class"


def test_methods_that_did_nothing_can_be_drawn() -> None:
    idle = [
        Ran("stuck", n, codes=0, codes_per_second=0.0, p99_ms=0.0, max_ms=0.0, stopped=True) for n in (1, 4)
    ]
    assert contest.chart(idle).svg
    assert contest.chart(idle[:1]).svg
