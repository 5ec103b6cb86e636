"""The pace of batches: larger while they are quick, smaller before anybody stalls."""

from __future__ import annotations

import pytest

from pgrunbook.pace import LARGEST, LAST_TRIES, SMALL, START, WHOLE_AIM, Pace, Progress

pytestmark = pytest.mark.static


def test_quick_batches_grow_up_to_a_limit() -> None:
    pace = Pace(100)
    assert (pace.size, pace.limit_ms) == (START, 80)
    for _ in range(20):
        pace.took(5)
    assert pace.size == LARGEST


def test_batches_settle_well_below_the_budget() -> None:
    pace = Pace(100)
    for _ in range(50):
        # One row takes a tenth of a millisecond.
        pace.took(pace.size / 10)
    assert 25 <= pace.size / 10 <= 50


def test_batches_that_go_back_whole_leave_room_for_a_busier_machine() -> None:
    pace = Pace(100, aim=WHOLE_AIM)
    for _ in range(50):
        pace.took(pace.size / 10)
    assert 15 <= pace.size / 10 <= 30


def test_a_slow_machine_does_not_make_batches_of_single_rows() -> None:
    pace = Pace(100)
    for _ in range(50):
        pace.took(79)
    assert pace.size == SMALL
    assert pace.smaller()
    pace.took(79)
    assert pace.size == SMALL // 4, "what did not fit is not tried again as long as it takes so long"


def test_a_batch_that_was_stopped_is_followed_by_a_much_smaller_one() -> None:
    pace, sizes = Pace(100, 1000), []
    while pace.smaller():
        sizes.append(pace.size)
    assert sizes == [250, 62, 15, 3, *[1] * LAST_TRIES]
    pace.took(10)
    assert pace.smaller(), "it went well since"


def test_a_size_that_is_not_ours_is_tried_again_and_given_up() -> None:
    pace = Pace(100, 1000, fixed=True)
    assert [pace.smaller() for _ in range(LAST_TRIES)] == [*[True] * (LAST_TRIES - 1), False]
    assert pace.size == 1000


def test_the_worst_hold_is_kept() -> None:
    pace = Pace(100)
    for held in (3.0, 70.0, 5.0):
        pace.took(held)
    assert pace.worst_ms == 70


def test_progress_tells_rate_and_remaining_time() -> None:
    done = Progress(500, 2000, 10.0, 100)
    assert (done.rate, done.left_s) == (50, 30)
    assert Progress(2500, 2000, 10.0).left_s is None
    assert Progress(0, 2000).left_s is None
    assert str(Progress(2500, 2000, 10.0)) == "2,500 rows, 250 a second"
    assert str(done) == "500 of about 2,000 rows, 50 a second, about 30 s left; batches of 100"
