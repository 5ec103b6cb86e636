"""The board of a queue of jobs."""

from __future__ import annotations

from typing import Any

import pytest
from drawing import HOSTILE

from pgrunbook.views import queue
from pgrunbook.views.view import View

pytestmark = pytest.mark.static

WAITING = [
    {"priority": "critical", "due": 2, "again": 0, "later": 1},
    {"priority": "low", "due": 0, "again": 1, "later": 40},
]
HELD = {
    "slot": 1, "job": "job_a", "execution": 7, "attempt": 2, "worker": "worker pid 11",
    "running_seconds": 12.0, "lease_seconds": 288.0,
}  # fmt: skip
OVER = {**HELD, "slot": 3, "job": "job_b", "attempt": 1, "lease_seconds": -3.0}
FAILED = {"job": "job_c", "failures": 2, "error": "no answer", "again_in_seconds": 90.0}
NEXT = {"job": "job_d", "priority": "low", "in_seconds": 7200.0}


def board(**given: Any) -> View:
    empty: dict[str, Any] = {"enabled": True, "cap": 5, "errors": 0}
    empty |= dict.fromkeys(("waiting", "running", "failed", "upcoming"), ())
    return queue.board(**{**empty, **given})


def full() -> View:
    return board(waiting=WAITING, running=[HELD, OVER], failed=[FAILED], upcoming=[NEXT], errors=31)


def test_the_line_counts_and_holds_no_time() -> None:
    assert full().text == "queue on: 2 of 5 slots taken, 2 jobs due, 42 later, 31 with an error, 1 lease over"
    assert board().text == "queue on: 0 of 5 slots taken, 0 jobs due, 0 later"
    assert board(enabled=False, cap=1).text == "queue OFF: 0 of 1 slot taken, 0 jobs due, 0 later"


def test_the_picture_tells_leases_failures_and_what_is_next() -> None:
    said = str(full().facts["picture"])
    assert "job_a for 12 s, attempt 2, lease ends in 4 min 48 s" in said
    assert "job_b for 12 s, lease over since 3 s" in said
    assert "job_c, 2 failures, again in 1 min 30 s: no answer" in said
    assert "job_d, low, in 2 h" in said
    assert "not again" in str(board(failed=[{**FAILED, "again_in_seconds": None}]).facts["picture"])


def test_an_empty_queue_has_a_board_too() -> None:
    view = board(waiting=[{**row, "due": 0, "again": 0, "later": 0} for row in WAITING])
    assert view.png
    assert "nobody waits" in str(view.svg)
    assert str(view.svg).count(">free<") == 5


def test_a_slot_beyond_the_cap_is_drawn_and_hundreds_are_not() -> None:
    assert "slot 7" in str(board(running=[{**HELD, "slot": 7}]).svg)
    assert str(board(cap=1000).svg).count(">free<") == 12


def test_names_and_errors_stay_text() -> None:
    view = board(
        running=[{**HELD, "job": HOSTILE, "worker": HOSTILE}],
        failed=[{**FAILED, "job": HOSTILE, "error": HOSTILE}],
        upcoming=[{**NEXT, "job": HOSTILE}],
    )
    assert "<script" not in str(view.svg)
    assert "<script" not in str(view.html)


def test_the_same_rows_give_the_same_picture() -> None:
    assert full().svg == full().svg
