"""A link: one connection of a worker, which comes back when it is lost."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

__all__ = ["BackOff", "Link"]

STATEMENT_S: Final = 30.0
# The kernel finds out within half a minute that the other side is gone, and not after hours.
_WATCHFUL: Final = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}
# Whatever the role or the database may have set: a statement sees what was committed before it, and a
# session that listens is idle for hours.
_SETTINGS: Final = (
    "SET default_transaction_isolation TO 'read committed';"
    " SET idle_session_timeout TO 0; SET statement_timeout TO 0"
)
# What the session before this one was still about has to be over before anybody asks what came of it.
_SUCCEED: Final = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE application_name = current_setting('application_name') AND pid <> pg_backend_pid()"
    " AND datname = current_database() AND usename = current_user"
)

logger = logging.getLogger("pgrunbook.jobs")


@dataclass(slots=True)
class BackOff:
    """How long to wait before the next try: twice as long each time, within a part at random.

    >>> wait = BackOff(chance=lambda: 1.0)
    >>> [wait.next() for _ in range(9)], wait.heard(), wait.next()
    ([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0], None, 0.1)
    """

    first_s: float = 0.1
    longest_s: float = 10.0
    chance: Callable[[], float] = random.random
    _tries: int = 0

    def next(self) -> float:
        """Return the seconds to wait now: all workers lost the same server at the same moment."""
        longest = min(self.longest_s, self.first_s * 2.0 ** min(self._tries, 30))
        self._tries += 1
        return longest * (0.5 + 0.5 * self.chance())

    def heard(self) -> None:
        """Begin again with the shortest wait."""
        self._tries = 0


@dataclass(slots=True)
class Link:
    """A named autocommit connection; whoever asks while it is away makes it anew or hears that it cannot be had."""

    conninfo: str
    name: str
    _conn: psycopg.AsyncConnection[Any] | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def ask(
        self, statement: str, values: Sequence[object] = (), *, timeout: float = STATEMENT_S
    ) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows; raises psycopg.Error, and closes a connection that failed."""
        async with self._turn:
            conn = None
            try:
                async with asyncio.timeout(timeout):
                    conn = await self._connected()
                    cursor = await conn.execute(statement.encode(), tuple(values) or None)
                    return await cursor.fetchall() if cursor.description else []
            except TimeoutError:
                await self._close()
                raise psycopg.OperationalError(f"no answer within {timeout:g} s") from None
            except BaseException:
                if conn is not None and conn.closed:
                    self._conn = None
                raise

    async def listen(self, channel: str, heard: Callable[[], object]) -> None:
        """Call `heard` whenever the channel is notified, for as long as the connection lasts; raises psycopg.Error.

        Once at the beginning too: what was said before that was not heard.
        """
        async with self._turn:
            conn = await self._connected()
            await conn.execute(f"LISTEN {channel}".encode())
            heard()
            try:
                async for _ in conn.notifies():
                    heard()
            finally:
                await self._close()

    async def close(self) -> None:
        """Close it; the next question would make it anew."""
        async with self._turn:
            await self._close()

    async def _connected(self) -> psycopg.AsyncConnection[Any]:
        if self._conn is None:
            conn = await psycopg.AsyncConnection.connect(
                make_conninfo(self.conninfo, **_WATCHFUL | conninfo_to_dict(self.conninfo)),
                autocommit=True,
                application_name=self.name,
            )
            try:
                await conn.execute(_SETTINGS.encode())
                await conn.execute(_SUCCEED.encode())
            except BaseException:
                await conn.close()
                raise
            self._conn = conn
            logger.debug("%s: connected as pid %s", self.name, conn.info.backend_pid)
        return self._conn

    async def _close(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with contextlib.suppress(psycopg.Error):
                await conn.close()
