"""Messages: sending them, reading them in order, and how many a user has not read."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pgrunbook.errors import BadMessage, MessageNotSent

__all__ = [
    "CONTENT_LENGTH",
    "PAGE",
    "Draft",
    "Home",
    "HomeKind",
    "Message",
    "Sent",
    "mark_read",
    "page",
    "send",
    "unread",
]

CONTENT_LENGTH = 4_000
PAGE = 50

Conn = psycopg.Connection[Any]


class HomeKind(Enum):
    """What a message can be in; the value is its column."""

    CHANNEL = "channel_id"
    CONVERSATION = "conversation_id"


@dataclass(frozen=True, slots=True)
class Home:
    """The channel or the conversation that a message is in."""

    kind: HomeKind
    id: UUID

    def __post_init__(self) -> None:
        """Refuse what is no id."""
        _uuid(self.kind.value, self.id)

    @property
    def column(self) -> sql.Identifier:
        """Return the column that holds it."""
        return sql.Identifier(self.kind.value)


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be sent; raises BadMessage where the server would have to refuse it."""

    home: Home
    author_id: UUID
    content: str
    parent_id: UUID | None = None
    id: UUID = field(default_factory=uuid4)

    def __post_init__(self) -> None:
        """Look at every field before any SQL."""
        _uuid("author_id", self.author_id)
        _uuid("id", self.id)
        if self.parent_id is not None:
            _uuid("parent_id", self.parent_id)
        if type(self.content) is not str or not self.content.strip():
            raise BadMessage(field="content", found="it is empty", next_step="write something")
        if len(self.content) > CONTENT_LENGTH:
            found = f"it has {len(self.content):,} characters"
            raise BadMessage(
                field="content", found=found, next_step=f"send at most {CONTENT_LENGTH:,} at a time"
            )
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in self.content):
            raise BadMessage(
                field="content", found="it holds a character that no text has", next_step="leave it out"
            )


@dataclass(frozen=True, slots=True)
class Sent:
    """A message that the server has taken: its place, and how often it was sent for that."""

    id: UUID
    sequence: int
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it is read."""

    id: UUID
    author_id: UUID
    sequence: int
    content: str
    created_at: datetime


_SEND = sql.SQL(
    "INSERT INTO messages (id, {home}, author_id, parent_id, content) VALUES (%s, %s, %s, %s, %s)"
    " RETURNING id, sequence"
)


def send(conn: Conn, draft: Draft) -> Sent:
    """Send a message and return the place that the database gave it.

    One INSERT that leaves the number out: the guard takes it from the row that counts the home. That row stays
    locked until the transaction ends, so in a transaction of the caller send last and end it soon.
    Raises MessageNotSent with the server's reason.
    """
    return insert(conn, _SEND, draft)


def insert(conn: Conn, statement: sql.SQL, draft: Draft) -> Sent:
    """Run an INSERT of one message; raises MessageNotSent with the server's reason."""
    values = (draft.id, draft.home.id, draft.author_id, draft.parent_id, draft.content)
    try:
        with conn.cursor(row_factory=tuple_row) as cursor:
            found = cursor.execute(statement.format(home=draft.home.column), values).fetchone()
    except psycopg.Error as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise MessageNotSent(reason=reason, attempts=1, next_step=_way_out(error)) from error
    assert found is not None
    return Sent(found[0], found[1])


def page(conn: Conn, home: Home, *, before: int | None = None, limit: int = PAGE) -> list[Message]:
    """Return the latest messages of a home in order, at most `limit`, those before a place where one is given."""
    if not 1 <= limit <= 1_000:
        raise BadMessage(field="limit", found=f"{limit} messages", next_step="ask for 1 to 1,000")
    query = sql.SQL(
        "SELECT id, author_id, sequence, content, created_at FROM messages"
        " WHERE {home} = %s AND (%s::int IS NULL OR sequence < %s) ORDER BY sequence DESC LIMIT %s"
    ).format(home=home.column)
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(query, (home.id, before, before, limit)).fetchall()
    return [Message(*row) for row in reversed(found)]


def unread(conn: Conn, user_id: UUID, home: Home) -> int:
    """Return how many messages of a home a user has not read."""
    _uuid("user_id", user_id)
    query = sql.SQL(
        "SELECT count(*) FROM messages WHERE {home} = %s AND sequence > coalesce("
        "(SELECT last_read_sequence FROM read_cursors WHERE {home} = %s AND user_id = %s), 0)"
    ).format(home=home.column)
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(query, (home.id, home.id, user_id)).fetchone()
    assert found is not None
    return int(found[0])


def mark_read(conn: Conn, user_id: UUID, home: Home, sequence: int) -> None:
    """Note that a user has read a home up to a place; never backwards, so that a late word does no harm."""
    _uuid("user_id", user_id)
    if type(sequence) is not int or not 0 <= sequence < 2**31:
        raise BadMessage(
            field="sequence",
            found=f"{sequence!r} is no place of a message",
            next_step="give the one you read",
        )
    statement = sql.SQL(
        "INSERT INTO read_cursors AS c (user_id, {home}, last_read_sequence) VALUES (%s, %s, %s)"
        " ON CONFLICT ({home}, user_id) DO UPDATE SET updated_at = now(),"
        " last_read_sequence = greatest(c.last_read_sequence, excluded.last_read_sequence)"
    ).format(home=home.column)
    conn.execute(statement, (user_id, home.id, sequence))


def _uuid(name: str, value: object) -> None:
    if not isinstance(value, UUID):
        raise BadMessage(field=name, found=f"{value!r} is no UUID", next_step="give a uuid.UUID")


def _way_out(error: psycopg.Error) -> str:
    match error.sqlstate:
        case "23505":
            return "somebody took that number or that id first; send it again"
        case "23503":
            return "look whether the channel, the conversation and the parent are still there"
        case "40001" | "40P01" | "55P03":
            return "send it again"
    return "mend what the server says; the message is not in the table"
