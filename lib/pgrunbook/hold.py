"""Limits of time: what runs on a connection past its limit is cancelled, by the hold budget or the window."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Self

import psycopg

from pgrunbook.session import Connection

__all__ = ["Hold"]

AGAIN_S = 0.1


class Hold:
    """Cancels whatever runs on a connection once the budget is used up, from `with` to `ended`.

    It asks again until the end: a request that comes between two statements stops neither. The server's own
    statement_timeout counts each statement of a file anew (PostgreSQL manual, 19.11.1), so it cannot limit
    the sum; it stays set for the case that this process cannot ask any more.
    """

    def __init__(self, work: Connection, budget_ms: float | None) -> None:
        """Take the connection and the budget in milliseconds; None: there is no limit."""
        self._work = work
        self._budget_ms = budget_ms
        self._over = False
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._count, name="pgrunbook-hold", daemon=True)

    def __enter__(self) -> Self:
        """Begin to count."""
        if self._budget_ms is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop counting."""
        self.ended()

    @property
    def over(self) -> bool:
        """Return whether the budget is used up."""
        return self._over

    def ended(self) -> bool:
        """Stop counting and return whether the budget was used up; nothing is cancelled after that."""
        self._end.set()
        if self._budget_ms is not None:
            self._thread.join()
        return self._over

    def _count(self) -> None:
        wait_s = max(0.0, self._budget_ms or 0) / 1000
        while not self._end.wait(wait_s):
            self._over, wait_s = True, AGAIN_S
            with contextlib.suppress(psycopg.Error):
                self._work.cancel_safe(timeout=5)
