"""One step: its locks, its statements, its proof, its row in the ledger."""

from __future__ import annotations

import dataclasses
import math
import time

import psycopg

from pgrunbook import outside, patience, proof, session
from pgrunbook import stage as stages
from pgrunbook.errors import LockNotTaken, RunnerBusy, StepCancelled, StepFailed, WindowEnded
from pgrunbook.failure import LOST, ROLLED_BACK, UNKNOWN, explained, explaining, overheld
from pgrunbook.hold import Hold
from pgrunbook.job import Budgets, Cancelled, Hands, Job, Outcome, event, mark, record_failure
from pgrunbook.ledger import Ledger
from pgrunbook.observers import Watch
from pgrunbook.sending import Sending
from pgrunbook.session import Connection

__all__ = ["Budgets", "Cancelled", "Hands", "Job", "Outcome", "perform"]


def perform(job: Job, hands: Hands) -> Outcome:
    """Run one script and return how it went; the ledger holds the truth before and after.

    Raises StepFailed, StepCancelled, LockNotTaken, WindowEnded or GateClosed; then a transaction left nothing
    behind, and a build outside one left no invalid index unless the message says so.
    """
    notices: list[str] = []

    def note(diagnostic: psycopg.errors.Diagnostic) -> None:
        notices.append(session.heard(hands.work, diagnostic))

    hands.work.add_notice_handler(note)
    began = time.perf_counter()
    begun: dict[str, object] = {"file": job.script.label, "sha256": job.script.sha256}
    if job.fit is not None:
        hands.deadline, hands.window_ends = job.fit.deadline, hands.budgets.window
        begun |= job.fit.facts
    try:
        hands.at(stages.BEGINS)
        with explaining(job, "nothing was run"):
            mark(job, hands, job.starts_as)
            event(job, hands, f"{job.kind} started", begun)
        job.still_open()
        if job.script.header.in_transaction:
            return _in_transaction(job, hands, began, notices)
        return outside.perform(job, hands, began, notices)
    except BaseException as error:
        # Where the server may still be committing, its own row is not to be written over.
        unknown = isinstance(error, StepFailed) and error.left == UNKNOWN
        hands.told = not unknown and record_failure(job, hands, error)
        raise
    finally:
        hands.work.remove_notice_handler(note)


