"""Workers at the sample jobs: one that does them by priority, one that is killed, and one that does what it left."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from psycopg import sql

from pgrunbook.session import Connection
from pgrunbook.workloads.job_scheduler import Execution
from pgrunbook.workloads.job_worker import Worker
from pgrunbook.workloads.meal_jobs import MealJobs

__all__ = ["AFTER", "CRASHES", "DUE", "LEFT", "by_priority", "crash", "done", "leave", "work"]

# What fails here is meant to: it is shown, not logged.
logging.getLogger("pgrunbook.jobs").addHandler(logging.NullHandler())

DUE: Final = ("job_weekly_gen_001", "job_auto_sync_001", "job_daily_advisor_001", "job_weekly_trends_001")
"""Sample jobs that are made due, one of each type; what they do for a user they do for the first one here."""
AFTER: Final = "job_sync_plan_001"
"""Has no time of its own: it is due when the weekly generation is done."""
CRASHES: Final = "job_daily_advisor_user_3"
LEFT: Final = "job_weekly_trends_001"
_LONGEST_S: Final = 30.0

# What an earlier call left at work has ended then, and jobs that are not meant stay out of the way of the clock.
_MADE_DUE: Final = """
SELECT complete_job(e.job_id, e.id) FROM job_executions AS e WHERE e.status = 'running';
UPDATE scheduled_jobs SET scheduled_for = scheduled_for + interval '7 days' WHERE scheduled_for IS NOT NULL;
UPDATE scheduled_jobs AS j
SET status = 'pending', error_count = 0, user_id = 1, scheduled_for = now() - make_interval(secs => 10 - due.place)
FROM unnest({due}::text[]) WITH ORDINALITY AS due (id, place)
WHERE j.id = due.id
"""
_DONE: Final = """
SELECT e.job_id AS job, j.priority, e.trigger_type AS why, e.status, e.attempt_number AS attempt,
    CASE WHEN e.error_message LIKE 'worker lost:%%' THEN 'worker lost' ELSE e.error_message END AS error,
    e.parent_job_id AS after,
    CASE
        WHEN j.scheduled_for IS NULL THEN 'not by itself'
        WHEN j.error_count > 0 AND j.status = 'pending'
            THEN 'after ' || round(extract(epoch FROM j.scheduled_for - e.completed_at)) || ' s'
        WHEN j.frequency_type = 'weekly' THEN to_char(j.scheduled_for AT TIME ZONE 'UTC', 'FMDay HH24:MI')
        WHEN j.frequency_type = 'daily' THEN to_char(j.scheduled_for AT TIME ZONE 'UTC', 'HH24:MI')
        ELSE 'after ' || extract(epoch FROM j.scheduled_for - j.due_at)::integer / 3600 || ' hours'
    END AS "comes back"
