"""The command `approve`: another person's GO or NO-GO from their own terminal; and the wait of `apply` for it."""

from __future__ import annotations

import argparse
import contextlib
import os
import shlex
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg

from pgrunbook import change as changes
from pgrunbook import history, session, target, window
from pgrunbook.binding import CHAIN_MS
from pgrunbook.change import Change
from pgrunbook.errors import ApprovalRefused, GateClosed, ReasonMissing
from pgrunbook.gate import TERMINAL, is_step, person, subject
from pgrunbook.headless import Progress, say
from pgrunbook.history import WITHDRAWN
from pgrunbook.identity import operator_name, system_user
from pgrunbook.ledger import Ledger, Status, StepRow
from pgrunbook.lookout import HEAR_S
from pgrunbook.reach import Reach, in_the_way, where
from pgrunbook.run import Run
from pgrunbook.session import ServerFacts
from pgrunbook.step import Budgets
from pgrunbook.views.text import visible

__all__ = ["approve", "opened"]

Detail = Mapping[str, Any]


def approve(given: argparse.Namespace) -> int:
    """Record a GO, or with `--no-go` a NO-GO, to what the gate of a live run asks about; or show what that is."""
    go, reason, who = not given.no_go, given.reason.strip(), operator_name()
    if not (reason or given.show):
        raise ReasonMissing(option="approve")
    change = changes.load(given.change, root=changes.root_from(os.environ))
    full, sha256 = subject(change, given.step)
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="approve") as conn:
        # Beside the runner: who approves is not who applies.
        facts = session.bind(conn, bound)
        # Whoever holds a table that is looked at, or the chain of events, is not waited for any longer.
        conn.execute(f"SET lock_timeout = {CHAIN_MS}".encode())
        ledger = Ledger(conn, bound)
        running = ledger.running()
        here = running[0] if running and running[0]["change"] == change.name else None
        about = _about(ledger, facts, change, full, str(here["run_id"]) if here else "")
        if given.show:
            say(given, f"{full}\n{_in_lines(about)}", {"change": change.name, "step": full, "about": about})
            return 0
        if here is None:
            raise ApprovalRefused(
                step=full,
                reason=f"no run of {change.name} is open there that has asked or done anything yet",
                next_step="the first GO is given where the run is, in its notebook or with apply; then approve it here",
            )
        run_id = str(here["run_id"])
        with _in_time(full), ledger.may(), conn.transaction():
            # What the run tells meanwhile, that its gate is withdrawn perhaps, waits for this.
            ledger.hold_chain()
            _require_open(ledger, run_id, change, full)
            if go:
                _require_asked(ledger, run_id, full, sha256, who)
            ledger.event(
                run_id=run_id,
                change=change.name,
                step=full,
                kind="gate",
                actor=who,
                detail={
                    "who": who,
                    "go": go,
                    "reason": bound.redacted(reason),
                    "how": TERMINAL,
                    "script_sha256": sha256,
                    "role": facts.user,
                    "system_user": system_user(),
                },
            )
        if not go and _going(ledger, run_id, change, full) is not None:
            raise ApprovalRefused(
                step=full,
                reason=f"the NO-GO by {who} is recorded, but it had begun already",
                next_step="cancel it where the run is, or undo it with rollback",
            )
    word = "GO" if go else "NO-GO"
    said = f"{full}: {word} by {who} recorded in run {run_id} of {here['operator']}"
    told = {"change": change.name, "step": full, "run": run_id, "who": who, "go": go, "about": about}
    say(given, f"{said}\n{_in_lines(about)}", told)
    return 0


@contextlib.contextmanager
def _in_time(step: str) -> Iterator[None]:
    """Turn a wait for the ledger that was too long into ApprovalRefused."""
    try:
        yield
    except psycopg.errors.LockNotAvailable:
        raise ApprovalRefused(
            step=step,
            reason=f"somebody has been writing to the ledger for {CHAIN_MS / 1000:g} s; nothing was recorded",
            next_step="call again; if it lasts, see whose transaction in that database does not end",
        ) from None


def _about(ledger: Ledger, facts: ServerFacts, change: Change, name: str, run_id: str) -> Mapping[str, Any]:
    """Return what the gate shows where the run is: what a GO lets run, how far, and who is in the way now."""
    events = ledger.events(run_id=run_id) if run_id else []
    told = {one["kind"]: one["detail"] for one in events}
    opened = told.get("run opened", {})
    found = {one["check"]: one["rows"] for one in history.checks(events, "preflight")}
    ends = str(opened.get("window_ends", ""))
    reach = Reach(
        ledger, change, name, int(opened.get("stall_budget_ms") or Budgets().stall_ms), told.get("rehearsed"),
        found.get(f"preflight/{name}.sql"), window.told(ends),
    )  # fmt: skip
    return {
        "where": where(ledger.target, facts),
        **({"window": f"ends at {ends}"} if ends else {}),
        **_looked(ledger, "reach", reach.lines),
        **_looked(
            ledger, "in the way", lambda: {"in the way": in_the_way(ledger.conn, ledger, change, name)}
        ),
    }


