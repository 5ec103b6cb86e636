"""The groups of a key in SQL: which rows are duplicates, read as of one moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from pgrunbook import relation, session
from pgrunbook.errors import BadKey
from pgrunbook.naming import quote_name
from pgrunbook.relation import Relation
from pgrunbook.session import Connection
from pgrunbook.uniquekey import UniqueKey

__all__ = ["asked", "by", "grouped", "of", "of_group", "reading", "require_order"]

LOCK_TIMEOUT_MS = 200


def reading(conn: Connection) -> AbstractContextManager[None]:
    """Read as of one moment, for as long as it takes; a lock on the table is not waited for."""
    return session.reading(conn, timeout_ms=0, lock_timeout_ms=LOCK_TIMEOUT_MS, one_moment=True)


def asked(conn: Connection, key: UniqueKey, query: str) -> list[dict[str, Any]]:
    """Return the rows of a query about a key; raises BadKey for what the server refuses."""
    with relation.refusing(key):
        return conn.execute(query.encode()).fetchall()


def of(key: UniqueKey, table: Relation) -> UniqueKey:
    """Return the key with its table as our queries have to spell it; no index spans the tables that inherit."""
    return dataclasses.replace(key, table=f"ONLY {table.name}" if table.has_heirs else table.name)


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


def require_order(table: Relation, order: Sequence[str]) -> None:
    """Raise BadKey where the table has not the columns to order by."""
    if missing := [name for name in order if name not in table.columns]:
        raise BadKey(
            found=f"{table.name} has no column {missing[0]} to order by",
            next_step=f"choose of {', '.join(table.columns)}",
        )


def by(table: Relation, order: Sequence[str]) -> str:
    """Return the order of the rows of a group, the same each time where the table has a primary key."""
    names = dict.fromkeys([*order, *table.primary_key])
    return ", ".join([*(f"t.{quote_name(name)}" for name in names), "t.tableoid", "t.ctid"])
