"""One step: its locks, its statements, its proof, its row in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from pgrunbook import concurrent, patience, preflight
from pgrunbook.change import Script
from pgrunbook.errors import LockNotTaken, StepCancelled, StepFailed
from pgrunbook.ledger import Ledger, Status
from pgrunbook.observers import Observation, Watch
from pgrunbook.patience import Attempt, Blocker
from pgrunbook.session import Connection

__all__ = ["Budgets", "Cancelled", "Job", "Outcome", "perform"]

VERIFY_ROWS_SHOWN = 5


class Cancelled(Exception):
    """Raised by a checkpoint when the operator asked to stop."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of a run, in milliseconds; a file's header overrides them."""

    stall_ms: int = 100
    hold_ms: int = 500
    policy: tuple[Attempt, ...] = patience.POLICY
    patience_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """One script to perform: forwards (a step) or backwards (one part of its way back)."""

    change: str
    step: str
    script: Script
    sha256: str
    proof: Script | None
    starts_as: Status
    ends_as: Status
    kind: str
    part: str = ""
    resumed: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went; times in seconds or milliseconds as named."""

    step: str
    status: Status
    note: str
    seconds: float = 0.0
    held_ms: float = 0.0
    attempts: int = 0
    waited_s: float = 0.0
    stall_budget_ms: int = 100
    observation: Observation = field(default_factory=Observation)
    notices: tuple[str, ...] = ()

    @property
    def facts(self) -> dict[str, object]:
        """Return the figures for the ledger."""
        return {
            "note": self.note,
            "seconds": round(self.seconds, 4),
            "held_ms": round(self.held_ms, 2),
            "attempts": self.attempts,
            "waited_s": round(self.waited_s, 3),
            "worst_stall_ms": round(self.observation.worst_stall_ms, 1),
            "stall_budget_ms": self.stall_budget_ms,
            "notices": list(self.notices),
        }


@dataclass(slots=True)
class Hands:
    """The three connections of a run and what the operator sees and says while a job is performed."""

    work: Connection
    ledger: Ledger
    watch: Callable[[], Connection]
    run_id: str
    actor: str
    budgets: Budgets = field(default_factory=Budgets)
    checkpoint: Callable[[], None] = lambda: None
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None
    on_sample: Callable[[Observation], None] = lambda _observation: None


def perform(job: Job, hands: Hands) -> Outcome:
    """Run one script and return how it went; the ledger holds the truth before and after.

    Raises StepFailed, StepCancelled or LockNotTaken; then a transaction left nothing behind, and a
    build outside one left no invalid index unless the message says so.
    """
    notices: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(f"{diagnostic.severity}: {diagnostic.message_primary}")

    hands.work.add_notice_handler(note)
    began = time.perf_counter()
    _mark(job, hands, job.starts_as)
    _event(job, hands, f"{job.kind} started", {"file": job.script.label, "sha256": job.script.sha256})
    try:
        if job.script.header.in_transaction:
            outcome = _in_transaction(job, hands, began, notices)
        else:
            outcome = _outside(job, hands, began, notices)
    except Exception as error:
        _record_failure(job, hands, error)
        raise
    finally:
        hands.work.remove_notice_handler(note)
    return outcome


def _in_transaction(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    header = job.script.header
    stall_ms = header.stall_budget_ms or hands.budgets.stall_ms
    hold_ms = header.hold_budget_ms or hands.budgets.hold_ms
    guarded = any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks)
    work = hands.work
    tables = [claim.table for claim in header.locks]
    with Watch(hands.watch, work.info.backend_pid, tables, hands.on_sample, began) as watch:
        try:
            acquired = patience.acquire(
                work,
                hands.ledger.conn,
                header.locks,
                stall_budget_ms=stall_ms,
                policy=hands.budgets.policy,
                limit_s=hands.budgets.patience_s,
                on_wait=hands.on_wait,
                checkpoint=hands.checkpoint,
            )
            work.execute(f"SET LOCAL statement_timeout = {hold_ms if guarded else 0}")
            work.execute(job.script.text.encode())
            _prove(job, work)
            hands.checkpoint()
            outcome = Outcome(
                step=job.step,
                status=job.ends_as,
                note=job.kind,
                seconds=time.perf_counter() - began,
                held_ms=(time.perf_counter() - acquired.at) * 1000,
                attempts=acquired.attempts,
                waited_s=acquired.waited_s,
                stall_budget_ms=stall_ms,
                observation=watch.observation,
                notices=tuple(notices),
            )
            inside = Ledger(work, hands.ledger.target)
            _mark(job, hands, job.ends_as, outcome, ledger=inside)
            _event(job, hands, f"{job.kind} done", outcome.facts, ledger=inside)
        except psycopg.Error as error:
            _roll_back(work)
            raise _explained(job, error, hold_ms if guarded else None) from error
        except BaseException:
            _roll_back(work)
            raise
        _commit(job, hands)
        held_ms = (time.perf_counter() - acquired.at) * 1000
    return _completed(outcome, watch.observation, began, held_ms)


def _outside(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    work = hands.work
    statement = job.script.statements[0]
    tables = [claim.table for claim in job.script.header.locks]
    index = concurrent.index_name(statement)
    if index is not None and concurrent.clear_invalid(work, index, checkpoint=hands.checkpoint):
        _event(job, hands, "invalid index dropped", {"index": index})
    with Watch(hands.watch, work.info.backend_pid, tables, hands.on_sample, began) as watch:
        try:
            hands.checkpoint()
            if index is not None and job.resumed and concurrent.index_state(work, index) is not None:
                # Our own earlier session built it to the end after we were gone.
                notices.append(f"found {index} finished by an earlier run")
                return _finish_outside(job, hands, began, watch, notices)
            # A short lock_timeout would kill the build because of unrelated transactions; its waits block nobody.
            work.execute("SET lock_timeout TO 0")
            work.execute("SET statement_timeout TO 0")
            work.execute(job.script.text.encode())
        except psycopg.Error as error:
            left = _clear_after(index, hands)
            raise _explained(job, error, None, left=left) from error
    try:
        _prove(job, hands.ledger.conn)
    except StepFailed:
        _clear_after(index, hands)
        raise
    return _finish_outside(job, hands, began, watch, notices)


def _finish_outside(job: Job, hands: Hands, began: float, watch: Watch, notices: list[str]) -> Outcome:
    outcome = Outcome(
        step=job.step,
        status=job.ends_as,
        note=job.kind,
        seconds=time.perf_counter() - began,
        stall_budget_ms=job.script.header.stall_budget_ms or hands.budgets.stall_ms,
        attempts=1,
        observation=watch.observation,
        notices=tuple(notices),
    )
    with hands.ledger.conn.transaction():
        _mark(job, hands, job.ends_as, outcome)
        _event(job, hands, f"{job.kind} done", outcome.facts)
    return outcome


def _prove(job: Job, conn: Connection) -> None:
    if job.proof is None:
        return
    finding = preflight.run_check(conn, job.proof, read_only=False)
    if finding.total:
        raise StepFailed(
            step=job.step,
            reason=f"{job.proof.label} still finds {finding.total} row{'s' if finding.total > 1 else ''}",
            details=[_one_line(row) for row in finding.rows[:VERIFY_ROWS_SHOWN]],
            left="the step was rolled back"
            if job.script.header.in_transaction
            else "the step ran outside a transaction",
            next_step=job.proof.header.remedy or "compare these rows with what the step promises",
        )


def _commit(job: Job, hands: Hands) -> None:
    """Commit; when the connection dies in it, the ledger's row tells whether the server did."""
    try:
        hands.work.execute("COMMIT")
    except psycopg.OperationalError as error:
        if not hands.work.closed:
            raise _explained(job, error, None) from error
        row = hands.ledger.steps(job.change).get(job.step)
        if row is None or row.status is not job.ends_as:
            raise _explained(job, error, None) from error