FROM job_executions AS e
JOIN scheduled_jobs AS j ON j.id = e.job_id
WHERE e.id > %(since)s
ORDER BY e.id
"""


async def work(conn: Connection, conninfo: str, data: bytes) -> list[dict[str, Any]]:
    """Load the sample jobs, make some of them due, let one worker do them one by one, and return what it did."""
    conn.execute(data)
    since = _latest(conn)
    conn.execute(sql.SQL(_MADE_DUE).format(due=list(DUE)))
    await _until_done(conninfo, {*DUE, AFTER}, name="example worker")
    return done(conn, since)


async def crash(conn: Connection, conninfo: str) -> list[dict[str, Any]]:
    """Kill a worker, as kill -9 does, while it has a job at work, let another one go on, and return what was done.

    The lease of the first is one second, and the job is tried again at once.
    """
    conn.execute("UPDATE scheduler_config SET lease_seconds = 1")
    conn.execute(
        "UPDATE scheduled_jobs SET scheduled_for = clock_timestamp(), retry_base_seconds = 0 WHERE id = %s",
        [CRASHES],
    )
    since = _latest(conn)
    try:
        await asyncio.to_thread(_killed_at_work, conninfo)
        conn.execute("UPDATE scheduler_config SET lease_seconds = DEFAULT")
        await _until_done(conninfo, {CRASHES}, name="second worker")
    finally:
        conn.execute("UPDATE scheduler_config SET lease_seconds = DEFAULT")
        conn.execute("UPDATE scheduled_jobs SET retry_base_seconds = NULL WHERE id = %s", [CRASHES])
    return done(conn, since)


def leave(conn: Connection) -> int | None:
    """Start a job that nobody will end, and return its execution; None where it runs already."""
    found = conn.execute("SELECT start_job(%s, 'manual') AS execution", [LEFT]).fetchone()
    assert found is not None
    execution: int | None = found["execution"]
    return execution


def done(conn: Connection, since: int = 0) -> list[dict[str, Any]]:
    """Return the executions after this one, in the order of their start, and when their jobs come back."""
    return conn.execute(_DONE, {"since": since}).fetchall()


def _latest(conn: Connection) -> int:
    found = conn.execute("SELECT coalesce(max(id), 0) AS latest FROM job_executions").fetchone()
    assert found is not None
    return int(found["latest"])


async def _until_done(conninfo: str, jobs: set[str], *, name: str, limit_s: float = _LONGEST_S) -> None:
    """Let a worker do jobs, one at a time, until it has had each of these."""
    left = set(jobs)
    handlers = MealJobs(conninfo, _recipes, _fetch, _send).handlers()

    async def handle(execution: Execution) -> Any:
        left.discard(execution.job_id)
        if not left:
            worker.stop()
        return await handlers[execution.job_type](execution)

    worker = Worker(conninfo, dict.fromkeys(handlers, handle), name=name, at_once=1)
    try:
        async with asyncio.timeout(limit_s):
            await worker.run()
    except TimeoutError:
        raise RuntimeError(f"not done within {limit_s:g} s: {', '.join(sorted(left))}") from None


async def _recipes(_user: int, _meal: str) -> list[str]:
    return [f"recipe-{number}" for number in range(1, 31)]


async def _fetch(source: str, _since: datetime | None) -> int:
    if source == "fatsecret":
        raise ConnectionError("FatSecret did not answer")
    return 3


async def _send(_user: int | None, _text: str, _key: str) -> None:
    """Send nothing: this is an example."""


def _killed_at_work(conninfo: str, *, limit_s: float = _LONGEST_S) -> None:
    """Start a worker as a process, wait until it has a job at work, and kill it."""
    command = [
        sys.executable,
        "-c",
        "from pgrunbook.workloads.job_examples import _never_done; _never_done()",
    ]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        too_long = threading.Timer(limit_s, process.kill)
        too_long.start()
        try:
            print(conninfo, file=process.stdin, flush=True)
            if not (said := process.stdout.readline()).startswith("at work"):
                raise RuntimeError(f"a worker said {said!r} instead of taking its job")
        finally:
            too_long.cancel()
            process.kill()


def _never_done() -> None:
    """Be that process."""

    async def handle(_execution: Execution) -> None:
        print("at work", flush=True)
        # The whole process: it is to renew no lease and to say nothing until it is killed.
        time.sleep(3600)

    conninfo = sys.stdin.readline().rstrip("\n")
    asyncio.run(Worker(conninfo, {"daily_advisor": handle}, name="first worker", at_once=1).run())


def by_priority(rows: Sequence[dict[str, Any]]) -> bool:
    """Return whether jobs were started in the order of their priorities.

    >>> low, critical = {"priority": "low"}, {"priority": "critical"}
    >>> by_priority([critical, critical, low]), by_priority([low, critical])
    (True, False)
    """
    ranks = [("critical", "high", "medium", "low").index(row["priority"]) for row in rows]
    return ranks == sorted(ranks)
