"""Siblings that watch a step from a second connection."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from pgrunbook import session
from pgrunbook.observers.locks import Locks, Wait, worst_stall_ms
from pgrunbook.observers.progress import BuildSample, Progress
from pgrunbook.observers.size import Size, SizeChange
from pgrunbook.session import SILENT_S, Connection

__all__ = ["Observation", "Observer", "Watch"]

INTERVAL_S, LONGEST_S = 0.1, 1.0


class Observer(Protocol):
    """What every observer does; a new one is a file here and an entry in `Watch`."""

    def before(self, conn: Connection) -> None:
        """Look once before the step."""

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Look while the step runs."""

    def after(self, conn: Connection) -> None:
        """Look once after the step."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What all observers saw of one step."""

    samples: int = 0
    waits: tuple[Wait, ...] = ()
    builds: tuple[BuildSample, ...] = ()
    sizes: tuple[SizeChange, ...] = ()
    seconds: float = 0.0
    problem: str = ""

    @property
    def worst_stall_ms(self) -> float:
        """Return the longest that anybody was seen to wait behind us, in milliseconds."""
        return worst_stall_ms(self.waits)


@dataclass(slots=True)
class Watch:
    """Runs the observers in a thread over a connection of its own, from `with` to its end.

    A step never fails because it could not be watched: the reason is in `Observation.problem`.
    """

    connect: Callable[[], Connection]
    ours: int
    tables: Sequence[str]
    on_sample: Callable[[Observation], None] = lambda _observation: None
    began: float = field(default_factory=time.perf_counter)
    outside: bool = False
    """The step runs outside a transaction: what it waits for is part of its progress."""
    _conn: Connection | None = None
    _thread: threading.Thread | None = None
    _ended: threading.Event = field(default_factory=threading.Event)
    _problem: str = ""
    locks: Locks = field(init=False)
    progress: Progress = field(init=False)
    size: Size = field(init=False)

    def __post_init__(self) -> None:
        """Make the observers."""
        self.locks, self.size = Locks(self.ours), Size(self.tables)
        self.progress = Progress(self.ours, outside=self.outside)

    @property
    def observers(self) -> tuple[Observer, ...]:
        """Return the list of all observers."""
        return (self.locks, self.progress, self.size)

    def __enter__(self) -> Self:
        """Connect, look once, start the thread."""
        try:
            self._conn = self.connect()
            with _answering(self._conn):
                for observer in self.observers:
                    observer.before(self._conn)
        except Exception as error:
            self._problem = _first_line(error)
            return self
        self._thread = threading.Thread(target=self._loop, name="pgrunbook-watch", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the thread, look once more, disconnect."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(SILENT_S)
            if self._thread.is_alive():
                session.hang_up(self._conn)
                self._thread.join()
        if self._conn is None:
            return
        try:
            if not self._problem:
                with _answering(self._conn):
                    for observer in self.observers:
                        observer.after(self._conn)
        except Exception as failure:
            self._problem = _first_line(failure)
        finally:
            self._conn.close()

    @property
    def observation(self) -> Observation:
        """Return what was seen so far."""
        return Observation(
            samples=self.locks.samples,
            waits=tuple(self.locks.waits),
            builds=tuple(self.progress.builds),
            sizes=tuple(self.size.changes),
            seconds=time.perf_counter() - self.began,
            problem=self._problem,
        )

    def _loop(self) -> None:
        assert self._conn is not None
        while not self._ended.wait(interval_s(time.perf_counter() - self.began)):
            try:
                at_ms = (time.perf_counter() - self.began) * 1000
                for observer in self.observers:
                    observer.sample(self._conn, at_ms)
                self.on_sample(self.observation)
            except Exception as error:
                self._problem = _first_line(error)
                return


@contextlib.contextmanager
def _answering(conn: Connection) -> Iterator[None]:
    """Hang up on a server that does not answer: the step does not wait for who watches it."""
    timer = threading.Timer(SILENT_S, session.hang_up, [conn])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def interval_s(seconds: float) -> float:
    """Return the pause before the next sample of a step that has been watched for so long.

    A step of hours is no million samples, which would have to be kept, and each costs the server a look.

    >>> interval_s(1), interval_s(30), interval_s(3600)
    (0.1, 0.3, 1.0)
    """
    return min(LONGEST_S, max(INTERVAL_S, seconds / 100))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "") or type(error).__name__
