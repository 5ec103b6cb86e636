"""The queue of jobs as it is now: who waits, who runs and for how long yet, what failed, what is next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.views import queue
from pgrunbook.views.view import View

__all__ = ["Queue", "board", "read"]

_LISTED: Final = 8

_CONFIG: Final = """
SELECT c.enabled, c.max_concurrent_jobs AS cap,
    (SELECT count(*) FROM scheduled_jobs AS j WHERE j.error_count > 0 AND j.status IN ('pending', 'failed')) AS errors
FROM scheduler_config AS c
WHERE c.id = 1
"""
_WAITS: Final = """
j.enabled AND j.scheduled_for IS NOT NULL
    AND (j.status = 'pending' OR (j.status IN ('completed', 'failed') AND j.frequency_type <> 'once'))
"""
_WAITING: Final = f"""
SELECT level.priority,
    count(j.id) FILTER (WHERE its.due) AS due,
    count(j.id) FILTER (WHERE NOT its.due AND its.again) AS again,
    count(j.id) FILTER (WHERE NOT its.due AND NOT its.again) AS later
FROM (VALUES (1, 'critical'), (2, 'high'), (3, 'medium'), (4, 'low')) AS level (rank, priority)
LEFT JOIN scheduled_jobs AS j ON j.priority = level.priority AND {_WAITS}
LEFT JOIN LATERAL (
    SELECT j.scheduled_for <= clock_timestamp() AS due, j.status = 'pending' AND j.error_count > 0 AS again
) AS its ON true
GROUP BY level.rank, level.priority
ORDER BY level.rank
"""
_RUNNING: Final = """
SELECT e.slot, e.job_id AS job, e.id AS execution, e.attempt_number AS attempt, e.worker,
    extract(epoch FROM clock_timestamp() - e.started_at)::float AS running_seconds,
    extract(epoch FROM e.lease_until - clock_timestamp())::float AS lease_seconds
FROM job_executions AS e
WHERE e.status = 'running'
ORDER BY e.slot
"""
_FAILED: Final = f"""
SELECT j.id AS job, j.error_count AS failures, j.last_error AS error,
    extract(epoch FROM j.scheduled_for - clock_timestamp())::float AS again_in_seconds
FROM scheduled_jobs AS j
WHERE j.error_count > 0 AND j.status IN ('pending', 'failed')
ORDER BY j.scheduled_for NULLS FIRST, j.id
LIMIT {_LISTED}
"""
_NEXT: Final = f"""
SELECT j.id AS job, j.priority, extract(epoch FROM j.scheduled_for - clock_timestamp())::float AS in_seconds
FROM scheduled_jobs AS j
WHERE {_WAITS} AND j.scheduled_for > clock_timestamp()
ORDER BY j.scheduled_for, j.id
LIMIT {_LISTED}
"""


@dataclass(frozen=True, slots=True)
class Queue:
    """What the tables hold now; of jobs that failed and of those that are next, the first few."""

    enabled: bool
    cap: int
    errors: int
    waiting: tuple[dict[str, Any], ...]
    running: tuple[dict[str, Any], ...]
    failed: tuple[dict[str, Any], ...]
    upcoming: tuple[dict[str, Any], ...]


def read(conn: Connection) -> Queue:
    """Return the queue as it was at one moment; it only reads, and gives up after 5 seconds."""
    with session.reading(conn, timeout_ms=5_000, one_moment=True):
        config = conn.execute(_CONFIG).fetchone() or {"enabled": False, "cap": 0, "errors": 0}
        waiting, running, failed, upcoming = (
            tuple(conn.execute(query.encode())) for query in (_WAITING, _RUNNING, _FAILED, _NEXT)
        )
    return Queue(**config, waiting=waiting, running=running, failed=failed, upcoming=upcoming)


def board(conn: Connection) -> View:
    """Return the queue as it is now, as a board."""
    now = read(conn)
    return queue.board(
        enabled=now.enabled,
        cap=now.cap,
        errors=now.errors,
        waiting=now.waiting,
        running=now.running,
        failed=now.failed,
        upcoming=now.upcoming,
    )
