"""What the four types of jobs do for an application that plans meals; whoever sends and fetches is given to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from pgrunbook.workloads.job_report import Ended
from pgrunbook.workloads.job_scheduler import COMPLETE, Execution, Job, reason
from pgrunbook.workloads.job_worker import Handler

__all__ = ["COOLDOWN_DAYS", "USUAL", "MealJobs"]

COOLDOWN_DAYS: Final = 30
MEALS: Final = ("breakfast", "lunch", "dinner")
OF_A_DAY: Final = (*MEALS, "snack")
DAYS: Final = 7

USUAL: Final = (
    Job("job_weekly_gen_001", "weekly_generation", "weekly", {"day": 5, "hour": 6}, priority="high"),
    Job(
        "job_auto_sync_001", "auto_sync", "every_n_hours", {"hours": 2}, {"sources": ["tandoor", "fatsecret"]}
    ),
    Job("job_daily_advisor_001", "daily_advisor", "daily", {"hour": 20}),
    Job("job_weekly_trends_001", "weekly_trends", "weekly", {"day": 4, "hour": 20}, priority="low"),
)
"""One job of each type at its usual time; those that are for a user still need the user."""

Cursor = psycopg.AsyncCursor[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class MealJobs:
    """The handlers, and what they need from outside."""

    conninfo: str
    recipes: Callable[[int, str], Awaitable[Sequence[str]]]
    """Recipes for a user and a meal, the best first."""
    fetch: Callable[[str, datetime | None], Awaitable[int]]
    """Takes over what a source has that is newer than a time, and says how much that was."""
    send: Callable[[int | None, str, str], Awaitable[object]]
    """Sends a text to a user, or to the operators; the key says which texts are the same one, sent again."""

    def handlers(self) -> dict[str, Handler]:
        """Return what does which type of job."""
        return {
            "weekly_generation": self.weekly_generation,
            "auto_sync": self.auto_sync,
            "daily_advisor": self.daily_advisor,
            "weekly_trends": self.weekly_trends,
        }

    async def weekly_generation(self, execution: Execution) -> Ended:
        """Plan the week after the job's time with recipes that the user has not had for a while.

        The plan, the uses of its recipes and the end of the job are one transaction: there is no plan of a worker
        that had lost the job, and none twice.
        """
        user = _user(execution)
        days = execution.parameters.get("cooldown_days", COOLDOWN_DAYS)
        wanted = {meal: await self.recipes(user, meal) for meal in execution.parameters.get("meals", MEALS)}
        async with await self._connect() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            week = await _week_after(cursor, execution.due_at)
            await cursor.execute(
                "INSERT INTO auto_meal_plans AS p (user_id, week_of, plan, created_at, updated_at)"
                " VALUES (%s, %s, '{}', now(), now()) ON CONFLICT (user_id, week_of) DO NOTHING RETURNING p.id",
                (user, week),
            )
            made = await cursor.fetchone()
            if made is not None:
                plan = {meal: await _chosen(cursor, user, meal, week, days, wanted[meal]) for meal in wanted}
                await cursor.execute(
                    "UPDATE auto_meal_plans SET plan = %s WHERE id = %s", (Jsonb(plan), made[0])
                )
            output = Jsonb({"week_of": str(week), "plan": None if made is None else made[0]})
            await cursor.execute(COMPLETE.encode(), (execution.job_id, execution.id, output))
        return Ended.ALREADY

    async def auto_sync(self, execution: Execution) -> Mapping[str, int]:
        """Take over what each source has that is newer than the last time that all went well."""
        async with await self._connect() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                "SELECT max(started_at) FROM job_executions WHERE job_id = %s AND status = 'completed'",
                (execution.job_id,),
            )
            ((since,),) = await cursor.fetchall()
        found, missed = {}, []
        for source in execution.parameters.get("sources", ()):
            try:
                found[source] = await self.fetch(source, since)
            except Exception as error:
                missed.append(f"{source} ({reason(error)})")
        if missed:
            raise RuntimeError(f"not taken over: {', '.join(missed)}; {len(found)} others were")
        return found

    async def daily_advisor(self, execution: Execution) -> Mapping[str, object]:
        """Tell a user what the plan has for the next day."""
        user = _user(execution)
        async with await self._connect() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                "SELECT d.day, p.plan FROM (SELECT (%s AT TIME ZONE timezone)::date + 1 AS day FROM scheduler_config"
                " WHERE id = 1) AS d LEFT JOIN auto_meal_plans AS p"
                " ON p.user_id = %s AND p.week_of = date_trunc('week', d.day::timestamp)::date",
                (execution.due_at, user),
            )
            ((day, plan),) = await cursor.fetchall()
        meals = {
            meal: recipes[day.weekday()]
            for meal in OF_A_DAY
            if isinstance(recipes := (plan or {}).get(meal), list) and len(recipes) > day.weekday()
        }
        if meals:
            text = "; ".join(f"{meal}: {recipe}" for meal, recipe in meals.items())
            await self.send(user, f"{day:%d %B}: {text}", _key(execution))
        return {"day": str(day), "meals": len(meals)}

    async def weekly_trends(self, execution: Execution) -> Mapping[str, object]:
        """Tell how the jobs of the last seven days went."""
        async with await self._connect() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(
                "SELECT j.job_type, count(*), count(*) FILTER (WHERE e.status = 'failed'),"
                " coalesce(round(avg(e.duration_ms)), 0)::bigint"
                " FROM job_executions AS e JOIN scheduled_jobs AS j ON j.id = e.job_id"
                " WHERE e.started_at >= %(until)s - interval '7 days' AND e.started_at < %(until)s"
                " AND e.status <> 'running' GROUP BY j.job_type ORDER BY j.job_type",
                {"until": execution.due_at},
            )
            rows = await cursor.fetchall()
        text = "\n".join(f"{kind}: {ran} ran, {failed} failed, {ms} ms" for kind, ran, failed, ms in rows)
        await self.send(execution.user_id, text or "no job ran", _key(execution))
        return {kind: {"ran": ran, "failed": failed, "ms": ms} for kind, ran, failed, ms in rows}

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        conn = await psycopg.AsyncConnection.connect(self.conninfo, application_name="pgrunbook meal jobs")
        await conn.set_isolation_level(psycopg.IsolationLevel.READ_COMMITTED)
        return conn


async def _week_after(cursor: Cursor, moment: datetime) -> date:
    """Return the next Monday, in the zone of the scheduler."""
    await cursor.execute(
        "SELECT date_trunc('week', %s AT TIME ZONE timezone)::date + 7 FROM scheduler_config WHERE id = 1",
        (moment,),
    )
    ((monday,),) = await cursor.fetchall()
    found: date = monday
    return found


async def _chosen(
    cursor: Cursor, user: int, meal: str, week: date, days: int, wanted: Sequence[str]
) -> list[str]:
    """Return the recipes of a week's meal and note that they are used; raises LookupError where there are too few."""
    await cursor.execute("SELECT recipe_id FROM get_recipes_on_cooldown(%s, %s, %s)", (user, meal, days))
    resting = {recipe for (recipe,) in await cursor.fetchall()}
    chosen = [recipe for recipe in dict.fromkeys(wanted) if recipe not in resting][:DAYS]
    if len(chosen) < DAYS:
        raise LookupError(f"{len(chosen)} of {DAYS} recipes for {meal}: {len(resting)} may not come back yet")
    for number, recipe in enumerate(chosen):
        used = week + timedelta(days=number)
        await cursor.execute("SELECT update_recipe_rotation(%s, %s, %s, %s)", (user, recipe, meal, used))
    return chosen


def _user(execution: Execution) -> int:
    if execution.user_id is None:
        raise ValueError(f"a job of {execution.job_type} is for one user: set its user_id")
    return execution.user_id


def _key(execution: Execution) -> str:
    """Return what is the same for every retry, so that a sender who heard it before can let it be."""
    return f"{execution.job_id} {execution.due_at.astimezone(UTC).isoformat()}"
