"""Python workers side by side: jobs that do nothing, and how soon a job starts after its INSERT."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from queues import BARE, CLAIMED, ENDED, OURS, PROCRASTINATE, Counts, Queue, counted, faults, fill

from pgrunbook.workloads.contest import percentile
from pgrunbook.workloads.job_worker import Worker

__all__ = ["Served", "Woken", "latency", "throughput"]

LIMIT_S: Final = 60.0
STEP_S: Final = 0.005
_INSERT: Final = {
    OURS.name: "INSERT INTO scheduled_jobs (id, job_type, frequency_type, scheduled_for)"
    " VALUES ('late_' || %s, 'auto_sync', 'once', clock_timestamp())",
    PROCRASTINATE.name: "INSERT INTO procrastinate_jobs (queue_name, task_name, lock)"
    " VALUES ('default', 'nothing', 'late_' || %s)",
}

Handler = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Served:
    """How many jobs that do nothing one process did in a second, so many at a time."""

    queue: str
    at_once: int
    jobs: int
    per_second: float
    wrong: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Woken:
    """From just before the INSERT until the handler begins, by an idle worker that listens; ms."""

    queue: str
    jobs: int
    p50_ms: float
    p99_ms: float
    max_ms: float


def throughput(conninfo: str, queue: Queue, *, jobs: int, at_once: int) -> Served:
    """Let one worker do so many jobs that wait, and count them; the time is from the first start to the last."""
    fill(conninfo, queue, jobs)
    begun: list[float] = []

    async def whole() -> None:
        await _serving(conninfo, queue, at_once, lambda: begun.append(time.perf_counter()), all_done)

    async def all_done() -> None:
        while len(begun) < jobs:
            await asyncio.sleep(STEP_S)

    asyncio.run(asyncio.wait_for(whole(), LIMIT_S))
    seconds = begun[-1] - begun[0]
    wrong = faults(queue, jobs, Counts(0, 0, 0, 0), counted(conninfo, queue))
    return Served(queue.name, at_once, jobs, (jobs - 1) / seconds, wrong)


def latency(conninfo: str, queue: Queue, *, jobs: int) -> Woken:
    """Insert one job after the other, each when the one before has begun."""
    fill(conninfo, queue, 1)
    begun: asyncio.Queue[float] = asyncio.Queue()
    waited: list[float] = []

    async def one_by_one() -> None:
        await begun.get()
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
            for number in range(jobs):
                # The worker is to be asleep: it asks once more after a job.
                await asyncio.sleep(0.02)
                asked = time.perf_counter()
                await conn.execute(_INSERT[queue.name].encode(), [str(number)])
                waited.append((await begun.get() - asked) * 1000)

    async def whole() -> None:
        await _serving(conninfo, queue, 4, lambda: begun.put_nowait(time.perf_counter()), one_by_one)

    asyncio.run(asyncio.wait_for(whole(), LIMIT_S))
    times = sorted(waited)
    return Woken(queue.name, jobs, percentile(times, 0.5), percentile(times, 0.99), times[-1])


async def _serving(
    conninfo: str, queue: Queue, at_once: int, handler: Handler, until: Callable[[], Awaitable[None]]
) -> None:
    """Run a worker until the other is done, and let it end what it has begun."""
    serving = {OURS: _ours, BARE: _bare, PROCRASTINATE: _procrastinate}[queue]
    await serving(make_conninfo(conninfo, options="-c synchronous_commit=off"), at_once, handler, until)


async def _ours(conninfo: str, at_once: int, handler: Handler, until: Callable[[], Awaitable[None]]) -> None:
    async def nothing(_execution: object) -> None:
        handler()

    worker = Worker(conninfo, {"auto_sync": nothing}, at_once=at_once)
    running = asyncio.create_task(worker.run())
    try:
        await until()
    finally:
        worker.stop()
        await running


async def _bare(conninfo: str, at_once: int, handler: Handler, until: Callable[[], Awaitable[None]]) -> None:
    """Run what somebody would write in a page: each hand has a session, takes a job, does it, says that it is done."""

    async def hand() -> None:
        async with await psycopg.AsyncConnection.connect(conninfo, autocommit=True) as conn:
            while found := await (await conn.execute(CLAIMED.encode())).fetchone():
                handler()
                await conn.execute(ENDED.format("%s").encode(), found)

    async with asyncio.TaskGroup() as hands:
        for _ in range(at_once):
            hands.create_task(hand())
    await until()


async def _procrastinate(
    conninfo: str, at_once: int, handler: Handler, until: Callable[[], Awaitable[None]]
) -> None:
    import procrastinate

    # It logs every job, at a level that is not shown.
    logging.getLogger("procrastinate").setLevel(logging.ERROR)
    # Its own pool: one session listens, the others fetch and finish.
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))

    @app.task(name="nothing")
    async def nothing(**_: Any) -> None:
        handler()

    async with app.open_async():
        running = asyncio.create_task(
            app.run_worker_async(concurrency=at_once, install_signal_handlers=False, delete_jobs="never")
        )
        try:
            await until()
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
