"""The timeline of lock waits: one bar a wait, judged by its worst sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawing import WAIT, lock_waits, text_of

from pgrunbook.observers.locks import Side
from pgrunbook.views import charts
from pgrunbook.views.lock_waits import collapse

pytestmark = pytest.mark.static


def test_many_samples_of_one_wait_are_one_bar() -> None:
    waits = [replace(WAIT, at_ms=400.0 + n, waited_ms=1.0 + n) for n in range(0, 50, 5)]
    (bar,) = collapse(waits)
    assert (bar.start_ms, bar.end_ms, bar.waited_ms) == (399.0, 445.0, 46.0)


def test_two_waits_of_one_session_stay_two_bars() -> None:
    assert len(collapse([WAIT, replace(WAIT, at_ms=900.0)])) == 2


def test_a_wait_is_as_bad_as_its_worst_sample() -> None:
    (bar,) = collapse([replace(WAIT, side=Side.OTHER, at_ms=410.0, waited_ms=4.0), WAIT])
    assert bar.side == "behind us"


def test_the_worst_stall_is_stated_against_the_budget() -> None:
    assert "worst stall 6 ms, within the stall budget of 100 ms" in text_of(lock_waits())
    late = charts.lock_waits([replace(WAIT, waited_ms=150.0)], stall_budget_ms=100)
    assert "worst stall 150 ms, OVER the stall budget of 100 ms" in late.alt


def test_waits_of_others_are_no_stall_of_ours() -> None:
    picture = charts.lock_waits([replace(WAIT, side=Side.OTHER, waited_ms=5000.0)], stall_budget_ms=100)
    assert "nobody waited behind us" in picture.alt


def test_a_bar_says_who_waited_for_what() -> None:
    tip = "registration (pid 4711) waited 6 ms for RowExclusiveLock on classes, held up by 5001"
    assert f"<title>{tip}</title>" in lock_waits().svg


def test_no_waits_make_a_calm_picture() -> None:
    picture = charts.lock_waits([], stall_budget_ms=100, samples=412)
    assert picture.alt == "no lock waits in 412 samples; stall budget 100 ms."
    assert "no lock waits in 412 samples" in text_of(picture)


def test_more_sessions_than_fit_are_counted() -> None:
    waits = [replace(WAIT, pid=pid, waited_ms=float(pid)) for pid in range(1, 31)]
    assert "10 more sessions" in text_of(charts.lock_waits(waits, stall_budget_ms=100))


def test_a_side_unknown_to_the_picture_is_someone_else() -> None:
    (bar,) = collapse([replace(WAIT, side="beside us")])  # type: ignore[arg-type]
    assert bar.side == "other"


def test_colours_differ_in_greyscale_or_in_hatch() -> None:
    from pgrunbook.views.lock_waits import _SIDES

    assert len({hatch for _, hatch, _ in _SIDES.values()}) == len(_SIDES)
