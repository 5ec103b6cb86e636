"""The groups of a key in SQL: which rows are duplicates, read as of one moment."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg

from pgrunbook.errors import BadKey
from pgrunbook.naming import quote_name
from pgrunbook.relation import Relation
from pgrunbook.session import Connection
from pgrunbook.uniquekey import UniqueKey

__all__ = ["asked", "by", "grouped", "of_group", "reading"]

LOCK_TIMEOUT_MS = 200


@contextlib.contextmanager
def reading(conn: Connection) -> Iterator[None]:
    """Read as of one moment, for as long as it takes; a lock on the table is not waited for."""
    with conn.transaction(force_rollback=True):
        conn.execute(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY;"
            f" SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = 0;"
            " SET LOCAL row_security = off"
        )
        yield


def asked(conn: Connection, key: UniqueKey, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query about a key; raises BadKey where the server does not know what it names."""
    try:
        return conn.execute(query.encode()).fetchall()
    except (psycopg.ProgrammingError, psycopg.errors.LockNotAvailable) as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise BadKey(
            found=f"{key}: {reason}", next_step="write it as CREATE UNIQUE INDEX would have it"
        ) from None


def grouped(key: UniqueKey, more: str = "") -> str:
    """Return the WITH query `grouped`: part_1, ..., how many `members`."""
    parts, terms = key.of("t"), key.counts("t")
    named = ", ".join(f"{part} AS part_{place}" for place, part in enumerate(parts, 1))
    where = f"    WHERE {' AND '.join(terms)}\n" if terms else ""
    whole = f", ROW({', '.join(parts)}) AS whole" if key.nulls_not_distinct else ""
    return (
        f"WITH grouped AS MATERIALIZED (\n    SELECT {named}{whole}, count(*) AS members{more}\n"
        f"    FROM {key.table} AS t\n{where}    GROUP BY {', '.join(parts)}\n    HAVING count(*) > 1\n)"
    )


def of_group(key: UniqueKey, group: str) -> str:
    """Return the condition that a row of `t` is of a group."""
    parts = key.of("t")
    if key.nulls_not_distinct:
        # As one value NULLs are equal, and can be hashed or sorted (PostgreSQL manual, 9.25.6).
        equal = [f"{group}.whole = ROW({', '.join(parts)})::record"]
    else:
        equal = [f"{part} = {group}.part_{place}" for place, part in enumerate(parts, 1)]
    return " AND ".join([*equal, *key.counts("t")])


def by(table: Relation, order: Sequence[str]) -> str:
    """Return the order of the rows of a group, the same each time where the table has a primary key."""
    names = dict.fromkeys([*order, *table.primary_key])
    return ", ".join([*(f"t.{quote_name(name)}" for name in names), "t.tableoid", "t.ctid"])
