"""One script outside a transaction: CREATE, DROP or REINDEX CONCURRENTLY, watched to its end."""

from __future__ import annotations

import time

import psycopg

from pgrunbook import concurrent, definition, proof, session
from pgrunbook import stage as stages
from pgrunbook.definition import Likeness
from pgrunbook.errors import RunbookError, StepCancelled, StepFailed, WindowEnded
from pgrunbook.failure import STANDS, explained, explaining
from pgrunbook.hold import Hold
from pgrunbook.job import Cancelled, Hands, Job, Outcome, event, mark
from pgrunbook.observers import Watch
from pgrunbook.session import Connection
from pgrunbook.statement import Statement

__all__ = ["perform", "require_same"]


class _Over(Exception):
    """The window ended while something was waited for."""


def perform(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    """Run the one statement of a job and return how it went; a failed build leaves no invalid index behind.

    Its waits block nobody, so that it may wait until the window ends. Raises StepFailed, StepCancelled or
    WindowEnded.
    """
    statement = job.script.statements[0]
    tables = [claim.table for claim in job.script.header.locks]
    left_ms = None if hands.deadline is None else (hands.deadline - time.perf_counter()) * 1000
    ours = session.pid(hands.work)
    with (
        Watch(hands.watch, ours, tables, hands.on_sample, began, outside=True) as watch,
        Hold(hands.work, left_ms) as window,
    ):
        hands.watched = watch
        try:
            left = _run(job, hands, notices, window)
        except RunbookError:
            raise
        except (_Over, Cancelled, psycopg.Error) as error:
            over = window.ended() and isinstance(error, (_Over, psycopg.errors.QueryCanceled))
            left = "nothing was changed"
            # An index that somebody else made meanwhile is theirs.
            if not isinstance(error, psycopg.errors.DuplicateTable):
                left = concurrent.what_is_left(hands.ledger.conn, statement)
            if over and not hands.stopped:
                last = watch.progress.builds[-1] if watch.progress.builds else None
                raise WindowEnded(
                    step=job.step,
                    ends=hands.window_ends,
                    doing=last.doing if last else "nothing was run",
                    left=left,
                    blockers=[str(one) for one in last.awaited] if last else [],
                ) from None
            if isinstance(error, psycopg.Error):
                raise explained(job, error, stopped=hands.stopped, left=left) from error
            raise StepCancelled(step=job.step, left=left) from None
        except BaseException:
            concurrent.what_is_left(hands.ledger.conn, statement)
            raise
    hands.at(stages.VERIFIES)
    with explaining(job, left):
        proof.prove(job, hands.ledger.conn, left=left)
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
    with explaining(job, STANDS), hands.ledger.conn.transaction():
        mark(job, hands, job.ends_as, outcome)
        event(job, hands, f"{job.kind} done", outcome.facts)
    return outcome


def _run(job: Job, hands: Hands, notices: list[str], window: Hold) -> str:
    """Run the statement unless the catalog shows that it is done; return what stays behind in any case."""
    work, statement = hands.work, job.script.statements[0]

    def checkpoint() -> None:
        hands.checkpoint()
        if window.over:
            raise _Over

    # A short lock_timeout would kill the build because of unrelated transactions.
    work.execute("SET lock_timeout TO 0")
    work.execute("SET statement_timeout TO 0")
    index = concurrent.subject(statement)
    there = concurrent.index_state(work, index) if index is not None else None
    before = concurrent.wait_for_build(work, index, checkpoint=checkpoint) if index is not None else None
    if statement.verb == "CREATE INDEX" and before is not None:
        like = require_same(job.step, work, statement, resumed=job.resumed)
        if before.is_valid:
            notices.append(f"found {index} finished by an earlier run" if job.resumed else f"found {index}")
            if like is not None and like.why:
                notices.append(f"whether {index} is the one could not be asked: {like.why}")
            return f"index {index} was there already: nothing was changed"
        concurrent.drop(work, before)
        event(job, hands, "invalid index dropped", {"index": str(index)})
    twins = concurrent.leftovers(work, statement)
    while any(twin.built_by is not None for twin in twins):
        checkpoint()
        time.sleep(0.05)
        twins = concurrent.leftovers(work, statement)
    for twin in twins:
        concurrent.drop(work, twin)
        event(job, hands, "invalid index dropped", {"index": twin.index})
    checkpoint()
    try:
        if statement.verb == "DROP INDEX" and there is not None and before is None:
            raise psycopg.errors.UndefinedObject
        hands.at(f"runs {statement.verb} in line {statement.line}")
        work.execute(job.script.text.encode())
    except psycopg.errors.UndefinedObject:
        # Another session, perhaps an earlier one of ours, was at it and has come to its end.
        if statement.verb != "DROP INDEX" or there is None:
            raise
        notices.append(f"{index} was dropped by another session")
    hands.ran = True
    return STANDS


def require_same(step: str, conn: Connection, statement: Statement, *, resumed: bool) -> Likeness | None:
    """Return how the index that is there compares with the statement; None where there is none.

    Raises StepFailed where it is another one, which is neither taken nor dropped. An invalid index that cannot be
    compared counts as ours when `resumed` says that an earlier run began to build it.
    """
    like = definition.likeness(conn, statement)
    if like is None or like.same or (like.same is None and (like.is_valid or resumed)):
        return like
    unknown = "" if like.same is False else f"; it could not be compared: {like.why}"
    raise StepFailed(
        step=step,
        reason=f"{'an' if like.is_valid else 'an invalid'} index {like.index} is there that is another one{unknown}",
        details=like.details,
        left="nothing was changed",
        next_step=f"DROP INDEX CONCURRENTLY {like.index} or rename it, if nothing needs it; then apply the step again",
    )
