"""The hold budget: how long locks that stop others may be kept, whatever the statements do."""

from __future__ import annotations

import contextlib
import threading
from types import TracebackType
from typing import Self

import psycopg

from pgrunbook.session import Connection

__all__ = ["Hold"]


class Hold:
    """Cancels whatever runs on a connection once the budget is used up, from `with` to `ended`.

    The server's own statement_timeout counts each statement of a file anew (PostgreSQL manual, 19.11.1), so
    it cannot limit the sum; it stays set for the case that this process cannot ask any more.
    """

    def __init__(self, work: Connection, budget_ms: int | None) -> None:
        """Take the connection and the budget in milliseconds; None: nobody waits for these locks."""
        self._work = work
        self._over = False
        self._timer = threading.Timer((budget_ms or 0) / 1000, self._cancel)
        self._timer.daemon = True
        self._counts = budget_ms is not None

    def __enter__(self) -> Self:
        """Begin to count."""
        if self._counts:
            self._timer.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop counting."""
        self.ended()

    def ended(self) -> bool:
        """Stop counting and return whether the budget was used up; nothing is cancelled after that."""
        if self._counts:
            self._timer.cancel()
            self._timer.join()
        return self._over

    def _cancel(self) -> None:
        self._over = True
        with contextlib.suppress(psycopg.Error):
            self._work.cancel_safe(timeout=5)
