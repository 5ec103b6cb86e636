"""Jobs under fire: worker processes that are killed at random, and a table of their own that tells on them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook.workloads import job_lease, job_link
from pgrunbook.workloads.job_scheduler import CLAIM, Execution

LIBRARY = Path(__file__).resolve().parents[2] / "lib"
LOCK = 50
OVERLAPS = "SELECT count(*) FROM overlap"

# What handlers say of themselves, beside the scheduler's tables. A session holds a lock for as long as its handler
# is at work: the lock goes with a worker that was killed, and only then may the row that it left open be closed.
# Two at a time break the exclusion, and are written down.
WITNESS = """
CREATE TABLE work (
    execution integer PRIMARY KEY,
    job integer NOT NULL,
    worker text NOT NULL,
    during tstzrange NOT NULL,
    finished boolean NOT NULL DEFAULT false,
    EXCLUDE USING gist (int4range(job, job, '[]') WITH &&, during WITH &&)
);
CREATE INDEX work_job ON work (job);
CREATE TABLE overlap (execution integer, job integer, worker text, found text);
CREATE FUNCTION begin_work(p_execution integer, p_job integer, p_worker text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF pg_try_advisory_lock(50, p_job) THEN
        UPDATE work SET during = tstzrange(lower(during), clock_timestamp()) WHERE job = p_job AND upper_inf(during);
    END IF;
    INSERT INTO work VALUES (p_execution, p_job, p_worker, tstzrange(clock_timestamp(), NULL));
EXCEPTION WHEN exclusion_violation OR unique_violation THEN
    INSERT INTO overlap VALUES (p_execution, p_job, p_worker, SQLERRM);
END
$$;
CREATE FUNCTION end_work(p_execution integer, p_job integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    UPDATE work SET during = tstzrange(lower(during), clock_timestamp()), finished = true WHERE execution = p_execution;
    PERFORM pg_advisory_unlock(50, p_job);
END
$$;
"""

# As in the specification: whoever asked starts, nobody looks whether another one has. Asked and started in one
# statement even that would hold: the workers have to do it in two.
UNGUARDED_START = """
CREATE OR REPLACE FUNCTION start_job(p_job_id text, p_trigger_type text DEFAULT 'scheduled') RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE execution integer;
BEGIN
    IF p_job_id IS NULL THEN RETURN NULL; END IF;
    INSERT INTO job_executions (job_id, trigger_type, slot, worker, attempt_number, lease_until)
    SELECT p_job_id, 'scheduled', nextval('slots'), current_setting('application_name') || ' pid ' || pg_backend_pid(),
        1, clock_timestamp() + make_interval(secs => lease_seconds)
    FROM scheduler_config RETURNING id INTO execution;
    UPDATE scheduled_jobs SET status = 'running', started_at = now(), due_at = now() WHERE id = p_job_id;
    RETURN execution;
END
$$;
CREATE SEQUENCE slots;
"""

# --- in the worker's process ---

_idle: list[psycopg.AsyncConnection[Any]] = []


async def handle(execution: Execution) -> dict[str, int]:
    """Say that it begins, work a little, say that it ended; one in fifty fails on its first attempt."""
    job = int(execution.job_id.removeprefix("chaos_"))
    conn = (
        _idle.pop()
        if _idle
        else await psycopg.AsyncConnection.connect(os.environ["PGRUNBOOK_TARGET"], autocommit=True)
    )
    try:
        await conn.execute("SELECT begin_work(%s, %s, %s)", (execution.id, job, os.environ["CHAOS_NAME"]))
        await asyncio.sleep(random.uniform(0, float(os.environ["CHAOS_WORK_S"])))
        await conn.execute("SELECT end_work(%s, %s)", (execution.id, job))
    except BaseException:
        await conn.close()
        raise
    _idle.append(conn)
    if job % 50 == 0 and execution.attempt == 1:
        raise RuntimeError("fails at first")
    return {"job": job}


HANDLERS = {"auto_sync": handle}


async def _never(*_: object) -> None:
    await asyncio.sleep(3600)


async def _ask_in_two(
    link: job_link.Link, statement: str, values: Sequence[object] = (), **options: float
) -> list[tuple[Any, ...]]:
    if statement != CLAIM:
        return await _ask(link, statement, values, **options)
    ((job, asked),) = await _ask(link, "SELECT get_next_pending_job(), statement_timestamp()")
    ((execution,),) = await _ask(link, "SELECT start_job(%s, 'scheduled')", (job,))
    return [(execution, asked)]


_ask = job_link.Link.ask
if os.environ.get("CHAOS_SABOTAGE") == "two statements":
    job_link.Link.ask = _ask_in_two  # type: ignore[method-assign]
if os.environ.get("CHAOS_SABOTAGE") == "no lease":
    job_lease.Leases.renewing = _never  # type: ignore[method-assign,assignment]
    job_lease.Leases.watch = lambda _self: 3600.0  # type: ignore[method-assign]


# --- in the test's ---


@dataclass(frozen=True)
class Fight:
    """How large it is and how hard it is fought."""

    workers: int
    jobs: int
    kills: int
    cap: int
    lease_s: int = 2
    at_once: int = 2
    work_s: float = 0.01
    sabotage: str = ""
    seed: int = 50


@dataclass
class Account:
    """What was seen, and what the tables say afterwards."""

    seconds: float = 0.0
    killed: int = 0
    cut: int = 0
    stopped: int = 0
    samples: int = 0
    most_sampled: int = 0
    most_at_work: int = 0
    facts: dict[str, int] = field(default_factory=dict)


class Troop:
    """Worker processes, each replaced when it ends."""

    def __init__(self, conninfo: str, fight: Fight, log: Path) -> None:
        self.conninfo, self.fight, self.log = conninfo, fight, log
        self.numbers = itertools.count()
        self.alive: list[tuple[str, subprocess.Popen[bytes]]] = []

    def start(self) -> None:
        name = f"w{next(self.numbers)}"
        environment = os.environ | {
            "PGRUNBOOK_TARGET": self.conninfo,
            "PYTHONPATH": os.pathsep.join([str(LIBRARY), str(Path(__file__).parents[1])]),
            "CHAOS_NAME": name,
            "CHAOS_WORK_S": str(self.fight.work_s),
            "CHAOS_SABOTAGE": self.fight.sabotage,
        }
        options = ["--name", name, "--at-once", str(self.fight.at_once), "--poll", "2", "--grace", "5"]
        command = ["-m", "pgrunbook.workloads.job_process", "faults.job_chaos:HANDLERS", *options]
        with self.log.open("ab") as log:
            process = subprocess.Popen([sys.executable, *command], env=environment, stderr=log, stdout=log)
        self.alive.append((name, process))

    def end(self, number: int, how: signal.Signals) -> str:
        """End one worker and return its name once it is gone."""
        name, process = self.alive.pop(number)
        process.send_signal(how)
        process.wait(timeout=60)
        return name

    def close(self) -> None:
        for _, process in self.alive:
            process.kill()
        for _, process in self.alive:
            process.wait(timeout=60)


def fought(conninfo: str, fight: Fight, log: Path, *, timeout: float = 900) -> Account:
    """Have workers do all jobs while they are killed, cut off and stopped, and return what came of it."""
    account, chance = Account(), random.Random(fight.seed)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(WITNESS.encode())
        if fight.sabotage == "two statements":
            conn.execute(UNGUARDED_START.encode())
        conn.execute(
            "CREATE TABLE killed (worker text PRIMARY KEY, at timestamptz NOT NULL DEFAULT clock_timestamp())"
        )
        conn.execute(
            "UPDATE scheduler_config SET max_concurrent_jobs = %s, lease_seconds = %s, default_max_retries = 100,"
            " default_retry_base_seconds = 0",
            (fight.cap, fight.lease_s),
        )
        conn.execute(
            "INSERT INTO scheduled_jobs (id, job_type, frequency_type, scheduled_for, priority)"
            " SELECT format('chaos_%%s', n), 'auto_sync', 'once', now(),"
            " (ARRAY['critical', 'high', 'medium', 'low'])[1 + n %% 4] FROM generate_series(1, %s) AS n",
            (fight.jobs,),
        )
        conn.execute("ANALYZE scheduled_jobs")
        troop, began = Troop(conninfo, fight, log), time.monotonic()
        with contextlib.closing(troop), _sampled(conninfo, account):
            for _ in range(fight.workers):
                troop.start()
            while (left := _left(conn)) > 0 and not (fight.sabotage and _value(conn, OVERLAPS)):
                assert time.monotonic() - began < timeout, f"{left} jobs are left after {timeout:g} s"
                # Spread over the jobs, so that a fast machine is hit as often as a slow one.
                fired = account.killed + account.cut + account.stopped
                if fired < fight.kills and fight.jobs - left >= fight.jobs * fired / fight.kills:
                    _fire(conn, troop, account, chance)
                else:
                    time.sleep(0.01)
        account.seconds = time.monotonic() - began
        account.facts = _facts(conn)
    return account


def _fire(conn: psycopg.Connection[Any], troop: Troop, account: Account, chance: random.Random) -> None:
    number = chance.randrange(len(troop.alive))
    match chance.choices(("kill", "cut", "stop"), (8, 1, 1))[0]:
        case "kill":
            name = troop.end(number, signal.SIGKILL)
            conn.execute("INSERT INTO killed (worker) VALUES (%s)", (name,))
            troop.start()
            account.killed += 1
        case "cut":
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE %s",
                (f"{troop.alive[number][0]} %",),
            )
            account.cut += 1
        case "stop":
            troop.end(number, signal.SIGTERM)
            troop.start()
            account.stopped += 1


def _left(conn: psycopg.Connection[Any]) -> int:
    return int(_value(conn, "SELECT count(*) FROM scheduled_jobs WHERE status <> 'completed'"))


def _value(conn: psycopg.Connection[Any], query: str) -> Any:
    found = conn.execute(query.encode()).fetchone()
    assert found is not None
    return found[0]


@contextlib.contextmanager
def _sampled(conninfo: str, account: Account) -> Iterator[None]:
    """Look again and again how many jobs run: by the scheduler's table, and by the locks of their handlers."""
    stop = threading.Event()

    def look() -> None:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            while not stop.wait(0.02):
                slots = _value(conn, "SELECT count(*) FROM job_executions WHERE status = 'running'")
                locks = _value(
                    conn,
                    f"SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND classid = {LOCK} AND granted"
                    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                )
                account.samples += 1
                account.most_sampled = max(account.most_sampled, slots)
                account.most_at_work = max(account.most_at_work, locks)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _facts(conn: psycopg.Connection[Any]) -> dict[str, int]:
    """Return what the tables say; an interval of a worker that was killed ends with it."""
    queries = {
        "jobs completed": "SELECT count(*) FROM scheduled_jobs WHERE status = 'completed'",
        "completed other than once": "SELECT count(*) FROM (SELECT FROM scheduled_jobs AS j"
        " LEFT JOIN job_executions AS e ON e.job_id = j.id AND e.status = 'completed'"
        " GROUP BY j.id HAVING count(e.id) <> 1) AS x",
        "completed without work": "SELECT count(*) FROM job_executions AS e WHERE status = 'completed'"
        " AND NOT EXISTS (SELECT FROM work AS w WHERE w.execution = e.id AND w.finished)",
        "executions": "SELECT count(*) FROM job_executions",
        "failed": "SELECT count(*) FROM job_executions WHERE status = 'failed'",
        "worker lost": "SELECT count(*) FROM job_executions WHERE error_message LIKE 'worker lost%'",
        "still running": "SELECT count(*) FROM job_executions WHERE status = 'running'",
        "overlaps": OVERLAPS,
        "most at a time by intervals": """
            WITH shown AS (
                SELECT lower(w.during) AS began,
                    CASE WHEN w.finished THEN upper(w.during)
                         ELSE greatest(lower(w.during), least(upper(w.during), k.at, e.completed_at)) END AS ended
                FROM work AS w
                JOIN job_executions AS e ON e.id = w.execution
                LEFT JOIN killed AS k ON k.worker = w.worker
            ), change AS (
                SELECT began AS at, 1 AS step FROM shown UNION ALL SELECT ended, -1 FROM shown
            )
            SELECT max(running)
            FROM (SELECT sum(step) OVER (ORDER BY at, step ROWS UNBOUNDED PRECEDING) AS running FROM change) AS x
        """,
    }
    return {name: int(_value(conn, query)) for name, query in queries.items()}
