"""What the change 050_job_scheduler makes: jobs that run once at a time, come back, are retried and never get lost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground

from pgrunbook import server as embedded


@pytest.fixture(scope="module")
def scheduler(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as name:
        yield name


@pytest.fixture
def database(server: embedded.Server, scheduler: str) -> Iterator[str]:
    """A copy of the scheduler's database: conn, elsewhere and someone_else are sessions of it."""
    with ground.copy(server, scheduler) as conninfo:
        yield conninfo


def test_a_job_is_claimed_once(conn: psycopg.Connection[Any]) -> None:
    ground.job(conn, "job_sync_001")
    assert ground.claim(conn) == ("job_sync_001", 1)
    assert ground.claim(conn) is None


def test_time_passes(conn: psycopg.Connection[Any]) -> None:
    ground.job(conn, "a", frequency_type="every_n_hours", frequency_config={"hours": 2})
    ground.configure(conn, max_concurrent_jobs=3)
    assert ground.claim(conn)
    ground.age(conn, "a", "1 hour")
    assert ground.claim(conn) is None
