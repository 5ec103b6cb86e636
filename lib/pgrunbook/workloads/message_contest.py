"""Ways to number messages, at it side by side: what each loses, repeats and has to send again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from uuid import UUID

import psycopg
from psycopg import sql

from pgrunbook.errors import MessageNotSent
from pgrunbook.workloads import crowd
from pgrunbook.workloads.messages import Conn, Draft, Home, Sent, insert, send

__all__ = ["ATTEMPTS", "Tally", "Way", "contest", "send_by_counter", "send_by_maximum", "send_with_retry"]

ATTEMPTS = 1_000

_BY_COUNTER = sql.SQL(
    "WITH given (id, home, author_id, parent_id, content) AS ("
    "VALUES (%s::uuid, %s::uuid, %s::uuid, %s::uuid, %s)), number AS ("
    "INSERT INTO message_counters AS c (home_id, counted) SELECT home, 1 FROM given"
    " ON CONFLICT (home_id) DO UPDATE SET counted = c.counted + 1 RETURNING c.home_id, c.counted)"
    " INSERT INTO messages (id, {home}, author_id, parent_id, content, sequence)"
    " SELECT given.id, home, author_id, parent_id, content, number.counted + coalesce("
    "(SELECT start FROM message_starts AS s WHERE s.home_id = number.home_id), 0) FROM given CROSS JOIN number"
    " RETURNING id, sequence"
)
_BY_MAXIMUM = sql.SQL(
    "WITH given (id, home, author_id, parent_id, content) AS ("
    "VALUES (%s::uuid, %s::uuid, %s::uuid, %s::uuid, %s))"
    " INSERT INTO messages (id, {home}, author_id, parent_id, content, sequence)"
    " SELECT given.id, home, author_id, parent_id, content,"
    " (SELECT coalesce(max(m.sequence), 0) + 1 FROM messages AS m WHERE m.{home} = given.home) FROM given"
    " RETURNING id, sequence"
)


def send_by_counter(conn: Conn, draft: Draft) -> Sent:
    """Send a message numbered by the counter's row in the statement itself, for a table without the guard."""
    return insert(conn, _BY_COUNTER, draft)


def send_by_maximum(conn: Conn, draft: Draft) -> Sent:
    """Send a message with the highest number plus one, once, as the specification's senders do."""
    return insert(conn, _BY_MAXIMUM, draft)


def send_with_retry(conn: Conn, draft: Draft, *, attempts: int = ATTEMPTS) -> Sent:
    """Send a message with the highest number plus one, again and again while somebody else takes that number.

    For a unique index without the guard. Raises MessageNotSent when every attempt met another sender.
    """
    for number in range(1, attempts + 1):
        try:
            sent = send_by_maximum(conn, draft)
        except MessageNotSent as error:
            if not _is_taken(error):
                raise
            last = error
        else:
            return Sent(sent.id, sent.sequence, number)
    raise MessageNotSent(reason=last.reason, attempts=attempts, next_step=last.next_step) from last


class Way(Enum):
    """How a sender comes by a number."""

    GUARD = "guard"
    COUNTER = "counter in the statement"
    RETRY = "unique, retry"
    PLAN = "the specification's plan"

    @property
    def send(self) -> Callable[[Conn, Draft], Sent]:
        """Return the function that sends this way."""
        return {
            Way.GUARD: send,
            Way.COUNTER: send_by_counter,
            Way.RETRY: send_with_retry,
            Way.PLAN: send_by_maximum,
        }[self]


@dataclass(frozen=True, slots=True)
class Tally:
    """How senders did; `repeated` counts messages beyond the first with a number, time is in seconds."""

    way: Way
    writers: int
    asked: int
    sent: int
    lost: int
    retries: int
    repeated: int
    seconds: float
    worst_ms: float

    @property
    def rate(self) -> float:
        """Return messages a second."""
        return self.sent / self.seconds if self.seconds else 0.0


def contest(
    conninfo: str, way: Way, homes: Sequence[Home], *, author: UUID, writers: int, each: int
) -> Tally:
    """Return how `writers` did who each sent `each` messages to the homes by turns, all at once.

    A sender that is refused goes on to its next message, and that one counts as lost.
    """
    sent: list[Sent] = []
    lost: list[str] = []
    worst = [0.0] * writers

    def work(number: int, ready: Callable[[], object]) -> None:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute("SELECT 1")
            ready()
            for turn in range(each):
                draft = Draft(homes[turn % len(homes)], author, f"message {turn} of writer {number}")
                began = time.perf_counter()
                try:
                    sent.append(way.send(conn, draft))
                except MessageNotSent as error:
                    if not _is_taken(error):
                        raise
                    lost.append(error.reason)
                worst[number] = max(worst[number], (time.perf_counter() - began) * 1000)

    seconds = crowd.together(writers, work)
    return Tally(
        way=way,
        writers=writers,
        asked=writers * each,
        sent=len(sent),
        lost=len(lost),
        retries=sum(one.attempts - 1 for one in sent),
        repeated=_repeated(conninfo, homes),
        seconds=seconds,
        worst_ms=max(worst),
    )


def _repeated(conninfo: str, homes: Sequence[Home]) -> int:
    total = 0
    with psycopg.connect(conninfo, autocommit=True) as conn:
        for home in homes:
            query = sql.SQL("SELECT count(*) - count(DISTINCT sequence) FROM messages WHERE {} = %s")
            found = conn.execute(query.format(home.column), (home.id,)).fetchone()
            total += found[0] if found else 0
    return total


def _is_taken(error: MessageNotSent) -> bool:
    """Return whether the server refused a number that another message has, and nothing else."""
    cause = error.__cause__
    return isinstance(cause, psycopg.errors.UniqueViolation) and "_seq_" in (cause.diag.constraint_name or "")
