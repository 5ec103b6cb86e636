"""Live traffic for rehearsals: the change's sample sessions, repeated until told to stop."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from pgrunbook.errors import RunbookError
from pgrunbook.session import Connection

__all__ = ["Traffic"]

PAUSE_S = 0.01
FIRST_ROUND_S = 10
LAST_ROUND_S = 1


class Traffic:
    """Runs each file in a session of its own, again and again, from `with` to its end.

    A session that fails stops; the first line of its error is kept.
    """

    def __init__(self, files: Sequence[Path], connect: Callable[[], Connection]) -> None:
        """Remember what to run; nothing is connected yet."""
        self._scripts = [file.read_bytes() for file in files]
        self._connect = connect
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._connections: list[Connection] = []
        self._counting = threading.Lock()
        self.rounds = 0
        self.errors: list[str] = []

    def __enter__(self) -> Self:
        """Start all sessions and return once each has run its statements once."""
        started = [threading.Event() for _ in self._scripts]
        for script, event in zip(self._scripts, started, strict=True):
            thread = threading.Thread(
                target=self._repeat, args=(script, event), name="pgrunbook-traffic", daemon=True
            )
            self._threads.append(thread)
            thread.start()
        for event in started:
            event.wait(FIRST_ROUND_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop all sessions; one that still waits for a lock is cancelled."""
        self._ended.set()
        for thread in self._threads:
            thread.join(LAST_ROUND_S)
        for conn in self._connections:
            # It may end at this very moment.
            with contextlib.suppress(psycopg.Error):
                conn.cancel_safe(timeout=5)
        for thread in self._threads:
            thread.join()

    def _repeat(self, script: bytes, started: threading.Event) -> None:
        try:
            with self._connect() as conn:
                self._connections.append(conn)
                while not self._ended.is_set():
                    conn.execute(script)
                    with self._counting:
                        self.rounds += 1
                    started.set()
                    self._ended.wait(PAUSE_S)
        except (psycopg.Error, RunbookError) as error:
            if not (self._ended.is_set() and isinstance(error, psycopg.errors.QueryCanceled)):
                self.errors.append(str(error).splitlines()[0])
        finally:
            started.set()
