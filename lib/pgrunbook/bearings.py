"""The bearings of a change: where each step stands by ledger, catalog and server, and the call that goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgrunbook import concurrent, evidence, forecast, obstacles, session, standing
from pgrunbook.apply import missing
from pgrunbook.change import Change, Step
from pgrunbook.errors import GateClosed, RunbookError
from pgrunbook.gate import way_back
from pgrunbook.history import UNANSWERED
from pgrunbook.ledger import Ledger, Status, StepRow
from pgrunbook.run import Run

__all__ = ["Bearings", "Place", "of_change", "of_run"]

RUNNING, INTERRUPTED = "running", "interrupted"
ORDINARY = (None, "apply", "rollback")
NOTHING_LEFT = "every step is done"
UNKNOWN = "so the ledger says; whether anybody is at it cannot be known on a standby"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a step stands; `why` is what became of it, or what it waits for."""

    step: Step
    state: str
    why: str = ""
    seconds: float | None = None
    worst_stall_ms: float | None = None
    at: str = ""
    by: str = ""

    @property
    def done(self) -> bool:
        """Return whether nothing is left to do about it."""
        return self.state == Status.DONE.value


@dataclass(frozen=True, slots=True)
class Bearings:
    """All steps of a change, its remedies by what became of them, and what to do next: the call, and why."""

    change: str
    places: tuple[Place, ...]
    remedies: Mapping[str, str]
    call: str
    why: str
    here: tuple[str, ...] = ()
    """Who is in the way of the next step now."""

    @property
    def line(self) -> str:
        """Return the one line that says where to go on."""
        return f"resume here: {self.call}" + (f" ({self.why})" if self.why else "")


def of_run(run: Run) -> Bearings:
    """Return the bearings of a run: it has an audit, gates and a checklist of its own; reads only."""
    own = None if run.doing else run.binding.runner_pid
    places = list(_places(run.ledger, run.change, run.facts.cluster, own=own))
    first = next((place for place in places if not place.done), None)
    call, why = _next(run, first)
    if sum(one["kind"] == "run opened" for one in run.binding.journal.entries()) > 1:
        # The ledger may well hold an audit and a GO of the process before.
        why = why.replace("in this run", "since this run was opened again")
    here: tuple[str, ...] = ()
    if first is not None and first.state != RUNNING:
        if why:
            where = places.index(first)
            state = "blocked" if first.state == Status.NOT_RUN.value else first.state
            told = f"{first.why}; {why}" if first.why else why
            places[where] = Place(first.step, state, told, at=first.at, by=first.by)
        here = tuple(str(one.blocker) for one in obstacles.obstacles(run.control, [first.step]))
    return Bearings(
        run.change.name, tuple(places), _remedies(run.ledger, run.change), f"run the cell {call}", why, here
    )


def of_change(ledger: Ledger, change: Change, cluster: str) -> Bearings:
    """Return the bearings of a change without a run, as they are at a command line; reads only."""
    places = tuple(_places(ledger, change, cluster))
    first = next((place for place in places if not place.done), None)
    if first is None:
        call, why = f"pgrunbook verify {change.name}", NOTHING_LEFT
    elif first.state == RUNNING:
        primary = " on the primary" if first.why == UNKNOWN else ""
        call, why = f"pgrunbook status {change.name}{primary}", first.why
    elif _is_half_undone(first):
        cell, command = _undo_the_rest(change, first.step)
        call, why = f"the notebook {change.name} and in it {cell}; or {command}", ""
    else:
        call = f'the notebook {change.name}, preflight and the cell await runbook.gate("{first.step.number}")'
        call, why = f"{call}; or pgrunbook apply {change.name}", ""
    return Bearings(change.name, places, _remedies(ledger, change), call, why)


