"""Schedules around the changes of the clocks, asked of the change's own function."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import time

import pytest

from pgrunbook import server as embedded
from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.target import rehearsal
from pgrunbook.workloads import job_calendar, job_contest
from pgrunbook.workloads.job_calendar import LORD_HOWE, NEW_YORK, UTC, Course


@pytest.fixture(scope="module")
def conn(server: embedded.Server) -> Iterator[Connection]:
    with (
        job_contest.prepared(server) as conninfo,
        session.connect(rehearsal(conninfo), purpose="test") as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def found(conn: Connection) -> dict[tuple[str, str, str], Course]:
    return {(one.zone, one.clocks, one.name): one for one in job_calendar.courses(conn)}


def test_every_schedule_keeps_its_time_of_day_but_where_the_clocks_leave_it_out(
    found: dict[tuple[str, str, str], Course],
) -> None:
    assert len(found) == 18
    assert {key for key, one in found.items() if not one.kept(one.ours)} == {
        (NEW_YORK, "forward", "daily 02:15"),
        (LORD_HOWE, "forward", "daily 02:15"),
    }


def test_what_is_left_out_comes_later_that_night(found: dict[tuple[str, str, str], Course]) -> None:
    at = [found[zone, "forward", "daily 02:15"].around[1].time() for zone in (NEW_YORK, LORD_HOWE, UTC)]
    assert at == [time(3, 15), time(2, 45), time(2, 15)]


def test_what_is_repeated_counts_once(found: dict[tuple[str, str, str], Course]) -> None:
    days = [moment.date() for moment in found[NEW_YORK, "back", "daily 01:45"].ours]
    assert len(set(days)) == len(days) == 7


@pytest.mark.parametrize(
    ("zone", "hours"), [(NEW_YORK, (23, 25)), (LORD_HOWE, (23.5, 24.5)), (UTC, (24, 24))]
)
def test_the_day_of_the_change_is_shorter_or_longer(
    found: dict[tuple[str, str, str], Course], zone: str, hours: tuple[float, float]
) -> None:
    assert tuple(found[zone, clocks, "daily 20:00"].hours for clocks in ("forward", "back")) == hours


def test_steps_of_as_many_hours_drift_where_the_clocks_change(
    found: dict[tuple[str, str, str], Course],
) -> None:
    assert {one.zone for one in found.values() if one.kept(one.stepped)} == {UTC}


def test_a_function_that_adds_a_day_would_be_caught(conn: Connection) -> None:
    with conn.transaction(force_rollback=True):
        conn.execute(
            "CREATE OR REPLACE FUNCTION calculate_next_schedule(p_frequency_type text, p_config jsonb,"
            " p_from_time timestamptz DEFAULT now()) RETURNS timestamptz LANGUAGE sql STABLE"
            " AS $$ SELECT p_from_time + CASE p_frequency_type WHEN 'weekly' THEN interval '7 days' ELSE '1 day' END $$"
        )
        drifting = [one for one in job_calendar.courses(conn) if one.zone == NEW_YORK]
        assert all(not one.kept(one.ours) for one in drifting)
