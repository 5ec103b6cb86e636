"""One script outside a transaction: CREATE, DROP or REINDEX CONCURRENTLY, watched to its end."""

from __future__ import annotations

import time

import psycopg

from pgrunbook import concurrent, proof
from pgrunbook.errors import StepCancelled
from pgrunbook.failure import STANDS, explained, explaining
from pgrunbook.job import Cancelled, Hands, Job, Outcome, event, mark
from pgrunbook.observers import Watch

__all__ = ["perform"]


def perform(job: Job, hands: Hands, began: float, notices: list[str]) -> Outcome:
    """Run the one statement of a job and return how it went; a failed build leaves no invalid index behind."""
    work = hands.work
    tables = [claim.table for claim in job.script.header.locks]
    index = concurrent.index_name(job.script.statements[0])
    left = STANDS
    with Watch(hands.watch, work.info.backend_pid, tables, hands.on_sample, began) as watch:
        try:
            if index is not None and concurrent.clear_invalid(work, index, checkpoint=hands.checkpoint):
                event(job, hands, "invalid index dropped", {"index": index})
            hands.checkpoint()
            if index is not None and job.resumed and concurrent.index_state(work, index) is not None:
                # Our own earlier session may have built it to the end after we were gone; the proof tells.
                notices.append(f"found {index} finished by an earlier run")
                left = f"index {index} was there already: nothing was changed"
            else:
                # A short lock_timeout would kill the build because of unrelated transactions, and its own
                # waits block nobody.
                work.execute("SET lock_timeout TO 0")
                work.execute("SET statement_timeout TO 0")
                work.execute(job.script.text.encode())
                hands.ran = True
        except Cancelled:
            raise StepCancelled(
                step=job.step, left=concurrent.what_is_left(hands.ledger.conn, index)
            ) from None
        except psycopg.Error as error:
            left = concurrent.what_is_left(hands.ledger.conn, index)
            raise explained(job, error, stopped=hands.stopped, left=left) from error
        except BaseException:
            concurrent.what_is_left(hands.ledger.conn, index)
            raise
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
