"""Jobs: adding one to the queue, claiming the next, renewing what runs, and saying how it ended."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from pgrunbook.errors import JobNotScheduled

__all__ = [
    "CLAIM", "COMPLETE", "FAIL", "READ", "RENEW", "TEXT_LENGTH",
    "Execution", "Job", "claim", "complete", "enable", "fail", "reason", "renew", "schedule", "stored",
]  # fmt: skip

TEXT_LENGTH: Final = 500
_DEPTH: Final = 50

Conn = psycopg.Connection[Any]

CLAIM: Final = """
WITH RECURSIVE claimed AS (
    SELECT 1 AS number, start_job(id, 'scheduled') AS execution FROM get_next_pending_job() AS id
    UNION ALL
    SELECT claimed.number + 1, start_job(due.id, 'scheduled')
    FROM claimed
    -- With nothing of the row before in it, it might be asked once for all.
    CROSS JOIN LATERAL (SELECT get_next_pending_job() AS id WHERE claimed.number > 0) AS due
    WHERE claimed.execution IS NOT NULL AND claimed.number < %s
)
SELECT claimed.execution, statement_timestamp() AS asked FROM claimed ORDER BY claimed.number
"""
"""Takes up to so many jobs, the last of them NULL where nothing more is due.

In one statement and so in one transaction: asked and started in two, a job may run twice.
"""
READ: Final = (
    "SELECT e.id, e.job_id, j.job_type, j.user_id, j.parameters, e.attempt_number, e.trigger_type,"
    # Python's years are 1 to 9999.
    " least(greatest(j.due_at, timestamptz '0001-01-02 00:00:00+00'), timestamptz '9999-12-30 00:00:00+00') AS due_at,"
    " extract(epoch FROM e.lease_until - e.started_at)::float8 AS lease_s"
    " FROM job_executions AS e JOIN scheduled_jobs AS j ON j.id = e.job_id WHERE e.id = ANY(%s)"
    " ORDER BY e.id"
)
RENEW: Final = (
    "UPDATE job_executions AS e SET lease_until = clock_timestamp() + make_interval(secs => c.lease_seconds)"
    " FROM scheduler_config AS c WHERE c.id = 1 AND e.id = ANY(%s) AND e.status = 'running'"
    " RETURNING e.id, c.lease_seconds::float8"
)
"""Says again that executions are at work; those that it does not return are somebody else's, or over."""
COMPLETE: Final = "SELECT complete_job(%s, %s, %s)"
FAIL: Final = "SELECT fail_job(%s, %s, %s)"

