"""Rows counted on the server, of which only the first ones come here."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.string import TextLoader

from pgrunbook.session import Connection

__all__ = ["SAMPLE", "TOTAL", "Counted", "in_order", "through_cursor", "with_total"]

SAMPLE = 50
"""Rows that are brought here at most."""
TOTAL = "pgrunbook_total"
"""The column in which a query tells itself how many rows there are in all."""
# Python has no infinity and no year 10000 for these.
_AS_TEXT = ("date", "timestamp", "timestamptz", "interval")


@dataclass(frozen=True, slots=True)
class Counted:
    """The columns and first rows of a query, and how many rows it has."""

    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    total: int = 0


def through_cursor(conn: Connection, text: str, parameters: Mapping[str, object] | None = None) -> Counted:
    """Return the first rows of a query in the transaction that is open; the server counts and drops the rest."""
    with conn.cursor("pgrunbook_check") as cursor:
        for kind in _AS_TEXT:
            cursor.adapters.register_loader(kind, TextLoader)
        cursor.execute(text.rstrip().removesuffix(";"), parameters)
        rows = cursor.fetchmany(SAMPLE)
        columns = tuple(column.name for column in cursor.description or ())
        total = len(rows)
        if total == SAMPLE:
            moved = conn.execute('MOVE FORWARD ALL FROM "pgrunbook_check"')
            total += int((moved.statusmessage or "MOVE 0").split()[-1])
        return Counted(columns, tuple(rows), total)


def in_order(conn: Connection, text: str, columns: int) -> Counted:
    """Return the rows of a query, those brought here the first by its first columns; with 0 as they lie.

    Nothing is sorted but what comes here. Of more than SAMPLE rows the first are found by running the query once
    more: by reading as before, never by an index in that order, which could lead through the whole table.
    """
    found = through_cursor(conn, text)
    if columns and found.total > SAMPLE:
        order = ", ".join(str(place) for place in range(1, columns + 1))
        first = f"SELECT * FROM ({text} OFFSET 0) AS found ORDER BY {order} LIMIT {SAMPLE}"
        # That there are such rows is known, whether or not there is time for this.
        with contextlib.suppress(psycopg.errors.QueryCanceled), conn.transaction():
            return dataclasses.replace(found, rows=through_cursor(conn, first).rows)
    by = found.columns[:columns]
    # Values that Python cannot compare stay as they are.
    with contextlib.suppress(TypeError):
        return dataclasses.replace(
            found, rows=tuple(sorted(found.rows, key=lambda row: [row[c] for c in by]))
        )
    return found


def with_total(conn: Connection, text: str) -> Counted:
    """Return the rows of a query that limits itself and says in TOTAL how many there are.

    It may run in parallel, which a cursor never does (PostgreSQL manual, "When Can Parallel Query Be Used?").
    """
    with conn.cursor() as cursor:
        for kind in _AS_TEXT:
            cursor.adapters.register_loader(kind, TextLoader)
        cursor.execute(text.encode())
        rows = cursor.fetchall()
        columns = tuple(column.name for column in cursor.description or () if column.name != TOTAL)
    total = rows[0][TOTAL] if rows else 0
    return Counted(columns, tuple({name: row[name] for name in columns} for row in rows), total)
