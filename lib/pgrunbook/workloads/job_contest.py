"""Pollers side by side, as specified and as built: jobs that run twice, jobs that run at a time, what asking costs."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

import psycopg

from pgrunbook import change as changes
from pgrunbook import scratch
from pgrunbook.server import Server
from pgrunbook.workloads import crowd

__all__ = ["CHANGE", "Polled", "Tally", "Way", "at_once", "polling", "prepared", "twice"]

CHANGE: Final = "050_job_scheduler"
Conn = psycopg.Connection[tuple[Any, ...]]

# The specification's functions, to the letter, on tables of their own. Of the cap it has the column alone.
_AS_SPECIFIED: Final = """
CREATE SCHEMA as_specified;
SET search_path = as_specified;
CREATE TABLE scheduler_config (id integer PRIMARY KEY CHECK (id = 1), max_concurrent_jobs integer NOT NULL DEFAULT 5);
INSERT INTO scheduler_config VALUES (1);
CREATE TABLE scheduled_jobs (
    id text PRIMARY KEY, job_type text, priority text, frequency_type text, enabled boolean DEFAULT true,
    status text DEFAULT 'pending', scheduled_for timestamptz, started_at timestamptz, completed_at timestamptz
);
CREATE INDEX idx_scheduled_jobs_status_priority
    ON scheduled_jobs (status, priority DESC, scheduled_for) WHERE enabled = true;
CREATE TABLE job_executions (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, job_id text REFERENCES scheduled_jobs,
    trigger_type text, status text DEFAULT 'running', output jsonb
);
CREATE FUNCTION get_next_pending_job() RETURNS text LANGUAGE sql SET search_path = as_specified AS $$
    SELECT id FROM scheduled_jobs WHERE status = 'pending' AND enabled = true AND scheduled_for <= now()
    ORDER BY array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), scheduled_for
    LIMIT 1 FOR UPDATE SKIP LOCKED
$$;
CREATE FUNCTION start_job(p_job_id text, p_trigger_type text) RETURNS integer
LANGUAGE sql SET search_path = as_specified AS $$
    UPDATE scheduled_jobs SET status = 'running', started_at = now() WHERE id = p_job_id;
    INSERT INTO job_executions (job_id, trigger_type) VALUES (p_job_id, p_trigger_type) RETURNING id
$$;
CREATE FUNCTION complete_job(p_job_id text, p_execution_id integer, p_output jsonb) RETURNS void
LANGUAGE sql SET search_path = as_specified AS $$
    UPDATE scheduled_jobs SET status = 'completed', completed_at = now() WHERE id = p_job_id;
    UPDATE job_executions SET status = 'completed', output = p_output WHERE id = p_execution_id
$$;
"""
_ASK: Final = "SELECT get_next_pending_job()"
_START: Final = "SELECT start_job(%s, 'scheduled')"
_CLAIM: Final = "SELECT id, start_job(id, 'scheduled') FROM get_next_pending_job() AS id"
_COMPLETE: Final = "SELECT complete_job(%s, %s, NULL)"
_ROOM: Final = """
SELECT (SELECT count(*) FROM job_executions WHERE status = 'running') < max_concurrent_jobs FROM scheduler_config
"""
_READ: Final = ("idx_scheduled_jobs_status_priority", "scheduled_jobs")


def _asked_then_started(conn: Conn) -> tuple[str | None, int | None]:
    job = _one(conn, _ASK)
    return job, _one(conn, _START, job) if job else None


def _counted_then_started(conn: Conn) -> tuple[str | None, int | None]:
    return _asked_then_started(conn) if _one(conn, _ROOM) else (None, None)


def _claimed(conn: Conn) -> tuple[str | None, int | None]:
    found = conn.execute(_CLAIM).fetchone()
    return found or (None, None)


class Way(Enum):
    """How a poller comes by a job: the job and its execution, None where there is none, or where it lost."""

    SPECIFIED = "as specified: ask, then start"
    COUNTED = "as specified: count, ask, then start"
    APART = "ours: ask, then start"
    CLAIM = "ours: one statement"

    @property
    def claim(self) -> Callable[[Conn], tuple[str | None, int | None]]:
        """Return what a poller does."""
        return {
            Way.SPECIFIED: _asked_then_started,
            Way.COUNTED: _counted_then_started,
            Way.APART: _asked_then_started,
            Way.CLAIM: _claimed,
        }[self]

    @property
    def ours(self) -> bool:
        """Return whether it is done with the change's own functions."""
        return self in (Way.APART, Way.CLAIM)


@dataclass(frozen=True, slots=True)
class Tally:
    """What pollers did with jobs that were all due; `most` is how often one job ran, `lost` claims that got nothing."""

    way: str
    pollers: int
    jobs: int
    executions: int
    repeated: int
    never: int
    most: int
    lost: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Polled:
    """What one question for the next job cost while so many waited: medians in ms, and what ours read of the jobs."""

    waiting: int
    specified_ms: float
    ours_ms: float
    index_scans: int
    table_scans: int


