"""The rules of the core data model in plain Python: what a statement breaks, and else what it leaves behind.

Written from what the change promises, not from how it keeps it. A row is what to_jsonb makes of it. A statement
that breaks several rules may be refused for any of them: which of them the server asks first is no promise.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

Row = dict[str, Any]

NOBODY = None
APP_USER, LOCK_ADMIN, OWNER, SUPERVISOR = "app_user", "lock_admin", "core_owner", "core_supervisor"
LOCKED, KEPT, DENIED = "P7012", "P7013", "42501"
NULL, CHECKED, TAKEN, ORPHAN, RESTRICTED, NO_VALUE = "23502", "23514", "23505", "23503", "23001", "22P02"
FIRST_LOCKED_WEEK = 7

TEXT, NUMBER, LIST = "text", "number", "list"
# Each table's document, and what the keys are that it may have.
DOCUMENTS = {
    "vision": ("details", {"areas": LIST, "reason": TEXT}),
    "cycle": ("settings", {"timezone": TEXT, "review_day": NUMBER}),
    "goal": ("measure", {"unit": TEXT, "target": NUMBER}),
    "weekly_plan": ("review", {"score": NUMBER, "wins": LIST, "lesson": TEXT}),
    "chat_session": ("context", {"page": TEXT, "week": NUMBER}),
    "chat_message": ("metadata", {"model": TEXT, "tokens": NUMBER, "calls": LIST}),
}
RANGES = {
    ("vision", "horizon_years"): (1, 30),
    ("weekly_plan", "week_number"): (1, 12),
    ("task", "weekly_quota"): (1, 100),
    ("plan_item", "quota"): (0, 100),
    ("plan_item", "done"): (0, 1000),
}
LENGTHS = {
    ("vision", "title"): (1, 200),
    ("cycle", "title"): (1, 200),
    ("goal", "title"): (1, 200),
    ("task", "title"): (1, 200),
    ("chat_session", "title"): (0, 200),
    ("chat_message", "content"): (1, 20000),
}
WORDS = {
    ("cycle", "status"): {"draft", "active", "completed", "archived"},
    ("goal", "goal_type"): {"professional", "personal"},
    ("goal", "status"): {"active", "achieved", "missed", "dropped"},
    ("plan_item", "status"): {"planned", "in_progress", "completed", "skipped"},
    ("chat_message", "role"): {"user", "assistant", "system", "tool"},
}
# May be NULL; the last day of a cycle follows from the first.
OPTIONAL = {("chat_session", "cycle_id"), ("chat_session", "ended_at"), ("cycle", "ends_on")}
# Nothing that a tenant is told depends on the rows of another: what is one of a kind is so among his own.
ONE_OF_A_KIND = {
    "goal": ("user_id", "cycle_id", "goal_type"),
    "weekly_plan": ("user_id", "cycle_id", "week_number"),
    "plan_item": ("user_id", "weekly_plan_id", "task_id"),
}
CASCADE, SET_NULL, RESTRICT = "cascade", "set null", "restrict"
# Child, its reference, the parent, the columns that have to agree, and what becomes of it with the parent.
PARENTS = [
    ("cycle", "vision_id", "vision", ("user_id",), RESTRICT),
    ("goal", "cycle_id", "cycle", ("user_id",), CASCADE),
    ("weekly_plan", "cycle_id", "cycle", ("user_id",), CASCADE),
    ("task", "goal_id", "goal", ("user_id", "cycle_id"), CASCADE),
    ("plan_item", "weekly_plan_id", "weekly_plan", ("user_id", "cycle_id"), CASCADE),
    ("plan_item", "task_id", "task", ("user_id", "cycle_id"), CASCADE),
    ("chat_session", "cycle_id", "cycle", ("user_id",), SET_NULL),
    ("chat_message", "chat_session_id", "chat_session", ("user_id",), CASCADE),
]
TABLES = ["vision", "cycle", "goal", "weekly_plan", "task", "plan_item", "chat_session", "chat_message"]


@dataclass(frozen=True)
class Actor:
    """A role, and the user that it acts for, if any."""

    role: str
    user: str | None

    @property
    def unlocks(self) -> bool:
        return self.role in (LOCK_ADMIN, SUPERVISOR)

    def may(self, verb: str, table: str, columns: Iterable[str] = ()) -> bool:
        if self.role == LOCK_ADMIN:
            return verb == "update" and table == "cycle" and set(columns) <= {"lock_enforced"}
        return True


@dataclass(frozen=True)
class Verdict:
    """The rules that a statement breaks, by SQLSTATE; where there are none, how many rows it wrote."""

    broken: frozenset[str]
    rows: int = 0


class Rules:
    """What is in the tables and in the audit log, and what may be done to it."""

    def __init__(self, now: str) -> None:
        self.now = now
        self.rows: dict[str, dict[str, Row]] = {table: {} for table in TABLES}
        self.audit: list[Row] = []

    def of(self, user: str | None) -> list[tuple[str, Row]]:
        """Return the rows that a user sees."""
        return [
            (table, row) for table in TABLES for row in self.rows[table].values() if row["user_id"] == user
        ]

    def entries_of(self, user: str | None) -> list[Row]:
        """Return the entries of the audit log that a user sees."""
        return [entry for entry in self.audit if entry["user_id"] == user]

    def insert(self, actor: Actor, table: str, row: Row) -> Verdict:
        draft = _Draft(self, actor)
        if draft.admits("insert", table, row):
            draft.write(table, None, row)
        return draft.settle(1)

    def upsert(self, actor: Actor, table: str, row: Row) -> Verdict:
        there = self.rows[table].get(row["id"])
        if there is None:
            return self.insert(actor, table, row)
        draft = _Draft(self, actor)
        if draft.admits("insert", table, row):
            draft.judge(table, None, row)
            if there["user_id"] != actor.user:
                draft.broken.add(DENIED)
            else:
                draft.write(table, there, {**row, "id": there["id"]})
        return draft.settle(1)

    def update(self, actor: Actor, table: str, key: str | None, changes: Row) -> Verdict:
        draft = _Draft(self, actor)
        targets = self._targets(actor, table, key)
        if draft.admits("update", table, changes):
            for row in targets:
                draft.write(table, row, {**row, **changes})
        return draft.settle(len(targets))

    def delete(self, actor: Actor, table: str, key: str | None) -> Verdict:
        draft = _Draft(self, actor)
        targets = self._targets(actor, table, key)
        if draft.admits("delete", table, {}):
            for row in targets:
                draft.remove(table, row)
        return draft.settle(len(targets))

    def truncate(self, actor: Actor) -> Verdict:
        """Nobody empties a table: who does not own it may not, who owns it is refused."""
        return Verdict(frozenset({LOCKED, KEPT} if actor.role == OWNER else {DENIED}))

    def overreach(self, actor: Actor) -> Verdict:
        """Rules and entries are beyond the application; entries that are written are beyond the owner, too."""
        return Verdict(frozenset({KEPT if actor.role == OWNER else DENIED}))

    def probe(self, actor: Actor, cycle: str, user: str) -> tuple[Verdict, bool]:
        """Whether weeks are locked is told of one's own cycles; a cycle that one cannot see is not locked."""
        if user != actor.user:
            return Verdict(frozenset({DENIED})), False
        return Verdict(frozenset(), 1), self.locks(cycle, user)

    def locks(self, cycle: str | None, user: str | None) -> bool:
        found = self.rows["cycle"].get(cycle or "")
        return bool(found and found["user_id"] == user and found["lock_enforced"])

    def _targets(self, actor: Actor, table: str, key: str | None) -> list[Row]:
        mine = [row for row in self.rows[table].values() if row["user_id"] == actor.user]
        return [row for row in mine if key is None or row["id"] == key]


