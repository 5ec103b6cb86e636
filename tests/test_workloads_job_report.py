"""A report is made until the server has heard it, and made again only if it was not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
import pytest

from pgrunbook.workloads.job_link import Link
from pgrunbook.workloads.job_report import Ended, report
from pgrunbook.workloads.job_scheduler import Execution

pytestmark = pytest.mark.static

RUNNING = Execution(7, "sync", "auto_sync", None, {}, 1, "scheduled", datetime(2026, 1, 1, tzinfo=UTC), 30)
NOT_RUNNING = psycopg.errors.ObjectNotInPrerequisiteState("execution 7 of job sync is not running")
GONE = psycopg.OperationalError("server closed the connection unexpectedly")


class Told:
    """Answers with errors or rows, in order, and remembers what it was asked."""

    def __init__(self, *answers: Exception | list[tuple[Any, ...]]) -> None:
        self.answers, self.asked = list(answers), list[tuple[str, list[Any]]]()

    async def ask(self, statement: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        self.asked.append((statement.split("(")[0], [getattr(value, "obj", value) for value in values]))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def told(
    why: str, output: object, *answers: Exception | list[tuple[Any, ...]]
) -> list[tuple[str, list[Any]]]:
    link = Told(*answers)
    asyncio.run(report(cast(Link, link), RUNNING, why, output))
    assert link.answers == []
    return link.asked


def test_what_went_well_is_completed_and_what_did_not_fails() -> None:
    assert told("", {"n": 1}, []) == [("SELECT complete_job", ["sync", 7, {"n": 1}])]
    assert told("no", {"n": 1}, []) == [("SELECT fail_job", ["sync", 7, "no"])]


def test_a_handler_that_has_said_it_is_not_repeated() -> None:
    assert told("", Ended.ALREADY) == []
    assert len(told("worker stopped", Ended.ALREADY, [])) == 1


def test_what_was_not_heard_is_said_again_and_looked_up(caplog: pytest.LogCaptureFixture) -> None:
    asked = told("", None, GONE, NOT_RUNNING, [("completed",)])
    assert [one[0] for one in asked[:2]] == ["SELECT complete_job"] * 2
    assert "does not count" not in caplog.text


def test_a_result_of_a_lost_lease_is_named_as_such(caplog: pytest.LogCaptureFixture) -> None:
    told("", None, NOT_RUNNING, [("failed",)])
    assert "its result does not count, it is failed" in caplog.text
    told("", None, NOT_RUNNING, [])
    assert "it is deleted" in caplog.text


@pytest.mark.parametrize("refused", [psycopg.DataError("no"), psycopg.errors.ProgramLimitExceeded("no")])
def test_what_cannot_be_kept_does_not_undo_the_work(refused: Exception) -> None:
    last = told("", "huge", refused, [])[-1]
    assert last == ("SELECT complete_job", ["sync", 7, {"not kept": f"{type(refused).__name__}: no"}])


def test_what_cannot_even_be_written_down_does_not_undo_the_work() -> None:
    class Odd:
        def __str__(self) -> str:
            raise ValueError("no words")

    assert told("", Odd(), [])[0][1][2] == {"not kept": "ValueError: no words"}
