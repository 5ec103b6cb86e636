"""The picture of query times before and after."""

from __future__ import annotations

import pytest
from drawing import Timed, text_of, timings

from pgrunbook.timing import Timing
from pgrunbook.views import charts

pytestmark = pytest.mark.static


def test_times_far_apart_say_how_much_faster() -> None:
    assert "41 ms → 0.05 ms, 820 times faster" in text_of(timings())


def test_a_real_timing_can_be_drawn() -> None:
    one = Timing(
        name="a",
        title="t",
        runs_ms=(3.0, 1.0, 2.0),
        rows=1,
        nodes=("Index Scan",),
        indexes=("i",),
        shared_hit=1,
        shared_read=0,
    )
    assert "2 ms → 2 ms, about the same" in text_of(charts.timings([one], [one]))


def test_a_query_timed_only_once_says_when() -> None:
    assert "41 ms, timed only before" in text_of(charts.timings([Timed("a", (41.0,), 41.0)], []))


def test_a_query_too_fast_to_measure_can_stand_on_a_logarithmic_axis() -> None:
    assert charts.timings([Timed("a", (0.0,), 0.0)], [Timed("a", (50.0,), 50.0)]).svg


def test_no_timing_is_said() -> None:
    assert "no query was timed" in text_of(charts.timings([], []))


def test_each_run_is_a_mark_and_blocks_are_counted() -> None:
    one = Timed("a", (40.0, 41.0, 60.0), 41.0, shared_hit=5406)
    two = Timed("a", (0.04, 0.05, 0.09), 0.05, nodes=("Index Scan",), shared_hit=3, shared_read=2)
    picture = charts.timings([one], [two])
    assert picture.alt == (
        "Query times before and after. a: 41 ms → 0.05 ms, 820 times faster; Seq Scan → Index Scan;"
        " 5,406 → 5 blocks, 2 of them read."
    )
    few = charts.timings([Timed("a", (41.0,), 41.0, shared_hit=5406)], [two])
    assert picture.svg.count("<use ") > few.svg.count("<use ")


def test_what_became_too_fast_to_measure_is_faster() -> None:
    assert "12 ms → 0 ms, faster" in text_of(
        charts.timings([Timed("a", (12.0,), 12.0)], [Timed("a", (0.0,), 0.0)])
    )
