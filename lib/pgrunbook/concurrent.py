"""Statements that run outside a transaction: what they may leave behind, and how it is cleared away."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgrunbook import session
from pgrunbook.errors import quoted
from pgrunbook.patience import split_name
from pgrunbook.session import Connection
from pgrunbook.statement import Statement

__all__ = ["IndexState", "clear_invalid", "index_name", "index_state", "wait_for_build", "what_is_left"]

CLEAR_MS = 1_000


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index in the catalog; `built_by` is the pid of the session that builds it now, or may well do so."""

    index: str
    is_valid: bool
    definition: str
    built_by: int | None


def index_name(statement: Statement) -> str | None:
    """Return the name under which the catalog will know the index that this statement builds.

    An index lives in the schema of its table, so the table's schema is put before a bare name
    (PostgreSQL manual, CREATE INDEX, `name`).
    """
    if statement.verb != "CREATE INDEX" or statement.index is None:
        return None
    schema = split_name(statement.tables[0])[:-1] if statement.tables else ()
    return ".".join(quoted(part) for part in (*schema, statement.index))


def index_state(conn: Connection, index: str) -> IndexState | None:
    """Return the state of an index, or None when there is none of this name."""
    found = session.rows(conn, "index_state", {"index": index})
    return IndexState(**found[0]) if found else None


def wait_for_build(conn: Connection, index: str, *, checkpoint: Callable[[], None]) -> IndexState | None:
    """Return the state of an index once no session builds it any more.

    A client that was killed does not stop its build: the server goes on and may well finish.
    """
    while (state := index_state(conn, index)) is not None and state.built_by is not None:
        checkpoint()
        time.sleep(0.05)
    return state


def clear_invalid(conn: Connection, index: str, *, checkpoint: Callable[[], None] = lambda: None) -> bool:
    """Drop an invalid index of this name concurrently; return whether there was one.

    Waits for a build that still runs before it judges. Never drops a valid index.
    """
    state = wait_for_build(conn, index, checkpoint=checkpoint)
    if state is None or state.is_valid:
        return False
    name = sql.Identifier(*split_name(state.index))
    conn.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
    return True


def what_is_left(conn: Connection, index: str | None) -> str:
    """Drop the invalid index of a build that failed, and return what is left; never waits long for it."""
    if index is None:
        return "nothing was left behind"
    try:
        state, until = index_state(conn, index), time.monotonic() + CLEAR_MS / 1000
        while state is not None and state.built_by is not None:
            if time.monotonic() > until:
                return f"the server still builds index {index}; the next apply watches it to its end"
            time.sleep(0.02)
            state = index_state(conn, index)
        if state is None:
            return "nothing was left behind"
        if state.is_valid:
            return f"a valid index {index} is there; the next apply tells whether it is the one"
        # Who held up the build would hold up the drop as long; a failed drop leaves no more than was there.
        conn.execute(f"SET lock_timeout TO {CLEAR_MS}")
        try:
            clear_invalid(conn, index)
        finally:
            conn.execute("SET lock_timeout TO 0")
    except psycopg.Error as error:
        why = str(error).splitlines()[0]
        return f"an invalid index {index} may be left behind ({why}); the next apply clears it"
    return f"the invalid index {index} was dropped"