def _next(run: Run, first: Place | None) -> tuple[str, str]:
    """Return the next call of a run, and what the next step waits for, if anything."""
    if first is None:
        return "runbook.verify(), then runbook.record()", NOTHING_LEFT
    step = first.step
    if first.state == RUNNING:
        return "runbook.status() again", f"{step.number} is at work: {first.why}"
    if _is_half_undone(first):
        return _undo_the_rest(run.change, step)[0], "apply cannot go on from there"
    if others := missing(run.binding, run.change):
        return f'Runbook.open("{others[0]}")', f"{others[0]} has to be applied before"
    if run.board is None:
        return "runbook.preflight()", "no audit in this run"
    if stopping := run.board.stopping(step.name):
        names = [one.name for one in stopping]
        why = f"NO-GO: {', '.join(names)}"
        for remedy in (name for name in run.board.offered if name in names):
            opened = "remedy" if _why_closed(run, remedy, run.change.remedy(remedy).sha256) == "" else "gate"
            return f'await runbook.{opened}("{remedy}")', f"{why}; the remedy {remedy} comes before"
        return "runbook.preflight(), once that is repaired", why
    if items := [one for one in run.checklist.holding_up(step) if one.tick is None]:
        keys = ", ".join(one.item.key for one in items)
        return f'await runbook.checklist("{items[0].item.when}")', f"open in the checklist: {keys}"
    if why := _why_closed(run, step.name, step.migrate.sha256):
        return f'await runbook.gate("{step.number}")', f"gate closed: {why}"
    call = f'await runbook.apply("{step.number}")'
    if (ends := run.budgets.window_ends) is not None and not (
        fit := forecast.plan(run.control, step, ends)
    ).fits:
        return (
            call,
            f"the window is too short: it ends {fit.left}, the step takes {fit.takes}, reserve {fit.reserve}",
        )
    return call, ""


def _is_half_undone(place: Place) -> bool:
    """Return whether some files of its way back may be done and others not: only a rollback goes on from there."""
    return place.state == Status.ROLLING_BACK.value and len(place.step.rollback) > 1


def _undo_the_rest(change: Change, step: Step) -> tuple[str, str]:
    """Return the cells and the command that undo a step and keep those before it."""
    before = change.steps[: change.steps.index(step)]
    to = before[-1].number if before else None
    kept, option = (f'to="{to}"', f" --to {to}") if to else ("", "")
    cells = f'await runbook.gate("{way_back(to)}"), then await runbook.roll_back({kept})'
    return cells, f"pgrunbook rollback {change.name}{option}"


def _why_closed(run: Run, name: str, sha256: str) -> str:
    try:
        run.gates.require(name, sha256)
    except GateClosed as closed:
        return closed.reason
    return ""


@dataclass(frozen=True, slots=True)
class _Server:
    """Who is at work, as far as this server can tell: a standby sees nothing of the primary's sessions."""

    standby: bool
    sessions: Sequence[Mapping[str, Any]] = ()
    alive: frozenset[str] = frozenset()
    """The run that holds the runner lock, unless it is the one that asks and does nothing now."""


def _places(ledger: Ledger, change: Change, cluster: str, *, own: int | None = None) -> Iterator[Place]:
    """Yield where each step stands; `own` is the session that holds the runner lock for who asks, and is idle."""
    rows = ledger.steps(change.name)
    who = {one["step"]: str(one["actor"]) for one in ledger.events(change=change.name, kind="apply done")}
    who |= {
        one["step"]: str(one["actor"])
        for one in ledger.events(change=change.name, kind="rollback done")
        if one["step"] in rows and rows[one["step"]].status is Status.ROLLED_BACK
    }
    server = _Server(bool(session.value(ledger.conn, "SELECT pg_is_in_recovery()")))
    if rows and not server.standby:
        running = ledger.running()
        # A run that was opened again bears the name of the one that died: the session tells them apart.
        alive = frozenset(one["run_id"] for one in running if one["pid"] != own)
        server = _Server(False, session.rows(ledger.conn, "busy_sessions"), alive)
    asked = _unanswered(ledger, change)
    for step in change.steps:
        place = _place(ledger, step, rows.get(step.name), cluster, who.get(step.name, ""), server)
        told = asked.get(step.name, "") if not place.done and place.state != RUNNING else ""
        yield dataclasses.replace(place, why=_and(place.why, told))


