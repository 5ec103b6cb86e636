"""The question that a gate asks a person: what would run, and the answer as recorded decisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from pgrunbook import forecast, kernel, standing
from pgrunbook.apply import in_place
from pgrunbook.change import Step
from pgrunbook.conduct import POLL_S
from pgrunbook.errors import GateClosed
from pgrunbook.gate import Decision, Policy
from pgrunbook.header import LockClaim
from pgrunbook.ledger import Status
from pgrunbook.run import ROLLBACK, Run
from pgrunbook.standing import Standing
from pgrunbook.target import Kind
from pgrunbook.views.gate_panel import GatePanel, Question
from pgrunbook.views.units import counted, duration

__all__ = ["ask", "asks", "decided", "of", "settled"]

TYPED = "typed in the notebook"


async def ask(run: Run, name: str, panel: Callable[[Question], GatePanel] = GatePanel) -> list[Decision]:
    """Return the decisions that opened a gate, one a person, once enough people have said GO.

    Raises GateClosed when somebody says NO-GO or the cell is stopped, PreflightMissing or PreflightFailed
    when a GO would be refused anyway.
    """
    run.require_ready(name)
    asked = of(run, name)
    made: list[Decision] = []
    while True:
        shown = panel(asked)
        shown.show()
        try:
            while not shown.answer.given:
                await asyncio.sleep(POLL_S)
        except asyncio.CancelledError:
            raise GateClosed(step=name, reason="the cell was stopped before anybody answered") from None
        finally:
            shown.close()
        answer = shown.answer
        who, reason = answer.who or run.operator, answer.reason or "no reason given"
        made.append(run.decide(name, go=answer.go, who=who, reason=reason, how=TYPED))
        try:
            run.gates.require(made[-1].step, made[-1].script_sha256)
        except GateClosed as closed:
            if not answer.go:
                raise
            asked = of(run, name, so_far=closed.reason)
        else:
            return made


def asks(run: Run) -> bool:
    """Return whether there is somebody to ask, and anything to ask them: a rehearsal goes by itself."""
    return kernel.attended() and run.policy is not Policy.REHEARSAL


async def decided(run: Run, name: str) -> list[Decision]:
    """Return what a person decided at a gate, or, where nobody is asked, the policy; raises as both do."""
    return await ask(run, name) if asks(run) else [run.decide_by_policy(name)]


def settled(run: Run, name: str) -> str:
    """Return why a gate need not be asked, or nothing: its step is done already, its remedy finds nothing.

    Reads only. Raises ScriptChanged or OtherCluster where the step could not go on either.
    """
    if name == ROLLBACK:
        return ""
    if _remedies(run, name):
        # Without an audit in this run nothing is known.
        found = next((one for one in run.board.findings if one.name == name), None) if run.board else None
        return "nothing to repair" if found and not found.total and not found.problem else ""
    step = run.change.step(name)
    if standing.of(step, run.ledger.steps(run.change.name), run.facts.cluster) is not Standing.DONE:
        return ""
    return "already done" if in_place(run.binding, step) else ""


def of(run: Run, name: str, *, so_far: str = "") -> Question:
    """Return what the gate of a step, a remedy or the rollback asks."""
    kind = "LIVE" if run.target.kind is Kind.LIVE else "rehearsal"
    where = {"where": f"{kind}: {run.target.where}"}
    who = run.operator if run.approvals_needed == 1 else ""
    if run.approvals_needed > 1:
        where["approvals"] = so_far or f"{run.approvals_needed} people, each under their own name"
    if name == ROLLBACK:
        return Question(
            "Roll back?", {**where, **_way_back(run)}, "the change stays as it is.", word="ROLL BACK", who=who
        )
    if _remedies(run, name):
        remedy = run.change.remedy(name)
        about = {"runs": remedy.label, "does": remedy.header.effect}
        title = f"Gate {name}: {remedy.header.title}"
        return Question(title, {**where, **about}, "no row is changed, and Run All ends here.", who=who)
    step = run.change.step(name)
    title = f"Gate {step.number}: {step.migrate.header.title}"
    return Question(
        title, {**where, **_about(run, step)}, "the step does not run, and Run All ends here.", who=who
    )


def _about(run: Run, step: Step) -> Mapping[str, str]:
    header = step.migrate.header
    about = {"runs": step.migrate.label, "lock": _locks(header.locks)}
    if any(claim.mode.blocks_reads or claim.mode.blocks_writes for claim in header.locks):
        stall = header.stall_budget_ms or run.budgets.stall_ms
        about["others wait"] = f"{duration(stall)} at most because of us"
    elif header.in_transaction:
        about["others wait"] = "not at all"
    else:
        about["others wait"] = "not at all; it is this step that waits, for open transactions"
    if (ends := run.budgets.window_ends) is not None:
        fit = forecast.plan(run.control, step, ends)
        short = "" if fit.fits else "; TOO SHORT, the step will not begin"
        about["takes"] = str(fit.takes)
        about["window"] = f"ends at {run.budgets.window}, {fit.left}; reserve {fit.reserve}{short}"
    elif header.estimate:
        about["takes"] = str(forecast.of(run.control, [step.migrate]))
    about["way back"] = ", then ".join(script.label for script in step.rollback)
    return about


def _way_back(run: Run) -> Mapping[str, str]:
    rows = run.ledger.steps(run.change.name)
    done = [
        one.number for one in run.change.steps if one.name in rows and rows[one.name].status is Status.DONE
    ]
    applied = f"{counted(len(done), 'step')}: {', '.join(done)}" if done else "no step"
    return {"applied": applied, "undoes": "the last step first, as far back as the next cell says"}


def _locks(claims: tuple[LockClaim, ...]) -> str:
    return "; ".join(f"{claim.mode.word} on {claim.table}" for claim in claims) or "none"


def _remedies(run: Run, name: str) -> bool:
    return any(remedy.name == name for remedy in run.change.remedies)
