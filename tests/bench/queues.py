"""Queues to compare: the scheduler's functions, bare statements on its own tables, and procrastinate's functions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.resources
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from pgrunbook import change as changes
from pgrunbook import scratch
from pgrunbook import server as embedded
from pgrunbook.server import Server
from pgrunbook.workloads import pgbench
from pgrunbook.workloads.contest import percentile
from pgrunbook.workloads.pgbench import Load, Work

__all__ = [
    "BARE", "CLAIMED", "ENDED", "HISTORY", "OURS", "PROCRASTINATE", "Counts", "Queue", "Run",
    "counted", "faults", "fill", "installed", "measure", "procrastinate", "scheduler", "work",
]  # fmt: skip

Conn = psycopg.Connection[Any]

CHANGE: Final = "050_job_scheduler"
SLOTS: Final = 64
LIMIT_S: Final = 90.0

CLAIMED: Final = (
    "UPDATE scheduled_jobs SET status = 'running', started_at = clock_timestamp() WHERE id = ("
    "SELECT id FROM scheduled_jobs WHERE enabled = true AND priority = 'high' AND scheduled_for <= clock_timestamp()"
    " AND status = 'pending' ORDER BY scheduled_for LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id"
)
ENDED: Final = (
    "UPDATE scheduled_jobs SET status = 'completed', completed_at = clock_timestamp(), scheduled_for = NULL"
    " WHERE id = {}::text RETURNING id"
)
_COMPLETED: Final = ENDED.format("(:j)")


@dataclass(frozen=True, slots=True)
class Queue:
    """A way to take a job and to end it, as a script of pgbench's."""

    name: str
    script: str


OURS: Final = Queue(
    "ours",
    "SELECT id AS j, start_job(id, 'scheduled') AS e FROM get_next_pending_job() AS id \\gset\n"
    "SELECT complete_job((:j)::text, (:e)::integer);\n",
)
BARE: Final = Queue("bare", f"{CLAIMED} AS j \\gset\n{_COMPLETED};\n")
HISTORY: Final = Queue(
    "bare with history",
    f"WITH job AS ({CLAIMED}) INSERT INTO job_executions (job_id, trigger_type, slot, attempt_number, lease_until)"
    " SELECT id, 'scheduled', :client_id + 1, 1, clock_timestamp() + interval '5 min' FROM job"
    " RETURNING job_id AS j, id AS e \\gset\n"
    f"WITH job AS ({_COMPLETED}) UPDATE job_executions AS e SET status = 'completed', slot = NULL,"
    " completed_at = clock_timestamp(), duration_ms = extract(epoch FROM clock_timestamp() - e.started_at) * 1000"
    " FROM job WHERE e.id = (:e)::integer;\n",
)
PROCRASTINATE: Final = Queue(
    "procrastinate",
    "SELECT id AS j, status, task_name, priority, lock, queueing_lock, args, scheduled_at, queue_name, attempts,"
    " worker_id FROM procrastinate_fetch_job_v2(NULL::varchar[], 1) \\gset\n"
    "SELECT procrastinate_finish_job_v1((:j)::bigint, 'succeeded', false);\n",
)

_FILL: Final = """
TRUNCATE job_executions, scheduled_jobs;
UPDATE scheduler_config SET max_concurrent_jobs = {slots};
INSERT INTO scheduled_jobs (id, job_type, priority, frequency_type, scheduled_for)
SELECT 'job_' || i, 'auto_sync', 'high', 'once', now() - interval '1 day' + i * interval '1 ms'
FROM generate_series(1, {jobs}) AS i;
"""
_FILL_PROCRASTINATE: Final = """
TRUNCATE procrastinate_jobs CASCADE;
INSERT INTO procrastinate_jobs (queue_name, task_name) SELECT 'default', 'nothing' FROM generate_series(1, {jobs});
"""
_COUNT: Final = """
SELECT (SELECT count(*) FROM scheduled_jobs WHERE status = 'completed'), count(*), count(DISTINCT job_id),
    (SELECT count(*) FROM scheduled_jobs WHERE status = 'running')
FROM job_executions
"""
_COUNT_PROCRASTINATE: Final = """
SELECT (SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'), count(*), count(DISTINCT job_id),
    (SELECT count(*) FROM procrastinate_jobs WHERE status = 'doing')
FROM procrastinate_events WHERE type = 'started'
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Jobs ended, starts that are noted and jobs among them, jobs at work; bare statements note no start."""

    ended: int
    starts: int
    started: int
    running: int