@contextlib.contextmanager
def prepared(server: Server) -> Iterator[str]:
    """Give the connection string of a scratch database with the change, and with what was specified beside it."""
    root = changes.root_from(os.environ)
    with scratch.applied(changes.load(CHANGE, root=root), server, root=root) as made:
        made.conn.execute(_AS_SPECIFIED.encode())
        yield made.conn.info.dsn


def twice(conninfo: str, way: Way, *, pollers: int = 8, jobs: int = 200) -> Tally:
    """Return what `pollers` did, each in a session of its own, until no job was left; every job took no time."""
    with _session(conninfo, way) as conn:
        _seed(conn, jobs, cap=pollers)
    lost = [0] * pollers

    def work(number: int, conn: Conn) -> None:
        while (claimed := way.claim(conn))[0]:
            if claimed[1] is None:
                lost[number] += 1
            else:
                conn.execute(_COMPLETE, claimed)

    seconds = _together(conninfo, way, pollers, work)
    with _session(conninfo, way) as conn:
        ran = Counter(row[0] for row in conn.execute("SELECT job_id FROM job_executions"))
    return Tally(
        way=way.value,
        pollers=pollers,
        jobs=jobs,
        executions=ran.total(),
        repeated=sum(often > 1 for often in ran.values()),
        never=jobs - len(ran),
        most=max(ran.values(), default=0),
        lost=sum(lost),
        seconds=seconds,
    )


def at_once(conninfo: str, way: Way, *, pollers: int = 16, cap: int = 5, rounds: int = 5) -> tuple[int, ...]:
    """Return how many jobs ran at a time, round by round, after so many pollers claimed one each at one moment."""
    found = []
    for _ in range(rounds):
        with _session(conninfo, way) as conn:
            _seed(conn, 4 * pollers, cap=cap)
        _together(conninfo, way, pollers, lambda _number, conn: way.claim(conn))
        with _session(conninfo, way) as conn:
            found.append(_one(conn, "SELECT count(*) FROM job_executions WHERE status = 'running'"))
    return tuple(found)


def polling(
    conninfo: str, *, waiting: Sequence[int] = (100, 1_000, 10_000), runs: int = 15
) -> tuple[Polled, ...]:
    """Return what the question for the next job costs while so many are due, by our function and as specified."""
    found = []
    for jobs in waiting:
        asked = {}
        for way in (Way.SPECIFIED, Way.CLAIM):
            with _session(conninfo, way) as conn:
                _seed(conn, jobs, cap=5)
                conn.execute("ANALYZE scheduled_jobs")
                asked[way] = statistics.median(_asked(conn) for _ in range(runs)), *_scans(conn)
        found.append(Polled(jobs, asked[Way.SPECIFIED][0], *asked[Way.CLAIM]))
    return tuple(found)


def _asked(conn: Conn) -> float:
    """Return how long one question takes; what it locks is let go."""
    with conn.transaction(force_rollback=True):
        began = time.perf_counter()
        conn.execute(_ASK)
        return (time.perf_counter() - began) * 1000


def _scans(conn: Conn) -> tuple[int, int]:
    """Return how often one question reads the queue's index, and how often it reads the table of jobs whole."""
    counts = (f"pg_stat_get_xact_numscans('{name}'::regclass)" for name in _READ)
    query = f"SELECT {', '.join(counts)}"
    with conn.transaction(force_rollback=True):
        before = conn.execute(query.encode()).fetchone()
        conn.execute(_ASK)
        after = conn.execute(query.encode()).fetchone()
    assert before is not None
    assert after is not None
    return after[0] - before[0], after[1] - before[1]


def _seed(conn: Conn, jobs: int, *, cap: int) -> None:
    conn.execute("TRUNCATE job_executions, scheduled_jobs")
    conn.execute("UPDATE scheduler_config SET max_concurrent_jobs = %s", [cap])
    conn.execute(
        "INSERT INTO scheduled_jobs (id, job_type, priority, frequency_type, scheduled_for)"
        " SELECT 'job_' || i, 'auto_sync', (ARRAY['critical', 'high', 'medium', 'low'])[1 + i %% 4], 'once',"
        " now() - make_interval(secs => i) FROM generate_series(1, %s) AS i",
        [jobs],
    )


def _together(conninfo: str, way: Way, pollers: int, work: Callable[[int, Conn], object]) -> float:
    """Let every poller work in a session of its own, all from one moment on; return how long it took, in seconds."""

    def body(number: int, ready: Callable[[], object]) -> None:
        with _session(conninfo, way) as conn:
            # What a session's first call loads is no part of it.
            with conn.transaction(force_rollback=True):
                conn.execute(_ASK)
            ready()
            work(number, conn)

    return crowd.together(pollers, body)


@contextlib.contextmanager
def _session(conninfo: str, way: Way) -> Iterator[Conn]:
    schema = "public" if way.ours else "as_specified"
    options = f"-c search_path={schema} -c synchronous_commit=off"
    with contextlib.closing(psycopg.connect(conninfo, autocommit=True, options=options)) as conn:
        yield conn


def _one(conn: Conn, query: str, *values: object) -> Any:
    found = conn.execute(query.encode(), values or None).fetchone()
    return found[0] if found else None
