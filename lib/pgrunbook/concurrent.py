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

__all__ = [
    "IndexName",
    "IndexState",
    "clear_invalid",
    "drop",
    "index_name",
    "index_state",
    "leftovers",
    "subject",
    "wait_for_build",
    "what_is_left",
]

CLEAR_MS = 1_000


@dataclass(frozen=True, slots=True)
class IndexName:
    """An index: the bare name that it has in the schema of its table, or without a table as SQL spells it."""

    name: str
    table: str | None = None

    def __str__(self) -> str:
        """Return the name as SQL spells it, with the schema that the text gives to the table."""
        if self.table is None:
            return self.name
        return ".".join(quoted(part) for part in (*split_name(self.table)[:-1], self.name))


@dataclass(frozen=True, slots=True)
class IndexState:
    """An index in the catalog; `built_by` is the pid of the session that builds it now, or may well do so.

    `as_asked` is False where it belongs to another table than the one that was asked for.
    """

    index: str
    on_table: str
    as_asked: bool
    is_valid: bool
    built_by: int | None


def index_name(statement: Statement) -> IndexName | None:
    """Return the name under which the catalog will know the index that this statement builds.

    An index lives in the schema of its table (PostgreSQL manual, CREATE INDEX, `name`).
    """
    if statement.verb != "CREATE INDEX" or statement.index is None:
        return None
    return IndexName(statement.index, statement.tables[0])


def subject(statement: Statement) -> IndexName | None:
    """Return the one index that a statement builds, drops or rebuilds; the latter two look along search_path."""
    if statement.verb in ("DROP INDEX", "REINDEX") and statement.index is not None:
        return IndexName(statement.index)
    return index_name(statement)


def index_state(conn: Connection, index: IndexName) -> IndexState | None:
    """Return the state of an index, or None when there is none of this name."""
    found = session.rows(conn, "index_state", {"index": index.name, "table": index.table})
    return IndexState(**found[0]) if found else None


def leftovers(conn: Connection, statement: Statement) -> list[IndexState]:
    """Return the invalid twins that an interrupted REINDEX CONCURRENTLY left (PostgreSQL manual, REINDEX)."""
    if statement.verb != "REINDEX" or not statement.concurrently:
        return []
    asked = {"index": statement.index, "table": next(iter(statement.tables), None)}
    return [IndexState(**row) for row in session.rows(conn, "reindex_leftovers", asked)]


def wait_for_build(
    conn: Connection, index: IndexName, *, checkpoint: Callable[[], None]
) -> IndexState | None:
    """Return the state of an index once no session builds it any more.

    A client that was killed does not stop its build: the server goes on and may well finish.
    """
    while (state := index_state(conn, index)) is not None and state.built_by is not None:
        checkpoint()
        time.sleep(0.05)
    return state


def clear_invalid(
    conn: Connection, index: IndexName, *, checkpoint: Callable[[], None] = lambda: None
) -> bool:
    """Drop an invalid index of this name and table concurrently; return whether there was one.

    Waits for a build that still runs before it judges. Never drops a valid index, nor one of another table.
    """
    state = wait_for_build(conn, index, checkpoint=checkpoint)
    if state is None or state.is_valid or not state.as_asked:
        return False
    drop(conn, state)
    return True


def drop(conn: Connection, state: IndexState) -> None:
    """Drop an index concurrently."""
    name = sql.Identifier(*split_name(state.index))
    conn.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))


def what_is_left(conn: Connection, statement: Statement) -> str:
    """Drop what a statement that failed left invalid, and return what is left; never waits long for it."""
    try:
        if statement.verb == "DROP INDEX" and statement.concurrently:
            return _left_of_drop(conn, IndexName(statement.index or ""))
        return _left_of_build(conn, statement)
    except psycopg.Error as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        return f"what is left could not be looked at ({why}); the next apply does"


def _left_of_build(conn: Connection, statement: Statement) -> str:
    index, until = index_name(statement), time.monotonic() + CLEAR_MS / 1000
    while True:
        states = leftovers(conn, statement)
        if index is not None and (state := index_state(conn, index)) is not None and state.as_asked:
            states = [state]
        # The server calls it s.i or "I", the message names it as all others do.
        shown = str(index) if index is not None else ", ".join(one.index for one in states)
        if not any(one.built_by is not None for one in states):
            break
        if time.monotonic() > until:
            return f"the server still builds index {shown}; the next apply watches it to its end"
        time.sleep(0.02)
    if not states:
        return "nothing was left behind"
    if states[0].is_valid:
        return f"a valid index {shown} is there; the next apply tells whether it is the one"
    # Who held up the build would hold up the drop as long; a failed drop leaves no more than was there.
    conn.execute(f"SET lock_timeout TO {CLEAR_MS}")
    try:
        for one in states:
            drop(conn, one)
    except psycopg.Error as error:
        why = next(iter(str(error).splitlines()), type(error).__name__)
        return f"an invalid index {shown} may be left behind ({why}); the next apply clears it"
    finally:
        if not conn.closed:
            conn.execute("SET lock_timeout TO 0")
    return f"the invalid index {shown} was dropped"


def _left_of_drop(conn: Connection, index: IndexName) -> str:
    state = index_state(conn, index)
    if state is None:
        return f"index {index} is gone"
    if state.is_valid:
        return f"index {index} is there as it was"
    return f"index {index} is there, but invalid: no query uses it; the next apply finishes the drop"
