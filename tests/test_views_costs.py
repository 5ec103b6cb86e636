"""Costs: a verdict without a measured number, a picture with all of them."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest
import throwaway
from drawing import WAIT

from pgrunbook.change import Change
from pgrunbook.ledger import Status
from pgrunbook.observers import Observation
from pgrunbook.observers.progress import BuildSample
from pgrunbook.observers.size import SizeChange
from pgrunbook.step import Outcome
from pgrunbook.timing import Timing
from pgrunbook.views import costs

pytestmark = pytest.mark.static

TIMING = Timing(
    name="10_lookup", title="Look one up", runs_ms=(3.0, 1.0, 2.0), rows=1, nodes=("Limit", "Seq Scan"),
    indexes=(), shared_hit=3, shared_read=1,
)  # fmt: skip


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return throwaway.write(tmp_path)


def test_before_the_change_nothing_is_expected(change: Change) -> None:
    view = costs.timings([replace(TIMING, rows=7)], [], change)
    assert view.text == "1 query timed before the change"
    assert view.facts["missed"] == []
    assert view.png
    assert view.svg
    assert view.html is None


def test_a_query_that_cannot_run_before_the_change_is_counted(change: Change) -> None:
    line = "0 queries timed before the change, 1 not: the change makes what they read"
    assert costs.timings([], [], change).text == line


def test_afterwards_every_expectation_holds_or_is_named(change: Change) -> None:
    assert costs.timings([TIMING], [TIMING], change).text == "1 query timed, every expectation holds"
    view = costs.timings([TIMING], [replace(TIMING, rows=7)], change)
    assert view.text == "1 query timed, 1 expectation missed"
    assert "10_lookup: " in str(view.facts["missed"])


def test_the_figures_are_facts(change: Change) -> None:
    view = costs.timings([TIMING], [], change)
    assert view.facts["before"] == [
        {
            "query": "10_lookup", "median ms": 2.0, "rows": 1, "plan": "Limit > Seq Scan",
            "buffers hit": 3, "buffers read": 1,
        }
    ]  # fmt: skip


def outcome(*, seconds: float, waited_ms: float = 0.0) -> Outcome:
    seen = Observation(samples=4, waits=(replace(WAIT, at_ms=10.0, waited_ms=waited_ms),), seconds=seconds)
    return Outcome("001_add_note", Status.DONE, "apply", seconds=seconds, held_ms=1.0, observation=seen)


def test_lock_waits_of_all_steps_are_one_timeline() -> None:
    view = costs.locks([outcome(seconds=1.0, waited_ms=5.0), outcome(seconds=2.0, waited_ms=6.0)], 100)
    assert view.text == "lock waits of 2 steps: nobody stalled"
    assert view.facts["worst stall ms"] == 6.0
    assert view.facts["samples"] == 8


def test_a_stall_beyond_the_budget_is_said_without_its_length() -> None:
    view = costs.locks([outcome(seconds=1.0, waited_ms=4400.0)], 100)
    assert view.text == "lock waits of 1 step: traffic stalled longer than the budget of 100 ms"


def test_no_step_has_no_waits() -> None:
    assert costs.locks([], 100).text == "lock waits of 0 steps: nobody stalled"


def test_a_step_is_judged_by_its_own_stall_budget() -> None:
    patient = dataclasses.replace(outcome(seconds=1.0, waited_ms=400.0), stall_budget_ms=1000)
    assert costs.locks([patient], 100).text == "lock waits of 1 step: nobody stalled"
    strict = dataclasses.replace(patient, stall_budget_ms=50)
    assert "longer than the budget of 50 ms" in costs.locks([patient, strict], 100).text


def test_sizes_go_from_before_the_first_step_to_after_the_last() -> None:
    first = Observation(sizes=(SizeChange("things", 8192, 16384),))
    last = Observation(sizes=(SizeChange("things", 16384, 8192), SizeChange("things, indexes", 0, 8192)))
    done = [replace(outcome(seconds=1.0), observation=seen) for seen in (first, last)]
    view = costs.sizes(done)
    assert view.text == "sizes on disk before and after 2 steps"
    assert view.facts["things"] == "8 kB, then 8 kB"
    assert view.facts["things, indexes"] == "0 bytes, then 8 kB"


def test_builds_stand_one_after_the_other() -> None:
    seen = Observation(builds=(BuildSample(10.0, "building index", 1, 2, 4711),), seconds=1.0)
    view = costs.builds([replace(outcome(seconds=1.0), observation=seen)] * 2)
    assert view.text == "index builds of 2 steps"
    assert view.facts["samples"] == 2
    assert "4711" in (view.svg or "")