def _roll_back(work: Connection) -> None:
    if not work.closed:
        try:
            work.execute("ROLLBACK")
        except psycopg.Error:
            work.close()


def _clear_after(index: str | None, hands: Hands) -> str:
    if index is None:
        return "nothing was left behind"
    try:
        dropped = concurrent.clear_invalid(hands.ledger.conn, index)
    except psycopg.Error as error:
        return f"an invalid index {index} may be left behind ({str(error).splitlines()[0]}); the next apply clears it"
    return f"the invalid index {index} was dropped" if dropped else "nothing was left behind"


def _explained(
    job: Job,
    error: psycopg.Error,
    hold_ms: int | None,
    *,
    left: str = "the transaction was rolled back: nothing was left behind",
) -> StepFailed | StepCancelled:
    if isinstance(error, psycopg.errors.QueryCanceled) and "user request" in str(error):
        return StepCancelled(step=job.step, left=left)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    reason, next_step = lines[0], "mend the cause, then apply the step again"
    if isinstance(error, psycopg.errors.QueryCanceled) and hold_ms is not None:
        reason = f"it held its locks longer than the hold budget of {hold_ms} ms"
        next_step = "let it do less under its locks, or raise hold_budget in the file's header"
    elif isinstance(error, psycopg.errors.InsufficientPrivilege):
        next_step = "connect as the owner of the table, or let an administrator grant the privilege"
    return StepFailed(
        step=job.step,
        reason=f"{job.script.label}: {reason}",
        details=lines[1:4],
        left=left,
        next_step=next_step,
    )


def _completed(outcome: Outcome, observation: Observation, began: float, held_ms: float) -> Outcome:
    return Outcome(
        step=outcome.step,
        status=outcome.status,
        note=outcome.note,
        seconds=time.perf_counter() - began,
        held_ms=held_ms,
        attempts=outcome.attempts,
        waited_s=outcome.waited_s,
        stall_budget_ms=outcome.stall_budget_ms,
        observation=observation,
        notices=outcome.notices,
    )


def _record_failure(job: Job, hands: Hands, error: Exception) -> None:
    cancelled = isinstance(error, (Cancelled, StepCancelled))
    detail = {"reason": "cancelled" if cancelled else str(error)}
    if isinstance(error, LockNotTaken):
        detail["blockers"] = "; ".join(error.blockers)
    try:
        with hands.ledger.conn.transaction():
            _mark(
                job, hands, Status.FAILED if job.starts_as is Status.RUNNING else job.starts_as, detail=detail
            )
            _event(job, hands, f"{job.kind} {'cancelled' if cancelled else 'failed'}", detail)
    except psycopg.Error:
        # The server cannot be told; the journal of the run holds it.
        return


def _mark(
    job: Job,
    hands: Hands,
    status: Status,
    outcome: Outcome | None = None,
    *,
    ledger: Ledger | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    (ledger or hands.ledger).mark(
        job.step,
        status,
        run_id=hands.run_id,
        change=job.change,
        sha256=job.sha256,
        seconds=outcome.seconds if outcome else None,
        detail={
            "part": job.part,
            "part_done": outcome is not None,
            **(outcome.facts if outcome else detail or {}),
        },
    )


def _event(
    job: Job, hands: Hands, kind: str, detail: Mapping[str, object], *, ledger: Ledger | None = None
) -> None:
    (ledger or hands.ledger).event(
        run_id=hands.run_id, change=job.change, step=job.step, kind=kind, actor=hands.actor, detail=detail
    )


def _one_line(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in row.items())
