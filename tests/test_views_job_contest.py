"""The pictures of pollers at work."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from drawing import text_of

from pgrunbook.views import job_contest

pytestmark = pytest.mark.static


@dataclass(frozen=True)
class Counted:
    """What pollers did, as far as a test says."""

    way: str
    executions: int = 200
    repeated: int = 0
    most: int = 1
    lost: int = 0
    pollers: int = 8
    jobs: int = 200


@dataclass(frozen=True)
class Asked:
    """What one question cost."""

    waiting: int
    specified_ms: float
    ours_ms: float


TWICE = Counted("as specified", executions=363, repeated=104, most=7)
ONCE = Counted("ours", lost=3)


def test_jobs_that_ran_twice_are_counted_and_hatched() -> None:
    picture = job_contest.twice([TWICE, ONCE])
    assert "as specified: 363 executions of 200 jobs, 104 jobs ran twice or more" in picture.alt
    assert "ours: 200 executions of 200 jobs, none ran twice, 3 claims came too late" in picture.alt
    assert "ran twice or more" in text_of(picture)
    assert picture.png.startswith(b"\x89PNG")
    assert picture.svg != job_contest.twice([ONCE]).svg


def test_rounds_over_the_cap_are_told() -> None:
    picture = job_contest.at_once(
        {"as specified": (16, 16), "counted": (12, 15), "ours": (5, 5)}, cap=5, pollers=16
    )
    assert "as specified: 16 in every round; counted: 12 to 15; ours: 5 in every round" in picture.alt
    assert "cap 5" in text_of(picture)


def test_the_cost_of_a_question_is_drawn_by_how_many_wait() -> None:
    picture = job_contest.polling([Asked(100, 0.2, 0.2), Asked(10_000, 8.0, 0.15)])
    assert "10,000 due: 0.15 ms, as specified 8 ms" in picture.alt
    assert "ours, 0.15 ms" in text_of(picture)


def test_the_same_figures_give_the_same_picture() -> None:
    assert job_contest.twice([TWICE, ONCE]).svg == job_contest.twice([TWICE, ONCE]).svg


def test_without_figures_the_pictures_say_so() -> None:
    assert "nobody claimed a job" in job_contest.twice([]).alt
    assert "no round was run" in job_contest.at_once({}, cap=5, pollers=16).alt
    assert "nobody asked for a job" in job_contest.polling([]).alt
