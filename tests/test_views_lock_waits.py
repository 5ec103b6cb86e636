"""The timeline of lock waits: one bar a wait, judged by its worst sample."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawing import WAIT, lock_waits, text_of

from pgrunbook.observers.locks import Side
from pgrunbook.views import charts

pytestmark = pytest.mark.static


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


def test_who_waited_behind_us_is_drawn_before_those_who_waited_longer_for_others() -> None:
    waits = [replace(WAIT, pid=pid, side=Side.OTHER, waited_ms=400.0) for pid in range(1, 31)]
    picture = charts.lock_waits(
        [*waits, replace(WAIT, pid=99, who="stalled", waited_ms=2.0)], stall_budget_ms=100
    )
    assert "stalled" in text_of(picture)


def test_the_time_in_which_we_held_back_is_a_row_of_ours_and_no_stall() -> None:
    picture = charts.lock_waits([], stall_budget_ms=100, held_back=[(0.0, 8000.0, "pid 7 'report'")])
    assert picture.alt == (
        "Timeline of lock waits: nobody waited behind us (stall budget 100 ms);"
        " our step looked and did not ask for 8 s, because of pid 7 'report'."
    )
    assert "our step" in text_of(picture)


def test_the_words_of_a_picture_hold_its_figures() -> None:
    assert lock_waits().alt.endswith(
        "registration (pid 4711) waited 6 ms for RowExclusiveLock on classes, held up by 5001."
    )