def _looked(ledger: Ledger, what: str, look: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return what a look finds, or that it is not known: a NO-GO must not fail by it."""
    try:
        return look()
    except psycopg.Error as error:
        return {what: f"not known: {ledger.target.redacted(str(error)).strip().splitlines()[0]}"}


def _in_lines(about: Mapping[str, Any]) -> str:
    """Return what a gate shows as indented lines.

    >>> print(_in_lines({"runs": "a.sql", "locks": ["one", "two"]}))
      runs   a.sql
      locks  one
             two
    """
    width = max(map(len, about))
    return "\n".join(
        f"  {'' if place else name:{width}}  {visible(value)}"
        for name, values in about.items()
        for place, value in enumerate([values] if isinstance(values, str) else values)
    )


def _require_open(ledger: Ledger, run_id: str, change: Change, step: str) -> None:
    if (status := _going(ledger, run_id, change, step)) is not None:
        way = "undo it with rollback" if status is Status.DONE else "cancel it where the run is"
        raise ApprovalRefused(
            step=step,
            reason=f"it is {status.value}",
            next_step=f"nothing waits for you; {way} if it has to stop",
        )


def _going(ledger: Ledger, run_id: str, change: Change, step: str) -> Status | None:
    """Return DONE or RUNNING where no decision comes in time any more."""
    row = ledger.steps(change.name).get(step) if is_step(change, step) else None
    if row is None or (row.status is Status.RUNNING and not _runs(ledger, run_id, row)):
        return None
    return row.status if row.status in (Status.DONE, Status.RUNNING) else None


def _runs(ledger: Ledger, run_id: str, row: StepRow) -> bool:
    """Return whether a step that the ledger calls running is, or was interrupted and is asked about again."""
    name = f"pgrunbook step {row.run_id}"[:63]
    if any(one["application_name"] == name for one in session.rows(ledger.conn, "busy_sessions")):
        return True
    # Between two looks its session is idle. A run that was opened again may bear the name of the dead one: then
    # what it did last tells.
    told = [
        one["kind"]
        for one in ledger.events(run_id=run_id)
        if one["step"] == row.step
        and (
            one["kind"] == "apply started" or (one["kind"] == "gate" and one["detail"].get("how") != TERMINAL)
        )
    ]
    return row.run_id == run_id and told[-1:] != ["gate"]


def _require_asked(ledger: Ledger, run_id: str, step: str, sha256: str, who: str) -> None:
    """Raise ApprovalRefused unless somebody else said GO to the same text at the screen, and that still counts."""
    asked: list[Detail] = []
    why = ""
    for one in ledger.events(run_id=run_id):
        detail = one["detail"]
        if one["kind"] == "run opened" and asked:
            asked, why = [], ": the run was opened again since, and has to ask anew"
        elif one["step"] != step:
            continue
        elif one["kind"] == WITHDRAWN:
            asked, why = [], f": what was said before counts no more ({detail.get('reason')})"
        elif one["kind"] == "gate" and detail.get("go") is not True:
            asked, why = [], f": {detail.get('who')} said NO-GO ({detail.get('reason')})"
        elif one["kind"] == "gate" and detail.get("how") != TERMINAL:
            asked.append(detail)
    if not asked:
        raise ApprovalRefused(
            step=step,
            reason=f"nobody has said GO to it in run {run_id} yet{why}",
            next_step="the first GO is given where the run is; then approve it here",
        )
    if not any(one.get("script_sha256") == sha256 for one in asked):
        raise ApprovalRefused(
            step=step,
            reason=f"your file is another text (SHA-256 {sha256[:12]}) than the one that the run asks about"
            f" ({str(asked[-1].get('script_sha256'))[:12]})",
            next_step="get the same version of the change, read it, and approve that",
        )
    # Who approved before the gate was withdrawn has to say so again: at a terminal twice does no harm.
    if person(str(asked[-1].get("who"))) == person(who):
        raise ApprovalRefused(
            step=step,
            reason=f"{who} has approved it already",
            next_step="another person has to; PGRUNBOOK_OPERATOR says who is at the keyboard",
        )


def opened(run: Run, name: str, progress: Progress) -> bool:
    """Open a gate by the policy and, where the run asks for several people, wait until they have said GO.

    Return whether there is anything to do: what is done already waits for nobody. Raises GateClosed for a NO-GO.
    """
    # Its panels need the notebook's libraries, which take longer to load than most commands run.
    from pgrunbook import question

    if run.approvals_needed > 1 and question.settled(run, name):
        return False
    run.decide_by_policy(name)
    full, sha256 = subject(run.change, name)
    told = ""
    while True:
        try:
            run.gates.require(full, sha256)
        except GateClosed as closed:
            if not run.gates.decisions[full][-1].go:
                raise
            if told != closed.reason:
                told = closed.reason
                progress.line(
                    f"{told}; it waits for: pgrunbook approve {run.change.name} {shlex.quote(name)} --reason TEXT"
                )
            time.sleep(HEAR_S)
            # Who approves finds the run by its lock, which a lost connection has given back.
            run.binding.begin_writing()
            run.deciding.hear()
        else:
            return True
