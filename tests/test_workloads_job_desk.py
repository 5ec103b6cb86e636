"""The desk of the job scheduler: what it shows in a rehearsal, and that it starts nothing on a live target."""

from __future__ import annotations

import asyncio
import dataclasses
import os
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest

from pgrunbook import change, samples, session
from pgrunbook import server as embedded
from pgrunbook.run import Run
from pgrunbook.target import Kind
from pgrunbook.workloads.job_desk import JobDesk


@pytest.fixture(scope="module")
def desk(server: embedded.Server) -> Iterator[JobDesk]:
    chosen = change.load("050_job_scheduler", root=change.root_from(os.environ))
    target = samples.make(server, chosen, planted=[])
    try:
        with session.connect(target, purpose="steps") as conn:
            for step in chosen.steps:
                conn.execute(step.migrate.text.encode())
            run = SimpleNamespace(change=chosen, target=target, work=conn, outcomes=[])
            yield JobDesk(cast(Run, run), lambda: server)
    finally:
        samples.remove(server, target)


def live(desk: JobDesk) -> JobDesk:
    run = SimpleNamespace(**vars(desk.run))
    run.target = dataclasses.replace(desk.target, kind=Kind.LIVE)
    return JobDesk(cast(Run, run), desk._server)


def counted(desk: JobDesk) -> Any:
    with psycopg.connect(desk.target.conninfo) as conn:
        return conn.execute(
            "SELECT (SELECT count(*) FROM scheduled_jobs), (SELECT max(id) FROM job_executions)"
        ).fetchone()


def test_the_contests_say_who_ran_jobs_twice_and_who_kept_the_cap(desk: JobDesk) -> None:
    twice = desk.twice()
    assert twice.text == (
        "8 pollers, 200 jobs: as specified, jobs ran twice and more; ours: 0 ran twice, 0 did not run"
    )
    assert "executions of 200 jobs" in str(twice.facts["as specified: ask, then start"])
    cap = desk.cap()
    assert cap.text == (
        "16 pollers at one moment, cap 5, 5 rounds: as specified up to 16 jobs ran at a time; ours: 5 in every round"
    )
    assert twice.png
    assert cap.png


def test_polling_says_what_a_question_reads(desk: JobDesk) -> None:
    found = desk.polling()
    assert found.text == "100 to 30,000 jobs due: one question reads the index once, the table never"
    assert found.png


def test_the_calendar_is_asked_of_the_target(desk: JobDesk) -> None:
    view = desk.calendar()
    assert view.text == (
        "18 schedules over changes of the clocks: 16 keep their time of day, 2 come later on the day that leaves it"
        " out; steps of 24 hours keep 6"
    )
    assert "Sun 14 Mar 03:15" in str(view.html)


def test_a_worker_does_the_sample_jobs_as_often_as_it_is_asked_to(desk: JobDesk) -> None:
    for _ in range(2):
        view = asyncio.run(desk.examples())
        assert view.text == (
            "5 jobs done by a worker by priority: 4 completed, 1 of them made due by another,"
            " 1 failed and is tried again"
        )
        assert "FatSecret did not answer" in str(view.html)
        assert "after 60 s" in str(view.html)


def test_what_a_killed_worker_had_is_done_by_another(desk: JobDesk) -> None:
    asyncio.run(desk.examples())
    view = asyncio.run(desk.lost_worker())
    assert view.text == "worker killed at work: attempt 1 worker lost, attempt 2 completed"


def test_the_board_shows_what_the_tables_hold(desk: JobDesk) -> None:
    asyncio.run(desk.examples())
    assert desk.queue().text == "queue on: 0 of 5 slots taken, 0 jobs due, 7 later, 1 with an error"
    assert desk.leave_running().text == "job_weekly_trends_001 runs, and nobody will end it"
    view = desk.queue()
    assert view.text == "queue on: 1 of 5 slots taken, 0 jobs due, 6 later, 1 with an error"
    # Without a person a notebook test would compare a table of times.
    assert view.html is None
    with psycopg.connect(desk.target.conninfo, autocommit=True) as conn:
        conn.execute(
            "UPDATE job_executions SET lease_until = now() - interval '1 minute' WHERE status = 'running'"
        )
        assert desk.queue().text.endswith("1 with an error, 1 lease over")
        # Looking gives nothing back.
        assert desk.queue().text.endswith("1 with an error, 1 lease over")


def test_the_rollback_is_told_what_to_keep_and_tells_what_still_ran(desk: JobDesk) -> None:
    assert "copies nothing" in live(desk).back_up_as("before_050").text
    assert (
        desk.back_up_as("before_050").text == "the rollback copies the four tables under the tag before_050"
    )
    said = "WARNING: job job_weekly_trends_001 still runs: execution 9, worker w pid 3, since 2026-01-01"
    cast(Any, desk.run).outcomes = [SimpleNamespace(notices=("NOTICE: else", said))]
    backup = desk.run.change.step("013").rollback[2]
    desk.run.work.execute(backup.text.encode())
    view = desk.rolled_back()
    assert view.text == "rollback: 1 job still ran: job_weekly_trends_001; 4 tables kept as backup"
    assert "recipe_rotation_backup_before_050" in str(view.html)
    cast(Any, desk.run).outcomes = []
    assert desk.rolled_back().text.startswith("rollback: no job still ran")


def test_a_live_database_is_not_written_to(desk: JobDesk) -> None:
    before, there = counted(desk), live(desk)
    for view in (asyncio.run(there.examples()), asyncio.run(there.lost_worker()), there.leave_running()):
        assert "not armed" in view.text
    assert there.queue().text.startswith("queue on")
    assert "18 schedules" in there.calendar().text
    assert counted(desk) == before
