"""A job: how it went, and its row and events in the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import throwaway

from pgrunbook import session, target
from pgrunbook.errors import LockNotTaken, StepCancelled
from pgrunbook.job import Budgets, Cancelled, Hands, Job, Outcome, event, mark, record_failure
from pgrunbook.ledger import Ledger, Status
from pgrunbook.session import Connection

NAME = "001_add_note"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


@pytest.fixture
def hands(look: Connection, database: str) -> Hands:
    bound = target.rehearsal(database)
    ledger = Ledger(look, bound)
    ledger.install()
    facts = session.bind(look, bound)
    ledger.open_run(run_id="r", change=throwaway.NAME, operator="tester", version="0", facts=facts)
    return Hands(work=look, ledger=ledger, watch=lambda: look, run_id="r", actor="tester")


@pytest.fixture
def job(tmp_path: Path) -> Job:
    script = throwaway.write(tmp_path).steps[0].migrate
    return Job(
        throwaway.NAME, NAME, script, script.sha256, None, Status.RUNNING, Status.DONE, "apply", part="p"
    )


def kept(hands: Hands) -> tuple[str, dict[str, object]]:
    row = hands.ledger.steps(throwaway.NAME)[NAME]
    return row.status.value, dict(row.detail)


def test_a_mark_tells_the_part_and_whether_it_is_done(hands: Hands, job: Job) -> None:
    mark(job, hands, Status.RUNNING)
    assert kept(hands) == ("running", {"part": "p", "part_done": False})
    outcome = Outcome(NAME, Status.DONE, "apply", seconds=0.12345, held_ms=1.234, attempts=2, waited_s=0.0012)
    mark(job, hands, Status.DONE, outcome)
    assert kept(hands) == ("done", {"part": "p", "part_done": True, **outcome.facts})
    assert hands.ledger.steps(throwaway.NAME)[NAME].seconds == 0.12345


def test_the_figures_of_an_outcome_are_rounded_for_the_ledger() -> None:
    outcome = Outcome(NAME, Status.DONE, "apply", seconds=0.12345, held_ms=1.234, attempts=2, waited_s=0.0012)
    assert outcome.facts == {
        "note": "apply", "seconds": 0.1235, "held_ms": 1.23, "attempts": 2, "waited_s": 0.001,
        "worst_stall_ms": 0.0, "stall_budget_ms": 100, "sizes": {}, "build_phases": [], "notices": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ValueError("broken"), "apply failed", "broken"),
        (StepCancelled(step=NAME, left="nothing"), "apply cancelled", "cancelled"),
        (KeyboardInterrupt(), "apply cancelled", "cancelled"),
    ],
)
def test_a_failure_is_written_with_its_reason(
    error: BaseException, kind: str, reason: str, hands: Hands, job: Job
) -> None:
    mark(job, hands, Status.RUNNING)
    assert record_failure(job, hands, error)
    assert kept(hands) == ("failed", {"part": "p", "part_done": False, "reason": reason})
    assert [(e["kind"], e["detail"]) for e in hands.ledger.events()] == [(kind, {"reason": reason})]


def test_a_failure_tells_who_was_in_the_way_and_what_stays(hands: Hands, job: Job) -> None:
    hands.ran = True
    error = LockNotTaken(locks="x", attempts=1, seconds=1, longest_ms=20, blockers=["pid 1", "pid 2"])
    assert record_failure(job, hands, error)
    detail = kept(hands)[1]
    assert (detail["blockers"], detail["ran"]) == ("pid 1; pid 2", True)


def test_a_server_that_cannot_be_told_is_no_second_failure(hands: Hands, job: Job) -> None:
    hands.ledger.conn.close()
    assert record_failure(job, hands, ValueError("broken")) is False


def test_an_event_is_written_about_the_step(hands: Hands, job: Job) -> None:
    event(job, hands, "apply started", {"file": "x"})
    written = hands.ledger.events()[0]
    assert (written["step"], written["kind"], written["actor"]) == (NAME, "apply started", "tester")


def test_hands_know_whether_the_operator_asked_to_stop(hands: Hands) -> None:
    assert not hands.stopped

    def stop() -> None:
        raise Cancelled

    hands.checkpoint = stop
    assert hands.stopped


def test_nothing_that_a_run_may_spend_is_endless() -> None:
    budgets = Budgets()
    assert (budgets.stall_ms, budgets.hold_ms) == (100, 500)
    assert all(row.lock_timeout_ms < budgets.stall_ms for row in budgets.policy)
    assert budgets.patience_s > 0
