"""How long a transaction holds rows: from its first row lock to its end, seen from a second session."""

from __future__ import annotations

import contextlib
import threading
import time
from types import TracebackType
from typing import Self

import psycopg

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Overheld", "RowHold"]

LOOK_S, AGAIN_S = 0.002, 0.02


class Overheld(Exception):
    """A transaction has held rows for longer than it may."""


class RowHold:
    """Measures from `with` to its end for how long others can have waited for rows, and cancels past a limit.

    A transaction has a number as soon as it locks its first row and not before, so that the time in which it
    only searches does not count (PostgreSQL manual, 67.1). Another session looks for that number once half of the
    limit is over; until then, and without another session, all of the time counts, so that the answer is never
    too short.
    """

    def __init__(self, work: Connection, look: Connection | None, limit_ms: float) -> None:
        """Take the connection that works, one that looks, and the limit in milliseconds."""
        self._work, self._look, self._limit_s = work, look, limit_ms / 1000
        self._pid = session.pid(work)
        self._began = self._ended = 0.0
        self._over = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="pgrunbook-rows", daemon=True)

    def __enter__(self) -> Self:
        """Begin to measure."""
        self._began = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; nothing is cancelled after that."""
        self._ended = time.perf_counter()
        self._end.set()
        self._thread.join()

    @property
    def over(self) -> bool:
        """Return whether the limit was passed."""
        return self._over

    @property
    def ms(self) -> float:
        """Return for how long rows can have been held at most, in milliseconds."""
        return (self._ended - self._began) * 1000

    def check(self) -> None:
        """Raise Overheld when the limit is passed: a request to cancel may have come between two statements."""
        if self._over:
            raise Overheld

    def _watch(self) -> None:
        if self._look is not None and not self._end.wait(self._limit_s / 2):
            self._find_beginning(self._look)
        wait_s = max(0.0, self._began + self._limit_s - time.perf_counter())
        while not self._end.wait(wait_s):
            self._over, wait_s = True, AGAIN_S
            with contextlib.suppress(psycopg.Error):
                self._work.cancel_safe(timeout=5)

    def _find_beginning(self, look: Connection) -> None:
        with contextlib.suppress(psycopg.Error):
            while True:
                asked = time.perf_counter()
                # The view would look at every session.
                row = look.execute(
                    "SELECT backend_xid IS NULL AS free FROM pg_stat_get_activity(%s)", (self._pid,)
                ).fetchone()
                if row is None or not row["free"]:
                    return
                self._began = asked
                if self._end.wait(LOOK_S):
                    return