class _Draft:
    """One statement, tried: what it breaks, and what it would leave."""

    def __init__(self, rules: Rules, actor: Actor) -> None:
        self.rules, self.actor = rules, actor
        self.rows = {table: dict(rows) for table, rows in rules.rows.items()}
        self.audit: list[Row] = []
        self.broken: set[str] = set()

    def admits(self, verb: str, table: str, values: Row) -> bool:
        """Ask what needs no row: privileges, and words that are no value of their type."""
        for column, value in values.items():
            if value is not None and (words := WORDS.get((table, column))) and value not in words:
                self.broken.add(NO_VALUE)
        if not self.actor.may(verb, table, values):
            self.broken.add(DENIED)
        return not self.broken

    def judge(self, table: str, before: Row | None, after: Row) -> None:
        """Ask what one row may be, and become."""
        if after["user_id"] is None or after["user_id"] != self.actor.user:
            self.broken.add(DENIED)
        if any(after[column] is None for column in after if (table, column) not in OPTIONAL):
            self.broken.add(NULL)
        if not _fits(table, after):
            self.broken.add(CHECKED)
        if self._touches_lock(table, before, after):
            self.broken.add(LOCKED)

    def write(self, table: str, before: Row | None, after: Row) -> None:
        after = dict(after)
        if before is not None:
            after |= {"created_at": before["created_at"], "updated_at": self.rules.now}
        if table == "cycle":
            after["ends_on"] = _last_day(after["starts_on"])
        self.judge(table, before, after)
        if before is not None:
            del self.rows[table][before["id"]]
        if after["id"] in self.rows[table]:
            self.broken.add(TAKEN)
        else:
            self.rows[table][after["id"]] = after
        self._tell(table, before, after)

    def remove(self, table: str, row: Row) -> None:
        if self.rows[table].pop(row["id"], None) is None:
            return
        if self._touches_lock(table, row, None):
            self.broken.add(LOCKED)
        self._tell(table, row, None)
        for child, column, parent, _, fate in PARENTS:
            if parent != table:
                continue
            for one in [each for each in self.rows[child].values() if each[column] == row["id"]]:
                if fate == CASCADE:
                    self.remove(child, one)
                elif fate == SET_NULL:
                    self.write(child, one, {**one, column: None})
                else:
                    self.broken |= {ORPHAN, RESTRICTED}

    def settle(self, rows: int) -> Verdict:
        """Ask what holds between rows, and keep what was done where nothing is broken."""
        for table, columns in ONE_OF_A_KIND.items():
            kinds = [tuple(row[column] for column in columns) for row in self.rows[table].values()]
            if len(set(kinds)) < len(kinds):
                self.broken.add(TAKEN)
        for child, column, parent, agreeing, fate in PARENTS:
            for row in self.rows[child].values():
                home = self.rows[parent].get(row[column] or "")
                if row[column] and (home is None or any(home[name] != row[name] for name in agreeing)):
                    self.broken |= {ORPHAN, RESTRICTED} if fate == RESTRICT else {ORPHAN}
        if not self.broken:
            self.rules.rows = self.rows
            self.rules.audit = self.rules.audit + self.audit
        return Verdict(frozenset(self.broken), rows)

    def _touches_lock(self, table: str, before: Row | None, after: Row | None) -> bool:
        """Quotas of weeks 7 to 12 of a locked cycle are fixed, and so is whatever decides them."""
        if table == "cycle":
            if before is None or not before["lock_enforced"]:
                return False
            if after is None:
                return True
            if not after["lock_enforced"]:
                return not self.actor.unlocks
            return any(before[name] != after[name] for name in ("id", "starts_on"))
        if table == "weekly_plan":
            # A new week is empty and asks for nothing.
            if before is None or _same(before, after, "id", "cycle_id", "week_number", "user_id"):
                return False
            return any(self._locked(week["cycle_id"], week) for week in (before, after) if week)
        if table == "plan_item":
            if _same(before, after, "quota", "weekly_plan_id", "task_id", "cycle_id", "user_id"):
                return False
            for item in (before, after):
                week = self.rules.rows["weekly_plan"].get((item or {}).get("weekly_plan_id") or "")
                if (
                    item
                    and week
                    and week["user_id"] == self.actor.user
                    and self._locked(item["cycle_id"], week)
                ):
                    return True
        return False

    def _locked(self, cycle: str, week: Row) -> bool:
        return (week["week_number"] or 0) >= FIRST_LOCKED_WEEK and self.rules.locks(cycle, self.actor.user)

    def _tell(self, table: str, before: Row | None, after: Row | None) -> None:
        about = after or before or {}
        self.audit.append(
            {
                "user_id": about["user_id"],
                "action": "insert" if before is None else "delete" if after is None else "update",
                "table_name": table,
                "row_id": about["id"],
                "before": copy.deepcopy(before),
                "after": copy.deepcopy(after),
                "actor_id": self.actor.user,
                "database_role": self.actor.role,
            }
        )


def _last_day(first: str | None) -> str | None:
    return (date.fromisoformat(first) + timedelta(days=83)).isoformat() if first else None


def _same(before: Row | None, after: Row | None, *names: str) -> bool:
    return before is not None and after is not None and all(before[name] == after[name] for name in names)


def _fits(table: str, row: Row) -> bool:
    """Return whether ranges, lengths and the document are as they have to be; what is NULL is judged elsewhere."""
    for (where, column), (low, high) in RANGES.items():
        if where == table and row[column] is not None and not low <= row[column] <= high:
            return False
    for (where, column), (low, high) in LENGTHS.items():
        if where == table and row[column] is not None and not low <= len(row[column]) <= high:
            return False
    if table not in DOCUMENTS:
        return True
    name, keys = DOCUMENTS[table]
    document = row[name]
    if document is None:
        return True
    return isinstance(document, dict) and all(
        _is(kind, document[key]) for key, kind in keys.items() if key in document
    )


def _is(kind: str, value: object) -> bool:
    if kind == NUMBER:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str if kind == TEXT else list)
