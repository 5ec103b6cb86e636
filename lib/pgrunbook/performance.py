"""The performance of a job by a run: told to the journal before and after, and what was seen of it to the ledger."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Sequence

import psycopg

from pgrunbook import forecast, session, step
from pgrunbook.binding import Binding
from pgrunbook.errors import RunbookError, StepCancelled
from pgrunbook.observers import Observation, trace
from pgrunbook.observers.holdups import Holdups
from pgrunbook.patience import Blocker
from pgrunbook.stage import ROLLS_BACK, STOPS_BUILD, Stage
from pgrunbook.step import Hands, Job, Outcome

__all__ = ["OBSERVED", "perform"]

OBSERVED = "observed"
"""The kind of the event that holds what the observers saw: after the step, so that no lock is held for it."""


def perform(binding: Binding, job: Job) -> Outcome:
    """Run one script and return how it went; the journal knows before and after.

    Raises ConnectionLost when the session went on which it was decided that the script is to run.
    """
    work, ledger = binding.work, binding.writer
    ended = binding.journal.number()
    actor = binding.operator
    binding.journal.write(
        f"{job.kind} starting",
        step=job.step,
        actor=actor,
        detail={"file": job.script.label},
        in_ledger=True,
    )
    holdups, began = Holdups(), time.perf_counter()

    def on_wait(blockers: Sequence[Blocker], attempts: int) -> None:
        holdups.see(blockers, (time.perf_counter() - began) * 1000)
        binding.on_wait(blockers, attempts)

    hands = Hands(
        work=work,
        ledger=ledger,
        entry=ended,
        watch=lambda: session.connect(binding.target, purpose=f"watch {binding.run_id}"),
        run_id=binding.run_id,
        actor=actor,
        budgets=binding.budgets,
        checkpoint=binding.checkpoint,
        on_wait=on_wait,
        on_sample=binding.on_sample,
        on_stage=binding.on_stage,
        stage=_stage(binding, job),
    )
    try:
        outcome = step.perform(job, hands)
    except BaseException as error:
        cancelled = isinstance(error, StepCancelled) or not isinstance(error, Exception)
        binding.journal.write(
            f"{job.kind} {'cancelled' if cancelled else 'failed'}",
            step=job.step,
            actor=actor,
            detail={"reason": binding.target.redacted(str(error))},
            in_ledger=hands.told,
            n=ended,
        )
        # Why it failed is more than what was seen on the way. Where the ledger could not be told, a commit of which
        # nothing was heard may still hold its chain: nobody waits for that here.
        seen = hands.observation
        with contextlib.suppress(RunbookError):
            _observed(binding, job, seen, holdups, worst_ms=seen.worst_stall_ms, in_ledger=hands.told)
        raise
    binding.journal.write(
        f"{job.kind} done", step=job.step, actor=actor, detail=outcome.facts, in_ledger=True
    )
    _observed(
        binding,
        job,
        outcome.observation,
        holdups,
        worst_ms=outcome.worst_stall_ms,
        held_ms=outcome.held_ms,
        budget_ms=outcome.stall_budget_ms,
    )
    return dataclasses.replace(outcome, notices=(*binding.told_news(), *outcome.notices))


def _stage(binding: Binding, job: Job) -> Stage:
    """Return what there is to tell of a job before it does anything."""
    header = job.script.header
    takes = job.fit.takes if job.fit else None
    if takes is None and binding.estimating and header.estimate:
        # It reads a little of the tables: only where somebody watches, and never a reason to fail.
        with contextlib.suppress(psycopg.Error):
            takes = forecast.of(binding.control, [job.script])
    stops = any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks)
    return Stage(
        script=job.script.label,
        doing="",
        stall_budget_ms=(header.stall_budget_ms or binding.budgets.stall_ms) if stops else 0,
        takes_s=takes.seconds if takes else None,
        cancel=ROLLS_BACK if header.in_transaction else STOPS_BUILD,
    )


def _observed(
    binding: Binding,
    job: Job,
    seen: Observation,
    holdups: Holdups,
    *,
    worst_ms: float,
    held_ms: float = 0.0,
    budget_ms: float = 0.0,
    in_ledger: bool = True,
) -> None:
    detail: dict[str, object] = {
        "job": job.kind,
        "file": job.script.label,
        "worst_stall_ms": round(worst_ms, 1),
        "held_ms": round(held_ms, 2),
        "stall_budget_ms": budget_ms or job.script.header.stall_budget_ms or binding.budgets.stall_ms,
        **trace.facts(seen),
        **holdups.facts,
    }
    binding.note(OBSERVED, detail, step=job.step, in_ledger=in_ledger)
