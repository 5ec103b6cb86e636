"""The picture of query times before and after."""

from __future__ import annotations

import pytest
from drawing import Timed, text_of, timings

from pgrunbook.explain import Timing
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
