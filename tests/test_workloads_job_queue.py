"""The queue as it is now, read from real tables; looking changes nothing and waits for nobody."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from scheduler_ground import age, claim, configure, copy, job, scheduler

from pgrunbook import server as embedded
from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.target import rehearsal
from pgrunbook.workloads import job_queue


@pytest.fixture(scope="module")
def template(server: embedded.Server) -> Iterator[str]:
    with scheduler(server) as name:
        yield name


@pytest.fixture
def jobs(server: embedded.Server, template: str) -> Iterator[Connection]:
    with copy(server, template) as conninfo, session.connect(rehearsal(conninfo), purpose="test") as conn:
        yield conn


def test_waiting_jobs_are_counted_by_priority_and_by_when(jobs: Connection) -> None:
    for number in range(3):
        job(jobs, f"due_{number}", priority="critical")
    job(jobs, "later", priority="low", due="1 hour")
    job(jobs, "off", enabled=False)
    job(jobs, "never", due=None, status="completed")
    assert job_queue.read(jobs).waiting == (
        {"priority": "critical", "due": 3, "again": 0, "later": 0},
        {"priority": "high", "due": 0, "again": 0, "later": 0},
        {"priority": "medium", "due": 0, "again": 0, "later": 0},
        {"priority": "low", "due": 0, "again": 0, "later": 1},
    )
    assert [row["job"] for row in job_queue.read(jobs).upcoming] == ["later"]


def test_what_runs_is_listed_with_its_lease(jobs: Connection) -> None:
    job(jobs, "one")
    assert claim(jobs) is not None
    (running,) = job_queue.read(jobs).running
    assert (running["job"], running["attempt"]) == ("one", 1)
    assert 290 < running["lease_seconds"] <= 300
    age(jobs, "one", "10 minutes")
    assert job_queue.read(jobs).running[0]["lease_seconds"] < 0
    assert job_queue.board(jobs).text.endswith("1 lease over")


def test_what_failed_is_listed_until_it_is_done(jobs: Connection) -> None:
    job(jobs, "shaky")
    started = claim(jobs)
    assert started is not None
    jobs.execute("SELECT fail_job(%s, %s, 'no answer')", started)
    now = job_queue.read(jobs)
    assert now.errors == 1
    assert [(row["job"], row["failures"], row["error"]) for row in now.failed] == [("shaky", 1, "no answer")]
    assert 50 < now.failed[0]["again_in_seconds"] <= 60
    assert now.waiting[2]["again"] == 1
    age(jobs, "shaky", "2 minutes")
    started = claim(jobs)
    assert started is not None
    # Tried again: it runs, and is no failure meanwhile.
    assert job_queue.read(jobs).errors == 0
    jobs.execute("SELECT complete_job(%s, %s, NULL)", started)
    assert job_queue.read(jobs).errors == 0


def test_a_job_that_failed_for_good_is_told_too(jobs: Connection) -> None:
    job(jobs, "hopeless", max_retries=0)
    started = claim(jobs)
    assert started is not None
    jobs.execute("SELECT fail_job(%s, %s, 'no answer')", started)
    assert job_queue.read(jobs).failed[0]["again_in_seconds"] is None


def test_the_kill_switch_and_the_cap_are_on_the_board(jobs: Connection) -> None:
    configure(jobs, enabled=False, max_concurrent_jobs=2)
    assert job_queue.board(jobs).text == "queue OFF: 0 of 2 slots taken, 0 jobs due, 0 later"


def test_looking_waits_for_no_writer_and_gives_nothing_back(jobs: Connection) -> None:
    job(jobs, "one")
    assert claim(jobs) is not None
    age(jobs, "one", "10 minutes")
    with psycopg.connect(jobs.info.dsn) as other:
        other.execute(
            "LOCK TABLE scheduled_jobs, job_executions, scheduler_config IN SHARE ROW EXCLUSIVE MODE"
        )
        assert len(job_queue.read(jobs).running) == 1
    assert len(job_queue.read(jobs).running) == 1


def test_counts_hold_for_the_rows_beyond_those_that_are_listed(jobs: Connection) -> None:
    for number in range(20):
        job(jobs, f"failed_{number}", due="1 hour", error_count=1)
    now = job_queue.read(jobs)
    assert (now.errors, len(now.failed), len(now.upcoming)) == (20, 8, 8)
    assert "20 with an error" in job_queue.board(jobs).text