_SCHEDULE: Final = """
INSERT INTO scheduled_jobs AS j (id, job_type, user_id, priority, frequency_type, frequency_config, parameters, enabled,
    scheduled_for, max_retries, retry_base_seconds)
VALUES (%(id)s, %(job_type)s, %(user_id)s, %(priority)s, %(frequency_type)s, %(frequency_config)s, %(parameters)s,
    %(enabled)s, coalesce(%(scheduled_for)s, calculate_next_schedule(%(frequency_type)s, %(frequency_config)s), now()),
    %(max_retries)s, %(retry_base_seconds)s)
ON CONFLICT (id) DO UPDATE SET job_type = excluded.job_type, user_id = excluded.user_id, priority = excluded.priority,
    frequency_type = excluded.frequency_type, frequency_config = excluded.frequency_config,
    parameters = excluded.parameters, enabled = excluded.enabled, max_retries = excluded.max_retries,
    retry_base_seconds = excluded.retry_base_seconds,
    -- One that runs goes on, and its end says when it comes back.
    status = CASE WHEN j.status = 'running' THEN j.status ELSE 'pending' END,
    scheduled_for = CASE WHEN j.status = 'running' THEN j.scheduled_for ELSE excluded.scheduled_for END,
    error_count = CASE WHEN j.status = 'running' THEN j.error_count ELSE 0 END
RETURNING j.scheduled_for
"""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as it is to be: what is done, how it comes back, and first when.

    Without `scheduled_for` it is due at its next regular time, and one of `once` now.
    """

    id: str
    job_type: str
    frequency_type: str = "once"
    frequency_config: Mapping[str, Any] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user_id: int | None = None
    priority: str = "medium"
    enabled: bool = True
    scheduled_for: datetime | None = None
    max_retries: int | None = None
    retry_base_seconds: int | None = None

    def __post_init__(self) -> None:
        """Refuse a time that means another moment on another server."""
        if self.scheduled_for is not None and self.scheduled_for.tzinfo is None:
            found = f"{self.scheduled_for} has no time zone"
            raise JobNotScheduled(job=self.id, reason=found, next_step="give scheduled_for its tzinfo")


@dataclass(frozen=True, slots=True)
class Execution:
    """A job that was started: what its handler gets. `id` is larger than that of any earlier start."""

    id: int
    job_id: str
    job_type: str
    user_id: int | None
    parameters: Mapping[str, Any]
    attempt: int
    trigger_type: str
    due_at: datetime
    lease_s: float
    lost: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)
    """Set when the handler has to stop; one in a thread is told by nothing else."""


def schedule(conn: Conn, job: Job) -> datetime | None:
    """Add a job, or give one of that id a new shape and time, and return when it is due.

    One that runs just now goes on; its new shape holds from its end on. Raises JobNotScheduled.
    """
    values = {name: getattr(job, name) for name in Job.__slots__}
    values |= {name: Jsonb(values[name]) for name in ("frequency_config", "parameters")}
    try:
        found = _one(conn, _SCHEDULE, values)
    except psycopg.Error as error:
        raise JobNotScheduled(job=job.id, reason=reason(error), next_step=_way_out(error)) from error
    due: datetime | None = found[0]
    return due


def enable(conn: Conn, job_id: str, *, enabled: bool = True) -> None:
    """Have a job started when it is due, or not; raises JobNotScheduled where there is none."""
    changed = conn.execute("UPDATE scheduled_jobs SET enabled = %s WHERE id = %s", (enabled, job_id))
    if changed.rowcount != 1:
        raise JobNotScheduled(job=job_id, reason="there is no such job", next_step="look at scheduled_jobs")


def claim(conn: Conn) -> Execution | None:
    """Start the next job and return its execution; None where nothing is to be done now.

    In autocommit: others see that it was started when the transaction ends.
    """
    execution = _one(conn, CLAIM, (1,))[0]
    return None if execution is None else Execution(*_one(conn, READ, ([execution],)))


def renew(conn: Conn, executions: Sequence[int]) -> dict[int, float]:
    """Renew leases in one statement and return those that are still held, with their seconds from now on."""
    with conn.cursor(row_factory=tuple_row) as cursor:
        return dict(cursor.execute(RENEW.encode(), (list(executions),)).fetchall())


def complete(conn: Conn, execution: Execution, output: object = None) -> bool:
    """End an execution well and return whether that counts: not where its lease ended and it was given back."""
    return _ended(conn, COMPLETE, execution, stored(output))


def fail(conn: Conn, execution: Execution, why: str) -> bool:
    """End an execution badly and return whether that counts."""
    return _ended(conn, FAIL, execution, _text(why))


def stored(value: object) -> Jsonb | None:
    r"""Return what a handler gave back as the server can keep it: no U+0000, no half characters, no NaN.

    >>> stored({"said": "a\0b", 1: float("nan"), "when": datetime(2026, 1, 2)}).obj
    {'said': 'a\\x00b', '1': 'nan', 'when': '2026-01-02 00:00:00'}
    """
    return None if value is None else Jsonb(_plain(value), dumps=json.dumps)


def reason(error: BaseException) -> str:
    r"""Return an error in one short line: its first line, and no trace, which may hold secrets.

    >>> reason(ValueError("no recipe \0 \ud800\nLINE 1: ...")), reason(KeyError())
    ('ValueError: no recipe \\x00 \\ud800', 'KeyError')
    """
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return _text(f"{type(error).__name__}: {first}" if first else type(error).__name__)[:TEXT_LENGTH]


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _plain(value: object, depth: int = 0) -> Any:
    match value:
        case int() if value.bit_length() > 4096:
            return hex(value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < _DEPTH:
            return {_text(str(key)): _plain(one, depth + 1) for key, one in value.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEPTH:
            return [_plain(one, depth + 1) for one in value]
        case Mapping() | list() | tuple() | set() | frozenset():
            return "..."
    return _text(str(value))


def _ended(conn: Conn, statement: str, execution: Execution, value: object) -> bool:
    try:
        conn.execute(statement.encode(), (execution.job_id, execution.id, value))
    except psycopg.errors.ObjectNotInPrerequisiteState:
        return False
    return True


def _one(conn: Conn, statement: str, values: Any = None) -> tuple[Any, ...]:
    with conn.cursor(row_factory=tuple_row) as cursor:
        found = cursor.execute(statement.encode(), values).fetchone()
    assert found is not None
    return found


def _way_out(error: psycopg.Error) -> str:
    match error.sqlstate:
        case "23503":
            return "look whether the user is still there"
        case "23514" | "22023":
            return "mend the value that the server names"
        case "42P01" | "42883":
            return "apply 050_job_scheduler first"
    return "mend what the server says; the job is as it was"
