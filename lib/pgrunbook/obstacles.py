"""Obstacles: who would make exactly this statement wait, if it ran now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pgrunbook import patience, session
from pgrunbook.change import Script, Step
from pgrunbook.header import LockClaim
from pgrunbook.lockmode import LockMode
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection
from pgrunbook.statement import Statement

__all__ = ["Obstacle", "Waits", "ahead", "blockers", "obstacles", "waits"]


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Somebody in the way, and the scripts that would wait for them."""

    blocker: Blocker
    steps: tuple[str, ...]

    @property
    def why(self) -> str:
        """Return what it is that the steps would wait for."""
        return f"{self.blocker.holds} on {self.blocker.relation}"

    @property
    def gives_way(self) -> bool:
        """Return whether it is gone as soon as somebody asks for its lock, as autovacuum is."""
        return (
            self.blocker.backend == "autovacuum worker"
            and "(to prevent wraparound)" not in self.blocker.query
        )


@dataclass(frozen=True, slots=True)
class Waits:
    """What a statement outside a transaction waits for: locks on tables, and perhaps every older snapshot."""

    locks: tuple[LockClaim, ...]
    snapshots: bool = False


def waits(conn: Connection, statement: Statement) -> Waits | None:
    """Return what a concurrent statement waits for, or None for one that only takes its locks.

    Beside the lock that it takes itself it waits for all who hold one of these: a build for writers, which
    conflict with SHARE, and for snapshots; a drop for all who may still use the index; a rebuild for all of
    them (PostgreSQL manual, CREATE INDEX, "Building Indexes Concurrently", and REINDEX).
    """
    if not statement.concurrently:
        return None
    modes: tuple[LockMode, ...] = (LockMode.ACCESS_EXCLUSIVE,)
    snapshots, tables = False, list(statement.tables)
    match statement.verb:
        case "CREATE INDEX":
            modes, snapshots = (LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE), True
        case "REINDEX" if statement.tables or statement.index:
            snapshots, tables = True, tables or _table_of(conn, statement.index)
        case "DROP INDEX":
            tables = _table_of(conn, statement.index)
        case "ALTER TABLE":
            pass
        case _:
            return None
    return Waits(
        tuple(LockClaim(mode, table) for table in tables for mode in modes), snapshots and bool(tables)
    )


def blockers(conn: Connection, script: Script, *, ours: int | None = None) -> list[Blocker]:
    """Return everybody who would make this script wait now, oldest first.

    `ours` is a session that does not count, beside the one that asks. Who gives way is left in. Snapshots of
    other roles are not seen without pg_read_all_stats.
    """
    wanted = waits(conn, script.statements[0]) if not script.header.in_transaction else None
    if wanted is None:
        return patience.blockers(conn, script.header.locks, ours=ours)
    claims = [(claim.table, mode.catalog) for claim in wanted.locks for mode in claim.mode.conflicting]
    asked = {
        "relations": [table for table, _ in claims],
        "modes": [mode for _, mode in claims],
        "snapshots": wanted.snapshots,
        "ours": ours,
    }
    return [
        Blocker(**{**row, "age_ms": patience.OLD_MS if row["age_ms"] is None else row["age_ms"]})
        for row in session.rows(conn, "concurrent_blockers", asked)
    ]


def obstacles(
    conn: Connection,
    steps: Iterable[Step],
    *,
    ours: int | None = None,
    older_than_ms: float = patience.OLD_MS,
) -> list[Obstacle]:
    """Return who is in the way of which of these steps now, oldest first; who gives way is left out.

    Younger ones than `older_than_ms` are ordinary traffic, which is gone before a step would ask.
    """
    found: dict[tuple[object, ...], tuple[Blocker, list[str]]] = {}
    for step in steps:
        for one in blockers(conn, step.migrate, ours=ours):
            if one.age_ms < older_than_ms:
                continue
            key = (one.pid, one.backend, one.transaction, one.relation, one.holds)
            found.setdefault(key, (one, []))[1].append(step.number)
    listed = [Obstacle(blocker, tuple(names)) for blocker, names in found.values()]
    return sorted((one for one in listed if not one.gives_way), key=lambda one: -one.blocker.age_ms)


def ahead(
    conn: Connection, scripts: Iterable[Script], *, older_than_ms: float = patience.OLD_MS
) -> list[Blocker]:
    """Return who would make any of these scripts wait now, each once for a table, oldest first."""
    found = {
        (one.pid, one.backend, one.transaction, one.relation, one.holds): one
        for script in scripts
        for one in blockers(conn, script)
        if one.age_ms >= older_than_ms and not Obstacle(one, ()).gives_way
    }
    return sorted(found.values(), key=lambda one: -one.age_ms)


def _table_of(conn: Connection, index: str | None) -> list[str]:
    found = session.rows(conn, "index_table", {"index": index})
    return [row["on_table"] for row in found]
