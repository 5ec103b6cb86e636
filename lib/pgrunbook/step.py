"""One step: its locks, its statements, its proof, its row in the ledger."""

from __future__ import annotations

import dataclasses
import time

import psycopg

from pgrunbook import outside, patience, proof
from pgrunbook.errors import StepCancelled
from pgrunbook.failure import ROLLED_BACK, UNKNOWN, explained, explaining, overheld
from pgrunbook.hold import Hold
from pgrunbook.job import Budgets, Cancelled, Hands, Job, Outcome, event, mark, record_failure
from pgrunbook.ledger import Ledger
from pgrunbook.observers import Watch
from pgrunbook.session import Connection

__all__ = ["Budgets", "Cancelled", "Hands", "Job", "Outcome", "perform"]


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
    try:
        with explaining(job, "nothing was run"):
            mark(job, hands, job.starts_as)
            event(job, hands, f"{job.kind} started", {"file": job.script.label, "sha256": job.script.sha256})
        if job.script.header.in_transaction:
            return _in_transaction(job, hands, began, notices)
        return outside.perform(job, hands, began, notices)
    except BaseException as error:
        hands.told = record_failure(job, hands, error)
        raise
    finally:
        hands.work.remove_notice_handler(note)


def _in_transaction(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    header = job.script.header
    stall_ms = header.stall_budget_ms or hands.budgets.stall_ms
    stops_others = any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks)
    hold_ms = (header.hold_budget_ms or hands.budgets.hold_ms) if stops_others else None
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
        except Cancelled:
            _roll_back(work)
            raise StepCancelled(step=job.step, left=ROLLED_BACK) from None
        except psycopg.Error as error:
            _roll_back(work)
            raise explained(job, error, stopped=hands.stopped) from error
        except BaseException:
            _roll_back(work)
            raise
        with Hold(work, hold_ms) as hold:
            try:
                work.execute(f"SET LOCAL statement_timeout = {hold_ms or 0}")
                # Should this process freeze with the locks in its hands, the server takes them away.
                work.execute(f"SET LOCAL idle_in_transaction_session_timeout = {hold_ms or 0}")
                work.execute(job.script.text.encode())
                proof.prove(job, work)
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
                    raise overheld(job, hold_ms)
            except Cancelled:
                _roll_back(work)
                raise StepCancelled(step=job.step, left=ROLLED_BACK) from None
            except psycopg.Error as error:
                # The server's own timeout fires in the same moment as ours.
                timed_out = isinstance(error, psycopg.errors.QueryCanceled) and hold_ms is not None
                held_ms = (time.perf_counter() - acquired.at) * 1000
                over = hold.ended() or (timed_out and held_ms >= (hold_ms or 0))
                _roll_back(work)
                if over:
                    raise overheld(job, hold_ms) from error
                raise explained(job, error, stopped=hands.stopped) from error
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
            row = hands.ledger.steps(job.change).get(job.step)
        except psycopg.Error:
            raise explained(job, error, left=UNKNOWN) from error
        done = row is not None and row.status is job.ends_as and row.detail.get("part_done") is True
        if row is None or not done or row.detail.get("part") != job.part:
            raise explained(job, error) from error


def _roll_back(work: Connection) -> None:
    if not work.closed:
        try:
            work.execute("ROLLBACK")
        except psycopg.Error:
            work.close()
