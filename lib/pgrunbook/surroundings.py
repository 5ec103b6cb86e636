"""The surroundings of a change: whom and what on the server its open steps have to do with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgrunbook import definition, obstacles, session
from pgrunbook.change import Change, Step
from pgrunbook.header import Header, Severity
from pgrunbook.lockmode import LockMode
from pgrunbook.session import Connection

__all__ = ["Question", "open_steps", "questions"]

TIMEOUT_MS = 60_000
# Who has been in the way for less is ordinary traffic.
IN_THE_WAY_MS = 1_000.0
# A standby that is further behind needs longer than a step for what a step writes.
BEHIND_S, BEHIND_BYTES = 60.0, 1 << 30

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Question:
    """Something to ask the server about the open steps; its rows are the problem, as for any check."""

    label: str
    header: Header
    ask: Callable[[Connection], Rows]

    def severity(self, rows: Rows) -> Severity:
        """Return what these rows mean: what could only not be compared stops nothing."""
        unsure = bool(rows) and all(row.get("not_compared") for row in rows)
        return Severity.WARN if unsure else self.header.severity


def open_steps(conn: Connection, change: Change) -> tuple[Step, ...]:
    """Return the steps that the ledger, where there is one, does not call done."""
    done = set()
    if session.value(conn, "SELECT has_table_privilege(to_regclass('pgrunbook.step'), 'SELECT')"):
        found = session.rows(conn, "ledger_steps", {"change": change.name})
        done = {row["step"] for row in found if row["status"] == "done"}
    return tuple(step for step in change.steps if step.name not in done)


def questions(
    steps: Sequence[Step], *, in_place: Callable[[Step], bool], window_s: float | None = None
) -> tuple[Question, ...]:
    """Return what has to be asked about these steps.

    `in_place` tells of a step whether its promise holds already, `window_s` is what is left of the window.
    """
    return (
        Question("server: blockers", _BLOCKERS, lambda conn: _blockers(conn, steps, in_place)),
        Question("server: idle_slots", _SLOTS, lambda conn: _slots(conn, steps)),
        Question("server: standbys", _STANDBYS, lambda conn: _standbys(conn, steps, window_s)),
        Question("indexes that are there", _DEFINITIONS, lambda conn: _definitions(conn, steps)),
    )


_BLOCKERS = Header(
    "Somebody is in the way of a step",
    effect="the steps that are named wait until they end; others do not",
    remedy="let them end, or end them, before the window opens",
    severity=Severity.WARN,
)
_SLOTS = Header(
    "Replication slots that nobody reads hold back WAL",
    effect="they block nothing, but what the steps that are named write to WAL piles up on disk",
    remedy="bring the consumer back, or drop the slot if it is gone for good",
    severity=Severity.WARN,
)
_STANDBYS = Header(
    "Standbys replay what the steps do",
    effect="replay of an ACCESS EXCLUSIVE lock waits for the standby's queries on the table up to its"
    " max_standby_streaming_delay, then cancels them; to a standby that is behind all of it comes later",
    remedy="let reports on the standbys end before the window, and let one that is behind catch up",
    severity=Severity.WARN,
)
_DEFINITIONS = Header(
    "An index that a step builds is there already, and is another one",
    effect="the step neither takes nor replaces it, and IF NOT EXISTS would take it unseen",
    remedy="drop or rename that index if nothing needs it, or give the step's index another name",
)


def _blockers(conn: Connection, steps: Sequence[Step], in_place: Callable[[Step], bool]) -> Rows:
    with session.reading(conn, timeout_ms=TIMEOUT_MS):
        found = obstacles.obstacles(conn, steps, older_than_ms=IN_THE_WAY_MS)
    # A step that is in place although no ledger knows it waits for nobody.
    named = {number for one in found for number in one.steps}
    waiting = {step.number for step in steps if step.number in named and not in_place(step)}
    return [
        {
            "who": one.blocker.who,
            "role": one.blocker.user,
            "state": one.blocker.state,
            "holds": one.why,
            "for_s": round(one.blocker.age_ms / 1000),
            "steps": ", ".join(number for number in one.steps if number in waiting),
            "last_statement": one.blocker.query,
        }
        for one in found
        if waiting.intersection(one.steps)
    ]


def _slots(conn: Connection, steps: Sequence[Step]) -> Rows:
    writing = _numbers(s for s in steps if any(one.writes_in_bulk for one in s.migrate.statements))
    if not writing:
        return []
    with session.reading(conn, timeout_ms=TIMEOUT_MS):
        return [{**row, "steps": writing} for row in session.rows(conn, "idle_slots")]


def _standbys(conn: Connection, steps: Sequence[Step], window_s: float | None) -> Rows:
    limit_s = BEHIND_S if window_s is None else min(BEHIND_S, window_s)
    conflicts = _numbers(step for step in steps if _locks_out(step))
    with session.reading(conn, timeout_ms=TIMEOUT_MS):
        found = session.rows(conn, "standbys")
    for row in found:
        behind_s, behind = row["replay_lag_s"] or 0.0, row["bytes_behind"] or 0
        concerns = [f"replay of {conflicts} conflicts with its queries"] if conflicts else []
        if behind_s > limit_s:
            concerns.append(f"{behind_s:.0f} s behind, more than {limit_s:.0f} s")
        if behind > BEHIND_BYTES:
            concerns.append(f"{behind / (1 << 30):.1f} GB behind")
        row["concern"] = "; ".join(concerns)
    return found


def _locks_out(step: Step) -> bool:
    """Return whether the replay of a step takes ACCESS EXCLUSIVE, be it only on an index that it drops."""
    drops = any(one.concurrently and one.verb in ("DROP INDEX", "REINDEX") for one in step.migrate.statements)
    return drops or any(claim.mode is LockMode.ACCESS_EXCLUSIVE for claim in step.migrate.header.locks)


def _definitions(conn: Connection, steps: Sequence[Step]) -> Rows:
    rows = []
    for step in steps:
        for statement in step.migrate.statements:
            like = definition.likeness(conn, statement)
            if like is not None and not like.same:
                rows.append(
                    {
                        "step": step.number,
                        "index": like.index,
                        "found": like.found,
                        "expected": like.expected,
                        "not_compared": like.why,
                    }
                )
    return rows


def _numbers(steps: Iterable[Step]) -> str:
    return ", ".join(step.number for step in steps)
