"""A job worker for tests: in a thread of its own, with handlers that say what happens to them."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pgrunbook.workloads.job_scheduler import Execution
from pgrunbook.workloads.job_worker import Handler, Worker


@dataclass
class Hand:
    """A handler that works until it is let go."""

    begun: list[Execution] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    cancelled_at: list[datetime] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    output: Any = None

    async def __call__(self, execution: Execution) -> Any:
        self.begun.append(execution)
        try:
            while not self.go.is_set():
                await asyncio.sleep(0.005)
        except asyncio.CancelledError:
            self.cancelled_at.append(datetime.now(UTC))
            self.cancelled.append(execution.id)
            raise
        return self.output


@dataclass
class Working:
    """A worker and its thread."""

    worker: Worker
    loop: asyncio.AbstractEventLoop
    thread: threading.Thread

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self.worker.stop)

    def ended(self, timeout: float = 30) -> None:
        self.thread.join(timeout)
        assert not self.thread.is_alive(), "the worker does not end"


@contextlib.contextmanager
def working(conninfo: str, handlers: Mapping[str, Handler] | Handler, **options: Any) -> Iterator[Working]:
    """Give a worker that looks for jobs only when it has a reason to, and stop it."""
    known = handlers if isinstance(handlers, Mapping) else {"auto_sync": handlers}
    ready, made = threading.Event(), []

    async def work() -> None:
        worker = Worker(conninfo, known, **{"poll_s": 3600.0, **options})
        made.append(Working(worker, asyncio.get_running_loop(), threading.current_thread()))
        ready.set()
        await worker.run()

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    assert ready.wait(30)
    try:
        yield made[0]
    finally:
        for _ in range(2):
            with contextlib.suppress(RuntimeError):
                made[0].stop()
        made[0].ended()
