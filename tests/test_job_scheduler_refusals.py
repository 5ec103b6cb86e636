"""What the job scheduler refuses: jobs, schedules, settings and executions that make no sense."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from psycopg import errors
from psycopg.rows import dict_row
from scheduler_rows import WEEKLY, Connection, row, start, started

from pgrunbook import server as embedded

template = ground.template


@pytest.fixture(scope="module")
def one_copy(server: embedded.Server, template: str) -> Iterator[Connection]:
    with (
        ground.copy(server, template) as conninfo,
        contextlib.closing(psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)) as connection,
    ):
        yield connection


@pytest.fixture
def kept(one_copy: Connection) -> Iterator[Connection]:
    """A session of one copy for all tests that only have something refused."""
    yield one_copy
    one_copy.execute("DELETE FROM scheduled_jobs")


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"id": ""}, "scheduled_jobs_id_not_empty"),
        ({"job_type": "weekly"}, "scheduled_jobs_job_type_known"),
        ({"job_type": ""}, "scheduled_jobs_job_type_known"),
        ({"priority": "urgent"}, "scheduled_jobs_priority_known"),
        ({"priority": "HIGH"}, "scheduled_jobs_priority_known"),
        ({"status": "cancelled"}, "scheduled_jobs_status_known"),
        ({"parameters": []}, "scheduled_jobs_parameters_object"),
        ({"parameters": ["then"]}, "scheduled_jobs_parameters_object"),
        ({"due": None}, "scheduled_jobs_pending_has_time"),
        ({"max_retries": -1}, "scheduled_jobs_retries_range"),
        ({"retry_base_seconds": -1}, "scheduled_jobs_retries_range"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(
    kept: Connection, columns: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        ground.job(kept, columns.pop("id", "bad"), **columns)
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize(
    "column", ["job_type", "frequency_type", "frequency_config", "parameters", "enabled", "status"]
)
def test_a_job_without_what_it_needs_is_refused(kept: Connection, column: str) -> None:
    with pytest.raises(errors.NotNullViolation):
        ground.job(kept, "bad", **{column: None})


@pytest.mark.parametrize(
    "columns",
    [
        {"frequency_type": "monthly"},
        {"frequency_type": "weekly", "frequency_config": {"hour": 6}},
        {"frequency_type": "weekly", "frequency_config": {"day": 8, "hour": 6}},
        {"frequency_type": "daily"},
        {"frequency_type": "daily", "frequency_config": {"hour": 25}},
        {"frequency_type": "every_n_hours", "frequency_config": {"hours": 0}},
        {"frequency_type": "daily", "frequency_config": {"hour": 6, "timezone": "Mars/Phobos"}},
    ],
)
def test_a_job_whose_schedule_makes_no_sense_is_refused_when_it_is_made_and_when_it_is_changed(
    kept: Connection, columns: dict[str, Any]
) -> None:
    with pytest.raises((errors.InvalidParameterValue, errors.CheckViolation)):
        ground.job(kept, "bad", **columns)
    ground.job(kept, "good", **WEEKLY)
    change = {"frequency_config": {}, **columns}
    with pytest.raises((errors.InvalidParameterValue, errors.CheckViolation)):
        kept.execute(
            "UPDATE scheduled_jobs SET frequency_type = %s, frequency_config = %s WHERE id = 'good'",
            [change["frequency_type"], psycopg.types.json.Jsonb(change["frequency_config"])],
        )


@pytest.mark.parametrize("moment", ["infinity", "-infinity"])
def test_a_job_is_not_due_at_the_end_of_time(kept: Connection, moment: str) -> None:
    ground.job(kept, "job_sync_001")
    with pytest.raises(errors.CheckViolation) as caught:
        kept.execute("UPDATE scheduled_jobs SET scheduled_for = %s::timestamptz", [moment])
    assert caught.value.diag.constraint_name == "scheduled_jobs_scheduled_for_finite"


def test_a_name_is_one_jobs(kept: Connection) -> None:
    ground.job(kept, "job_weekly_gen_001", job_type="weekly_generation")
    with pytest.raises(errors.UniqueViolation):
        ground.job(kept, "job_weekly_gen_001", job_type="weekly_generation")


@pytest.mark.parametrize(
    ("column", "bad", "constraint"),
    [
        ("id", 2, "scheduler_config_one_row"),
        ("max_concurrent_jobs", -1, "scheduler_config_max_concurrent_jobs_range"),
        ("max_concurrent_jobs", 1001, "scheduler_config_max_concurrent_jobs_range"),
        ("lease_seconds", 0, "scheduler_config_lease_seconds_range"),
        ("lease_seconds", 86401, "scheduler_config_lease_seconds_range"),
        ("default_max_retries", -1, "scheduler_config_default_max_retries_range"),
        ("default_max_retries", 101, "scheduler_config_default_max_retries_range"),
        ("default_retry_base_seconds", -1, "scheduler_config_default_retry_base_seconds_range"),
        ("default_retry_base_seconds", 86401, "scheduler_config_default_retry_base_seconds_range"),
        ("retry_cap_seconds", -1, "scheduler_config_retry_cap_seconds_range"),
        ("retry_cap_seconds", 604801, "scheduler_config_retry_cap_seconds_range"),
        ("retry_jitter", -0.1, "scheduler_config_retry_jitter_range"),
        ("retry_jitter", 1.1, "scheduler_config_retry_jitter_range"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(
    kept: Connection, column: str, bad: float, constraint: str
) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        ground.configure(kept, **{column: bad})
    assert caught.value.diag.constraint_name == constraint


def test_a_zone_that_the_server_does_not_know_is_no_setting(kept: Connection) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="not recognized"):
        ground.configure(kept, timezone="Mars/Phobos")


@pytest.mark.parametrize("zone", ["+05:00", "UTC+5", "-3"])
def test_an_offset_is_no_setting_since_its_sign_would_mean_the_opposite(kept: Connection, zone: str) -> None:
    with pytest.raises(errors.CheckViolation) as caught:
        ground.configure(kept, timezone=zone)
    assert caught.value.diag.constraint_name == "scheduler_config_timezone_named"


def test_there_is_one_row_of_settings(kept: Connection) -> None:
    for number, error in (
        (1, errors.UniqueViolation),
        (2, errors.CheckViolation),
        (None, errors.NotNullViolation),
    ):
        with pytest.raises(error):
            kept.execute("INSERT INTO scheduler_config (id) VALUES (%s)", [number])
    with pytest.raises(errors.UniqueViolation):
        kept.execute("INSERT INTO scheduler_config DEFAULT VALUES")
    settings = row(kept, "SELECT * FROM scheduler_config")
    del settings["created_at"], settings["updated_at"]
    assert settings == {
        "id": 1,
        "enabled": True,
        "max_concurrent_jobs": 5,
        "timezone": "UTC",
        "lease_seconds": 300,
        "default_max_retries": 3,
        "default_retry_base_seconds": 60,
        "retry_cap_seconds": 3600,
        "retry_jitter": 0.0,
    }


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("trigger_type = 'cron'", "trigger_type_known"),
        ("status = 'lost', slot = NULL, completed_at = now()", "status_known"),
        ("slot = NULL", "running_has_slot"),
        ("status = 'completed', completed_at = now()", "running_has_slot"),
        ("status = 'completed', slot = NULL", "ended_has_time"),
        ("completed_at = now()", "ended_has_time"),
    ],
)
def test_an_execution_that_makes_no_sense_is_refused(kept: Connection, change: str, constraint: str) -> None:
    started(kept, ground.job(kept, "job_sync_001"))
    with pytest.raises(errors.CheckViolation) as caught:
        kept.execute(f"UPDATE job_executions SET {change}".encode())
    assert caught.value.diag.constraint_name == f"job_executions_{constraint}"


def test_an_execution_is_of_a_job(kept: Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        kept.execute(
            "INSERT INTO job_executions (job_id, trigger_type, slot, attempt_number, lease_until)"
            " VALUES ('nobody', 'manual', 1, 1, now())"
        )


@pytest.mark.parametrize("trigger", ["", "cron", "Scheduled", None])
def test_a_job_is_not_started_for_a_reason_that_nobody_knows(kept: Connection, trigger: str | None) -> None:
    with pytest.raises(
        errors.InvalidParameterValue, match=f"no trigger type: {trigger if trigger is not None else 'NULL'}"
    ):
        start(kept, ground.job(kept, "job_sync_001"), trigger)


def test_a_job_that_is_not_there_cannot_be_started(kept: Connection) -> None:
    with pytest.raises(errors.NoDataFound, match="there is no job job_sync_007"):
        start(kept, "job_sync_007")
    assert start(kept, None) is None
