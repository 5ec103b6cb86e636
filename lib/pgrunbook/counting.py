"""Rows counted on the server, of which only the first ones come here."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.string import TextLoader

from pgrunbook.session import Connection

__all__ = ["SAMPLE", "TOTAL", "Counted", "reading", "through_cursor", "with_total"]

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


@contextlib.contextmanager
def reading(conn: Connection, *, timeout_ms: int) -> Iterator[None]:
    """Open a read-only transaction under a statement timeout; nothing that is done in it stays."""
    with conn.transaction(force_rollback=True):
        conn.execute("SET TRANSACTION READ ONLY")
        # A policy that hid rows would make them look right: what cannot be seen is an error.
        conn.execute(f"SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL row_security = off")
        yield


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