@dataclass(frozen=True, slots=True)
class Run:
    """What sessions did with one queue: cycles, each a claim and a completion; times in ms, of one cycle."""

    queue: str
    workers: int
    waiting: int
    durable: bool
    cycles: int
    per_second: float
    p50_ms: float
    p99_ms: float
    wrong: tuple[str, ...]


def installed() -> str:
    """Return the version of procrastinate, or nothing where it is not installed."""
    try:
        return importlib.metadata.version("procrastinate")
    except importlib.metadata.PackageNotFoundError:
        return ""


@contextlib.contextmanager
def scheduler(server: Server) -> Iterator[str]:
    """Give the connection string of a scratch database with the scheduler, and drop it."""
    root = changes.root_from({})
    with scratch.applied(changes.load(CHANGE, root=root), server, root=root) as made:
        yield made.conn.info.dsn


@contextlib.contextmanager
def procrastinate(server: Server) -> Iterator[str]:
    """Give the connection string of a scratch database with procrastinate's own schema, and drop it."""
    name = f"rehearsal_queue_{secrets.token_hex(4)}"
    conninfo = embedded.create_database(server, name)
    try:
        schema = importlib.resources.files("procrastinate").joinpath("sql", "schema.sql").read_bytes()
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(schema)
            conn.execute("INSERT INTO procrastinate_workers DEFAULT VALUES")
        yield conninfo
    finally:
        embedded.drop_database(server, name)


def fill(conninfo: str, queue: Queue, jobs: int) -> None:
    """Leave nothing but so many jobs that are due."""
    foreign = queue is PROCRASTINATE
    text = (_FILL_PROCRASTINATE if foreign else _FILL).format(jobs=jobs, slots=SLOTS)
    tables = (
        ("procrastinate_jobs", "procrastinate_events") if foreign else ("scheduled_jobs", "job_executions")
    )
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(text.encode())
        for table in tables:
            conn.execute(f"VACUUM ANALYZE {table}".encode())


def work(
    server: Server,
    conninfo: str,
    queue: Queue,
    at_once: int,
    *,
    each: int = 0,
    seconds: int = 0,
    durable: bool,
) -> Work:
    """Let so many sessions take and end jobs, each as many, or for so long."""
    settings = () if durable else (("synchronous_commit", "off"),)
    load = Load(queue.script, at_once, each=each, seconds=seconds, settings=settings)
    return pgbench.run(server, conninfo, load, limit_s=LIMIT_S)


def measure(
    server: Server,
    conninfo: str,
    queue: Queue,
    at_once: int,
    *,
    cycles: int,
    waiting: int,
    durable: bool = False,
) -> Run:
    """Let so many sessions take and end about so many jobs, and see that each was done once."""
    before = counted(conninfo, queue)
    done = work(server, conninfo, queue, at_once, each=max(1, cycles // at_once), durable=durable)
    times = sorted(one.ms for one in done.transactions)
    wrong = faults(queue, len(times), before, counted(conninfo, queue))
    stopped = ("stopped when its time was over",) if done.stopped else ()
    rate = len(times) / done.seconds if times else 0.0
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    return Run(queue.name, at_once, waiting, durable, len(times), rate, p50, p99, (*wrong, *stopped))


def counted(conninfo: str, queue: Queue) -> Counts:
    """Return what the tables say."""
    with psycopg.connect(conninfo) as conn:
        found = conn.execute((_COUNT_PROCRASTINATE if queue is PROCRASTINATE else _COUNT).encode()).fetchone()
    assert found is not None
    return Counts(*found)


def faults(queue: Queue, cycles: int, before: Counts, after: Counts) -> tuple[str, ...]:
    """Say what was done twice or lost.

    >>> faults(OURS, 10, Counts(0, 0, 0, 0), Counts(9, 11, 10, 1))
    ('1 jobs ran twice', '1 jobs were lost', '1 jobs are still running')
    >>> faults(BARE, 10, Counts(5, 5, 5, 0), Counts(15, 5, 5, 0))
    ()
    """
    ended, starts, started = (
        getattr(after, name) - getattr(before, name) for name in ("ended", "starts", "started")
    )
    wrong = {
        "jobs ran twice": starts - started,
        "jobs were lost": cycles - ended,
        "starts were not noted": 0 if queue is BARE else cycles - starts,
        "jobs are still running": after.running,
    }
    return tuple(f"{count:,} {what}" for what, count in wrong.items() if count > 0)
