"""What a server does now and has done: lock waits with their blockers named, slow statements; reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgrunbook import session
from pgrunbook.observers.locks import Locks
from pgrunbook.session import Connection

__all__ = ["NotAvailable", "Session", "SlowStatement", "Waiting", "slow_statements", "waits"]


@dataclass(frozen=True, slots=True)
class Session:
    """One session as the server shows it to us; `since` is when its transaction began, in UTC.

    To a role without pg_read_all_stats the server hides state, times and statements of other roles.
    """

    pid: int
    role: str
    application: str
    state: str
    since: str
    statement: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A session that waits for a lock, and those that it waits for, directly."""

    session: Session
    wants: str
    """The lock's mode, as the server spells it."""
    on: str
    """The table, or what kind of thing is locked: `transactionid` is a row that another transaction changed."""
    waited_ms: float
    blockers: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class SlowStatement:
    """What pg_stat_statements has counted of one statement; times in milliseconds."""

    statement: str
    calls: int
    mean_ms: float
    max_ms: float
    total_ms: float
    rows: int


@dataclass(frozen=True, slots=True)
class NotAvailable:
    """Why something cannot be asked here, and what to do about that."""

    why: str
    remedy: str


def waits(conn: Connection, *, text: str = "") -> list[Waiting]:
    """Return who waits for a lock in this database now; with `text`, those whose statement holds it.

    Case does not count. The server keeps the first `track_activity_query_size` bytes of a statement (PostgreSQL
    manual, 27.2.3 `pg_stat_activity`, 9.27 `pg_blocking_pids`).
    """
    watching = Locks(ours=0)
    watching.sample(conn, 0.0)
    pids = {pid for wait in watching.waits for pid in (wait.pid, *wait.blockers)}
    if not pids:
        return []
    known = {
        row["pid"]: Session(**row) for row in session.rows(conn, "waiting_sessions", {"pids": sorted(pids)})
    }
    return [
        Waiting(
            session=known[wait.pid],
            wants=wait.wants,
            on=wait.relation,
            waited_ms=wait.waited_ms,
            blockers=tuple(_blocker(pid, known) for pid in dict.fromkeys(wait.blockers)),
        )
        for wait in watching.waits
        # One that is gone by now waits no more.
        if wait.pid in known and text.casefold() in known[wait.pid].statement.casefold()
    ]


def _blocker(pid: int, known: Mapping[int, Session]) -> Session:
    # The server gives 0 for a prepared transaction, which has no session.
    what = "prepared transaction" if pid == 0 else "gone by now"
    return known.get(pid) or Session(pid, role="", application="", state=what, since="", statement="")


def slow_statements(
    conn: Connection, *, text: str = "", most: int = 20
) -> list[SlowStatement] | NotAvailable:
    """Return the statements of this database with the longest mean time, or why nobody can tell.

    Statements of other roles are hidden from a role without pg_read_all_stats (PostgreSQL manual, F.32).
    """
    state = session.rows(conn, "statement_statistics_state")[0]
    if not state["shipped"]:
        return NotAvailable(
            "the server was installed without pg_stat_statements", "install its contrib package"
        )
    if not state["schema"]:
        return NotAvailable(
            "the extension pg_stat_statements is not created in this database",
            "let an administrator name it in shared_preload_libraries, restart the server and run CREATE EXTENSION",
        )
    if not state["has_mean"]:
        return NotAvailable(
            f"pg_stat_statements is still at version {state['version']}",
            "let an administrator run ALTER EXTENSION pg_stat_statements UPDATE",
        )
    # The extension may be in any schema; the built-in names come first whatever is in that one.
    path = sql.SQL("SET LOCAL search_path = pg_catalog, {}").format(sql.Identifier(state["schema"]))
    try:
        # In a transaction of the caller the setting would outlive ours.
        with conn.transaction(force_rollback=True):
            conn.execute(path)
            found = session.rows(conn, "slow_statements", {"text": text, "most": most})
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return NotAvailable(
            "pg_stat_statements is created but not loaded",
            "let an administrator name it in shared_preload_libraries and restart the server",
        )
    except psycopg.errors.InsufficientPrivilege:
        return NotAvailable(
            "this role may not read pg_stat_statements", "ask for membership in pg_read_all_stats"
        )
    return [SlowStatement(**row) for row in found]