def _unanswered(ledger: Ledger, change: Change) -> dict[str, str]:
    """Return what became of each gate that was asked last without an answer, by the name of the gate."""
    left = ledger.events(change=change.name, kind=UNANSWERED)
    answered = (
        {one["step"]: one["id"] for one in ledger.events(change=change.name, kind="gate")} if left else {}
    )
    return {
        one[
            "step"
        ]: f"its gate was asked in run {one['run_id']} until {evidence.at(one)}, and left without an answer:"
        f" {one['detail'].get('reason', '')}"
        for one in left
        if one["id"] > answered.get(one["step"], 0)
    }


def _place(
    ledger: Ledger,
    step: Step,
    row: StepRow | None,
    cluster: str,
    by: str,
    server: _Server,
) -> Place:
    left = _index(ledger, step, standby=server.standby)
    if row is None:
        return Place(step, Status.NOT_RUN.value, left)
    at, stall = row.finished_at or row.started_at, row.detail.get("worst_stall_ms")
    if row.status in (Status.RUNNING, Status.ROLLING_BACK):
        if server.standby:
            return Place(step, RUNNING, UNKNOWN, at=at)
        name = f"pgrunbook step {row.run_id}"[:63]
        pids = [one["pid"] for one in server.sessions if one["application_name"] == name]
        if pids:
            whose = (
                f"run {row.run_id}"
                if row.run_id in server.alive
                else "its runner is gone, the server still works on it"
            )
            return Place(step, RUNNING, f"pid {pids[0]}, {whose}", at=at)
        if row.run_id in server.alive:
            return Place(
                step, RUNNING, f"run {row.run_id} is open: it waits for its locks, or was cut off", at=at
            )
        state, rolled = INTERRUPTED, "begun and not finished"
        if row.status is Status.ROLLING_BACK:
            state = row.status.value
            rolled = "its way back was begun and not finished; what it had not undone is still there"
        elif step.migrate.header.in_transaction:
            # It would have committed its own row with it.
            rolled = "nothing was left behind"
        return Place(step, state, _and(left or rolled, _elsewhere(step, row, cluster)), at=at)
    note = row.detail.get("note")
    why = str((note if note not in ORDINARY else "") or row.detail.get("reason") or "").partition("\n")[0]
    if row.status is Status.DONE:
        edited = "the file was edited after it ran" if row.script_sha256 != step.migrate.sha256 else ""
        broken = left if "INVALID" in left else ""
        return Place(step, row.status.value, _and(edited, broken, why), row.seconds, stall, at, by)
    return Place(step, row.status.value, _and(why, left), row.seconds, stall, at, by)


def _index(ledger: Ledger, step: Step, *, standby: bool) -> str:
    """Return what the catalog and the server say of the index that a step builds outside a transaction."""
    if step.migrate.header.in_transaction:
        return ""
    name = concurrent.index_name(step.migrate.statements[0])
    state = concurrent.index_state(ledger.conn, name) if name is not None else None
    if state is None:
        return ""
    if state.built_by is not None:
        return f"index {name} is being built on the server, pid {state.built_by}; apply watches it to its end"
    if not state.is_valid and standby:
        return f"index {name} is not valid here; whether it is being built is known on the primary alone"
    if not state.is_valid:
        return f"index {name} is INVALID, no query uses it; apply clears it and builds it again"
    return f"index {name} is there and valid; apply proves it and writes that down"


def _elsewhere(step: Step, row: StepRow, cluster: str) -> str:
    try:
        standing.of(step, {step.name: row}, cluster)
    except RunbookError as error:
        return error.found
    return ""


def _remedies(ledger: Ledger, change: Change) -> Mapping[str, str]:
    found = {remedy.name: "not run" for remedy in change.remedies}
    words = {"remedy applied": "applied", "remedy undone": "undone", "remedy stopped": "stopped",
             "remedy started": "started", "remedy undo stopped": "partly undone"}  # fmt: skip
    if found:
        for one in ledger.events(change=change.name):
            if one["kind"] in words and one["detail"].get("remedy") in found:
                found[one["detail"]["remedy"]] = words[one["kind"]]
        asked = _unanswered(ledger, change)
        found = {name: _and(state, asked.get(name, "")) for name, state in found.items()}
    return found


def _and(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
