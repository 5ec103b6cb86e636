"""What the change 050_job_scheduler makes: jobs that come back, are retried, given back and never lost; recipes."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from conftest import Elsewhere
from psycopg import errors
from psycopg.rows import dict_row

from pgrunbook import catalog
from pgrunbook import server as embedded

Connection = psycopg.Connection[Any]
HOURLY = {"frequency_type": "every_n_hours", "frequency_config": {"hours": 2}}
DAILY = {"frequency_type": "daily", "frequency_config": {"hour": 20}}
WEEKLY = {"frequency_type": "weekly", "frequency_config": {"day": 5, "hour": 6, "minute": 0}}


@pytest.fixture(scope="module")
def scheduler(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as name:
        yield name


@pytest.fixture
def database(server: embedded.Server, scheduler: str) -> Iterator[str]:
    """A copy of the scheduler's database: conn, elsewhere and someone_else are sessions of it."""
    with ground.copy(server, scheduler) as conninfo:
        yield conninfo


@pytest.fixture(scope="module")
def one_copy(server: embedded.Server, scheduler: str) -> Iterator[Connection]:
    with (
        ground.copy(server, scheduler) as conninfo,
        contextlib.closing(psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)) as connection,
    ):
        yield connection


@pytest.fixture
def kept(one_copy: Connection) -> Iterator[Connection]:
    """A session of one copy for all tests that only have something refused."""
    yield one_copy
    one_copy.execute("DELETE FROM scheduled_jobs")


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


# -- the shape


def test_it_makes_four_tables_seven_functions_and_thirteen_indexes(conn: Connection) -> None:
    assert (
        values(
            conn, "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        > []
    )
    tables = ["job_executions", "recipe_rotation", "scheduled_jobs", "scheduler_config"]
    there = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname = ANY (%s) ORDER BY relname"
    assert values(conn, there, tables) == tables
    assert values(
        conn,
        "SELECT p.oid::regprocedure || ' ' || pg_get_function_result(p.oid) FROM pg_proc AS p"
        " WHERE p.pronamespace = 'public'::regnamespace AND p.prorettype <> 'trigger'::regtype ORDER BY 1",
    ) == [
        "calculate_next_schedule(text,jsonb,timestamp with time zone) timestamp with time zone",
        "complete_job(text,integer,jsonb) void",
        "fail_job(text,integer,text) void",
        "get_next_pending_job() text",
        "get_recipes_on_cooldown(bigint,text,integer)"
        " TABLE(recipe_id text, last_used_date date, days_since_use integer)",
        "start_job(text,text) integer",
        "update_recipe_rotation(bigint,text,text,date) void",
    ]
    assert conn.execute(
        "SELECT indrelid::regclass::text AS table, count(*) AS indexes,"
        " count(*) FILTER (WHERE amname = 'gin') AS gin, count(*) FILTER (WHERE indpred IS NOT NULL) AS partial"
        " FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam"
        " WHERE indrelid = ANY (%s::regclass[]) AND NOT indisprimary GROUP BY 1 ORDER BY 1",
        [tables],
    ).fetchall() == [
        {"table": "job_executions", "indexes": 4, "gin": 1, "partial": 3},
        {"table": "recipe_rotation", "indexes": 4, "gin": 0, "partial": 0},
        {"table": "scheduled_jobs", "indexes": 5, "gin": 2, "partial": 2},
    ]


def test_all_of_it_may_be_run_again(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    ground.configure(conn, max_concurrent_jobs=7)
    before = catalog.snapshot(conn)
    ground.apply(conn)
    assert catalog.differences(before, catalog.snapshot(conn)) == []
    assert job(conn, "job_sync_001")["status"] == "pending"
    assert value(conn, "SELECT max_concurrent_jobs FROM scheduler_config") == 7


def test_the_last_step_tells_what_it_counted(conn: Connection) -> None:
    said: list[str] = []
    conn.add_notice_handler(lambda notice: said.append(notice.message_primary or ""))
    conn.execute(ground.scripts()[-1].read_bytes())
    assert said == [
        "Tables created: 4 (expected: 4)",
        "Indexes created: 13 (expected: 13+)",
        "Functions created: 7 (expected: 7)",
    ]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("DROP TABLE recipe_rotation", "tables created: 3, expected: 4"),
        ("DROP INDEX idx_recipe_rotation_date", "indexes created: 12, expected: 13"),
        ("DROP FUNCTION fail_job", "functions created: 6, expected: 7"),
    ],
)
def test_the_last_step_refuses_when_something_is_missing_and_leaves_the_scheduler_off(
    conn: Connection, missing: str, said: str
) -> None:
    ground.configure(conn, enabled=False)
    conn.execute(missing.encode())
    with pytest.raises(errors.RaiseException, match=said):
        conn.execute(ground.scripts()[-1].read_bytes())
    assert value(conn, "SELECT enabled FROM scheduler_config") is False


def test_until_the_last_step_the_scheduler_is_off(database: str, conn: Connection) -> None:
    conn.execute("DELETE FROM scheduler_config")
    for script in ground.scripts()[:-1]:
        conn.execute(script.read_bytes())
    assert value(conn, "SELECT enabled FROM scheduler_config") is False


def test_users_take_their_jobs_and_recipes_with_them(conn: Connection) -> None:
    ground.job(conn, "of_ada", user_id=1)
    ground.job(conn, "of_all")
    number = started(conn, "of_ada")
    for user in (1, 2):
        conn.execute("SELECT update_recipe_rotation(%s, 'soup', 'lunch', current_date)", [user])
    conn.execute("DELETE FROM users WHERE id = 1")
    assert values(conn, "SELECT id FROM scheduled_jobs") == ["of_all"]
    assert values(conn, "SELECT id FROM job_executions WHERE id = %s", number) == []
    assert values(conn, "SELECT user_id FROM recipe_rotation") == [2]


