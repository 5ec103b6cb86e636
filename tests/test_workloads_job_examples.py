"""Workers at the sample jobs: what they do, in which order, and what a killed one leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from scheduler_ground import FOLDER, apply

from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.target import rehearsal
from pgrunbook.workloads import job_examples

DATA = (FOLDER / "samples" / "data.sql").read_bytes()


@pytest.fixture
def jobs(database: str) -> Iterator[Connection]:
    with session.connect(rehearsal(database), purpose="test") as conn:
        conn.execute((FOLDER / "samples" / "go.sql").read_bytes())
        apply(conn)
        yield conn


def test_one_worker_does_the_sample_jobs_by_priority(jobs: Connection) -> None:
    rows = asyncio.run(job_examples.work(jobs, jobs.info.dsn, DATA))
    assert job_examples.by_priority(rows)
    assert {row["job"] for row in rows} == {*job_examples.DUE, job_examples.AFTER}
    told = {row["job"]: (row["why"], row["status"], row["comes back"]) for row in rows}
    assert told["job_weekly_gen_001"] == ("scheduled", "completed", "Friday 06:00")
    assert told["job_auto_sync_001"] == ("scheduled", "failed", "after 60 s")
    assert told["job_sync_plan_001"] == ("dependent", "completed", "not by itself")
    assert told["job_daily_advisor_001"] == ("scheduled", "completed", "20:00")


def test_the_plan_of_the_week_has_no_recipe_that_may_not_come_back_yet(jobs: Connection) -> None:
    asyncio.run(job_examples.work(jobs, jobs.info.dsn, DATA))
    # The sample says that user 1 had 11 and 12 at dinner within 30 days.
    plan = session.value(
        jobs, "SELECT plan FROM auto_meal_plans WHERE user_id = 1 ORDER BY week_of DESC LIMIT 1"
    )
    assert len(plan["dinner"]) == 7
    assert not {"recipe-11", "recipe-12"} & set(plan["dinner"])


def test_a_killed_worker_loses_its_job_to_the_next_one(jobs: Connection) -> None:
    jobs.execute(DATA)
    rows = asyncio.run(job_examples.crash(jobs, jobs.info.dsn))
    assert [(row["attempt"], row["status"], row["error"]) for row in rows] == [
        (1, "failed", "worker lost"),
        (2, "completed", None),
    ]
    assert session.value(jobs, "SELECT lease_seconds FROM scheduler_config") == 300


def test_a_process_that_finds_no_job_is_ended_and_told(jobs: Connection) -> None:
    with pytest.raises(RuntimeError, match="instead of taking its job"):
        job_examples._killed_at_work(jobs.info.dsn, limit_s=0.2)


def test_jobs_that_nobody_does_are_told(jobs: Connection) -> None:
    with pytest.raises(RuntimeError, match=r"not done within 0\.3 s: job_of_nobody"):
        asyncio.run(job_examples._until_done(jobs.info.dsn, {"job_of_nobody"}, name="idle", limit_s=0.3))


def test_a_job_is_left_running_once(jobs: Connection) -> None:
    jobs.execute(DATA)
    assert job_examples.leave(jobs) is not None
    assert job_examples.leave(jobs) is None


def test_jobs_out_of_order_are_seen() -> None:
    assert not job_examples.by_priority([{"priority": "low"}, {"priority": "critical"}])
