"""Jobs are added, claimed, renewed and ended; what a handler says survives on its way to the server."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from conftest import Elsewhere
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from pgrunbook.errors import JobNotScheduled
from pgrunbook.workloads.job_scheduler import (
    CLAIM,
    TEXT_LENGTH,
    Execution,
    Job,
    claim,
    complete,
    enable,
    fail,
    reason,
    renew,
    schedule,
    stored,
)

Conn = psycopg.Connection[dict[str, Any]]

template, database = ground.template, ground.database


def claimed(conn: Conn) -> Execution:
    execution = claim(conn)
    assert execution is not None
    return execution


def test_a_job_is_due_at_its_next_regular_time_and_once_is_now(conn: Conn) -> None:
    now = datetime.now(UTC)
    due = schedule(conn, Job("weekly", "weekly_generation", "weekly", {"day": 5, "hour": 6}))
    assert due is not None
    assert (due.weekday(), due.hour, due.minute) == (4, 6, 0)
    assert now < due <= now + timedelta(days=7, minutes=1)
    once = schedule(conn, Job("once", "auto_sync"))
    assert once is not None
    assert abs(once - now) < timedelta(minutes=1)
    at = now + timedelta(hours=1)
    assert schedule(conn, Job("at", "auto_sync", scheduled_for=at)) == at


def test_the_same_id_gets_a_new_shape_and_time(conn: Conn) -> None:
    schedule(conn, Job("sync", "auto_sync", max_retries=0))
    assert fail(conn, claimed(conn), "no")
    at = datetime.now(UTC) + timedelta(days=1)
    assert (
        schedule(conn, Job("sync", "auto_sync", parameters={"n": 1}, scheduled_for=at, priority="low")) == at
    )
    row = conn.execute("SELECT status, parameters, priority, error_count FROM scheduled_jobs").fetchone()
    assert row == {"status": "pending", "parameters": {"n": 1}, "priority": "low", "error_count": 0}


def test_one_that_runs_goes_on_when_it_gets_a_new_shape(conn: Conn) -> None:
    schedule(conn, Job("sync", "auto_sync"))
    execution = claimed(conn)
    schedule(conn, Job("sync", "auto_sync", "every_n_hours", {"hours": 2}))
    assert conn.execute("SELECT status FROM scheduled_jobs").fetchone() == {"status": "running"}
    assert complete(conn, execution)
    row = conn.execute("SELECT scheduled_for > now() AS later FROM scheduled_jobs").fetchone()
    assert row == {"later": True}


def test_one_that_is_off_is_not_claimed(conn: Conn) -> None:
    schedule(conn, Job("sync", "auto_sync"))
    enable(conn, "sync", enabled=False)
    assert claim(conn) is None
    enable(conn, "sync")
    assert claimed(conn).job_id == "sync"
    with pytest.raises(JobNotScheduled, match="there is no such job"):
        enable(conn, "nobody")


def test_a_claim_holds_all_that_its_handler_needs(conn: Conn) -> None:
    schedule(conn, Job("sync", "auto_sync", parameters={"of": ["x"]}, user_id=2))
    execution = claimed(conn)
    assert (execution.job_id, execution.job_type, execution.user_id) == ("sync", "auto_sync", 2)
    assert (execution.parameters, execution.attempt, execution.trigger_type) == (
        {"of": ["x"]},
        1,
        "scheduled",
    )
    assert execution.lease_s == 300
    assert claim(conn) is None


def test_a_claim_works_whatever_rows_the_connection_gives(database: str) -> None:
    for factory in (dict_row, psycopg.rows.tuple_row):
        with psycopg.connect(database, autocommit=True, row_factory=factory) as conn:
            schedule(conn, Job("sync", "auto_sync"))
            execution = claim(conn)
            assert execution is not None
            assert list(renew(conn, [execution.id])) == [execution.id]
            assert complete(conn, execution, {"n": 1})


def test_two_claims_at_once_get_different_jobs(conn: Conn, elsewhere: Elsewhere) -> None:
    schedule(conn, Job("one", "auto_sync"))
    schedule(conn, Job("two", "auto_sync"))
    with conn.transaction():
        first = claimed(conn)
        (second,) = elsewhere.execute(ground.CLAIM)
    assert {first.job_id, second["id"]} == {"one", "two"}


def test_a_claim_of_several_takes_the_most_important_and_says_when_nothing_is_left(conn: Conn) -> None:
    ground.configure(conn, max_concurrent_jobs=6)
    for name, priority in (("b", "low"), ("c", "high"), ("a", "high"), ("d", "critical"), ("e", "medium")):
        schedule(conn, Job(name, "auto_sync", priority=priority))
    taken = []
    for hands, nothing_left in ((2, False), (1, False), (4, True)):
        *most, last = (row["execution"] for row in conn.execute(CLAIM, (hands,)).fetchall())
        assert (last is None) is nothing_left
        taken += most if nothing_left else [*most, last]
    jobs = "SELECT string_agg(job_id, '' ORDER BY array_position(%s, id)) AS jobs FROM job_executions"
    assert conn.execute(jobs, (taken,)).fetchone() == {"jobs": "dcaeb"}


def test_a_claim_of_several_stops_at_the_cap(conn: Conn) -> None:
    ground.configure(conn, max_concurrent_jobs=2)
    for name in "abc":
        schedule(conn, Job(name, "auto_sync"))
    found = [row["execution"] for row in conn.execute(CLAIM, (8,)).fetchall()]
    assert len(found) == 3
    assert found[2] is None
    assert None not in found[:2]


def test_leases_are_renewed_together_and_the_lost_are_left_out(conn: Conn) -> None:
    for name in ("one", "two", "three"):
        schedule(conn, Job(name, "auto_sync"))
    one, two, three = claimed(conn), claimed(conn), claimed(conn)
    complete(conn, three)
    ground.configure(conn, lease_seconds=7)
    assert renew(conn, [one.id, two.id, three.id, 10_000]) == {one.id: 7.0, two.id: 7.0}


def test_what_was_given_back_does_not_count(conn: Conn) -> None:
    schedule(conn, Job("sync", "auto_sync"))
    execution = claimed(conn)
    ground.age(conn, "sync", "1 day")
    claim(conn)
    assert not complete(conn, execution, {"late": True})
    assert not fail(conn, execution, "late")
    row = conn.execute("SELECT status, output FROM job_executions WHERE id = %s", (execution.id,)).fetchone()
    assert row == {"status": "failed", "output": None}


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Job("a", "auto_sync", scheduled_for=datetime(2026, 1, 1)), "has no time zone"),
        (lambda: Job("a", "cooking"), "job_type_known"),
        (lambda: Job("a", "auto_sync", "daily", {"hour": 25}), "no schedule: daily"),
        (lambda: Job("a", "auto_sync", user_id=99), "foreign key"),
        (lambda: Job("", "auto_sync"), "id_not_empty"),
        (lambda: Job("a\0", "auto_sync"), "NUL"),
    ],
)
def test_a_job_that_makes_no_sense_is_refused(make: Callable[[], Job], told: str, conn: Conn) -> None:
    with pytest.raises(JobNotScheduled) as caught:
        schedule(conn, make())
    assert told in str(caught.value)
    assert conn.execute("SELECT FROM scheduled_jobs").fetchall() == []


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.datetimes(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner) | st.tuples(inner),
    max_leaves=8,
)


def test_whatever_a_handler_gives_back_the_server_can_keep(conn: Conn) -> None:
    @settings(deadline=None)
    @given(ANYTHING)
    def kept(value: object) -> None:
        made = stored(value)
        row = conn.execute("SELECT %s::jsonb AS kept", (made,)).fetchone()
        assert row is not None
        assert (row["kept"] is None) == (value is None)

    kept()
    circle: list[object] = []
    circle.append(circle)
    for odd in ("\ud800\0", circle, 1 << 100_000, float("-inf"), {("a",): {1, 2}}):
        conn.execute("SELECT %s::jsonb", (stored(odd),))


@pytest.mark.static
def test_an_error_is_one_short_line() -> None:
    assert reason(ValueError("x" * 1000)) == f"ValueError: {'x' * (TEXT_LENGTH - 12)}"
    assert reason(ValueError("\n\n first\nsecond")) == "ValueError: first"
