"""The job worker: it waits for jobs, runs several at a time, keeps their leases and says how they ended."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import psycopg

from pgrunbook.workloads.job_lease import Held, Leases, clock
from pgrunbook.workloads.job_link import STATEMENT_S, BackOff, Link
from pgrunbook.workloads.job_report import report
from pgrunbook.workloads.job_scheduler import CLAIM, READ, RENEW, Execution, reason

__all__ = ["POLL_S", "Handler", "Worker"]

POLL_S: Final = 60.0
"""The safety net: a worker looks this often even if nobody wakes it."""
CHANNEL: Final = "job_scheduler"
LAST_WORDS_S: Final = 5.0
NAME_LENGTH: Final = 40

# What comes next: a job's time or a lease's end after the moment at which the queue was found empty.
_NEXT: Final = """
SELECT extract(epoch FROM least(
    (
        SELECT min(due.scheduled_for)
        FROM (VALUES ('critical'), ('high'), ('medium'), ('low')) AS level (priority)
        CROSS JOIN LATERAL (
            SELECT j.scheduled_for
            FROM scheduled_jobs AS j
            WHERE j.enabled = true AND j.priority = level.priority AND j.scheduled_for > %(asked)s
            ORDER BY j.scheduled_for
            LIMIT 1
        ) AS due
    ),
    (SELECT min(e.lease_until) FROM job_executions AS e WHERE e.status = 'running' AND e.lease_until > %(asked)s)
) - clock_timestamp())::float8
"""
_OURS: Final = (
    "SELECT id FROM job_executions WHERE status = 'running' AND starts_with(worker, %s) ORDER BY id"
)

_UNREAD: Final = (
    "SELECT fail_job(e.job_id, e.id, %s) FROM job_executions AS e WHERE e.id = %s AND e.status = 'running'"
)

Handler = Callable[[Execution], Any]
"""What does a job: a coroutine function, or a plain one, which gets a thread. What it returns is the output."""

logger = logging.getLogger("pgrunbook.jobs")


class Worker:
    """Runs jobs until it is stopped; any number of workers may share a queue.

    `handlers` says what does which type of job, `at_once` how many run here at a time. At `stop()` they have
    `grace_s` to finish. A handler is cancelled before its lease ends if that could not be renewed, and what it says
    then does not count. One in a thread cannot be cancelled: it looks at `execution.lost`, and where it does not,
    `abandon` is called when the lease ends, which for safety should end the process.
    """

    def __init__(
        self,
        conninfo: str,
        handlers: Mapping[str, Handler],
        *,
        name: str = "job worker",
        at_once: int = 4,
        poll_s: float = POLL_S,
        grace_s: float = 30.0,
        abandon: Callable[[Execution], object] = lambda _execution: None,
        now: Callable[[], float] = clock,
    ) -> None:
        if at_once < 1:
            raise ValueError(f"at_once is {at_once}: a worker runs at least one job at a time")
        if not (name.isascii() and name.isprintable() and 0 < len(name) <= NAME_LENGTH):
            raise ValueError(
                f"name is {name!r}: application_name takes 1 to {NAME_LENGTH} printable ASCII characters"
            )
        # Unlike any other worker, one of the same name after a restart included: what it started is its own.
        self.name = f"{name} {secrets.token_hex(4)}"
        self.handlers, self.at_once = dict(handlers), at_once
        self.poll_s, self.grace_s = poll_s, grace_s
        self.leases = Leases(now, abandon)
        self._work, self._end, self._lease, self._ear = (
            Link(conninfo, f"{self.name} {role}") for role in ("work", "end", "lease", "ear")
        )
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix=name)
        self._running: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._filling: asyncio.Task[float] | None = None
        self._stops = 0
        self._unheard = False

    def stop(self) -> None:
        """Take no more jobs and end when those at work have; asked twice, cancel them and end at once.

        In the loop's own thread: from a signal handler of the loop, or through call_soon_threadsafe.
        """
        self._stops += 1
        self._wake.set()
        if self._stops > 1 and self._filling is not None:
            self._filling.cancel()

    async def run(self) -> None:
        """Run jobs until stopped. Whatever the server does, this goes on and tries again."""
        helpers = [
            asyncio.create_task(self.leases.watching()),
            asyncio.create_task(self.leases.renewing(self._renew)),
            asyncio.create_task(self._listen()),
        ]
        back_off = BackOff()
        try:
            while not self._stops:
                self._wake.clear()
                self._filling = asyncio.create_task(self._fill())
                try:
                    await asyncio.wait({self._filling})
                    if self._filling.cancelled():
                        break
                    pause = self._filling.result()
                    back_off.heard()
                except psycopg.Error as error:
                    # The answer to a claim may be what was lost.
                    self._unheard = True
                    pause = back_off.next()
                    logger.warning("%s: %s; again in %.1f s", self._work.name, reason(error), pause)
                await self._sleep(pause)
            await self._drain()
        except asyncio.CancelledError:
            self._stops = 1
            self.stop()
            await self._drain()
            raise
        finally:
            for helper in helpers:
                helper.cancel()
            await asyncio.gather(*helpers, return_exceptions=True)
            for link in (self._work, self._end, self._lease, self._ear):
                await link.close()
            self._threads.shutdown(wait=False, cancel_futures=True)

    async def _listen(self) -> None:
        back_off = BackOff()

        def heard() -> None:
            back_off.heard()
            self._wake.set()

        while True:
            try:
                await self._ear.listen(CHANNEL, heard)
            except psycopg.Error as error:
                logger.warning("%s: %s", self._ear.name, reason(error))
            await asyncio.sleep(back_off.next())

    async def _fill(self) -> float:
        """Start jobs until nothing is due or no hand is free; return for how long there is nothing to do."""
        while (hands := self.at_once - len(self._running)) > 0 and not self._stops:
            since = self.leases.now()
            rows = await self._work.ask(CLAIM, (hands,))
            executions = [execution for execution, _ in rows if execution is not None]
            if self._unheard:
                await self._adopt()
            elif executions:
                await self._begin(executions, since)
            if len(executions) < hands:
                asked = rows[0][1]
                ((seconds,),) = await self._work.ask(_NEXT.replace("%(asked)s", "%s"), (asked, asked))
                return self.poll_s if seconds is None else min(self.poll_s, max(0.0, seconds) + 0.005)
        return self.poll_s

    async def _adopt(self) -> None:
        """Begin what the server says that we have started and we have not heard of."""
        since = self.leases.now()
        rows = await self._work.ask(_OURS, (f"{self._work.name} pid ",))
        if unknown := [number for (number,) in rows if number not in self.leases.held]:
            for number, seconds in (await self._renew(unknown, STATEMENT_S)).items():
                await self._begin([number], since, seconds)
        self._unheard = False

    async def _begin(self, numbers: list[int], since: float, seconds: float | None = None) -> None:
        try:
            rows = await self._work.ask(READ, (numbers,))
        except (psycopg.DataError, ValueError, RecursionError) as error:
            # What Python cannot hold would end this worker, and then the next one that gets the job.
            if len(numbers) > 1:
                for number in numbers:
                    await self._begin([number], since, seconds)
                return
            logger.warning("execution %s cannot be read: %s", numbers[0], reason(error))
            await self._work.ask(_UNREAD, (f"the worker cannot read the job: {reason(error)}", numbers[0]))
            return
        for row in rows:
            held = self.leases.take(Execution(*row), since, seconds)
            task = asyncio.create_task(self._run(held), name=f"execution {held.execution.id}")
            self._running.add(task)
            task.add_done_callback(self._free)

    def _free(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.critical("%s: %s", task.get_name(), reason(error), exc_info=error)

    async def _run(self, held: Held) -> None:
        """Run one handler and say how it ended."""
        execution = held.execution
        try:
            if self._stops > 1:
                held.stop("worker stopped")
            self.leases.watch()
            if held.why:
                await report(self._end, execution, held.why, None)
                return
            held.handler = asyncio.create_task(self._handle(execution))
            await asyncio.wait({held.handler})
            await report(self._end, execution, *_outcome(held))
        finally:
            self.leases.drop(execution)
        if self._stops:
            # The hand that is free now takes no more: somebody else's may.
            with contextlib.suppress(psycopg.Error):
                await self._work.ask(f"NOTIFY {CHANNEL}")

    async def _handle(self, execution: Execution) -> object:
        handler = self.handlers.get(execution.job_type)
        if handler is None:
            known = ", ".join(sorted(self.handlers)) or "none"
            raise LookupError(f"this worker has no handler for {execution.job_type}; it has: {known}")
        try:
            if inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(type(handler).__call__):
                return await handler(execution)
            thread = asyncio.wrap_future(self._threads.submit(_called, handler, execution))
            try:
                output = await asyncio.shield(thread)
                return await output if inspect.isawaitable(output) else output
            except asyncio.CancelledError:
                # The thread goes on until it looks at execution.lost, and the job is at work until then.
                await asyncio.wait({thread})
                raise
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"the handler raised {type(error).__name__}") from error

    async def _renew(self, numbers: list[int], timeout: float) -> dict[int, float]:
        return dict(await self._lease.ask(RENEW, (numbers,), timeout=timeout))

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _drain(self) -> None:
        """Let what is at work finish, then cancel it and give it back."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.grace_s
        while self._running and self._stops < 2 and loop.time() < until:
            self._wake.clear()
            await self._sleep(until - loop.time())
        for held in list(self.leases.held.values()):
            held.stop("worker stopped")
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=LAST_WORDS_S)
            for held in self.leases.held.values():
                logger.critical(
                    "job %s, execution %s is left at work", held.execution.job_id, held.execution.id
                )
            for task in left:
                task.cancel()


def _outcome(held: Held) -> tuple[str, object]:
    """Return why an execution failed, empty where it did not, and what it gave back."""
    assert held.handler is not None
    # What was told to stop does not count, even if it came to an end.
    if held.handler.cancelled():
        return held.why or "the handler cancelled itself", None
    error = held.handler.exception()
    if held.why:
        return held.why, None
    return ("", held.handler.result()) if error is None else (reason(error), None)


def _called(handler: Handler, execution: Execution) -> object:
    """Call a plain function, in its thread; some errors would not find their way out of there."""
    try:
        return handler(execution)
    except (StopIteration, SystemExit, KeyboardInterrupt) as error:
        raise RuntimeError(f"the handler raised {type(error).__name__}") from error
