"""The four types of jobs do what they are for: plans without repetition, syncs, advice, trends."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from psycopg.rows import dict_row

from pgrunbook import server as embedded
from pgrunbook.workloads.job_report import Ended
from pgrunbook.workloads.job_scheduler import Execution, Job, claim, complete, fail, schedule
from pgrunbook.workloads.meal_jobs import USUAL, MealJobs

Conn = psycopg.Connection[dict[str, Any]]
FRIDAY = datetime(2026, 1, 2, 6, tzinfo=UTC)


@dataclass
class Kitchen:
    """What the application has outside of the database."""

    known: int = 30
    sources: dict[str, int] = field(default_factory=lambda: {"tandoor": 3, "fatsecret": 4})
    asked: list[tuple[str, datetime | None]] = field(default_factory=list)
    sent: list[tuple[int | None, str, str]] = field(default_factory=list)

    async def recipes(self, _user: int, meal: str) -> Sequence[str]:
        return [f"{meal}-{number}" for number in range(self.known)]

    async def fetch(self, source: str, since: datetime | None) -> int:
        self.asked.append((source, since))
        return self.sources[source]

    async def send(self, user: int | None, text: str, key: str) -> None:
        self.sent.append((user, text, key))

    def jobs(self, conninfo: str) -> MealJobs:
        return MealJobs(conninfo, self.recipes, self.fetch, self.send)


@pytest.fixture(scope="module")
def template(server: embedded.Server) -> Iterator[str]:
    name = f"meals_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(embedded.create_database(server, name), autocommit=True) as conn:
        conn.execute((ground.FOLDER / "samples" / "go.sql").read_bytes())
        conn.execute("DELETE FROM users WHERE id > 10")
        ground.apply(conn)
    yield name
    embedded.drop_database(server, name)


@pytest.fixture
def database(server: embedded.Server, template: str) -> Iterator[str]:
    with ground.copy(server, template) as conninfo:
        yield conninfo


def started(conn: Conn, kind: str, due: datetime = FRIDAY, **columns: Any) -> Execution:
    """Return an execution of a job that was due at a time."""
    schedule(conn, Job(f"job_{kind}", kind, scheduled_for=due, max_retries=0, **columns))
    execution = claim(conn)
    assert execution is not None
    return execution


def plan(conn: Conn, user: int, week: str) -> Any:
    row = conn.execute("SELECT plan FROM auto_meal_plans WHERE user_id = %s AND week_of = %s", (user, week))
    found = row.fetchone()
    return found and found["plan"]


def rotation(conn: Conn) -> list[dict[str, Any]]:
    return conn.execute(
        "SELECT recipe_id, last_used_date::text AS day FROM recipe_rotation ORDER BY id"
    ).fetchall()


def test_a_week_is_planned_with_recipes_that_may_come_back(database: str, conn: Conn) -> None:
    conn.execute("SELECT update_recipe_rotation(1, 'dinner-1', 'dinner', current_date)")
    execution = started(conn, "weekly_generation", user_id=1, parameters={"meals": ["dinner"]})
    assert asyncio.run(Kitchen().jobs(database).weekly_generation(execution)) is Ended.ALREADY
    wanted = [f"dinner-{number}" for number in (0, 2, 3, 4, 5, 6, 7)]
    assert plan(conn, 1, "2026-01-05") == {"dinner": wanted}
    assert rotation(conn)[1:] == [
        {"recipe_id": recipe, "day": f"2026-01-{5 + number:02}"} for number, recipe in enumerate(wanted)
    ]
    status = "SELECT status, output ->> 'week_of' AS week FROM job_executions"
    assert conn.execute(status).fetchone() == {"status": "completed", "week": "2026-01-05"}


def test_a_week_that_has_a_plan_keeps_it(database: str, conn: Conn) -> None:
    jobs = Kitchen().jobs(database)
    asyncio.run(jobs.weekly_generation(started(conn, "weekly_generation", user_id=1)))
    before = plan(conn, 1, "2026-01-05"), rotation(conn)
    asyncio.run(jobs.weekly_generation(started(conn, "weekly_generation", user_id=1)))
    assert (plan(conn, 1, "2026-01-05"), rotation(conn)) == before


@pytest.mark.parametrize("why", ["too few recipes", "the lease was lost"])
def test_a_plan_is_made_whole_or_not_at_all(why: str, database: str, conn: Conn) -> None:
    execution = started(conn, "weekly_generation", user_id=1)
    few = why == "too few recipes"
    if not few:
        assert fail(conn, execution, "given back")
    with pytest.raises(LookupError if few else psycopg.errors.ObjectNotInPrerequisiteState):
        asyncio.run(Kitchen(known=6 if few else 30).jobs(database).weekly_generation(execution))
    assert (plan(conn, 1, "2026-01-05"), rotation(conn)) == (None, [])


@pytest.mark.parametrize("kind", ["weekly_generation", "daily_advisor"])
def test_what_is_for_one_user_says_so(kind: str, database: str, conn: Conn) -> None:
    with pytest.raises(ValueError, match=f"a job of {kind} is for one user"):
        asyncio.run(Kitchen().jobs(database).handlers()[kind](started(conn, kind)))


def test_a_sync_asks_for_what_is_new_since_the_last_that_went_well(database: str, conn: Conn) -> None:
    kitchen, sources = Kitchen(), {"sources": ["tandoor", "fatsecret"]}
    first = started(conn, "auto_sync", parameters=sources)
    assert asyncio.run(kitchen.jobs(database).auto_sync(first)) == {"tandoor": 3, "fatsecret": 4}
    complete(conn, first)
    asyncio.run(kitchen.jobs(database).auto_sync(started(conn, "auto_sync", parameters=sources)))
    began = conn.execute("SELECT started_at FROM job_executions ORDER BY id").fetchone()
    assert began is not None
    assert [since for _, since in kitchen.asked] == [None, None, began["started_at"], began["started_at"]]


def test_one_source_that_fails_does_not_keep_the_others_from_it(database: str, conn: Conn) -> None:
    kitchen = Kitchen(sources={"fatsecret": 4})
    execution = started(conn, "auto_sync", parameters={"sources": ["tandoor", "fatsecret"]})
    with pytest.raises(RuntimeError, match=r"not taken over: tandoor \(KeyError: 'tandoor'\); 1 others were"):
        asyncio.run(kitchen.jobs(database).auto_sync(execution))
    assert [source for source, _ in kitchen.asked] == ["tandoor", "fatsecret"]


def test_advice_tells_the_next_day_of_the_plan_and_retries_have_the_same_key(
    database: str, conn: Conn
) -> None:
    kitchen = Kitchen()
    jobs = kitchen.jobs(database)
    asyncio.run(jobs.weekly_generation(started(conn, "weekly_generation", user_id=1)))
    sunday = datetime(2026, 1, 4, 20, tzinfo=UTC)
    execution = started(conn, "daily_advisor", sunday, user_id=1)
    assert asyncio.run(jobs.daily_advisor(execution)) == {"day": "2026-01-05", "meals": 3}
    asyncio.run(jobs.daily_advisor(execution))
    told = "05 January: breakfast: breakfast-0; lunch: lunch-0; dinner: dinner-0"
    assert kitchen.sent == [(1, told, "job_daily_advisor 2026-01-04T20:00:00+00:00")] * 2


def test_without_a_plan_there_is_no_advice(database: str, conn: Conn) -> None:
    kitchen = Kitchen()
    found = asyncio.run(kitchen.jobs(database).daily_advisor(started(conn, "daily_advisor", user_id=2)))
    assert (found["meals"], kitchen.sent) == (0, [])


def test_trends_tell_how_the_jobs_of_a_week_went(database: str, conn: Conn) -> None:
    kitchen = Kitchen()
    for number in range(3):
        execution = started(conn, "auto_sync")
        assert fail(conn, execution, "no") if number == 0 else complete(conn, execution)
    conn.execute("UPDATE job_executions SET started_at = %s, duration_ms = 20", (FRIDAY.replace(day=1),))
    found = asyncio.run(kitchen.jobs(database).weekly_trends(started(conn, "weekly_trends")))
    assert found == {"auto_sync": {"ran": 3, "failed": 1, "ms": 20}}
    assert kitchen.sent[0][:2] == (None, "auto_sync: 3 ran, 1 failed, 20 ms")


def test_the_usual_jobs_are_taken_by_the_database(database: str) -> None:
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as conn:
        for job in USUAL:
            assert schedule(conn, job) is not None
        assert {job.job_type for job in USUAL} == set(Kitchen().jobs(database).handlers())
