"""The question that a gate asks people, at its screen and elsewhere, and their answers as recorded decisions."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import psycopg

from pgrunbook import briefing, kernel, standing
from pgrunbook.apply import in_place
from pgrunbook.binding import Binding
from pgrunbook.conduct import POLL_S, conduct
from pgrunbook.errors import CannotConnect, GateClosed, RunbookError, ServerSilent, StoppedTooLate
from pgrunbook.gate import Decision, Policy, is_step, person, subject
from pgrunbook.lookout import Lookout
from pgrunbook.run import Run
from pgrunbook.session import SILENT_S
from pgrunbook.standing import Standing
from pgrunbook.views.gate_panel import Answer, GatePanel, Lines, Question
from pgrunbook.views.lifeline import Sight

__all__ = ["ask", "asks", "decided", "found_settled", "settled"]

T = TypeVar("T")
TYPED = "typed in the notebook"
SETTLE_S = 0.3
POLITE_S = 1.0
"""How long a server that is asked to cancel may take; then it is hung up on."""
AGAIN = "the connection was lost while a gate waited, and made again; this run holds the runner lock again"


async def ask(run: Run, name: str, panel: Callable[[Question], GatePanel] = GatePanel) -> list[Decision]:
    """Return the decisions that opened a gate, one a person, once enough people have said GO.

    The first GO is given here; another person may say theirs here too, under another name, or at their own
    terminal. Raises GateClosed when somebody says NO-GO or the cell is stopped, PreflightMissing or
    PreflightFailed when a GO would be refused anyway, ServerSilent when nobody can tell whether somebody else has
    said NO-GO, RunnerBusy when another runner has taken over while it waited.
    """
    full, sha256 = subject(run.change, name)
    await _stoppable(run, full, lambda: _prepare(run, name))
    before = list(run.gates.decisions.get(full, ()))
    so_far = _so_far(run, full, sha256) if before else ""
    if before and not so_far and run.approvals_needed > 1:
        # The last of them came while nobody waited here.
        return before
    lookout = Lookout(run, name)
    try:
        while True:
            seen = run.gates.last(full)
            asked = await _stoppable(run, full, functools.partial(briefing.of, run, name, so_far=so_far))
            run.deciding.asked = name
            shown = panel(asked)
            try:
                await _answer(run, shown, lookout, full, seen)
            except (Exception, asyncio.CancelledError) as ended:
                # Whatever comes after somebody has said NO-GO, they have said it.
                if not shown.answer.given or shown.answer.go:
                    why = _stopped(full) if isinstance(ended, asyncio.CancelledError) else ended
                    await _tell(run, lookout, functools.partial(run.deciding.leave, _reason(why)))
                    raise why from None
            run.deciding.asked = ""
            if shown.answer.given:
                await _decide(run, name, shown.answer, lookout, seen)
            decided = run.gates.decisions.get(full, [])
            if so_far := _so_far(run, full, sha256):
                if decided and not decided[-1].go:
                    run.gates.require(full, sha256)
                continue
            made = [one for one in decided if one not in before] or decided
            return list({person(one.who): one for one in made}.values())
    except asyncio.CancelledError:
        raise _stopped(full) from None
    finally:
        lookout.leave()


async def _stoppable(run: Run, step: str, work: Callable[[], T], *, says: str = "") -> T:
    """Return what work gives that asks the server over the run's own connections, done in a thread.

    When the cell is stopped, what the server does for it is cancelled, and a server that does not answer is hung
    up on: then it raises GateClosed, or StoppedTooLate where what the work `says` was said all the same.
    """
    break_off = _BreakOff(run.binding)
    try:
        return await conduct(says, work, cancel=break_off)
    except StoppedTooLate:
        if says:
            raise
        raise _stopped(step) from None
    except (RunbookError, psycopg.Error):
        if break_off.began:
            raise _stopped(step) from None
        raise


@dataclass(slots=True)
class _BreakOff:
    """Ends what the run's connections wait for, when it is called, and again: politely at first."""

    binding: Binding
    began: float = 0.0

    def __call__(self) -> None:
        now = time.monotonic()
        self.began = self.began or now
        self.binding.break_off(at_once=now - self.began >= POLITE_S)


