"""Verdicts are one line each and hold nothing that varies."""

from __future__ import annotations

import pytest

from pgrunbook.views import verdict

pytestmark = pytest.mark.static

HOSTILE = "a\nb\u202e<script>"


@pytest.mark.parametrize(
    "line",
    [
        verdict.step_line("001", HOSTILE, "done", worst_stall_ms=1, budget_ms=100, why=HOSTILE),
        verdict.board_line(HOSTILE, checks=1, stopped=1),
        verdict.gate_line(HOSTILE, opened=False, why=HOSTILE),
        verdict.remedy_line(HOSTILE, 3),
    ],
)
def test_a_verdict_is_one_line_that_hides_nothing(line: str) -> None:
    assert line.splitlines() == [line]
    assert "\u202e" not in line


def test_two_runs_with_other_stalls_within_the_budget_read_alike() -> None:
    lines = {
        verdict.step_line("002", "x", "done", worst_stall_ms=ms, budget_ms=100)
        for ms in (None, 0.0, 6.2, 100.0)
    }
    assert lines == {"002 x ... done, nobody stalled"}


def test_a_stall_over_the_budget_is_said() -> None:
    line = verdict.step_line("002", "x", "done", worst_stall_ms=101, budget_ms=100)
    assert line == "002 x ... done, traffic stalled longer than the budget of 100 ms"


def test_a_board_with_warnings_alone_is_go_and_says_so() -> None:
    assert verdict.board_line("010", checks=9, stopped=0, warned=2) == "010: GO, 9 checks, 2 warn"
