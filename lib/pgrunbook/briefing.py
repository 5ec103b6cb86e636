"""The briefing of a gate: what would happen, where, which locks for how long, what speaks against it."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from pgrunbook import events
from pgrunbook.change import Step
from pgrunbook.gate import ROLLBACK, goes_back, is_step, scripts
from pgrunbook.reach import SHOWN, Reach, where
from pgrunbook.run import Run
from pgrunbook.views.gate_panel import Question
from pgrunbook.views.units import counted

__all__ = ["of"]

STAYS = "the step does not run, and Run All ends here."


def of(run: Run, name: str, *, so_far: str = "") -> Question:
    """Return what the gate of a step, a remedy or the rollback asks; `so_far` is what was said before."""
    several = run.approvals_needed > 1
    about: dict[str, str | Sequence[str]] = {"where": where(run.target, run.facts)}
    if several:
        command = f'pgrunbook approve {run.change.name} {shlex.quote(name)} --reason "..."'
        beside = f"they press GO here under their own name, or run: {command}"
        people = so_far or f"{run.approvals_needed} people, each under their own name"
        about["approvals"] = [people, f"it waits for another name; {beside}"] if so_far else people
    elif so_far:
        about["so far"] = so_far
    who = "" if several else run.operator
    reach = {**about, **_reach(run, name).lines()}
    if goes_back(name):
        # To keep the change is how a run ends as a rule: nobody has to say why.
        stays, title = "the change stays as it is.", f"Roll back{name.removeprefix(ROLLBACK)}?"
        return Question(title, reach, stays, word="ROLL BACK", who=who, reasoned=False)
    if not is_step(run.change, name):
        (remedy,) = scripts(run.change, name)
        title = f"Gate {name}: {remedy.header.title}"
        return Question(title, reach, "no row is changed, and Run All ends here.", who=who)
    step = run.change.step(name)
    reach["preflight"] = _preflight(run, step)
    return Question(f"Gate {step.number}: {step.migrate.header.title}", reach, STAYS, who=who)


def _reach(run: Run, name: str) -> Reach:
    """Return what a GO lets run, as this run sees it."""
    rehearsed = events.rehearsed(run.rehearsal) if run.rehearsal else None
    checks = {one.name: one.total for one in run.board.findings} if run.board else {}
    budgets = run.budgets
    return Reach(
        run.ledger, run.change, name, budgets.stall_ms, rehearsed, checks.get(name), budgets.window_ends
    )


def _preflight(run: Run, step: Step) -> str | list[str]:
    if run.board is None:
        return "not run"
    against = [one for one in run.board.findings if one.stops or one.warns]
    if not against:
        return f"GO, {counted(len(run.board.findings), 'check')} found nothing"
    stopping = run.board.stopping(step.name)
    verdict = "NO-GO" if stopping else "GO for this step"
    told = [
        f"{'stops' if one in stopping else 'warns' if one.warns else f'stops {one.before}'}: {one.problem or one.title}"
        for one in against[:SHOWN]
    ]
    more = len(against) - SHOWN
    return [
        f"{verdict}, {len(against)} of {counted(len(run.board.findings), 'check')} found something",
        *told,
        *([f"and {more} more"] if more > 0 else []),
    ]
