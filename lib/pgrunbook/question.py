"""The question that a gate asks people, at its screen and elsewhere, and their answers as recorded decisions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from pgrunbook import briefing, kernel, standing
from pgrunbook.apply import in_place
from pgrunbook.conduct import POLL_S
from pgrunbook.errors import GateClosed
from pgrunbook.gate import Decision, Policy, person, subject
from pgrunbook.lookout import HEAR_S, Lookout
from pgrunbook.run import ROLLBACK, Run
from pgrunbook.standing import Standing
from pgrunbook.views.gate_panel import Answer, GatePanel, Question
from pgrunbook.views.lifeline import Sight

__all__ = ["ask", "asks", "decided", "settled"]

TYPED = "typed in the notebook"
SETTLE_S = 0.3


async def ask(run: Run, name: str, panel: Callable[[Question], GatePanel] = GatePanel) -> list[Decision]:
    """Return the decisions that opened a gate, one a person, once enough people have said GO.

    The first GO is given here; another person may say theirs here too, under another name, or at their own
    terminal. Raises GateClosed when somebody says NO-GO or the cell is stopped, PreflightMissing or
    PreflightFailed when a GO would be refused anyway.
    """
    run.require_ready(name)
    full, sha256 = subject(run.change, name)
    await asyncio.to_thread(run.deciding.hear)
    before = list(run.gates.decisions.get(full, ()))
    so_far = _so_far(run, full, sha256) if before else ""
    if before and not so_far and run.approvals_needed > 1:
        # The last of them came while nobody waited here.
        return before
    lookout = Lookout(run, name)
    try:
        while True:
            seen = run.gates.last(full)
            answer = await _answer(panel(briefing.of(run, name, so_far=so_far)), lookout, full)
            if answer.given:
                if answer.go:
                    run.gates.require_unopposed(full, seen=seen)
                who, reason = answer.who or run.operator, answer.reason or "no reason given"
                run.decide(name, go=answer.go, who=who, reason=reason, how=TYPED)
            decided = run.gates.decisions.get(full, [])
            if so_far := _so_far(run, full, sha256):
                if decided and not decided[-1].go:
                    run.gates.require(full, sha256)
                continue
            made = [one for one in decided if one not in before] or decided
            return list({person(one.who): one for one in made}.values())
    finally:
        lookout.close()


async def _answer(shown: GatePanel, lookout: Lookout, step: str) -> Answer:
    """Return what was answered, or an answer that was not given once somebody decided elsewhere."""
    shown.show()
    sight = Sight(shown.box)
    looking: asyncio.Task[bool] | None = None
    again = 0.0
    try:
        while not shown.answer.given:
            if sight.lost:
                raise GateClosed(step=step, reason="no open page shows its question any more")
            if looking is None and time.monotonic() >= again:
                looking = asyncio.ensure_future(asyncio.to_thread(lookout.look))
            elif looking is not None and looking.done():
                shown.update(lookout.lines)
                if looking.result():
                    break
                looking, again = None, time.monotonic() + HEAR_S
            await asyncio.sleep(POLL_S)
        if shown.answer.given:
            await asyncio.sleep(SETTLE_S)
            shown.settle()
    except asyncio.CancelledError:
        raise GateClosed(step=step, reason="the cell was stopped before anybody answered") from None
    finally:
        if looking is not None:
            # It has a second at most, and what it hears must not come in the middle of a decision.
            await asyncio.wait({looking})
        shown.close()
    return shown.answer


def _so_far(run: Run, step: str, sha256: str) -> str:
    """Return why a gate is still closed, or nothing where it is open."""
    try:
        run.gates.require(step, sha256)
    except GateClosed as closed:
        return closed.reason
    return ""


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


def _remedies(run: Run, name: str) -> bool:
    return any(remedy.name == name for remedy in run.change.remedies)
