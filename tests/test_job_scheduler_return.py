"""Jobs that come back: after a failure, at their regular time, after another job, and when a worker is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
import scheduler_ground as ground
from conftest import Elsewhere
from psycopg import errors
from scheduler_rows import (
    DAILY,
    HOURLY,
    WEEKLY,
    Connection,
    at_once,
    complete,
    end_leases,
    execution,
    fail,
    job,
    poll,
    run_badly,
    started,
    value,
    values,
)

template, database = ground.template, ground.database


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
