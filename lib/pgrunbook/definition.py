"""Definitions of indexes: whether one that is there already is the one that a statement would build."""

from __future__ import annotations

import re
from dataclasses import dataclass

import postgast
import psycopg
from psycopg import sql

from pgrunbook import concurrent
from pgrunbook.naming import quote_name
from pgrunbook.session import Connection
from pgrunbook.statement import Statement

__all__ = ["Likeness", "likeness"]

# It looks at an empty copy of the table: only a lock that somebody holds on the table could make it wait.
LOCK_TIMEOUT_MS, TIMEOUT_MS = 200, 5_000
_NAME = r'(?:"(?:[^"]|"")+"|[^\s".]+)'
_HEAD = re.compile(rf"CREATE (UNIQUE )?INDEX {_NAME} ON (?:ONLY )?{_NAME}(?:\.{_NAME})? ")


@dataclass(frozen=True, slots=True)
class Likeness:
    """An index that is there, and what the statement would have made of it.

    `same` is None where the server could not be asked; `why` says so then.
    """

    index: str
    found: str
    expected: str
    same: bool | None
    is_valid: bool
    why: str = ""

    @property
    def details(self) -> list[str]:
        """Return both definitions, one a line."""
        return [f"found:    {self.found}", f"expected: {self.expected}"]


def likeness(conn: Connection, statement: Statement) -> Likeness | None:
    """Return how the index of a statement's name compares with the statement, None where there is none.

    The server decides: in a transaction that is rolled back it builds the index on an empty temporary copy of
    the table, and what it then says of both indexes is compared. Needs TEMPORARY on the database and SELECT on
    the table. The connection must be outside a transaction.
    """
    name = concurrent.index_name(statement)
    state = concurrent.index_state(conn, name) if name is not None else None
    if name is None or state is None:
        return None
    found = "unknown"
    try:
        with conn.transaction(force_rollback=True):
            # Reading a definition opens the table.
            conn.execute(
                f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {TIMEOUT_MS}"
            )
            [(found, at_once)] = _definitions(conn, "indexrelid", state.index)
            [(expected, checks_at_once)] = _of_copy(conn, statement)
    except (psycopg.Error, postgast.PgQueryError) as error:
        why = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        text = " ".join(statement.text.split())
        return Likeness(state.index, found, text, None, state.is_valid, why)
    head, wanted = _HEAD.match(found), _HEAD.match(expected)
    assert head is not None
    assert wanted is not None
    named = f"INDEX {quote_name(name.name)} ON {statement.tables[0]} "
    if state.as_asked:
        named = head[0].removeprefix("CREATE ").removeprefix("UNIQUE ")
    shown = f"CREATE {wanted[1] or ''}{named}{expected[wanted.end() :]}"
    same = state.as_asked and shown == found and at_once == checks_at_once
    return Likeness(state.index, found, shown, same, state.is_valid)


def _of_copy(conn: Connection, statement: Statement) -> list[tuple[str, bool]]:
    """Return the definition that the index has on an empty copy of its table."""
    where = conn.execute(
        "SELECT n.nspname::text AS schema, c.relname::text AS name"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = to_regclass(%s)",
        (statement.tables[0],),
    ).fetchone()
    assert where is not None
    # The same name, since an expression may say table.column.
    copy = sql.Identifier("pg_temp", where["name"])
    original = sql.Identifier(where["schema"], where["name"])
    tree = postgast.parse(statement.text)
    build = tree.stmts[0].stmt.index_stmt
    build.relation.schemaname, build.relation.relname = "pg_temp", where["name"]
    build.idxname = build.table_space = ""
    build.concurrent = build.if_not_exists = False
    conn.execute(sql.SQL("CREATE TABLE {} (LIKE {})").format(copy, original))
    conn.execute(postgast.deparse(tree).encode())
    return _definitions(conn, "indrelid", copy.as_string())


def _definitions(conn: Connection, column: str, relation: str) -> list[tuple[str, bool]]:
    """Return the definitions of the indexes of a table, or of one, and whether they check at once."""
    rows = conn.execute(
        sql.SQL(
            "SELECT pg_get_indexdef(indexrelid) AS definition, indimmediate AS at_once"
            " FROM pg_index WHERE {} = %s::regclass"
        ).format(sql.Identifier(column)),
        (relation,),
    ).fetchall()
    return [(row["definition"], row["at_once"]) for row in rows]