def _in_transaction(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    header = job.script.header
    stall_ms = header.stall_budget_ms or hands.budgets.stall_ms
    stops_others = any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks)
    hold_ms = (header.hold_budget_ms or hands.budgets.hold_ms) if stops_others else None
    work = hands.work
    with Watch(hands.watch, session.pid(work), job.script.sized, hands.on_sample, began) as watch:
        hands.watched = watch
        hands.at(stages.LOOKS)
        try:
            acquired = patience.acquire(
                work,
                hands.ledger.conn,
                header.locks,
                stall_budget_ms=stall_ms,
                policy=hands.budgets.policy,
                limit_s=_least(hands.budgets.patience_s, hands.left_s),
                on_wait=hands.on_wait,
                on_ask=lambda: hands.at(stages.ASKS),
                checkpoint=hands.checkpoint,
            )
        except Cancelled:
            _roll_back(work)
            raise StepCancelled(step=job.step, left=ROLLED_BACK) from None
        except LockNotTaken as error:
            _roll_back(work)
            if hands.left_s == 0:
                raise WindowEnded(
                    step=job.step,
                    ends=hands.window_ends,
                    doing=error.found,
                    left=ROLLED_BACK,
                    blockers=error.blockers,
                ) from None
            raise
        except psycopg.Error as error:
            _roll_back(work)
            raise explained(job, error, stopped=hands.stopped, left=_left(work, error)) from error
        except BaseException:
            _roll_back(work)
            raise
        limit_ms = hold_ms
        if limit_ms is None and hands.left_s is not None:
            limit_ms = max(1, math.ceil(hands.left_s * 1000))
        sending = Sending(job.script)
        with Hold(work, limit_ms) as hold:
            try:
                # Should this process freeze with the locks in its hands, the server takes them away.
                work.execute(
                    f"SET LOCAL statement_timeout = {_timeout(limit_ms)};"
                    f" SET LOCAL idle_in_transaction_session_timeout = {_timeout(limit_ms)}"
                )
                sending.send(work, lambda doing: hands.at(doing, holds=True))
                if job.proof is not None:
                    hands.at(stages.VERIFIES, holds=True)
                    sending.doing = f"it was at its proof, {job.proof.label}"
                proof.prove(job, work)
                sending.doing = "it was writing to the ledger"
                hands.at(stages.COMMITS, holds=True)
                hands.checkpoint()
                held_ms = (time.perf_counter() - acquired.at) * 1000
                outcome = Outcome(
                    step=job.step,
                    status=job.ends_as,
                    note=job.kind,
                    seconds=time.perf_counter() - began,
                    held_ms=held_ms,
                    attempts=acquired.attempts,
                    waited_s=acquired.waited_s,
                    stall_budget_ms=stall_ms,
                    stall_bound_ms=acquired.stall_bound_ms(held_ms) if stops_others else 0.0,
                    observation=watch.observation,
                    notices=tuple(notices),
                )
                inside = Ledger(work, hands.ledger.target)
                mark(job, hands, job.ends_as, outcome, ledger=inside)
                event(job, hands, f"{job.kind} done", outcome.facts, ledger=inside)
                if hold.ended():
                    raise _too_long(job, hands, hold_ms, sending.doing)
            except Cancelled:
                _roll_back(work)
                raise StepCancelled(step=job.step, left=ROLLED_BACK) from None
            except psycopg.Error as error:
                # The server's own timeout fires in the same moment as ours.
                timed_out = isinstance(error, psycopg.errors.QueryCanceled) and limit_ms is not None
                held_ms = (time.perf_counter() - acquired.at) * 1000
                over = hold.ended() or (timed_out and held_ms >= (limit_ms or 0))
                _roll_back(work)
                if over:
                    raise _too_long(job, hands, hold_ms, sending.doing) from error
                several = len(job.script.statements) > 1
                raise explained(
                    job,
                    error,
                    stopped=hands.stopped,
                    left=_left(work, error),
                    doing=sending.doing if several else "",
                    lines_before=sending.lines_before,
                ) from error
            except BaseException:
                _roll_back(work)
                raise
        _commit(job, hands)
        held_ms = (time.perf_counter() - acquired.at) * 1000
    return dataclasses.replace(
        outcome,
        seconds=time.perf_counter() - began,
        held_ms=held_ms,
        stall_bound_ms=acquired.stall_bound_ms(held_ms) if stops_others else 0.0,
        observation=watch.observation,
    )


def _least(patience_s: float, left_s: float | None) -> float:
    return patience_s if left_s is None else min(patience_s, left_s)


def _timeout(limit_ms: int | None) -> int:
    # Zero is no timeout at all; the server counts in 32 bits.
    return min(limit_ms or 0, 2**31 - 1)


def _too_long(job: Job, hands: Hands, hold_ms: int | None, doing: str) -> StepFailed | WindowEnded:
    if hold_ms is not None:
        return overheld(job, hold_ms, doing)
    doing = f"{job.script.label}: {doing}; it took longer than its estimate, and time to roll it back was to be left"
    return WindowEnded(step=job.step, ends=hands.window_ends, doing=doing, left=ROLLED_BACK)


def _commit(job: Job, hands: Hands) -> None:
    """Commit; when the connection dies in it, the ledger's row tells whether the server did."""
    try:
        hands.work.execute("COMMIT")
    except psycopg.Error as error:
        if not hands.work.closed:
            # Deferred constraints are checked here; the server has rolled back.
            _roll_back(hands.work)
            raise explained(job, error, stopped=hands.stopped) from error
        try:
            # The server may still be at it: before it has ended, nothing is decided.
            hands.ledger.await_workers(own=None, checkpoint=lambda: None)
            row = hands.ledger.steps(job.change).get(job.step)
        except (psycopg.Error, RunnerBusy):
            raise explained(job, error, left=UNKNOWN) from error
        done = row is not None and row.status is job.ends_as and row.detail.get("part_done") is True
        if row is None or not done or row.detail.get("part") != job.part:
            raise explained(job, error) from error


def _left(work: Connection, error: psycopg.Error) -> str:
    """Return what is left of a transaction; a server that said nothing may not know yet that nobody is there."""
    return LOST if work.closed and error.sqlstate is None else ROLLED_BACK


def _roll_back(work: Connection) -> None:
    if not work.closed:
        try:
            work.execute("ROLLBACK")
        except psycopg.Error:
            work.close()
