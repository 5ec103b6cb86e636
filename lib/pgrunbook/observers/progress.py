"""Watches how far an index build, rebuild or drop is, and whom it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Awaited", "BuildSample", "Progress"]


@dataclass(frozen=True, slots=True)
class Awaited:
    """A session or a prepared transaction that is waited for; `since` is when its transaction began.

    Since when, its state and its last statement are empty where the server hides them from our role.
    """

    pid: int | None
    who: str
    since: str = ""
    age_s: float | None = None
    state: str = ""
    query: str = ""

    def __str__(self) -> str:
        """Return one line: who, since when, what.

        >>> str(Awaited(4711, "web", "12:00:03 UTC", 65.2, "idle in transaction", "UPDATE things"))
        "pid 4711 'web', idle in transaction, since 12:00:03 UTC (65 s): UPDATE things"
        """
        name = f"pid {self.pid} {self.who!r}" if self.pid is not None else self.who
        age = f" ({self.age_s:.0f} s)" if self.age_s is not None else ""
        since = f"since {self.since}{age}" if self.since else ""
        query = f": {' '.join(self.query.split())}" if self.query else ""
        return ", ".join(part for part in (name, self.state, since) if part) + query


@dataclass(frozen=True, slots=True)
class BuildSample:
    """One look at a build; `at_ms` since the step began, `waits_for` the pid it waits for.

    `done` of `total` counts what the phase is about: blocks, tuples, or sessions that it waited for.
    """

    at_ms: float
    phase: str
    done: int
    total: int
    waits_for: int | None
    blocks_done: int = 0
    blocks_total: int = 0
    tuples_done: int = 0
    tuples_total: int = 0
    lockers_done: int = 0
    lockers_total: int = 0
    awaited: tuple[Awaited, ...] = ()

    @property
    def words(self) -> str:
        """Return what it does, how far it is and whom it waits for, in one line."""
        more = f" and {len(self.awaited) - 1} more" if len(self.awaited) > 1 else ""
        return f"{self.doing}; waits for {self.awaited[0]}{more}" if self.awaited else self.doing

    @property
    def doing(self) -> str:
        """Return what it does and how far it is.

        >>> BuildSample(0, "building index: scanning table", 1, 4, None, blocks_done=1, blocks_total=4).doing
        'building index: scanning table, 25 % (1 of 4 blocks)'
        """
        counts = [
            f"{done:,} of {total:,} {what}"
            for what, done, total in (
                ("blocks", self.blocks_done, self.blocks_total),
                ("tuples", self.tuples_done, self.tuples_total),
                ("transactions gone", self.lockers_done, self.lockers_total),
            )
            if total
        ]
        waits = self.phase.startswith("waiting")
        share = f", {min(100, 100 * self.done // self.total)} %" if self.total and not waits else ""
        counted = f" ({', '.join(counts)})" if counts else ""
        return f"{self.phase}{share}{counted}"


class Progress:
    """Samples `pg_stat_progress_create_index` of our session (PostgreSQL manual, 27.4.4).

    A drop has no such view, nor has a build that still waits for its table's lock: where the statement is
    `outside` a transaction, whose waits are its phases, what it waits for in `pg_locks` tells.
    """

    def __init__(self, ours: int, *, outside: bool = False) -> None:
        """Watch the session with this pid."""
        self.ours = ours
        self.outside = outside
        self.builds: list[BuildSample] = []

    def before(self, conn: Connection) -> None:
        """Do nothing: no build of ours runs yet."""

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Add a sample when our session builds or waits now."""
        # First the waits: a statement that waits has told its phase before.
        waits = session.rows(conn, "awaited", {"ours": self.ours}) if self.outside else []
        found = next((row for row in session.rows(conn, "index_progress") if row["pid"] == self.ours), None)
        awaited = tuple(
            Awaited(row["pid"], row["who"], row["since"] or "", row["age_s"], row["state"], row["query"])
            for row in waits
        )
        # For a prepared transaction the progress view names the session that has its old place by now.
        waits_for = found["waits_for"] if found is not None else None
        if self.outside:
            waits_for = next((one.pid for one in awaited), None)
        if found is not None:
            self.builds.append(_sample(at_ms, found, waits_for, awaited))
        elif waits:
            phase = _waiting(waits[0]["waits_on"], waits[0]["relation"])
            self.builds.append(BuildSample(at_ms, phase, 0, 0, waits_for, awaited=awaited))

    def after(self, conn: Connection) -> None:
        """Do nothing: the samples are the result."""


def _sample(
    at_ms: float, row: Mapping[str, Any], waits_for: int | None, awaited: tuple[Awaited, ...]
) -> BuildSample:
    # Another role's figures are hidden.
    counts = {
        name: row[name] or 0 for name in row if name.rpartition("_")[0] in ("blocks", "tuples", "lockers")
    }
    phase, done, total = row["phase"] or "", row["done"] or 0, row["total"] or 0
    return BuildSample(at_ms, phase, done, total, waits_for, **counts, awaited=awaited)


def _waiting(waits_on: str, relation: str | None) -> str:
    if waits_on == "relation":
        return f"waiting for the lock on {relation}"
    return "waiting for transactions that may still use the index"
