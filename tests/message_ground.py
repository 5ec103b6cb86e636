"""Databases with messages for tests: the change's samples, steps by psql's own bytes, facts to compare."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo

from pgrunbook import change
from pgrunbook import server as embedded
from pgrunbook.change import Change
from pgrunbook.workloads.messages import Home, HomeKind

ROOT = Path(__file__).parents[1] / "sql" / "changes"
NAME = "030_message_sequence"
AUTHOR = UUID(int=7)

# Unread messages of every cursor, and all messages in the order in which they are read.
UNREAD = """
SELECT user_id::text, coalesce(c.channel_id, c.conversation_id)::text AS home, (
    SELECT count(*) FROM messages AS m
    WHERE m.channel_id = c.channel_id AND m.sequence > c.last_read_sequence
) + (
    SELECT count(*) FROM messages AS m
    WHERE m.conversation_id = c.conversation_id AND m.sequence > c.last_read_sequence
) AS unread
FROM read_cursors AS c ORDER BY 2, 1
"""
LISTING = """
SELECT coalesce(channel_id, conversation_id)::text AS home, id::text, content
FROM messages WHERE num_nonnulls(channel_id, conversation_id) = 1
ORDER BY 1, sequence, created_at, id
"""


def loaded() -> Change:
    """Return the change."""
    return change.load(NAME, root=ROOT)


@contextlib.contextmanager
def database(server: embedded.Server, *, messages: int = 2_000, planted: Sequence[str] = ()) -> Iterator[str]:
    """Give a database with the change's sample, and drop it."""
    name = f"messages_{uuid.uuid4().hex[:12]}"
    conninfo = embedded.create_database(server, name)
    chosen = loaded()
    assert chosen.go_sample is not None
    options = make_conninfo(conninfo, options=f"-c sample.messages={messages}")
    try:
        with psycopg.connect(options, autocommit=True) as conn:
            for file in [chosen.go_sample, *(chosen.no_go_samples[one] for one in planted)]:
                conn.execute(file.read_bytes())
        yield conninfo
    finally:
        embedded.drop_database(server, name)


def apply(conn: psycopg.Connection[Any], *numbers: str) -> None:
    """Run steps, byte for byte."""
    chosen = loaded()
    for number in numbers:
        conn.execute(chosen.step(number).migrate.text.encode())


def homes(conn: psycopg.Connection[Any], kind: HomeKind, *, limit: int = 3) -> list[Home]:
    """Return the largest homes of a kind."""
    column = kind.value
    found = conn.execute(
        f"SELECT {column} FROM messages WHERE {column} IS NOT NULL"
        f" GROUP BY {column} ORDER BY count(*) DESC, {column} LIMIT {limit}".encode()
    ).fetchall()
    return [Home(kind, next(iter(row.values())) if isinstance(row, dict) else row[0]) for row in found]


def listing(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Return every message in the order in which its home shows it."""
    return _tuples(conn, LISTING)


def unread(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    """Return how many messages each user has not read, everywhere."""
    return _tuples(conn, UNREAD)


def _tuples(conn: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        return cursor.execute(query.encode()).fetchall()