def test_a_user_who_is_not_there_has_no_job(conn: Connection) -> None:
    with pytest.raises(errors.ForeignKeyViolation):
        ground.job(conn, "of_nobody", user_id=99)


def test_a_job_that_is_deleted_leaves_the_executions_that_it_led_to(conn: Connection) -> None:
    ground.job(conn, "parent", parameters={"then": ["child"]})
    ground.job(conn, "child", due=None, status="completed")
    complete(conn, "parent", started(conn, "parent"))
    number = started(conn, "child")
    assert execution(conn, number)["parent_job_id"] == "parent"
    conn.execute("DELETE FROM scheduled_jobs WHERE id = 'parent'")
    assert execution(conn, number)["parent_job_id"] is None
    assert values(conn, "SELECT job_id FROM job_executions") == ["child"]


# -- what is refused


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


# -- which job is next


def test_more_important_jobs_come_first_and_among_equals_those_that_wait_longest(conn: Connection) -> None:
    for priority in ("medium", "low", "critical", "high"):
        for minutes in (2, 3, 1):
            ground.job(conn, f"{priority}_{minutes}", due=f"-{minutes} minutes", priority=priority)
    ground.configure(conn, max_concurrent_jobs=20)
    order = [claimed[0] for claimed in iter(lambda: ground.claim(conn), None)]
    assert order == [
        f"{priority}_{minutes}" for priority in ("critical", "high", "medium", "low") for minutes in (3, 2, 1)
    ]


@pytest.mark.parametrize(
    "reason",
    [
        "UPDATE scheduled_jobs SET status = 'running'",
        "UPDATE scheduled_jobs SET status = 'completed'",
        "UPDATE scheduled_jobs SET status = 'failed'",
        "UPDATE scheduled_jobs SET enabled = false",
        "UPDATE scheduled_jobs SET scheduled_for = now() + interval '1 second'",
        "UPDATE scheduled_jobs SET scheduled_for = NULL, status = 'completed'",
        "UPDATE scheduler_config SET enabled = false",
        "UPDATE scheduler_config SET max_concurrent_jobs = 0",
        "DELETE FROM scheduler_config",
        "DELETE FROM scheduled_jobs",
    ],
)
def test_a_job_is_not_next_when(conn: Connection, reason: str) -> None:
    ground.job(conn, "job_sync_001")
    assert poll(conn) == "job_sync_001"
    # One second is longer than this takes: the transaction's now() and the clock are of the same moment.
    with conn.transaction(force_rollback=True):
        conn.execute(reason.encode())
        assert poll(conn) is None
        assert ground.claim(conn) is None
        if not reason.startswith("DELETE FROM scheduled_jobs"):
            assert start(conn, "job_sync_001") is None
    assert poll(conn) == "job_sync_001"


