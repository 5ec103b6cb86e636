"""The command `blockers`: who would make a step wait now, and an end to one of them on request."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import psycopg

from pgrunbook import change as changes
from pgrunbook import obstacles, session, signalling, target
from pgrunbook.binding import tell
from pgrunbook.change import Change, Step
from pgrunbook.errors import BlockerStays, ReasonMissing, RunbookError, SignalUntold
from pgrunbook.headless import Opened, say
from pgrunbook.identity import operator_name
from pgrunbook.ledger import Ledger, Status
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection
from pgrunbook.signalling import Ended
from pgrunbook.target import Target
from pgrunbook.views import table

__all__ = ["blockers"]


def blockers(given: argparse.Namespace) -> int:
    """List who would make the next step wait now; cancel a statement or end a session where asked to."""
    pid = given.cancel if given.cancel is not None else given.end
    if pid is not None and not given.reason.strip():
        raise ReasonMissing(option="--cancel" if given.cancel is not None else "--end")
    change = changes.load(given.change, root=changes.root_from(os.environ))
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="blockers") as conn:
        session.bind(conn, bound)
        ledger = Ledger(conn, bound)
        running = _running(ledger)
        step = change.step(given.step) if given.step else _next(ledger, change)
        found = [] if step is None else _in_the_way(conn, step, running)
        if pid is not None:
            return _end(given, conn, bound, running, step.name if step else "", signalling.among(found, pid))
    title = f"{change.name}: every step is done"
    if step is not None:
        nobody = "nobody is in the way now"
        title = f"{step.name}: {f'{len(found)} in the way now' if found else nobody}"
    rows = [_row(one) for one in found]
    text = "\n".join([title, table.to_text(rows)] if rows else [title])
    say(given, text, {"change": change.name, "step": step.name if step else None, "blockers": rows})
    return 0


def _end(
    given: argparse.Namespace,
    conn: Connection,
    bound: Target,
    running: Mapping[str, Any],
    step: str,
    shown: Blocker,
) -> int:
    """End what was asked for, and keep it in the ledger whatever came of it."""
    if running:
        came, kind, kept = _ended(given, conn, shown)
        try:
            with Ledger(conn, bound).may():
                tell(
                    Ledger(conn, bound),
                    run_id=running["run_id"],
                    change=running["change"],
                    step=step if running["change"] == given.change else "",
                    kind=kind,
                    actor=kept["who"],
                    detail=kept,
                )
        except (RunbookError, psycopg.Error) as error:
            done = came.found if isinstance(came, BlockerStays) else str(came)
            reason, way = (
                (error.found, error.next_step) if isinstance(error, RunbookError) else (str(error), "")
            )
            raise SignalUntold(
                done=done, reason=bound.redacted(reason).strip().splitlines()[0], next_step=way
            ) from None
    else:
        # What could not be kept is not done.
        with Opened(given) as run:
            run.binding.begin_writing()
            came, kind, kept = _ended(given, conn, shown)
            run.binding.note(kind, kept, step=step)
            run.finish(kind)
    if isinstance(came, BlockerStays):
        raise came
    say(given, str(came), {"pid": shown.pid, "done": True, "gone": came.gone, "event": kind})
    return 0


def _ended(
    given: argparse.Namespace, conn: Connection, shown: Blocker
) -> tuple[Ended | BlockerStays, str, Mapping[str, Any]]:
    """Return what came of it, and the event about it."""
    came: Ended | BlockerStays
    who = operator_name()
    try:
        came = signalling.end(conn, shown, statement_only=given.cancel is not None)
    except BlockerStays as error:
        came = error
    kind, detail = signalling.event_of(shown, who, came)
    return came, kind, {**detail, "reason_given": given.reason, "asked_from": "the command line"}


def _running(ledger: Ledger) -> Mapping[str, Any]:
    found = ledger.running()
    return found[0] if found else {}


def _next(ledger: Ledger, change: Change) -> Step | None:
    rows = ledger.steps(change.name)
    return next(
        (one for one in change.steps if one.name not in rows or rows[one.name].status is not Status.DONE),
        None,
    )


def _in_the_way(conn: Connection, step: Step, running: Mapping[str, Any]) -> list[Blocker]:
    """Return who is in the way, one entry a session, without the sessions of the run itself."""
    own = str(running.get("run_id") or " ")
    found: dict[tuple[object, ...], Blocker] = {}
    for one in obstacles.blockers(conn, step.migrate):
        if signalling.OURS not in one.application_name or own not in one.application_name:
            key = (one.pid, one.backend, one.transaction)
            before = found.get(key)
            holds = one.holds if before is None else f"{before.holds}; {one.holds} on {one.relation}"
            found[key] = dataclasses.replace(before or one, holds=holds)
    return list(found.values())


def _row(one: Blocker) -> dict[str, object]:
    left = signalling.stays(one, statement_only=False)
    return {
        "pid": one.pid,
        "role": one.user,
        "application": one.application_name,
        "state": one.state,
        "for s": round(one.age_ms / 1000, 1),
        "holds": f"{one.holds} on {one.relation}",
        "statement": one.query,
        "cannot be ended": f"{left[0]}: {left[1]}" if left else "",
    }
