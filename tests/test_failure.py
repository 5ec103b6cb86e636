"""Failures in words: what happened, what is left, what to do now."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
import throwaway

from pgrunbook.errors import StepCancelled, StepFailed
from pgrunbook.failure import ROLLED_BACK, STANDS, UNKNOWN, explained, explaining, overheld
from pgrunbook.job import Job
from pgrunbook.ledger import Status

pytestmark = pytest.mark.static


@pytest.fixture
def job(tmp_path: Path) -> Job:
    step = throwaway.write(tmp_path).steps[0]
    script = step.migrate
    return Job(throwaway.NAME, step.name, script, script.sha256, None, Status.RUNNING, Status.DONE, "apply")


@pytest.fixture
def way_back(tmp_path: Path) -> Job:
    step = throwaway.write(tmp_path).steps[0]
    script, kind = step.rollback[0], "rollback"
    return Job(throwaway.NAME, step.name, script, "", None, Status.ROLLING_BACK, Status.ROLLED_BACK, kind)


@pytest.mark.parametrize(
    ("error", "left", "text"),
    [
        (
            psycopg.errors.UniqueViolation("taken\n\n  DETAIL:  by c1\nHINT:  look\nLINE 1: x\nLINE 2: y"),
            ROLLED_BACK,
            "001_add_note failed: migrate/001_add_note.sql: taken\n"
            "  DETAIL:  by c1\n  HINT:  look\n  LINE 1: x\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again",
        ),
        (
            psycopg.errors.InsufficientPrivilege("must be owner of table things"),
            STANDS,
            "001_add_note failed: migrate/001_add_note.sql: must be owner of table things\n"
            "  the statement ran outside a transaction: what it made stays until the step is rolled back\n"
            "  next: connect as the owner of the table, or let an administrator grant the privilege",
        ),
        (
            psycopg.OperationalError("the connection is lost"),
            ROLLED_BACK,
            "001_add_note failed: migrate/001_add_note.sql: the connection is lost\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: apply the step again: it connects anew and reads where the step stands",
        ),
        *(
            (
                kind("the server goes"),
                ROLLED_BACK,
                "001_add_note failed: migrate/001_add_note.sql: the server goes\n"
                "  the transaction was rolled back: nothing was left behind\n"
                "  next: apply the step again: it connects anew and reads where the step stands",
            )
            for kind in (
                psycopg.errors.AdminShutdown,
                psycopg.errors.CrashShutdown,
                psycopg.errors.CannotConnectNow,
            )
        ),
        (
            psycopg.errors.AdminShutdown("terminating connection"),
            UNKNOWN,
            "001_add_note failed: migrate/001_add_note.sql: terminating connection\n"
            "  whether the server committed is not known here; its ledger is\n"
            "  next: apply the step again: it connects anew and reads where the step stands",
        ),
        (
            psycopg.errors.RaiseException(" \n"),
            ROLLED_BACK,
            "001_add_note failed: migrate/001_add_note.sql: RaiseException\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again",
        ),
        (
            psycopg.errors.QueryCanceled("canceling statement due to statement timeout"),
            ROLLED_BACK,
            "001_add_note failed: migrate/001_add_note.sql: canceling statement due to statement timeout\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again",
        ),
    ],
)
def test_what_the_server_refused_is_told_with_what_is_left_and_the_way_out(
    error: psycopg.Error, left: str, text: str, job: Job
) -> None:
    found = explained(job, error, left=left)
    assert type(found) is StepFailed
    assert str(found) == text
    with pytest.raises(StepFailed) as caught, explaining(job, left):
        raise error
    assert str(caught.value) == text
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    ("said", "stopped"),
    [
        ("canceling statement due to user request", False),
        ("storniere Anfrage wegen Benutzeraufforderung", True),
    ],
)
def test_a_stop_is_a_stop_in_every_language(said: str, stopped: bool, job: Job) -> None:
    found = explained(job, psycopg.errors.QueryCanceled(said), stopped=stopped)
    assert type(found) is StepCancelled
    assert str(found) == (
        "001_add_note was cancelled\n"
        "  the transaction was rolled back: nothing was left behind\n"
        "  next: run the same cell or command again to resume"
    )


def test_an_error_of_its_own_is_no_stop(job: Job) -> None:
    assert type(explained(job, psycopg.errors.UniqueViolation("taken"), stopped=True)) is StepFailed


def test_the_way_back_is_tried_again_as_such(way_back: Job) -> None:
    assert str(explained(way_back, psycopg.errors.UniqueViolation("taken"))).endswith(
        "\n  next: mend the cause, then roll back again"
    )


def test_a_job_that_held_on_too_long_is_told_its_budget(job: Job) -> None:
    assert str(overheld(job, 50, "it was at its proof")) == (
        "001_add_note failed: migrate/001_add_note.sql: it held its locks longer than the hold budget of 50 ms\n"
        "  it was at its proof\n"
        "  the transaction was rolled back: nothing was left behind\n"
        "  next: let it do less under its locks, or raise hold_budget in the file's header"
    )
