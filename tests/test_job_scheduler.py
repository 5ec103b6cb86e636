"""What the change 050_job_scheduler makes: its shape, which job is next, and a job from start to end."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from psycopg import errors
from psycopg.rows import dict_row
from scheduler_rows import (
    DAILY,
    HOURLY,
    WEEKLY,
    Connection,
    complete,
    execution,
    fail,
    job,
    poll,
    start,
    started,
    use,
    value,
    values,
)

from pgrunbook import catalog
from pgrunbook import server as embedded

template, database = ground.template, ground.database


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
