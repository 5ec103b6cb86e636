"""What the job scheduler's tables and functions answer in tests: one row, one value, one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

Connection = psycopg.Connection[Any]
HOURLY = {"frequency_type": "every_n_hours", "frequency_config": {"hours": 2}}
DAILY = {"frequency_type": "daily", "frequency_config": {"hour": 20}}
WEEKLY = {"frequency_type": "weekly", "frequency_config": {"day": 5, "hour": 6, "minute": 0}}


def row(conn: Connection, query: str, parameters: Sequence[Any] = ()) -> Any:
    found = conn.execute(query.encode(), parameters).fetchone()
    assert found is not None
    return found


def value(conn: Connection, query: str, *parameters: Any) -> Any:
    return next(iter(row(conn, query, parameters).values()))


def values(conn: Connection, query: str, *parameters: Any) -> list[Any]:
    return [next(iter(found.values())) for found in conn.execute(query.encode(), parameters)]


def job(conn: Connection, name: str) -> Any:
    return row(conn, "SELECT * FROM scheduled_jobs WHERE id = %s", [name])


def execution(conn: Connection, number: int) -> Any:
    return row(conn, "SELECT * FROM job_executions WHERE id = %s", [number])


def start(conn: Connection, name: str | None, trigger: str | None = "scheduled") -> int | None:
    number: int | None = value(conn, "SELECT start_job(%s, %s)", name, trigger)
    return number


def started(conn: Connection, name: str, trigger: str = "scheduled") -> int:
    number = start(conn, name, trigger)
    assert number is not None
    return number


def complete(conn: Connection, name: str | None, number: int | None) -> None:
    conn.execute("SELECT complete_job(%s, %s)", [name, number])


def fail(
    conn: Connection, name: str | None, number: int | None, why: str | None = "the oven is cold"
) -> None:
    conn.execute("SELECT fail_job(%s, %s, %s)", [name, number, why])


def poll(conn: Connection) -> str | None:
    name: str | None = value(conn, "SELECT get_next_pending_job()")
    return name


def at_once(conn: Connection, name: str) -> None:
    """Let the wait before a retry be over."""
    conn.execute("UPDATE scheduled_jobs SET scheduled_for = now() WHERE id = %s", [name])


def run_badly(conn: Connection, name: str, *, times: int) -> int:
    """Let a job that is due fail so often, without the waits between, and return its last execution."""
    for _ in range(times):
        if job(conn, name)["error_count"]:
            at_once(conn, name)
        number = started(conn, name)
        fail(conn, name, number)
    return number


def end_leases(conn: Connection) -> None:
    conn.execute(
        "UPDATE job_executions SET lease_until = now() - interval '1 second' WHERE status = 'running'"
    )


def use(conn: Connection, recipe: str, *, user: int = 1, meal: str = "dinner", ago: int = 0) -> None:
    conn.execute(
        "SELECT update_recipe_rotation(%s, %s, %s, (now() AT TIME ZONE 'UTC')::date - %s)",
        [user, recipe, meal, ago],
    )
