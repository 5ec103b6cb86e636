"""Leases: what a worker has at work, until when, and who has to stop because nobody renewed it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

import psycopg

from pgrunbook.workloads.job_scheduler import Execution, reason

__all__ = ["Held", "Leases", "clock"]

_MARGIN, _LONGEST_MARGIN_S = 0.2, 10.0
_LONGEST_WAIT_S: Final = 3600.0

logger = logging.getLogger("pgrunbook.jobs")


def clock() -> float:
    """Return seconds that go on while the machine sleeps, where it can tell: the server's leases do not wait for it."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


@dataclass(slots=True)
class Held:
    """An execution at work: its handler, and how long it is ours by our own clock.

    `until` counts from before the server was asked, so that it is never later than the server's.
    """

    execution: Execution
    until: float
    seconds: float
    handler: asyncio.Task[object] | None = None
    why: str = ""
    """Why the handler was told to stop; empty while it may go on."""
    abandoned: bool = False

    @property
    def stop_at(self) -> float:
        """Return when a handler has to be told to stop, so that it has stopped when the lease ends."""
        return self.until - min(self.seconds * _MARGIN, _LONGEST_MARGIN_S)

    @property
    def renew_at(self) -> float:
        """Return when it is to be renewed: two more tries fit in before it is too late."""
        return self.until - self.seconds * 2 / 3

    def stop(self, why: str) -> None:
        """Tell the handler to stop, once."""
        if not self.why:
            self.why = why
            self.execution.lost.set()
            if self.handler is not None:
                self.handler.cancel()


Renew = Callable[[list[int], float], Awaitable[dict[int, float]]]


@dataclass(slots=True)
class Leases:
    """All that a worker has at work."""

    now: Callable[[], float] = clock
    abandon: Callable[[Execution], object] = lambda _execution: None
    """Called when a lease has ended and the handler did not stop: another worker may begin the same job now."""
    held: dict[int, Held] = field(default_factory=dict)
    _watch: asyncio.Event = field(default_factory=asyncio.Event)
    _renew: asyncio.Event = field(default_factory=asyncio.Event)

    def take(self, execution: Execution, since: float, seconds: float | None = None) -> Held:
        """Hold an execution that was asked for at `since` of our clock; `seconds` where it was renewed then."""
        lease_s = execution.lease_s if seconds is None else seconds
        one = Held(execution, since + lease_s, lease_s)
        self.held[execution.id] = one
        self._watch.set()
        self._renew.set()
        return one

    def drop(self, execution: Execution) -> None:
        """Forget an execution that has ended."""
        self.held.pop(execution.id, None)

    def renewed(self, asked: Iterable[int], found: dict[int, float], since: float) -> None:
        """Note which of those that were asked for at `since` are still ours; the others are told to stop."""
        for number in asked:
            if (one := self.held.get(number)) is None:
                continue
            if number in found:
                one.until, one.seconds = since + found[number], found[number]
            else:
                one.stop("it was given to another worker, or ended by somebody else")

    def watch(self) -> float:
        """Tell handlers to stop whose lease is about to end, and return the seconds until somebody's is."""
        now, next_look = self.now(), self.now() + _LONGEST_WAIT_S
        for one in list(self.held.values()):
            if not one.why and now >= one.stop_at:
                logger.warning(
                    "job %s, execution %s: its lease was not renewed", one.execution.job_id, one.execution.id
                )
                one.stop("worker lost its lease: the server was not reached in time")
            if not one.why:
                next_look = min(next_look, one.stop_at)
            elif not one.abandoned and now < one.until:
                next_look = min(next_look, one.until)
            elif not one.abandoned and one.handler is not None and not one.handler.done():
                one.abandoned = True
                logger.critical(
                    "job %s, execution %s: its handler does not stop", one.execution.job_id, one.execution.id
                )
                self.abandon(one.execution)
        return max(0.0, next_look - now)

    async def watching(self) -> None:
        """Watch for ever: whatever the server does, this needs none."""
        while True:
            self._watch.clear()
            await _either(self._watch, self.watch())

    async def renewing(self, renew: Renew) -> None:
        """Renew all leases in one statement whenever the first has used up a third; a failure is tried again soon."""
        while True:
            self._renew.clear()
            due = min((one.renew_at for one in self.held.values()), default=math.inf)
            if self.now() < due:
                await _either(self._renew, min(due - self.now(), _LONGEST_WAIT_S))
                continue
            since, asked = self.now(), list(self.held)
            shortest = min(one.seconds for one in self.held.values())
            try:
                self.renewed(asked, await renew(asked, shortest / 3), since)
            except psycopg.Error as error:
                logger.warning("%d leases were not renewed: %s", len(asked), reason(error))
                await asyncio.sleep(min(1.0, shortest / 20))


async def _either(event: asyncio.Event, seconds: float) -> None:
    """Wait for an event, but no longer than so many seconds."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
