"""Poolers between us and the server: a session of our own is what every promise here stands on."""

from __future__ import annotations

import psycopg

from pgrunbook import session
from pgrunbook.errors import TransactionPooler
from pgrunbook.session import Connection

__all__ = ["between", "refuse", "shared"]

ROUNDS = 4


def between(conn: Connection) -> bool:
    """Return whether it shows at once that a pooler is in between: it made up the pid of the protocol."""
    return session.pid(conn) != conn.info.backend_pid


def refuse(one: Connection, other: Connection, *, where: str) -> None:
    """Raise TransactionPooler when two sessions share one session of the server.

    A runner lock, SET, a held lock and a cancel belong to the server's session: behind a pooler that gives it
    to whoever begins the next transaction, they would be somebody else's. A pool of sessions is fine. Both
    connections must be outside a transaction.
    """
    if reason := shared(one, other):
        raise TransactionPooler(where=where, reason=reason)


def shared(one: Connection, other: Connection) -> str:
    """Return how it shows that the server's session changes under ours, or nothing.

    A pool gives the session that became idle last, or the one that has been idle longest, to the next
    transaction: in the first case `other` gets that of `one`, in the second `one` gets another than before.
    """
    for _ in range(ROUNDS):
        before = _serving(one)
        try:
            other.execute("BEGIN")
        except psycopg.Error as error:
            return f"BEGIN was refused: {next(iter(str(error).splitlines()), '')}"
        try:
            taken = _serving(other)
            # Before `one` asks again: a pool that has nothing else to give would let it wait.
            if taken == before:
                return f"the server's session {taken} served two of our connections in turn"
            after = _serving(one)
        finally:
            other.execute("ROLLBACK")
        if after != before:
            return f"one connection was served by the server's sessions {before} and {after} in turn"
    return ""


def _serving(conn: Connection) -> int:
    # Not session.pid(): that one remembers. Never prepared: the next transaction may be another session's.
    row = conn.execute("SELECT pg_backend_pid() AS pid", prepare=False).fetchone()
    assert row is not None
    return int(row["pid"])
