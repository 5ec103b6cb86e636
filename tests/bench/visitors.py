"""Sessions that stay in a transaction for a while: what a change has to wait for."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import psycopg

__all__ = ["Visit", "Visitors"]


@dataclass(frozen=True, slots=True)
class Visit:
    """What one session does: opens a transaction, stays idle in it, is away, comes back; times in seconds."""

    sql: str
    stays_s: tuple[float, float]
    away_s: tuple[float, float] = (0.0, 0.0)
    first_after_s: float = 0.0
    again: bool = False

    @classmethod
    def once(cls, sql: str, seconds: float) -> Visit:
        """Return a visit that is not repeated."""
        return cls(sql, (seconds, seconds))


class Visitors:
    """One session for each visit, from `with` to its end."""

    def __init__(self, conninfo: str, visits: Sequence[Visit]) -> None:
        """Remember them; nobody is connected yet."""
        self._conninfo = conninfo
        self._ended = threading.Event()
        self._inside = [threading.Event() for _ in visits]
        self._threads = [
            threading.Thread(target=self._go, args=(visit, inside), daemon=True)
            for visit, inside in zip(visits, self._inside, strict=True)
        ]
        self.left: float | None = None

    def __enter__(self) -> Self:
        """Return once each has come in for the first time."""
        for thread in self._threads:
            thread.start()
        for inside in self._inside:
            if not inside.wait(30):
                raise RuntimeError("a session that should stay in a transaction could not begin it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Send all away."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def wait(self) -> None:
        """Wait for those who do not come back."""
        for thread in self._threads:
            thread.join()

    def _go(self, visit: Visit, inside: threading.Event) -> None:
        with psycopg.connect(self._conninfo, autocommit=True, application_name="visitor") as conn:
            self._ended.wait(visit.first_after_s)
            while True:
                conn.execute("BEGIN")
                conn.execute(visit.sql)
                inside.set()
                self._ended.wait(random.uniform(*visit.stays_s))
                conn.execute("COMMIT")
                self.left = time.time()
                if not visit.again or self._ended.wait(random.uniform(*visit.away_s)):
                    return