def _prepare(run: Run, name: str) -> None:
    run.require_ready(name)
    run.deciding.hear()


async def _answer(run: Run, shown: GatePanel, lookout: Lookout, step: str, seen: Decision | None) -> None:
    """Return once the panel was answered, or somebody decided elsewhere: then it is another question."""
    shown.show()
    sight = Sight(shown.box)
    connection: Lines = {}
    try:
        while not shown.answer.given:
            if sight.lost:
                raise GateClosed(step=step, reason="no open page shows its question any more")
            if (look := lookout.poll()) is not None:
                if look.lost:
                    connection = {"connection": await _connect_again(run, step)}
                shown.update({**look.lines, **connection})
                run.deciding.take_in(look.told)
                if run.gates.last(step) is not seen:
                    break
            await asyncio.sleep(POLL_S)
        if shown.answer.given:
            await asyncio.sleep(SETTLE_S)
            shown.settle()
    finally:
        shown.close()


async def _tell(run: Run, lookout: Lookout, telling: Callable[..., object]) -> None:
    """Let the ledger hold how a question ended, or the journal while the server does not answer.

    The stop button makes it shorter, and ends it never: a thread that went on would meet the next cell.
    """
    try:
        heard = (await lookout.last()).heard
    except asyncio.CancelledError:
        heard = False
    until = time.monotonic() + SILENT_S
    with contextlib.suppress(StoppedTooLate):
        await conduct(
            "",
            functools.partial(telling, server=heard),
            cancel=_BreakOff(run.binding),
            wanted=lambda: time.monotonic() >= until,
        )


async def _connect_again(run: Run, step: str) -> list[str]:
    """Return what became of the connection that held the runner lock; raises RunnerBusy or OtherServer."""
    try:
        await _stoppable(run, step, run.binding.begin_writing)
    except (CannotConnect, psycopg.Error) as error:
        return [f"lost, and not made again yet: {run.target.redacted(str(error).splitlines()[0])}"]
    run.binding.news.append(AGAIN)
    return list(run.binding.news)


async def _decide(run: Run, name: str, answer: Answer, lookout: Lookout, seen: Decision | None) -> None:
    """Record an answer: a NO-GO whatever happens, a GO once what others have decided meanwhile is known."""
    full, _ = subject(run.change, name)
    who = run.target.redacted(answer.who or run.operator)
    reason = run.target.redacted(answer.reason or "no reason given")
    if not answer.go:
        refuse = functools.partial(run.deciding.refuse, name, who=who, reason=reason, how=TYPED)
        return await _tell(run, lookout, refuse)
    last = await lookout.last(patient=True)
    run.deciding.take_in(last.told)
    run.gates.require_unopposed(full, seen=seen)
    if not last.heard:
        raise ServerSilent(step=full, where=run.target.where, reason=last.why)
    approve = functools.partial(run.decide, name, go=True, who=who, reason=reason, how=TYPED)
    await _stoppable(run, full, approve, says=f"GO to {full}")


def _stopped(step: str) -> GateClosed:
    return GateClosed(step=step, reason="the cell was stopped before anybody answered")


def _reason(ended: Exception) -> str:
    """Return why a question was left, in one line."""
    if isinstance(ended, GateClosed):
        return ended.reason
    return str(ended).partition("\n")[0] or type(ended).__name__


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
    if not is_step(run.change, name):
        # Without an audit in this run nothing is known.
        found = next((one for one in run.board.findings if one.name == name), None) if run.board else None
        return "nothing to repair" if found and not found.total and not found.problem else ""
    step = run.change.step(name)
    if standing.of(step, run.ledger.steps(run.change.name), run.facts.cluster) is not Standing.DONE:
        return ""
    return "already done" if in_place(run.binding, step) else ""


async def found_settled(run: Run, name: str) -> str:
    """Return what `settled` does; the stop button reaches it although the server does not answer."""
    return await _stoppable(run, subject(run.change, name)[0], functools.partial(settled, run, name))