def test_asking_changes_nothing(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    before = job(conn, "job_sync_001")
    assert [poll(conn) for _ in range(3)] == ["job_sync_001"] * 3
    assert job(conn, "job_sync_001") == before


@pytest.mark.parametrize("status", ["completed", "failed"])
def test_what_is_to_run_once_does_not_come_back_but_what_recurs_does_when_it_is_due(
    conn: Connection, status: str
) -> None:
    ground.job(conn, "once", status=status)
    ground.job(conn, "hourly", status=status, **HOURLY)
    ground.job(conn, "tomorrow", status=status, due="1 day", **HOURLY)
    assert (start(conn, "once"), start(conn, "tomorrow")) == (None, None)
    assert ground.claim(conn) == ("hourly", 1)
    assert ground.claim(conn) is None


def test_all_slots_taken_is_a_reason_to_wait(conn: Connection) -> None:
    ground.configure(conn, max_concurrent_jobs=2)
    for number in range(3):
        ground.job(conn, f"job_{number}", due=f"-{9 - number} minutes")
    first, second = ground.claim(conn), ground.claim(conn)
    assert first is not None
    assert second is not None
    assert poll(conn) is None
    assert start(conn, "job_2", "manual") is None
    complete(conn, *first)
    assert ground.claim(conn) == ("job_2", 3)


@pytest.mark.parametrize(
    ("name", "job_type", "frequency_type", "config", "expected"),
    [
        ("generation", "weekly_generation", "weekly", {"day": 5, "hour": 6, "minute": 0}, "2025-12-19 06:00"),
        ("sync", "auto_sync", "every_n_hours", {"hours": 2}, "2025-12-15 11:00"),
        ("slow_sync", "auto_sync", "every_n_hours", {"hours": 4}, "2025-12-15 13:00"),
        ("advisor", "daily_advisor", "daily", {"hour": 20, "minute": 0}, "2025-12-15 20:00"),
        ("trends", "weekly_trends", "weekly", {"day": 4, "hour": 20, "minute": 0}, "2025-12-18 20:00"),
    ],
)
def test_every_type_of_job_has_its_time(
    conn: Connection, name: str, job_type: str, frequency_type: str, config: dict[str, Any], expected: str
) -> None:
    ground.job(conn, name, job_type=job_type, frequency_type=frequency_type, frequency_config=config)
    following = value(
        conn,
        "SELECT calculate_next_schedule(frequency_type, frequency_config, '2025-12-15 09:00+00') FROM scheduled_jobs",
    )
    assert following == datetime.fromisoformat(expected).replace(tzinfo=UTC)


# -- from start to end


def test_a_job_that_is_started_runs_and_its_execution_says_who_has_it(conn: Connection) -> None:
    conn.execute("SET application_name = 'kitchen'")
    ground.job(conn, "job_sync_001")
    number = started(conn, "job_sync_001")
    found, running = job(conn, "job_sync_001"), execution(conn, number)
    assert (found["status"], found["error_count"]) == ("running", 0)
    assert found["started_at"] == running["started_at"]
    assert found["due_at"] == found["scheduled_for"]
    assert running["worker"] == f"kitchen pid {conn.info.backend_pid}"
    assert running["lease_until"] - running["started_at"] == timedelta(seconds=300)
    told = (
        "job_id",
        "trigger_type",
        "status",
        "attempt_number",
        "parent_job_id",
        "completed_at",
        "duration_ms",
    )
    assert [running[one] for one in told] == ["job_sync_001", "scheduled", "running", 1, None, None, None]
    assert 1 <= running["slot"] <= 5
    assert start(conn, "job_sync_001") is None
    assert start(conn, "job_sync_001", "manual") is None


def test_a_job_that_is_completed_tells_how_long_it_took_by_the_clock(conn: Connection) -> None:
    ground.job(conn, "job_sync_001", error_count=2, last_error="earlier")
    # In one transaction now() stands still.
    with conn.transaction():
        number = started(conn, "job_sync_001")
        conn.execute("SELECT pg_sleep(0.05)")
        conn.execute("SELECT complete_job('job_sync_001', %s, '{\"meals\": 21}')", [number])
    found, ended = job(conn, "job_sync_001"), execution(conn, number)
    assert 50 <= ended["duration_ms"] < 30_000
    assert (
        abs(ended["duration_ms"] - (ended["completed_at"] - ended["started_at"]) / timedelta(milliseconds=1))
        <= 1
    )
    assert (ended["status"], ended["slot"], ended["output"], ended["attempt_number"]) == (
        "completed", None, {"meals": 21}, 3,
    )  # fmt: skip
    assert (found["status"], found["error_count"], found["last_error"]) == ("completed", 0, None)
    assert found["completed_at"] == ended["completed_at"]
    assert found["scheduled_for"] is None


def test_a_job_may_have_nothing_to_tell(conn: Connection) -> None:
    number = started(conn, ground.job(conn, "job_sync_001"))
    complete(conn, "job_sync_001", number)
    assert execution(conn, number)["output"] is None


def test_a_job_that_failed_says_why_and_how_long_it_took(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    with conn.transaction():
        number = started(conn, "job_sync_001")
        conn.execute("SELECT pg_sleep(0.05)")
        fail(conn, "job_sync_001", number, "Tandoor: 503")
    ended = execution(conn, number)
    assert (ended["status"], ended["error_message"], ended["slot"]) == ("failed", "Tandoor: 503", None)
    assert 50 <= ended["duration_ms"] < 30_000
    assert job(conn, "job_sync_001")["last_error"] == "Tandoor: 503"


def test_a_failure_need_not_say_why(conn: Connection) -> None:
    number = started(conn, ground.job(conn, "job_sync_001"))
    fail(conn, "job_sync_001", number, None)
    assert execution(conn, number)["error_message"] == ""


@pytest.mark.parametrize("end", [complete, fail])
@pytest.mark.parametrize("again", [complete, fail])
def test_an_execution_ends_once(
    conn: Connection, end: Callable[..., None], again: Callable[..., None]
) -> None:
    number = started(conn, ground.job(conn, "job_sync_001", **HOURLY))
    end(conn, "job_sync_001", number)
    before = job(conn, "job_sync_001"), execution(conn, number)
    with pytest.raises(
        errors.ObjectNotInPrerequisiteState, match=f"execution {number} of job job_sync_001 is not running"
    ):
        again(conn, "job_sync_001", number)
    assert (job(conn, "job_sync_001"), execution(conn, number)) == before


@pytest.mark.parametrize("end", [complete, fail])
def test_only_the_execution_of_that_job_can_be_ended(conn: Connection, end: Callable[..., None]) -> None:
    ground.job(conn, "mine")
    ground.job(conn, "yours")
    mine, yours = started(conn, "mine"), started(conn, "yours")
    for name, number in [
        ("mine", yours),
        ("yours", mine),
        ("mine", 99),
        ("nobody", mine),
        ("mine", None),
        (None, mine),
    ]:
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            end(conn, name, number)
    assert values(conn, "SELECT status FROM job_executions") == ["running"] * 2
    assert values(conn, "SELECT status FROM scheduled_jobs") == ["running"] * 2


def test_a_job_can_be_started_by_hand_before_its_time_and_when_it_is_disabled(conn: Connection) -> None:
    ground.job(conn, "tomorrow", due="1 day", **HOURLY)
    ground.job(conn, "disabled", enabled=False)
    ground.job(conn, "done", due=None, status="completed")
    for name in ("tomorrow", "disabled", "done"):
        assert start(conn, name) is None
        number = started(conn, name, "manual")
        assert execution(conn, number)["trigger_type"] == "manual"
        complete(conn, name, number)


def test_nothing_is_started_by_hand_while_the_scheduler_is_off(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    ground.configure(conn, enabled=False)
    assert start(conn, "job_sync_001", "manual") is None


def test_what_runs_goes_on_when_the_scheduler_is_switched_off(conn: Connection) -> None:
    number = started(conn, ground.job(conn, "job_sync_001"))
    ground.configure(conn, enabled=False)
    assert poll(conn) is None
    complete(conn, "job_sync_001", number)
    assert job(conn, "job_sync_001")["status"] == "completed"


def test_a_row_tells_when_it_was_written(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    before = job(conn, "job_sync_001")["updated_at"]
    started(conn, "job_sync_001")
    assert job(conn, "job_sync_001")["updated_at"] > before
    settings = value(conn, "SELECT updated_at FROM scheduler_config")
    ground.configure(conn, max_concurrent_jobs=6)
    assert value(conn, "SELECT updated_at FROM scheduler_config") > settings


# -- again after a failure


def wait(conn: Connection, name: str, number: int) -> float:
    """Return the seconds that a job waits after an execution."""
    found: timedelta = job(conn, name)["scheduled_for"] - execution(conn, number)["completed_at"]
    return found.total_seconds()


def test_a_job_is_tried_again_after_60_120_and_240_seconds_and_then_it_has_failed(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    seen = []
    for _ in range(3):
        assert ground.claim(conn) is not None
        number = value(conn, "SELECT max(id) FROM job_executions")
        fail(conn, "job_sync_001", number)
        found, ended = job(conn, "job_sync_001"), execution(conn, number)
        seen.append((wait(conn, "job_sync_001", number), found["status"], found["error_count"]))
        assert ended["attempt_number"] == found["error_count"]
        assert ground.claim(conn) is None
        at_once(conn, "job_sync_001")
    assert seen == [(60, "pending", 1), (120, "pending", 2), (240, "pending", 3)]
    last = started(conn, "job_sync_001")
    assert execution(conn, last)["attempt_number"] == 4
    fail(conn, "job_sync_001", last, "for good")
    found = job(conn, "job_sync_001")
    assert (found["status"], found["error_count"], found["scheduled_for"]) == ("failed", 4, None)
    assert found["last_error"] == "for good"
    assert ground.claim(conn) is None
    assert values(conn, "SELECT trigger_type FROM job_executions ORDER BY id") == [
        "scheduled",
        *["retry"] * 3,
    ]


def test_success_lets_failures_be_forgotten(conn: Connection) -> None:
    ground.job(conn, "job_sync_001", **HOURLY)
    run_badly(conn, "job_sync_001", times=3)
    at_once(conn, "job_sync_001")
    complete(conn, "job_sync_001", started(conn, "job_sync_001"))
    found = job(conn, "job_sync_001")
    assert (found["error_count"], found["last_error"], found["status"]) == (0, None, "completed")
    at_once(conn, "job_sync_001")
    number = started(conn, "job_sync_001")
    assert (execution(conn, number)["attempt_number"], execution(conn, number)["trigger_type"]) == (
        1,
        "scheduled",
    )
    fail(conn, "job_sync_001", number)
    assert wait(conn, "job_sync_001", number) == 60


def test_a_job_may_have_retries_of_its_own(conn: Connection) -> None:
    ground.job(conn, "never", max_retries=0)
    ground.job(conn, "once_more", max_retries=1, retry_base_seconds=7)
    run_badly(conn, "never", times=1)
    assert job(conn, "never")["status"] == "failed"
    assert wait(conn, "once_more", run_badly(conn, "once_more", times=1)) == 7
    run_badly(conn, "once_more", times=1)
    assert job(conn, "once_more")["status"] == "failed"


def test_the_retries_of_all_jobs_are_a_setting(conn: Connection) -> None:
    ground.configure(conn, default_max_retries=1, default_retry_base_seconds=5)
    ground.job(conn, "job_sync_001")
    assert wait(conn, "job_sync_001", run_badly(conn, "job_sync_001", times=1)) == 5
    run_badly(conn, "job_sync_001", times=1)
    assert job(conn, "job_sync_001")["status"] == "failed"


def test_no_wait_is_longer_than_the_longest(conn: Connection) -> None:
    ground.configure(conn, retry_cap_seconds=100)
    ground.job(conn, "job_sync_001")
    waits = [wait(conn, "job_sync_001", run_badly(conn, "job_sync_001", times=1)) for _ in range(3)]
    assert waits == [60, 100, 100]


@pytest.mark.parametrize("failures", [0, 25, 26, 31, 40, 99])
def test_however_often_a_job_failed_the_wait_is_a_number(conn: Connection, failures: int) -> None:
    ground.configure(
        conn, default_max_retries=100, default_retry_base_seconds=86_400, retry_cap_seconds=604_800
    )
    ground.job(conn, "job_sync_001", error_count=failures)
    number = started(conn, "job_sync_001")
    fail(conn, "job_sync_001", number)
    assert wait(conn, "job_sync_001", number) == (604_800 if failures else 86_400)


def test_jobs_that_failed_together_do_not_come_back_together(conn: Connection) -> None:
    ground.configure(conn, retry_jitter=0.5, max_concurrent_jobs=40)
    names = [ground.job(conn, f"job_{number}", error_count=1) for number in range(40)]
    running = {name: started(conn, name) for name in names}
    for name, number in running.items():
        fail(conn, name, number)
    waits = [wait(conn, name, number) for name, number in running.items()]
    assert all(120 <= one <= 180 for one in waits)
    assert len({round(one, 3) for one in waits}) > 30


# -- coming back


def test_a_recurring_job_waits_for_its_next_regular_time(conn: Connection) -> None:
    for name, columns in (("daily", DAILY), ("weekly", WEEKLY)):
        number = started(conn, ground.job(conn, name, **columns))
        complete(conn, name, number)
        assert job(conn, name)["status"] == "completed"
        assert value(
            conn,
            "SELECT scheduled_for = calculate_next_schedule(frequency_type, frequency_config, completed_at)"
            " AND scheduled_for > completed_at FROM scheduled_jobs WHERE id = %s",
            name,
        )


@pytest.mark.parametrize("columns", [HOURLY, DAILY, WEEKLY])
def test_a_recurring_job_that_failed_for_good_comes_back_at_its_next_regular_time_as_if_new(
    conn: Connection, columns: dict[str, Any]
) -> None:
    ground.job(conn, "job_sync_001", **columns)
    was_due = job(conn, "job_sync_001")["scheduled_for"]
    number = run_badly(conn, "job_sync_001", times=4)
    found = job(conn, "job_sync_001")
    assert (found["status"], found["error_count"]) == ("failed", 4)
    assert found["scheduled_for"] > execution(conn, number)["completed_at"]
    if columns is HOURLY:
        assert found["scheduled_for"] == was_due + timedelta(hours=2)
    assert ground.claim(conn) is None
    ground.age(conn, "job_sync_001", "8 days")
    claimed = ground.claim(conn)
    assert claimed is not None
    again = execution(conn, claimed[1])
    assert (again["attempt_number"], again["trigger_type"]) == (1, "scheduled")
    assert job(conn, "job_sync_001")["error_count"] == 0
    fail(conn, *claimed)
    assert wait(conn, "job_sync_001", claimed[1]) == 60


@pytest.mark.parametrize("late", ["1 minute", "1 hour 59 minutes", "2 hours 1 minute", "3 days", "400 days"])
def test_what_runs_every_two_hours_keeps_its_times_and_catches_up_once(conn: Connection, late: str) -> None:
    ground.configure(conn, max_concurrent_jobs=50)
    ground.job(conn, "hourly", due=f"-{late}", **HOURLY)
    was_due = job(conn, "hourly")["scheduled_for"]
    claimed = ground.claim(conn)
    assert claimed is not None
    complete(conn, *claimed)
    found = job(conn, "hourly")
    assert (found["scheduled_for"] - was_due) % timedelta(hours=2) == timedelta(0)
    assert timedelta(0) < found["scheduled_for"] - found["completed_at"] <= timedelta(hours=2)
    assert ground.claim(conn) is None
    assert value(conn, "SELECT count(*) FROM job_executions") == 1


def test_a_long_run_does_not_shift_the_times_after_it(conn: Connection) -> None:
    ground.job(conn, "hourly", due="-10 seconds", **HOURLY)
    was_due = job(conn, "hourly")["scheduled_for"]
    number = started(conn, "hourly")
    ground.age(conn, "hourly", "5 hours")
    conn.execute("UPDATE job_executions SET lease_until = now() + interval '1 hour'")
    complete(conn, "hourly", number)
    assert job(conn, "hourly")["scheduled_for"] == was_due + timedelta(hours=1)
    assert execution(conn, number)["duration_ms"] >= 5 * 3_600_000


def test_retries_do_not_shift_the_times_after_them(conn: Connection) -> None:
    ground.job(conn, "hourly", due="-10 seconds", **HOURLY)
    was_due = job(conn, "hourly")["scheduled_for"]
    number = started(conn, "hourly")
    for _ in range(3):
        fail(conn, "hourly", number)
        ground.age(conn, "hourly", "7 minutes")
        number = started(conn, "hourly")
    assert job(conn, "hourly")["due_at"] == was_due - timedelta(minutes=21)
    complete(conn, "hourly", number)
    assert job(conn, "hourly")["scheduled_for"] == was_due - timedelta(minutes=21) + timedelta(hours=2)


def test_an_outage_of_three_days_makes_a_daily_job_due_once(conn: Connection) -> None:
    ground.job(conn, "daily", due="-3 days", **DAILY)
    claimed = ground.claim(conn)
    assert claimed is not None
    complete(conn, *claimed)
    assert ground.claim(conn) is None
    assert job(conn, "daily")["scheduled_for"].astimezone(UTC).strftime("%H:%M:%S") == "20:00:00"


@pytest.mark.parametrize("columns", [HOURLY, DAILY, WEEKLY])
def test_a_start_by_hand_before_the_regular_time_keeps_the_regular_time(
    conn: Connection, columns: dict[str, Any]
) -> None:
    ground.job(conn, "job_sync_001", due="90 minutes", **columns)
    regular = job(conn, "job_sync_001")["scheduled_for"]
    complete(conn, "job_sync_001", started(conn, "job_sync_001", "manual"))
    assert job(conn, "job_sync_001")["scheduled_for"] == regular


def test_a_start_by_hand_that_fails_for_good_keeps_the_regular_time_too(conn: Connection) -> None:
    ground.job(conn, "job_sync_001", due="5 hours", **HOURLY)
    regular = job(conn, "job_sync_001")["scheduled_for"]
    fail(conn, "job_sync_001", started(conn, "job_sync_001", "manual"))
    run_badly(conn, "job_sync_001", times=3)
    found = job(conn, "job_sync_001")
    assert (found["status"], found["scheduled_for"]) == ("failed", regular)


def test_a_job_whose_failures_were_written_by_hand_does_not_stop_the_others(conn: Connection) -> None:
    ground.job(conn, "hourly", error_count=3, **HOURLY)
    number = started(conn, "hourly")
    assert job(conn, "hourly")["due_at"] is not None
    conn.execute("UPDATE job_executions SET lease_until = now() - interval '1 second'")
    ground.job(conn, "other")
    assert ground.claim(conn) == ("other", number + 1)
    assert job(conn, "hourly")["status"] == "failed"


# -- one after the other


def test_a_completed_job_makes_those_due_that_come_after_it(conn: Connection) -> None:
    ground.job(conn, "parent", parameters={"then": ["child", "disabled", "nobody", 7, None]})
    ground.job(conn, "child", due=None, status="completed")
    ground.job(conn, "disabled", due=None, status="completed", enabled=False)
    number = started(conn, "parent")
    assert poll(conn) is None
    complete(conn, "parent", number)
    claimed = ground.claim(conn)
    assert claimed is not None
    assert claimed[0] == "child"
    child = execution(conn, claimed[1])
    assert (child["trigger_type"], child["parent_job_id"]) == ("dependent", "parent")
    assert job(conn, "disabled")["status"] == "pending"
    assert ground.claim(conn) is None
    complete(conn, *claimed)
    assert job(conn, "child")["triggered_by"] is None


def test_retries_of_a_dependent_job_have_its_parent_and_its_next_regular_run_has_none(
    conn: Connection,
) -> None:
    ground.job(conn, "parent", parameters={"then": ["child"]})
    ground.job(conn, "child", due="30 minutes", **HOURLY)
    complete(conn, "parent", started(conn, "parent"))
    run_badly(conn, "child", times=4)
    ground.age(conn, "child", "3 hours")
    complete(conn, "child", started(conn, "child"))
    assert conn.execute(
        "SELECT trigger_type, parent_job_id FROM job_executions WHERE job_id = 'child' ORDER BY id"
    ).fetchall() == [
        {"trigger_type": trigger, "parent_job_id": parent}
        for trigger, parent in [("dependent", "parent"), *[("retry", "parent")] * 3, ("scheduled", None)]
    ]


@pytest.mark.parametrize("due", ["30 minutes", "5 hours", "-10 seconds"])
@pytest.mark.parametrize("failures", [0, 1, 4])
@pytest.mark.parametrize("parents", [1, 2])
def test_a_job_that_another_made_due_keeps_its_own_regular_time(
    conn: Connection, due: str, failures: int, parents: int
) -> None:
    ground.job(conn, "child", due=due, **HOURLY)
    regular = job(conn, "child")["scheduled_for"]
    for number in range(parents):
        parent = ground.job(conn, f"parent_{number}", parameters={"then": ["child"]})
        complete(conn, parent, started(conn, parent))
    if failures:
        run_badly(conn, "child", times=failures)
    if failures < 4:
        at_once(conn, "child")
        complete(conn, "child", started(conn, "child"))
    assert job(conn, "child")["scheduled_for"] == regular + timedelta(hours=2 if due.startswith("-") else 0)


def test_a_job_that_failed_makes_nothing_due(conn: Connection) -> None:
    ground.job(conn, "parent", parameters={"then": ["child"]})
    ground.job(conn, "child", due=None, status="completed")
    run_badly(conn, "parent", times=4)
    assert job(conn, "child")["status"] == "completed"


def test_a_dependent_job_that_runs_is_left_alone(conn: Connection) -> None:
    ground.job(conn, "parent", parameters={"then": ["child"]})
    ground.job(conn, "child")
    number = started(conn, "child")
    before = job(conn, "child")
    complete(conn, "parent", started(conn, "parent"))
    assert job(conn, "child") == before
    complete(conn, "child", number)


def test_a_parent_that_is_gone_is_nobodys_parent(conn: Connection) -> None:
    ground.job(conn, "parent", parameters={"then": ["child"]})
    ground.job(conn, "child", due=None, status="completed")
    complete(conn, "parent", started(conn, "parent"))
    conn.execute("DELETE FROM scheduled_jobs WHERE id = 'parent'")
    assert execution(conn, started(conn, "child"))["parent_job_id"] is None


@pytest.mark.parametrize("then", ["child", {"child": 1}, 7, None, [], True])
def test_what_comes_after_is_a_list_or_nothing(conn: Connection, then: Any) -> None:
    ground.job(conn, "parent", parameters={"then": then})
    ground.job(conn, "child", due=None, status="completed")
    complete(conn, "parent", started(conn, "parent"))
    assert job(conn, "child")["status"] == "completed"


# -- workers that are lost


def end_leases(conn: Connection) -> None:
    conn.execute(
        "UPDATE job_executions SET lease_until = now() - interval '1 second' WHERE status = 'running'"
    )


def test_what_a_lost_worker_had_is_given_back_by_the_next_who_asks(
    conn: Connection, elsewhere: Elsewhere
) -> None:
    elsewhere.execute("SET application_name = 'doomed'")
    ground.job(conn, "job_sync_001")
    [claimed] = elsewhere.execute(ground.CLAIM)
    assert poll(conn) is None
    assert job(conn, "job_sync_001")["status"] == "running"
    end_leases(conn)
    assert poll(conn) is None
    ended, found = execution(conn, claimed["execution"]), job(conn, "job_sync_001")
    assert (ended["status"], ended["slot"]) == ("failed", None)
    assert ended["error_message"].startswith(
        f"worker lost: doomed pid {elsewhere.pid} did not renew its lease, which ended at "
    )
    assert (found["status"], found["error_count"], found["last_error"]) == (
        "pending",
        1,
        ended["error_message"],
    )
    assert wait(conn, "job_sync_001", claimed["execution"]) == 60
    for end in (complete, fail):
        with pytest.raises(errors.ObjectNotInPrerequisiteState) as caught:
            end(elsewhere.connection, "job_sync_001", claimed["execution"])
        assert "its lease has and the job was given back" in (caught.value.diag.message_hint or "")
    at_once(conn, "job_sync_001")
    number = started(conn, "job_sync_001")
    assert (execution(conn, number)["attempt_number"], execution(conn, number)["trigger_type"]) == (
        2,
        "retry",
    )
    with pytest.raises(errors.ObjectNotInPrerequisiteState):
        complete(elsewhere.connection, "job_sync_001", claimed["execution"])
    complete(conn, "job_sync_001", number)


def test_a_job_that_cannot_be_given_back_keeps_no_other_from_being_started(conn: Connection) -> None:
    ground.job(conn, "broken", max_retries=0, **DAILY)
    started(conn, "broken")
    # As when the server no longer knows the zone.
    conn.execute("ALTER TABLE scheduled_jobs DROP CONSTRAINT scheduled_jobs_schedule_valid")
    conn.execute("UPDATE scheduled_jobs SET frequency_config = '{}'")
    conn.execute("UPDATE job_executions SET lease_until = now() - interval '1 second'")
    ground.job(conn, "sound")
    notices: list[str] = []
    conn.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    claimed = ground.claim(conn)
    assert claimed is not None
    assert claimed[0] == "sound"
    assert notices == [
        "job broken keeps its slot: its lease has ended, and it cannot be given back: no schedule: daily with {}"
    ]


def test_a_worker_that_renews_its_lease_keeps_its_job(conn: Connection) -> None:
    number = started(conn, ground.job(conn, "job_sync_001"))
    end_leases(conn)
    renewed = conn.execute(
        "UPDATE job_executions SET lease_until = clock_timestamp() + interval '300 s'"
        " WHERE id = %s AND status = 'running'",
        [number],
    )
    assert renewed.rowcount == 1
    assert poll(conn) is None
    complete(conn, "job_sync_001", number)
    assert execution(conn, number)["status"] == "completed"


def test_a_lease_that_ended_may_still_be_completed_as_long_as_nobody_asked(conn: Connection) -> None:
    number = started(conn, ground.job(conn, "job_sync_001"))
    end_leases(conn)
    complete(conn, "job_sync_001", number)
    assert poll(conn) is None
    assert execution(conn, number)["status"] == "completed"


def test_workers_that_are_lost_four_times_leave_a_failed_job(conn: Connection) -> None:
    ground.job(conn, "job_sync_001")
    for _ in range(4):
        at_once(conn, "job_sync_001")
        started(conn, "job_sync_001")
        end_leases(conn)
        poll(conn)
    found = job(conn, "job_sync_001")
    assert (found["status"], found["error_count"], found["scheduled_for"]) == ("failed", 4, None)


def test_lost_workers_do_not_keep_the_slots(conn: Connection) -> None:
    for number in range(6):
        ground.job(conn, f"job_{number}")
    for _ in range(5):
        assert ground.claim(conn) is not None
    assert ground.claim(conn) is None
    end_leases(conn)
    assert ground.claim(conn) is not None
    assert value(conn, "SELECT count(*) FROM job_executions WHERE status = 'failed'") == 5


def test_jobs_are_given_back_while_the_scheduler_is_off(conn: Connection) -> None:
    started(conn, ground.job(conn, "job_sync_001"))
    ground.configure(conn, enabled=False)
    end_leases(conn)
    assert poll(conn) is None
    assert job(conn, "job_sync_001")["status"] == "pending"


def test_the_length_of_a_lease_is_a_setting(conn: Connection) -> None:
    ground.configure(conn, lease_seconds=7)
    running = execution(conn, started(conn, ground.job(conn, "job_sync_001")))
    assert running["lease_until"] - running["started_at"] == timedelta(seconds=7)


# -- waking workers


def heard(conn: Connection) -> int:
    """Return how many messages have come; those of committed work are there with the next answer."""
    conn.execute("SELECT 1")
    return len(list(conn.notifies(timeout=0)))


def test_workers_hear_of_what_there_is_to_do_and_of_nothing_else(
    conn: Connection, someone_else: Callable[[], Elsewhere]
) -> None:
    listener = someone_else().connection
    listener.execute("LISTEN job_scheduler")
    counts: dict[str, int] = {}

    def after(what: str) -> None:
        counts[what] = heard(listener)

    ground.job(conn, "job_sync_001")
    after("made")
    number = started(conn, "job_sync_001")
    after("started")
    conn.execute("UPDATE job_executions SET lease_until = clock_timestamp() + interval '1 hour'")
    after("renewed")
    fail(conn, "job_sync_001", number)
    after("to be tried again")
    at_once(conn, "job_sync_001")
    after("due earlier")
    number = started(conn, "job_sync_001")
    complete(conn, "job_sync_001", number)
    after("completed")
    ground.configure(conn, max_concurrent_jobs=6)
    after("configured")
    poll(conn)
    after("asked")
    ground.job(conn, "disabled", enabled=False, due="1 day")
    heard(listener)
    conn.execute("UPDATE scheduled_jobs SET scheduled_for = now() WHERE id = 'disabled'")
    after("disabled, due earlier")
    conn.execute("UPDATE scheduled_jobs SET enabled = true WHERE id = 'disabled'")
    after("enabled")
    conn.execute("UPDATE scheduled_jobs SET parameters = '{\"a\": 1}' WHERE id = 'disabled'")
    after("other parameters")
    ground.job(conn, "last", max_retries=0)
    heard(listener)
    fail(conn, "last", started(conn, "last"))
    after("failed for good")
    ground.job(conn, "parent", parameters={"then": ["last"]})
    heard(listener)
    complete(conn, "parent", started(conn, "parent"))
    after("made due by another")
    started(conn, "disabled")
    end_leases(conn)
    heard(listener)
    poll(conn)
    after("given back")
    assert counts == {
        "made": 1,
        "started": 0,
        "renewed": 0,
        "to be tried again": 1,
        "due earlier": 1,
        "completed": 0,
        "configured": 1,
        "asked": 0,
        "disabled, due earlier": 0,
        "enabled": 1,
        "other parameters": 0,
        "failed for good": 0,
        "made due by another": 1,
        "given back": 1,
    }


# -- recipes


def use(conn: Connection, recipe: str, *, user: int = 1, meal: str = "dinner", ago: int = 0) -> None:
    conn.execute(
        "SELECT update_recipe_rotation(%s, %s, %s, (now() AT TIME ZONE 'UTC')::date - %s)",
        [user, recipe, meal, ago],
    )


def cooling(conn: Connection, *arguments: Any, user: int = 1, meal: str = "dinner") -> list[tuple[str, int]]:
    marks = "".join(", %s" for _ in arguments)
    query = f"SELECT * FROM get_recipes_on_cooldown(%s, %s{marks})"
    found = conn.execute(query.encode(), [user, meal, *arguments])
    return [(one["recipe_id"], one["days_since_use"]) for one in found]


def test_a_recipe_is_counted_and_its_latest_day_stays(conn: Connection) -> None:
    told = "SELECT use_count, (now() AT TIME ZONE 'UTC')::date - last_used_date AS ago FROM recipe_rotation"
    seen = []
    for ago in (10, 3, 7, 3, 0):
        use(conn, "soup", ago=ago)
        found = row(conn, told)
        seen.append((found["use_count"], found["ago"]))
    assert seen == [(1, 10), (2, 3), (3, 3), (4, 3), (5, 0)]


def test_a_recipe_is_counted_by_user_and_by_meal(conn: Connection) -> None:
    for user, meal in ((1, "lunch"), (1, "dinner"), (2, "dinner"), (1, "dinner")):
        use(conn, "soup", user=user, meal=meal)
    assert [tuple(one.values()) for one in conn.execute(
        "SELECT user_id, meal_type, use_count FROM recipe_rotation ORDER BY 1, 2"
    )] == [(1, "dinner", 2), (1, "lunch", 1), (2, "dinner", 1)]  # fmt: skip
    with pytest.raises(errors.UniqueViolation):
        conn.execute(
            "INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date)"
            " VALUES (1, 'soup', 'lunch', current_date)"
        )


@pytest.mark.parametrize("meal", ["breakfast", "lunch", "dinner", "snack"])
def test_there_are_four_meals(conn: Connection, meal: str) -> None:
    use(conn, "soup", meal=meal)
    assert cooling(conn, meal=meal) == [("soup", 0)]


@pytest.mark.parametrize(
    ("arguments", "error", "constraint"),
    [
        ("1, 'soup', 'brunch', current_date", errors.CheckViolation, "recipe_rotation_meal_type_known"),
        ("1, '', 'lunch', current_date", errors.CheckViolation, "recipe_rotation_recipe_id_length"),
        (
            "1, repeat('x', 201), 'lunch', current_date",
            errors.CheckViolation,
            "recipe_rotation_recipe_id_length",
        ),
        ("1, 'soup', 'lunch', 'infinity'", errors.CheckViolation, "recipe_rotation_last_used_date_finite"),
        ("99, 'soup', 'lunch', current_date", errors.ForeignKeyViolation, "recipe_rotation_user_id_fkey"),
        ("NULL, 'soup', 'lunch', current_date", errors.NotNullViolation, None),
        ("1, NULL, 'lunch', current_date", errors.NotNullViolation, None),
        ("1, 'soup', NULL, current_date", errors.NotNullViolation, None),
        ("1, 'soup', 'lunch', NULL", errors.NotNullViolation, None),
    ],
)
def test_a_use_that_makes_no_sense_is_refused(
    conn: Connection, arguments: str, error: type[psycopg.Error], constraint: str | None
) -> None:
    with pytest.raises(error) as caught:
        conn.execute(f"SELECT update_recipe_rotation({arguments})".encode())
    assert caught.value.diag.constraint_name == constraint


def test_nobody_used_a_recipe_less_than_once(conn: Connection) -> None:
    use(conn, "soup")
    with pytest.raises(errors.CheckViolation):
        conn.execute("UPDATE recipe_rotation SET use_count = 0")


def test_a_recipe_may_come_back_on_the_day_on_which_its_cooldown_ends(conn: Connection) -> None:
    for ago in (31, 30, 29, 1, 0):
        use(conn, f"soup_{ago}", ago=ago)
    assert cooling(conn) == [("soup_0", 0), ("soup_1", 1), ("soup_29", 29)]
    assert cooling(conn, 31) == [("soup_0", 0), ("soup_1", 1), ("soup_29", 29), ("soup_30", 30)]
    assert cooling(conn, 7) == [("soup_0", 0), ("soup_1", 1)]
    assert cooling(conn, 1) == [("soup_0", 0)]
    assert cooling(conn, 0) == []


def test_a_recipe_that_is_planned_may_not_be_planned_again(conn: Connection) -> None:
    use(conn, "soup", ago=-3)
    assert cooling(conn) == [("soup", -3)]


def test_nobody_waits_for_what_others_ate_or_ate_at_other_meals(conn: Connection) -> None:
    assert cooling(conn) == []
    use(conn, "soup", user=2)
    use(conn, "soup", meal="lunch")
    assert cooling(conn) == []
    assert cooling(conn, user=2) == [("soup", 0)]


def test_one_user_of_ten_has_75_recipes_on_cooldown_not_750(conn: Connection) -> None:
    conn.execute("INSERT INTO users (name) SELECT 'user ' || number FROM generate_series(3, 10) AS number")
    conn.execute(
        "INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date)"
        " SELECT u.id, 'recipe ' || number, meal, (now() AT TIME ZONE 'UTC')::date - ago"
        " FROM users AS u, unnest(ARRAY['lunch', 'dinner']) AS meal, generate_series(1, 150) AS number,"
        " LATERAL (SELECT CASE WHEN number <= 75 THEN number % 30 ELSE number END AS ago) AS used"
    )
    assert value(conn, "SELECT count(*) FROM recipe_rotation WHERE meal_type = 'dinner'") == 1500
    assert len(cooling(conn, user=4)) == 75


@pytest.mark.parametrize("session", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_day_is_a_day_of_the_schedulers_zone(conn: Connection, session: str) -> None:
    # Between these two zones lie 26 hours: whatever the time, they do not have the same day.
    conn.execute("SELECT set_config('TimeZone', %s, false)", [session])
    east, west = "Pacific/Kiritimati", "Etc/GMT+12"
    conn.execute(
        "SELECT update_recipe_rotation(1, 'soup', 'dinner', (now() AT TIME ZONE %s)::date - 30)", [east]
    )
    ground.configure(conn, timezone=east)
    assert cooling(conn) == []
    assert cooling(conn, 31) == [("soup", 30)]
    ground.configure(conn, timezone=west)
    [(_, days)] = cooling(conn)
    assert days in (28, 29)


# -- elsewhere


def test_a_dump_with_jobs_can_be_restored_into_an_empty_database(
    server: embedded.Server, database: str, conn: Connection
) -> None:
    ground.configure(conn, timezone="Europe/Berlin")
    for name, columns in (("daily", DAILY), ("weekly", WEEKLY), ("hourly", HOURLY), ("once", {})):
        ground.job(conn, name, parameters={"then": ["once"]}, **columns)
    complete(conn, "daily", started(conn, "daily"))
    running = started(conn, "hourly")
    use(conn, "soup")
    tables = ("scheduled_jobs", "job_executions", "scheduler_config", "recipe_rotation")
    content = "SELECT t::text FROM {} AS t ORDER BY 1"
    before = {table: values(conn, content.format(table)) for table in tables}
    assert all(before.values())
    dump = subprocess.run(
        [server.bin / "pg_dump", database], check=True, capture_output=True, timeout=60
    ).stdout
    name = f"{conn.info.dbname}_restored"
    conninfo = embedded.create_database(server, name)
    try:
        command = [server.bin / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", conninfo]
        restored = subprocess.run(command, input=dump, capture_output=True, timeout=60, check=False)
        assert restored.stderr.decode() == ""
        with psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as there:
            assert {table: values(there, content.format(table)) for table in tables} == before
            complete(there, "hourly", running)
            assert ground.claim(there) is not None
    finally:
        embedded.drop_database(server, name)
