"""Pollers side by side: what was specified runs jobs twice and over the cap, what was built does not."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pgrunbook import server as embedded
from pgrunbook.workloads import job_contest
from pgrunbook.workloads.job_contest import Way


@pytest.fixture(scope="module")
def ground(server: embedded.Server) -> Iterator[str]:
    with job_contest.prepared(server) as conninfo:
        yield conninfo


def test_two_statements_as_specified_run_jobs_twice(ground: str) -> None:
    found = job_contest.twice(ground, Way.SPECIFIED)
    assert found.repeated > 0
    assert found.executions > found.jobs
    assert found.never == 0


@pytest.mark.parametrize("way", [Way.APART, Way.CLAIM])
def test_ours_run_every_job_once(ground: str, way: Way) -> None:
    found = job_contest.twice(ground, way)
    assert (found.executions, found.repeated, found.never, found.most) == (200, 0, 0, 1)
    assert way is Way.APART or found.lost == 0


def test_the_count_would_see_a_job_that_ran_twice_with_ours(ground: str) -> None:
    # start_job as it would be without its guard.
    with psycopg.connect(ground, autocommit=True) as conn:
        row = conn.execute("SELECT pg_get_functiondef('start_job'::regproc)").fetchone()
        assert row is not None
        conn.execute(
            "CREATE OR REPLACE FUNCTION start_job(p_job_id text, p_trigger_type text DEFAULT 'scheduled')"
            " RETURNS integer LANGUAGE sql AS $$ INSERT INTO job_executions"
            " (job_id, trigger_type, status, attempt_number, lease_until, completed_at)"
            " SELECT p_job_id, 'manual', 'completed', 1, now(), now() FROM generate_series(1, 2) WHERE p_job_id <> '';"
            " UPDATE scheduled_jobs SET status = 'completed', scheduled_for = NULL WHERE id = p_job_id;"
            " SELECT NULL::integer $$"
        )
        try:
            found = job_contest.twice(ground, Way.CLAIM, jobs=20)
        finally:
            conn.execute(row[0])
    assert found.repeated == 20


def test_the_cap_holds_for_ours_alone(ground: str) -> None:
    assert set(job_contest.at_once(ground, Way.SPECIFIED, rounds=2)) == {16}
    assert set(job_contest.at_once(ground, Way.CLAIM, rounds=3)) == {5}
    assert set(job_contest.at_once(ground, Way.CLAIM, pollers=4, cap=5, rounds=1)) == {4}


def test_one_question_reads_the_index_however_many_wait(ground: str) -> None:
    found = job_contest.polling(ground, waiting=(100, 3_000), runs=3)
    assert [(one.waiting, one.index_scans, one.table_scans) for one in found] == [(100, 1, 0), (3_000, 1, 0)]


def test_without_the_index_the_table_is_read_and_that_is_seen(ground: str) -> None:
    with psycopg.connect(ground) as conn:
        conn.execute("DROP INDEX idx_scheduled_jobs_status_priority")
        conn.execute("CREATE INDEX idx_scheduled_jobs_status_priority ON scheduled_jobs (id) WHERE false")
        before = job_contest._scans(conn)
        conn.rollback()
    assert before[0] == 0
    assert before[1] > 0


def test_nothing_of_the_contest_stays_on_the_server(server: embedded.Server) -> None:
    names = "SELECT datname FROM pg_database ORDER BY 1"
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
        before = conn.execute(names).fetchall()
        with job_contest.prepared(server):
            assert len(conn.execute(names).fetchall()) == len(before) + 1
        assert conn.execute(names).fetchall() == before
