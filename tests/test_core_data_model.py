"""What the change 040_core_data_model makes: its rules, its lock, its audit log, and tenants who do not see each other.

Nobody here is a superuser unless a test says so: a superuser sees every row and proves nothing.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from conftest import Elsewhere
from psycopg import errors, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from pgrunbook import catalog, change, preflight
from pgrunbook import server as embedded
from pgrunbook.session import Connection
from pgrunbook.suite import DEBIANS_15

CHANGE = change.load("040_core_data_model", root=Path(__file__).parents[1] / "sql" / "changes")
LOCKED = "P7012"
APPEND_ONLY = "P7013"
AUDITED = (
    "vision", "cycle", "goal", "weekly_plan", "task", "plan_item", "chat_session", "chat_message",
)  # fmt: skip
TABLES = (*AUDITED, "audit_log")
ADA, BEN = "ada", "ben"


def key(label: str) -> str:
    """Return the key that the sample data gives."""
    return f"pg_temp.sample_id('{label}')"


SAMPLE_ID = """
CREATE FUNCTION pg_temp.sample_id(label text) RETURNS uuid LANGUAGE sql IMMUTABLE
    RETURN overlay(overlay(md5(label) PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid
"""


@dataclasses.dataclass(frozen=True)
class Place:
    """A database with the change and its sample data; the owner and the logins are no superusers."""

    server: embedded.Server
    name: str
    logins: dict[str, str]

    def conninfo(self, who: str) -> str:
        whole = self.server.conninfo_for(self.name)
        return whole if who == "superuser" else make_conninfo(whole, user=self.logins[who])


@pytest.fixture(scope="module")
def logins(server: embedded.Server) -> Iterator[dict[str, str]]:
    """Four ordinary logins: the owner, the application, an administrator of locks, one with both."""
    mark = uuid.uuid4().hex[:8]
    made = {who: f"{who}_{mark}" for who in ("owner", "application", "unlocker", "support")}
    grants = {"application": "app_user", "unlocker": "lock_admin", "support": "app_user, lock_admin"}
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
        assert CHANGE.go_sample is not None
        conn.execute(CHANGE.go_sample.read_bytes())
        for who, name in made.items():
            conn.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOBYPASSRLS".encode())
            if who in grants:
                conn.execute(f"GRANT {grants[who]} TO {name}".encode())
        yield made
        for name in made.values():
            conn.execute(f"DROP ROLE {name}".encode())


@contextlib.contextmanager
def database(server: embedded.Server, owner: str, template: str = "template1") -> Iterator[str]:
    name = f"model_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
        parts = [sql.Identifier(one) for one in (name, owner, template)]
        conn.execute(sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(*parts))
        try:
            yield name
        finally:
            conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(parts[0]))


def connect(conninfo: str) -> Any:
    return psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)


def perform(conn: Connection, *, back: bool = False) -> None:
    """Run every step as it is, or every way back."""
    for step in reversed(CHANGE.steps) if back else CHANGE.steps:
        for script in step.rollback if back else (step.migrate,):
            with conn.transaction():
                conn.execute(script.text.encode())


def load(conn: Connection) -> None:
    assert CHANGE.data_sample is not None
    conn.execute(CHANGE.data_sample.read_bytes())


@pytest.fixture(scope="module")
def filled(server: embedded.Server, logins: dict[str, str]) -> Iterator[str]:
    """A database that its owner, who is no superuser, has changed and filled."""
    with database(server, logins["owner"]) as name:
        with connect(Place(server, name, logins).conninfo("owner")) as conn:
            perform(conn)
            load(conn)
        yield name


Copy = Callable[[], contextlib.AbstractContextManager[Place]]


@pytest.fixture(scope="module")
def copy(server: embedded.Server, logins: dict[str, str], filled: str) -> Iterator[Copy]:
    """Give a copy of that database; one that a test has left as it was serves the next, too."""
    with contextlib.ExitStack() as stack:
        asis: list[tuple[Place, contextlib.ExitStack, object]] = []

        @contextlib.contextmanager
        def give() -> Iterator[Place]:
            if not asis:
                opened = stack.enter_context(contextlib.ExitStack())
                fresh = Place(server, opened.enter_context(database(server, logins["owner"], filled)), logins)
                asis.append((fresh, opened, state(fresh)))
            place, opened, before = asis[0]
            yield place
            if state(place) != before:
                asis.clear()
                opened.close()

        yield give


def state(place: Place) -> object:
    """Return what makes a database the one it is."""
    with connect(place.conninfo("superuser")) as conn:
        rows = "SELECT md5(string_agg(t::text, '' ORDER BY t::text)) AS rows FROM {} AS t"
        there = [one for one in TABLES if value(conn, "SELECT to_regclass(%s)", one)]
        return catalog.snapshot(conn), [value(conn, rows.format(one)) for one in there]


@pytest.fixture
def place(copy: Copy) -> Iterator[Place]:
    with copy() as given:
        yield given


Sit = Callable[..., Connection]


@pytest.fixture
def sit(place: Place) -> Iterator[Sit]:
    """Open a session of a login that acts for a user, or for nobody."""
    with contextlib.ExitStack() as stack:

        def open_one(who: str, user: str = "") -> Connection:
            conn: Connection = stack.enter_context(connect(place.conninfo(who)))
            conn.execute(SAMPLE_ID)
            if user:
                conn.execute(f"SELECT set_config('app.user_id', {key(user)}::text, false)".encode())
            return conn

        yield open_one


@pytest.fixture
def ada(sit: Sit) -> Connection:
    """The application, acting for Ada, whose cycle is locked."""
    return sit("application", ADA)


@pytest.fixture
def ben(sit: Sit) -> Connection:
    """The application, acting for Ben, whose cycle is not."""
    return sit("application", BEN)


@pytest.fixture
def elsewheres(place: Place) -> Iterator[Callable[[str], Elsewhere]]:
    """Other sessions of the application, each in a thread of its own, that act for a user."""
    with contextlib.ExitStack() as stack:

        def make(user: str, who: str = "application") -> Elsewhere:
            one = Elsewhere(place.conninfo(who))
            stack.callback(one.close)
            one.execute(SAMPLE_ID)
            one.execute(f"SELECT set_config('app.user_id', {key(user)}::text, false)")
            return one

        yield make


def value(conn: Connection, query: str, *parameters: object) -> Any:
    row = conn.execute(query.encode(), parameters or None).fetchone()
    return next(iter(row.values())) if row else None


def refusal(conn: Connection, statement: str, *parameters: object) -> str:
    """Return the SQLSTATE with which a statement is refused."""
    with pytest.raises(psycopg.Error) as caught:
        conn.execute(statement.encode(), parameters or None)
    return str(caught.value.sqlstate)


def changed(conn: Connection, statement: str) -> int:
    """Return how many rows a statement reached."""
    return conn.execute(statement.encode()).rowcount


def item(user: str, week: int, task: str = "Run") -> str:
    return key(f"{user} item {task}{week}")


def set_quota(user: str, week: int, quota: int = 9) -> str:
    return f"UPDATE plan_item SET quota = {quota} WHERE id = {item(user, week)}"


def broken(conn: Connection) -> list[tuple[str, Any, str]]:
    """Return the proofs of steps that do not hold."""
    found = [preflight.run_check(conn, step.verify) for step in CHANGE.steps]
    return [(one.label, one.rows, one.problem) for one in found if one.total or one.problem]


NEXT_CYCLE = """INSERT INTO cycle (user_id, vision_id, title, starts_on)
    SELECT user_id, id, 'Next', '2026-03-30' FROM vision"""


def plans(conn: Connection) -> list[dict[str, Any]]:
    """Return all that the lock protects, as a superuser sees it."""
    query = """
        SELECT c.id AS cycle, c.lock_enforced, c.starts_on, w.id AS week, w.week_number, p.id, p.task_id, p.quota
        FROM cycle AS c
        LEFT JOIN weekly_plan AS w ON w.cycle_id = c.id
        LEFT JOIN plan_item AS p ON p.weekly_plan_id = w.id
        ORDER BY c.id, w.week_number, p.id"""
    return conn.execute(query.encode()).fetchall()


# --- the tables --------------------------------------------------------------------------------------------


def test_a_clean_database_gets_the_nine_tables_with_their_constraints(sit: Sit) -> None:
    conn = sit("owner")
    tables = [
        row["tablename"]
        for row in conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    ]
    assert sorted(tables) == sorted(TABLES)
    counted = conn.execute(
        "SELECT contype::text AS type, count(*) AS n FROM pg_constraint"
        " WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f', 'u', 'c') GROUP BY contype"
    ).fetchall()
    assert {row["type"]: row["n"] for row in counted} == {"p": 9, "f": 8, "u": 9, "c": 43}
    assert broken(conn) == []


def test_a_second_goal_of_a_type_is_refused_and_one_of_each_type_is_not(ada: Connection) -> None:
    goals = """INSERT INTO goal (user_id, cycle_id, goal_type, title)
        SELECT user_id, id, %s::goal_type, 'x' FROM cycle WHERE title = %s"""
    with pytest.raises(errors.UniqueViolation) as caught:
        ada.execute(goals.encode(), ("personal", "First twelve weeks"))
    assert caught.value.diag.constraint_name == "goal_one_per_type_per_cycle"
    ada.execute(NEXT_CYCLE)
    for kind in ("professional", "personal"):
        ada.execute(goals.encode(), (kind, "Next"))
    assert refusal(ada, goals, None, "Next") == "23502"
    assert refusal(ada, goals, "spiritual", "Next") == "22P02"


def test_a_cycle_has_twelve_weeks_of_seven_days(ada: Connection) -> None:
    assert value(ada, "SELECT ends_on - starts_on FROM cycle") == 83
    assert refusal(ada, "UPDATE cycle SET ends_on = starts_on") == "428C9"
    assert (
        refusal(
            ada,
            "INSERT INTO cycle (user_id, vision_id, title, starts_on) SELECT user_id, id, 'x', 'infinity' FROM vision",
        )
        == "23514"
    )
    plan = "INSERT INTO weekly_plan (user_id, cycle_id, week_number) SELECT user_id, id, %s FROM cycle"
    assert [refusal(ada, plan, week) for week in (0, 13, None, 12)] == ["23514", "23514", "23502", "23505"]


JSONB = [
    ("vision", "details", "areas", '"work"'), ("vision", "details", "reason", "7"),
    ("cycle", "settings", "timezone", "1"), ("cycle", "settings", "review_day", '"Sunday"'),
    ("goal", "measure", "unit", "1"), ("goal", "measure", "target", '"ten"'),
    ("weekly_plan", "review", "score", '"high"'), ("weekly_plan", "review", "wins", "{}"),
    ("weekly_plan", "review", "lesson", "[]"), ("chat_session", "context", "page", "{}"),
    ("chat_session", "context", "week", '"7"'), ("chat_message", "metadata", "model", "4"),
    ("chat_message", "metadata", "tokens", '"many"'), ("chat_message", "metadata", "calls", "true"),
]  # fmt: skip


@pytest.mark.parametrize(("table", "column"), sorted({(table, column) for table, column, *_ in JSONB}))
def test_json_columns_take_objects_alone(ben: Connection, table: str, column: str) -> None:
    for wrong in ("[]", '"text"', "1", "null"):
        # NULL passes a CHECK, so the column has to refuse it by itself.
        assert refusal(ben, f"UPDATE {table} SET {column} = %s::jsonb", wrong) == "23514", wrong
    assert refusal(ben, f"UPDATE {table} SET {column} = NULL") == "23502"
    assert changed(ben, f"""UPDATE {table} SET {column} = '{{"something else": [1, null]}}'""") > 0


@pytest.mark.parametrize(("table", "column", "name", "wrong"), JSONB)
def test_keys_that_are_known_have_their_type(
    ben: Connection, table: str, column: str, name: str, wrong: str
) -> None:
    for given in (wrong, "null"):
        assert refusal(ben, f"UPDATE {table} SET {column} = %s::jsonb", f'{{"{name}": {given}}}') == "23514"


def test_texts_and_numbers_have_limits(ben: Connection) -> None:
    for statement in (
        "UPDATE vision SET title = ''", "UPDATE vision SET body = repeat('x', 10001)",
        "UPDATE vision SET horizon_years = 0",
        "UPDATE cycle SET title = repeat('x', 201)", "UPDATE goal SET description = repeat('x', 4001)",
        "UPDATE task SET weekly_quota = 0", "UPDATE plan_item SET quota = -1", "UPDATE plan_item SET done = -1",
        "UPDATE chat_message SET content = ''",
    ):  # fmt: skip
        assert refusal(ben, statement) == "23514", statement
    assert refusal(ben, "UPDATE chat_message SET role = 'robot'") == "22P02"


def test_an_item_joins_a_week_and_a_task_of_one_cycle(ben: Connection) -> None:
    ben.execute(NEXT_CYCLE)
    ben.execute(
        "INSERT INTO weekly_plan (user_id, cycle_id, week_number) SELECT user_id, id, 1 FROM cycle WHERE title = 'Next'"
    )
    mixed = """INSERT INTO plan_item (user_id, cycle_id, weekly_plan_id, task_id, quota)
        SELECT w.user_id, {}.cycle_id, w.id, t.id, 1 FROM weekly_plan AS w, task AS t, cycle AS c
        WHERE c.title = 'Next' AND w.cycle_id = c.id AND t.title = 'Run'"""
    assert [refusal(ben, mixed.format(side)) for side in ("w", "t")] == ["23503", "23503"]


def test_a_trigger_keeps_the_times_of_a_row(ben: Connection) -> None:
    before = ben.execute("SELECT created_at, updated_at FROM vision").fetchone()
    ben.execute("UPDATE vision SET title = 'Another', created_at = '2000-01-01', updated_at = '2000-01-01'")
    after = ben.execute("SELECT created_at, updated_at FROM vision").fetchone()
    assert before is not None
    assert after is not None
    assert after["created_at"] == before["created_at"]
    assert after["updated_at"] > before["updated_at"]


def test_every_table_column_type_and_function_says_what_it_is_for(sit: Sit) -> None:
    silent = """
        SELECT attrelid::regclass || '.' || attname AS name FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
        WHERE c.relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0
            AND col_description(c.oid, attnum) IS NULL
        UNION ALL SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND obj_description(oid, 'pg_class') IS NULL
        UNION ALL SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typtype = 'e'
            AND obj_description(oid, 'pg_type') IS NULL
        UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
            AND obj_description(oid, 'pg_proc') IS NULL"""
    assert sit("owner").execute(silent.encode()).fetchall() == []


def test_every_foreign_key_has_an_index_of_its_columns_and_begins_with_the_tenant(sit: Sit) -> None:
    bare = """
        SELECT c.conname FROM pg_constraint AS c
        WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace AND NOT EXISTS (
            SELECT FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0] AND a.attname = 'user_id'
            WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
              -- The plan item's other key reaches its task by (user_id, task_id): a task has one cycle.
              AND (c.conkey <@ i.indkey::smallint[] OR c.conname = 'plan_item_task_fkey'))"""
    assert sit("owner").execute(bare.encode()).fetchall() == []


# --- the lock ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("week", [7, 8, 12])
def test_a_quota_of_a_locked_week_cannot_be_changed(ada: Connection, ben: Connection, week: int) -> None:
    with pytest.raises(psycopg.Error, match=f"week {week} is locked") as caught:
        ada.execute(set_quota(ADA, week).encode())
    assert (caught.value.sqlstate, caught.value.diag.table_name) == (LOCKED, "plan_item")
    assert "lock_admin" in str(caught.value.diag.message_hint)
    assert changed(ben, set_quota(BEN, week)) == 1


@pytest.mark.parametrize("week", [1, 6])
def test_the_first_six_weeks_are_never_locked(ada: Connection, week: int) -> None:
    assert changed(ada, set_quota(ADA, week)) == 1
    assert changed(ada, f"DELETE FROM plan_item WHERE id = {item(ADA, week)}") == 1


def test_progress_of_a_locked_week_goes_on(ada: Connection) -> None:
    assert (
        changed(
            ada,
            f"UPDATE plan_item SET done = 2, status = 'in_progress', note = 'so far' WHERE id = {item(ADA, 8)}",
        )
        == 1
    )
    assert changed(ada, f"UPDATE plan_item SET quota = quota, done = 3 WHERE id = {item(ADA, 8)}") == 1
    assert (
        changed(
            ada, "UPDATE weekly_plan SET focus = 'Rest', review = '{\"score\": 70}' WHERE week_number = 8"
        )
        == 1
    )
    assert changed(ada, "UPDATE cycle SET title = 'The first', status = 'completed'") == 1
    assert changed(ada, "UPDATE task SET weekly_quota = 7") == 4, (
        "what a task asks for as a rule is no quota of a week"
    )


INTO = "INSERT INTO plan_item (user_id, cycle_id, weekly_plan_id, task_id, quota)"
AROUND = {
    "another quota by upsert": f"""
        {INTO} SELECT user_id, cycle_id, weekly_plan_id, task_id, 9 FROM plan_item WHERE id = {item(ADA, 7)}
        ON CONFLICT (user_id, weekly_plan_id, task_id) DO UPDATE SET quota = 9""",
    "another quota by MERGE": f"""
        MERGE INTO plan_item AS p USING (SELECT {item(ADA, 7)} AS id) AS s ON p.id = s.id
        WHEN MATCHED THEN UPDATE SET quota = 9""",
    "all quotas at once": "UPDATE plan_item SET quota = quota + 1",
    "an item moved out": f"UPDATE plan_item SET weekly_plan_id = {key('ada spare')} WHERE id = {item(ADA, 7)}",
    "an item moved in": f"UPDATE plan_item SET weekly_plan_id = {key('ada week 7')} WHERE id = {item(ADA, 6, 'New')}",
    "an item given to another task": f"UPDATE plan_item SET task_id = {key('ada task New')} WHERE id = {item(ADA, 7)}",
    "a new item": f"{INTO} SELECT user_id, cycle_id, {key('ada week 9')}, id, 1 FROM task WHERE title = 'New'",
    "an item deleted": f"DELETE FROM plan_item WHERE id = {item(ADA, 12)}",
    "another number for the week": f"UPDATE weekly_plan SET week_number = 6 WHERE id = {key('ada week 7')}",
    "numbers exchanged": """
        UPDATE weekly_plan SET week_number = CASE week_number WHEN 12 THEN 3 ELSE 12 END
        WHERE week_number IN (3, 12)""",
    "another week made a locked one": f"""
        UPDATE weekly_plan SET week_number = 7, cycle_id = {key('ada cycle')} WHERE id = {key('ada free week')}""",
    "a week moved to a free cycle": f"""
        UPDATE weekly_plan SET cycle_id = {key('ada free')} WHERE id = {key('ada week 8')}""",
    "a week deleted": f"DELETE FROM weekly_plan WHERE id = {key('ada week 7')}",
    "the task deleted": f"DELETE FROM task WHERE id = {key('ada task Run')}",
    "the goal deleted": f"DELETE FROM goal WHERE id = {key('ada goal personal')}",
    "the cycle deleted": f"DELETE FROM cycle WHERE id = {key('ada cycle')}",
    "the flag cleared": f"UPDATE cycle SET lock_enforced = false WHERE id = {key('ada cycle')}",
    "the flag cleared by upsert": f"""
        INSERT INTO cycle (id, user_id, vision_id, title, starts_on)
        SELECT id, user_id, vision_id, title, starts_on FROM cycle WHERE id = {key('ada cycle')}
        ON CONFLICT (id) DO UPDATE SET lock_enforced = false""",
    "the cycle put off": f"UPDATE cycle SET starts_on = starts_on + 7 WHERE id = {key('ada cycle')}",
    "the item and its week in one statement": f"""
        WITH w AS (DELETE FROM weekly_plan WHERE id = {key('ada week 7')} RETURNING id)
        DELETE FROM plan_item WHERE weekly_plan_id IN (SELECT id FROM w)""",
}  # fmt: skip


@pytest.fixture
def spare(ada: Connection) -> Connection:
    """Ada with a free cycle of one week, a week without number 5 in the locked one, and a task that is in no week."""
    for statement in (
        f"""INSERT INTO cycle (id, user_id, vision_id, title, starts_on)
            SELECT {key('ada free')}, user_id, id, 'Free', '2026-03-30' FROM vision""",
        f"""INSERT INTO weekly_plan (id, user_id, cycle_id, week_number)
            SELECT {key('ada free week')}, user_id, id, 7 FROM cycle WHERE title = 'Free'""",
        "DELETE FROM weekly_plan WHERE week_number = 5",
        f"""INSERT INTO weekly_plan (id, user_id, cycle_id, week_number)
            SELECT {key('ada spare')}, user_id, id, 5 FROM cycle WHERE lock_enforced""",
        f"""INSERT INTO task (id, user_id, cycle_id, goal_id, title)
            SELECT {key('ada task New')}, user_id, cycle_id, id, 'New' FROM goal WHERE goal_type = 'personal'""",
        f"""INSERT INTO plan_item (id, user_id, cycle_id, weekly_plan_id, task_id, quota)
            SELECT {item(ADA, 6, 'New')}, user_id, cycle_id, {key('ada week 6')}, id, 1
            FROM task WHERE title = 'New'""",
    ):  # fmt: skip
        ada.execute(statement.encode())
    return ada


@pytest.mark.parametrize("way", AROUND)
def test_there_is_no_way_around_the_lock(spare: Connection, sit: Sit, way: str) -> None:
    look = sit("superuser")
    before = plans(look)
    assert refusal(spare, AROUND[way]) == LOCKED
    assert plans(look) == before


@pytest.mark.parametrize("way", AROUND)
def test_the_same_is_free_where_no_lock_is_enforced(spare: Connection, sit: Sit, way: str) -> None:
    # Otherwise the test above would be content with any mistake in its statement.
    unlock = sit("unlocker", ADA)
    assert changed(unlock, "UPDATE cycle SET lock_enforced = false") == 2
    if way == "another week made a locked one":
        # Its number is taken as long as week 7 is there.
        spare.execute(f"DELETE FROM weekly_plan WHERE id = {key('ada week 7')}".encode())
    if way == "numbers exchanged":
        assert refusal(spare, AROUND[way]) == "23505", "weeks are exchanged by way of a third number"
    elif way == "a week moved to a free cycle":
        assert refusal(spare, AROUND[way]) == "23503", "its items are of the old cycle"
    elif way == "another number for the week":
        assert refusal(spare, AROUND[way]) == "23505", "there is a week 6"
    else:
        assert spare.execute(AROUND[way].encode()).rowcount >= 0


@pytest.mark.parametrize(
    "statement",
    [
        # The claims change after the row was found and before the guard looks for its cycle.
        f"UPDATE plan_item SET quota = 9 + length(set_config('app.user_id', '', true)) WHERE id = {item(ADA, 7)}",
        f"DELETE FROM plan_item WHERE id = {item(ADA, 7)} AND set_config('app.user_id', '', true) = ''",
        f"DELETE FROM weekly_plan WHERE id = {key('ada week 7')} AND set_config('app.user_id', '', true) = ''",
        f"""UPDATE weekly_plan SET week_number = 1 + length(set_config('app.user_id', {key(BEN)}::text, true)) * 0
            WHERE id = {key('ada week 7')}""",
    ],
)  # fmt: skip
def test_claims_that_change_within_the_statement_do_not_hide_the_lock(
    ada: Connection, sit: Sit, statement: str
) -> None:
    look = sit("superuser")
    before = plans(look)
    assert refusal(ada, statement) == "42501"
    assert plans(look) == before


NEW_WEEK = f"""
    INSERT INTO weekly_plan (id, user_id, cycle_id, week_number)
    SELECT {{id}}, user_id, id, {{week}} FROM cycle WHERE id = {key("ada cycle")}"""
FILLED = {
    "its items before it": f"""
        WITH i AS ({INTO} SELECT user_id, cycle_id, {key('ada new')}, id, 1 FROM task RETURNING id),
            w AS ({NEW_WEEK.format(id=key('ada new'), week=9)} RETURNING id)
        SELECT count(*) FROM i, w""",
    "with the key of another week": f"""
        WITH o AS (UPDATE weekly_plan SET id = gen_random_uuid() WHERE id = {key('ada week 6')} RETURNING id),
            w AS ({NEW_WEEK.format(id=key('ada week 6'), week=9)} RETURNING id)
        SELECT count(*) FROM o, w""",
}  # fmt: skip


@pytest.mark.parametrize("way", FILLED)
def test_a_locked_week_that_is_made_anew_is_made_empty(ada: Connection, sit: Sit, way: str) -> None:
    sit("unlocker", ADA).execute("UPDATE cycle SET lock_enforced = false")
    assert changed(ada, f"DELETE FROM weekly_plan WHERE id = {key('ada week 9')}") == 1
    with ada.transaction(force_rollback=True):
        assert value(ada, FILLED[way]), "it is free where no lock is enforced"
    ada.execute("UPDATE cycle SET lock_enforced = true")
    look = sit("superuser")
    before = plans(look)
    assert refusal(ada, FILLED[way]) == LOCKED
    assert plans(look) == before
    assert changed(ada, NEW_WEEK.format(id=key("ada new"), week=9)) == 1
    again = NEW_WEEK.format(id=key("ada week 7"), week=7) + " ON CONFLICT (id) DO UPDATE SET focus = 'x'"
    assert changed(ada, again) == 1, "a week that is there already is not new"


@pytest.mark.parametrize("who", ["application", "owner"])
def test_claims_that_change_before_a_cascade_do_not_hide_the_lock(place: Place, sit: Sit, who: str) -> None:
    look, conn = sit("superuser"), sit(who, ADA)
    assert changed(conn, set_quota(ADA, 1)) == 1, "the guard has plans of this session now"
    before = plans(look)
    statement = (
        f"DELETE FROM task WHERE id = {key('ada task Run')} RETURNING set_config('app.user_id', '', false)"
    )
    assert refusal(conn, statement) == LOCKED
    assert plans(look) == before


@pytest.mark.parametrize("table", AUDITED)
def test_truncate_is_refused_for_owner_and_application(ada: Connection, sit: Sit, table: str) -> None:
    codes = dict.fromkeys(("vision", "cycle", "goal", "weekly_plan", "task", "plan_item"), LOCKED)
    owner = sit("owner", ADA)
    assert refusal(ada, f"TRUNCATE {table} CASCADE") == "42501"
    # TRUNCATE of a parent reaches its children.
    assert refusal(owner, f"TRUNCATE {table} CASCADE") in {codes.get(table, APPEND_ONLY), APPEND_ONLY}
    assert refusal(owner, "TRUNCATE plan_item") == LOCKED


def test_a_cycle_that_is_not_locked_can_be_deleted_with_all_that_is_in_it(ben: Connection) -> None:
    assert changed(ben, "DELETE FROM cycle") == 1
    assert [
        value(ben, f"SELECT count(*) FROM {table}") for table in ("goal", "weekly_plan", "task", "plan_item")
    ] == [0] * 4
    assert value(ben, "SELECT count(*) FROM chat_session WHERE cycle_id IS NULL") == 1, "what was said stays"


def test_only_a_member_of_lock_admin_unlocks_and_can_do_nothing_else(ada: Connection, sit: Sit) -> None:
    clear = "UPDATE cycle SET lock_enforced = false"
    assert refusal(sit("owner", ADA), clear) == LOCKED
    unlocker = sit("unlocker", ADA)
    assert refusal(unlocker, "UPDATE cycle SET title = 'x'") == "42501"
    assert refusal(unlocker, "DELETE FROM cycle") == "42501"
    assert refusal(unlocker, "SELECT FROM plan_item") == "42501"
    assert changed(sit("unlocker"), clear) == 0, "acting for nobody he reaches no cycle"
    assert changed(sit("unlocker", BEN), clear) == 1
    assert value(ada, "SELECT lock_enforced FROM cycle") is True
    assert changed(unlocker, clear) == 1
    assert changed(ada, set_quota(ADA, 7)) == 1
    assert changed(ada, "UPDATE cycle SET lock_enforced = true") == 1, "anybody may lock his own cycle"
    assert refusal(ada, set_quota(ADA, 7, 5)) == LOCKED


def test_a_member_who_does_not_inherit_has_to_take_the_role_on(place: Place, sit: Sit) -> None:
    clear = "UPDATE cycle SET lock_enforced = false"
    grants = ("ALTER ROLE {0} NOINHERIT", "GRANT lock_admin TO {0}", "GRANT SELECT, UPDATE ON cycle TO {0}")
    with throwaway.role(sit("superuser"), *grants) as name:
        whole = dataclasses.replace(place, logins={**place.logins, "member": name})
        with connect(whole.conninfo("member")) as member:
            member.execute(SAMPLE_ID)
            member.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, false)".encode())
            assert refusal(member, clear) == LOCKED
            member.execute("SET ROLE lock_admin")
            assert changed(member, clear) == 1


def test_who_has_both_roles_still_has_to_unlock_first(sit: Sit) -> None:
    support = sit("support", ADA)
    assert refusal(support, set_quota(ADA, 7)) == LOCKED
    assert refusal(support, "DELETE FROM cycle") == LOCKED
    support.execute("UPDATE cycle SET lock_enforced = false")
    assert changed(support, set_quota(ADA, 7)) == 1


def test_an_account_can_be_deleted_once_its_cycles_are_unlocked(ada: Connection, sit: Sit) -> None:
    sit("unlocker", ADA).execute("UPDATE cycle SET lock_enforced = false")
    assert refusal(ada, "DELETE FROM vision") in ("23503", "23001"), "a vision does not take its cycles along"
    for table in ("cycle", "vision", "chat_session"):
        ada.execute(f"DELETE FROM {table}".encode())
    assert [value(ada, f"SELECT count(*) FROM {table}") for table in AUDITED] == [0] * 8
    assert (
        value(ada, "SELECT count(*) FROM audit_log WHERE action = 'delete' AND table_name = 'plan_item'")
        == 48
    )


# --- the lock and others at the same time ------------------------------------------------------------------

LOCK = f"UPDATE cycle SET lock_enforced = true WHERE id = {key('ben cycle')}"
CHANGES = {
    "quota": (set_quota(BEN, 7), "SELECT quota FROM plan_item WHERE id = " + item(BEN, 7)),
    "delete": (f"DELETE FROM plan_item WHERE id = {item(BEN, 7)}", "SELECT count(*) FROM plan_item"),
    "week": (f"DELETE FROM weekly_plan WHERE id = {key('ben week 7')}", "SELECT count(*) FROM weekly_plan"),
    "task": (f"DELETE FROM task WHERE id = {key('ben task Run')}", "SELECT count(*) FROM task"),
}  # fmt: skip


@pytest.fixture
def waits(sit: Sit, eventually: Callable[..., Any]) -> Callable[[Elsewhere], None]:
    look = sit("superuser")

    def wait(session: Elsewhere) -> None:
        eventually(lambda: value(look, "SELECT cardinality(pg_blocking_pids(%s)) > 0", session.pid))

    return wait


Sessions = Callable[..., Elsewhere]
Waits = Callable[[Elsewhere], None]


@pytest.mark.parametrize("what", CHANGES)
def test_who_locks_waits_for_a_change_that_was_first(
    elsewheres: Sessions, waits: Waits, ben: Connection, what: str
) -> None:
    planner, locker = elsewheres(BEN), elsewheres(BEN)
    planner.begin_and_hold(CHANGES[what][0])
    locking = locker.submit(LOCK)
    waits(locker)
    planner.release()
    locking.result(timeout=60)
    assert value(ben, "SELECT lock_enforced FROM cycle") is True


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_waits_for_who_locks_and_is_refused_then(
    elsewheres: Sessions, waits: Waits, ben: Connection, what: str
) -> None:
    statement, look = CHANGES[what]
    before = value(ben, look)
    planner, locker = elsewheres(BEN), elsewheres(BEN)
    locker.begin_and_hold(LOCK)
    changing = planner.submit(statement)
    waits(planner)
    locker.release()
    with pytest.raises(psycopg.Error) as caught:
        changing.result(timeout=60)
    assert caught.value.sqlstate == LOCKED
    assert value(ben, look) == before


def test_a_change_passes_when_the_lock_is_taken_back_by_a_rollback(
    elsewheres: Sessions, waits: Waits, ben: Connection
) -> None:
    planner, locker = elsewheres(BEN), elsewheres(BEN)
    locker.begin_and_hold(LOCK)
    changing = planner.submit(set_quota(BEN, 7))
    waits(planner)
    locker.execute("ROLLBACK")
    changing.result(timeout=60)
    assert value(ben, f"SELECT quota FROM plan_item WHERE id = {item(BEN, 7)}") == 9


def test_a_snapshot_from_before_the_lock_cannot_pass_it(elsewheres: Sessions, ben: Connection) -> None:
    planner = elsewheres(BEN)
    planner.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    assert planner.execute("SELECT lock_enforced AS lock FROM cycle") == [{"lock": False}]
    ben.execute(LOCK.encode())
    with pytest.raises(errors.SerializationFailure):
        planner.execute(set_quota(BEN, 7))


def test_who_will_not_wait_for_the_lock_is_told(elsewheres: Sessions, ben: Connection) -> None:
    elsewheres(BEN).begin_and_hold(set_quota(BEN, 7))
    ben.execute("SET lock_timeout = '50ms'")
    assert refusal(ben, LOCK) == "55P03"
    assert changed(ben, f"UPDATE plan_item SET done = 1 WHERE id = {item(BEN, 8)}") == 1, (
        "progress does not wait"
    )


def test_a_week_that_becomes_a_locked_one_cannot_be_filled_meanwhile(
    elsewheres: Sessions, waits: Waits, ben: Connection
) -> None:
    ben.execute(f"DELETE FROM weekly_plan WHERE id = {key('ben week 7')}".encode())
    mover, locker = elsewheres(BEN), elsewheres(BEN)
    mover.begin_and_hold(f"UPDATE weekly_plan SET week_number = 7 WHERE id = {key('ben week 6')}")
    locking = locker.submit(LOCK)
    waits(locker)
    # For everybody else it is week 6 still, and no lock is enforced: this one comes before the lock.
    assert changed(ben, set_quota(BEN, 6)) == 1
    mover.release()
    locking.result(timeout=60)
    assert refusal(ben, set_quota(BEN, 6, 8)) == LOCKED


def test_two_who_add_the_same_goal_are_one(elsewheres: Sessions, waits: Waits, ben: Connection) -> None:
    ben.execute("DELETE FROM goal WHERE goal_type = 'personal'")
    goal = "INSERT INTO goal (user_id, cycle_id, goal_type, title) SELECT user_id, id, 'personal', 'x' FROM cycle"
    first, second = elsewheres(BEN), elsewheres(BEN)
    first.begin_and_hold(goal)
    adding = second.submit(goal)
    waits(second)
    first.release()
    with pytest.raises(errors.UniqueViolation):
        adding.result(timeout=60)


# --- tenants -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES)
def test_two_tenants_see_their_own_rows_and_nobody_else_any(
    ada: Connection, ben: Connection, sit: Sit, table: str
) -> None:
    rows = f"SELECT count(*) FROM {table}"
    every, nobody = sit("superuser"), sit("application")
    for session, user in ((ada, ADA), (ben, BEN)):
        own = value(every, f"{rows} WHERE user_id = {key(user)}")
        assert own > 0
        assert value(session, rows) == own
        assert value(session, f"{rows} WHERE user_id <> {key(user)}") == 0
    assert value(nobody, rows) == 0
    # A superuser sees them all, whatever he acts for: as one, these tests would prove nothing.
    every.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, false)".encode())
    assert value(every, rows) == value(ada, rows) + value(ben, rows)


@pytest.mark.parametrize("table", AUDITED)
def test_the_owner_is_bound_like_everybody_else(sit: Sit, ada: Connection, table: str) -> None:
    rows = f"SELECT count(*) FROM {table}"
    assert value(sit("owner"), rows) == 0
    assert value(sit("owner", ADA), rows) == value(ada, rows)


@pytest.mark.parametrize("table", AUDITED)
def test_a_tenant_reaches_no_row_of_another(ada: Connection, sit: Sit, table: str) -> None:
    before = value(
        sit("superuser"),
        f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} AS t WHERE user_id = {key(BEN)}",
    )
    assert changed(ada, f"UPDATE {table} SET updated_at = now() WHERE user_id = {key(BEN)}") == 0
    assert changed(ada, f"DELETE FROM {table} WHERE user_id = {key(BEN)}") == 0
    given = "user_id = " + key(BEN)
    # Not Ada's cycle itself, nor what is locked: another rule would speak first.
    free = {"plan_item": f" WHERE id = {item(ADA, 6)}", "weekly_plan": " WHERE week_number = 6"}.get(
        table, ""
    )
    assert refusal(ada, f"UPDATE {table} SET {given}{free}") == "42501"
    after = value(
        sit("superuser"),
        f"SELECT md5(string_agg(t::text, '' ORDER BY id)) FROM {table} AS t WHERE user_id = {key(BEN)}",
    )
    assert after == before


@pytest.mark.parametrize("user", ["ben", ""])
def test_a_row_for_another_tenant_is_refused(sit: Sit, user: str) -> None:
    session = sit("application", user)
    vision = f"INSERT INTO vision (id, user_id, title, body) VALUES ({key('ada vision')}, {{}}, 'x', 'x')"
    assert refusal(session, vision.format(key(ADA))) == "42501"
    upsert = vision.format(key(user or ADA)) + " ON CONFLICT (id) DO UPDATE SET title = 'mine'"
    assert refusal(session, upsert) == "42501"


@pytest.mark.parametrize(
    "statement",
    [
        f"""INSERT INTO cycle (user_id, vision_id, title, starts_on)
            VALUES ({key(BEN)}, {key('ada vision')}, 'x', 'today')""",
        f"""INSERT INTO goal (user_id, cycle_id, goal_type, title)
            VALUES ({key(BEN)}, {key('ada free')}, 'personal', 'x')""",
        f"INSERT INTO weekly_plan (user_id, cycle_id, week_number) VALUES ({key(BEN)}, {key('ada free')}, 1)",
        f"""INSERT INTO task (user_id, cycle_id, goal_id, title)
            VALUES ({key(BEN)}, {key('ada cycle')}, {key('ada goal personal')}, 'x')""",
        f"{INTO} VALUES ({key(BEN)}, {key('ada cycle')}, {key('ada week 1')}, {key('ada task New')}, 1)",
        f"{INTO} VALUES ({key(BEN)}, {key('ben cycle')}, {key('ada week 1')}, {key('ben task Run')}, 1)",
        f"{INTO} VALUES ({key(BEN)}, {key('ben cycle')}, {key('ben week 1')}, {key('ada task New')}, 1)",
        f"INSERT INTO chat_session (user_id, cycle_id) VALUES ({key(BEN)}, {key('ada cycle')})",
        f"""INSERT INTO chat_message (user_id, chat_session_id, role, content)
            VALUES ({key(BEN)}, {key('ada chat')}, 'user', 'x')""",
    ],
)  # fmt: skip
def test_a_row_cannot_refer_to_another_tenants_row(
    spare: Connection, ben: Connection, statement: str
) -> None:
    # Foreign keys are checked beside row security: only the tenant in the key keeps them apart.
    assert refusal(ben, statement) == "23503"


@pytest.mark.parametrize("cycle", ["ada cycle", "nobody's cycle"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO goal (user_id, cycle_id, goal_type, title) VALUES ({user}, {cycle}, 'personal', 'x')",
        "INSERT INTO weekly_plan (user_id, cycle_id, week_number) VALUES ({user}, {cycle}, 1)",
    ],
)
def test_a_refusal_does_not_tell_whether_another_tenant_has_such_a_row(
    ben: Connection, statement: str, cycle: str
) -> None:
    # Were the tenant not in the unique key, one of them would be 23505.
    assert refusal(ben, statement.format(user=key(BEN), cycle=key(cycle.replace("'", "''")))) == "23503"


SUB = "b0000000-0000-4000-8000-000000000001"
OTHER = "c0000000-0000-4000-8000-000000000002"
CLAIMS, OLD, OURS = "request.jwt.claims", "request.jwt.claim.sub", "app.user_id"


@pytest.mark.parametrize(
    ("settings", "user"),
    [
        ({}, None),
        ({OURS: SUB}, SUB),
        ({OLD: SUB}, SUB),
        ({CLAIMS: json.dumps({"sub": SUB, "role": "authenticated"})}, SUB),
        ({CLAIMS: json.dumps({"sub": SUB}), OLD: OTHER, OURS: OTHER}, SUB),
        ({OLD: SUB, OURS: OTHER}, SUB),
        ({CLAIMS: "", OLD: "", OURS: SUB}, SUB),
        ({CLAIMS: "", OLD: "", OURS: ""}, None),
        ({CLAIMS: json.dumps({"role": "anon"}), OURS: OTHER}, None),
        ({CLAIMS: json.dumps({"user_metadata": {"sub": OTHER}})}, None),
        ({CLAIMS: "{", OURS: OTHER}, None),
        ({CLAIMS: "[]"}, None),
        ({CLAIMS: '"text"'}, None),
        ({CLAIMS: '{"sub": 7}'}, None),
        ({CLAIMS: '{"sub": null}'}, None),
        ({CLAIMS: '{"sub": "\\u0000"}'}, None),
        ({CLAIMS: '{"sub": 1e999999}'}, None),
        ({CLAIMS: "[" * 100_000}, None),
        ({OLD: "nobody"}, None),
        ({OURS: "'; DROP TABLE vision; --"}, None),
        ({OURS: " "}, None),
    ],
)  # fmt: skip
def test_claims_say_whose_rows_are_seen_and_anything_else_shows_none(
    sit: Sit, settings: dict[str, str], user: str | None
) -> None:
    session = sit("application")
    for name, given in settings.items():
        session.execute("SELECT set_config(%s, %s, false)", (name, given))
    found = value(session, "SELECT current_app_user()")
    assert found == (uuid.UUID(user) if user else None)
    assert [value(session, f"SELECT count(*) FROM {table}") for table in TABLES] == [0] * 9


def test_claims_of_a_transaction_are_gone_after_it(sit: Sit, ada: Connection) -> None:
    session = sit("application")
    with session.transaction():
        session.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, true)".encode())
        assert value(session, "SELECT count(*) FROM vision") == 1
    # It is '' now, no longer NULL: cast to uuid it would fail, with 22P02.
    assert value(session, "SELECT current_setting('app.user_id', true)") == ""
    assert value(session, "SELECT count(*) FROM vision") == 0
    assert (
        refusal(session, "INSERT INTO vision (user_id, title, body) VALUES (gen_random_uuid(), 'x', 'x')")
        == "42501"
    )
    ada.execute("RESET app.user_id")
    assert value(ada, "SELECT count(*) FROM vision") == 0


def test_a_role_of_supabase_works_by_membership(sit: Sit, place: Place) -> None:
    admin = sit("superuser")
    name = f"authenticated_{uuid.uuid4().hex[:8]}"
    admin.execute(
        f"CREATE ROLE {name}; GRANT app_user TO {name}; GRANT {name} TO {place.logins['application']}".encode()
    )
    try:
        session = sit("application")
        with session.transaction():
            session.execute(f"SET LOCAL ROLE {name}".encode())
            session.execute(
                f"SELECT set_config('request.jwt.claims', json_build_object('sub', {key(ADA)})::text, true)".encode()
            )
            assert value(session, "SELECT count(*) FROM cycle") == 1
            session.execute("UPDATE vision SET title = 'By token'")
            entry = session.execute("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1").fetchone()
            assert entry is not None
            assert (entry["database_role"], entry["actor_id"]) == (name, entry["user_id"])
    finally:
        admin.execute(f"DROP ROLE {name}".encode())


MANY = """
INSERT INTO vision (user_id, title, body)
SELECT md5((i % 2000)::text)::uuid, 'x', 'x' FROM generate_series(1, 100000) AS i
"""


def test_row_security_costs_one_evaluation_and_an_index_scan_on_a_hundred_thousand_rows(sit: Sit) -> None:
    filler, session = sit("superuser"), sit("application")
    with filler.transaction():
        filler.execute("SET LOCAL session_replication_role = replica")
        filler.execute(MANY)
    filler.execute("ANALYZE vision")
    session.execute("SELECT set_config('app.user_id', md5('7')::uuid::text, false)")

    def explained(conn: Connection, where: str = "") -> dict[str, Any]:
        conn.execute("SET max_parallel_workers_per_gather = 0; SET jit = off")
        plan: list[dict[str, Any]] = value(
            conn, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT title FROM vision{where}"
        )
        return dict(plan[0]["Plan"])

    held, by_hand = explained(session), explained(filler, " WHERE user_id = md5('7')::uuid")
    nodes = list(_nodes(held))
    assert held["Actual Rows"] == by_hand["Actual Rows"] == 50
    assert [node["Node Type"] for node in nodes if node.get("Parent Relationship") == "InitPlan"] == [
        "Result"
    ]
    assert {node["Index Name"] for node in nodes if "Index Name" in node} == {"vision_user_idx"}
    assert not any(node.get("Rows Removed by Filter") for node in nodes)
    # A page or two for each of 50 rows far apart, as with the tenant written into the query: not 1,500.
    assert held["Shared Hit Blocks"] + held["Shared Read Blocks"] <= 80
    session.execute("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off")
    whole = explained(session)
    assert whole["Shared Hit Blocks"] + whole["Shared Read Blocks"] > 1000, (
        "without the index every row is read"
    )


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for below in plan.get("Plans", []):
        yield from _nodes(below)


# --- the audit log -----------------------------------------------------------------------------------------


def last(conn: Connection) -> dict[str, Any]:
    row = conn.execute("SELECT * FROM audit_log ORDER BY id DESC LIMIT 1").fetchone()
    assert row is not None
    return dict(row)


@pytest.mark.parametrize("table", AUDITED)
def test_every_write_is_in_the_log_before_and_after(
    ben: Connection, sit: Sit, place: Place, table: str
) -> None:
    row = ben.execute(f"SELECT * FROM {table} ORDER BY id LIMIT 1".encode()).fetchone()
    assert row is not None
    start = value(ben, "SELECT max(id) FROM audit_log")
    with ben.transaction():
        transaction = value(ben, "SELECT pg_current_xact_id()::text::bigint")
        ben.execute(f"UPDATE {table} SET updated_at = now() WHERE id = %s".encode(), (row["id"],))
    entry = last(ben)
    assert (entry["action"], entry["table_name"], entry["row_id"]) == ("update", table, row["id"])
    assert entry["before"].keys() == entry["after"].keys() == row.keys()
    assert entry["before"]["updated_at"] < entry["after"]["updated_at"]
    assert (entry["user_id"], entry["actor_id"]) == (row["user_id"], row["user_id"])
    assert entry["database_role"] == place.logins["application"]
    assert entry["transaction_id"] == transaction
    with contextlib.suppress(errors.ForeignKeyViolation, errors.RestrictViolation):
        ben.execute(f"DELETE FROM {table} WHERE id = %s".encode(), (row["id"],))
        gone = ben.execute(
            "SELECT * FROM audit_log WHERE id > %s AND row_id = %s AND action = 'delete'", (start, row["id"])
        ).fetchone()
        assert gone is not None
        assert gone["before"]["id"] == str(row["id"])
        assert gone["after"] is None
    made = ben.execute(
        "SELECT * FROM audit_log WHERE table_name = %s AND action = 'insert'", (table,)
    ).fetchone()
    assert made is not None
    assert (made["before"], made["after"]["user_id"]) == (None, str(row["user_id"]))


def test_what_is_rolled_back_leaves_no_entry_and_what_is_refused_none_either(ada: Connection) -> None:
    before = last(ada)["id"]
    with ada.transaction(force_rollback=True):
        ada.execute("UPDATE vision SET title = 'x'")
    assert refusal(ada, set_quota(ADA, 7)) == LOCKED
    assert last(ada)["id"] == before


def entry(action: str, before: str | None, after: str | None) -> str:
    def shown(part: str | None) -> str:
        return "NULL" if part is None else f"'{part}'"

    return (
        "INSERT INTO audit_log (user_id, action, table_name, row_id, before, after, database_role)"
        f" VALUES (gen_random_uuid(), '{action}', 'vision', gen_random_uuid(), {shown(before)}, {shown(after)}, 'test')"
    )


def test_an_entry_takes_objects_before_and_after_as_its_action_asks(sit: Sit) -> None:
    owner = sit("owner")
    for right in (
        entry("insert", None, '{"a": 1}'),
        entry("update", '{"a": 1}', '{"a": {"b": [2]}}'),
        entry("delete", '{"a": 1}', None),
    ):
        assert changed(owner, right) == 1
    wrong = [
        entry("insert", None, None), entry("insert", "{}", "{}"), entry("update", None, "{}"),
        entry("update", "{}", None), entry("delete", "{}", "{}"), entry("delete", None, None),
        entry("insert", None, "[]"), entry("insert", None, "1"), entry("update", '"x"', "{}"),
        entry("update", "null", "{}"),
    ]  # fmt: skip
    assert [refusal(owner, one) for one in wrong] == ["23514"] * len(wrong)


REWRITES = (
    "UPDATE audit_log SET before = NULL",
    "DELETE FROM audit_log",
    "DELETE FROM audit_log WHERE false",
    "TRUNCATE audit_log",
)


def test_nobody_rewrites_the_log_be_he_its_owner(sit: Sit, ada: Connection) -> None:
    count = value(sit("superuser"), "SELECT count(*) FROM audit_log")
    for statement in REWRITES:
        assert refusal(sit("owner"), statement) == APPEND_ONLY, statement
        assert refusal(sit("superuser"), statement) == APPEND_ONLY, statement
        assert refusal(ada, statement) == "42501", statement
    assert value(sit("superuser"), "SELECT count(*) FROM audit_log") == count


def test_the_application_cannot_forge_an_entry(ada: Connection, sit: Sit) -> None:
    assert refusal(ada, entry("insert", None, "{}")) == "42501"
    assert refusal(ada, "SELECT write_audit_log()") in ("42501", "0A000")
    # A trigger function that runs as the owner, on a table of one's own.
    ada.execute("CREATE TEMP TABLE mine (id uuid, user_id uuid)")
    assert (
        refusal(
            ada, "CREATE TRIGGER forged AFTER INSERT ON mine FOR EACH ROW EXECUTE FUNCTION write_audit_log()"
        )
        == "42501"
    )


def test_a_schema_that_opens_new_tables_to_everybody_opens_nothing(ada: Connection, sit: Sit) -> None:
    # As the default privileges of Supabase do.
    sit("superuser").execute(f"GRANT ALL ON {', '.join(TABLES)} TO app_user")
    mine = entry("insert", None, "{}").replace("gen_random_uuid()", key(ADA), 1)
    assert refusal(ada, mine) == "42501", "there is no policy to insert"
    assert [refusal(ada, one) for one in REWRITES] == [APPEND_ONLY] * 4
    assert [refusal(ada, f"TRUNCATE {table} CASCADE") for table in ("plan_item", "chat_message")] == [
        LOCKED,
        APPEND_ONLY,
    ]


def test_who_got_everything_by_default_makes_no_trigger_and_no_foreign_key(
    server: embedded.Server, logins: dict[str, str]
) -> None:
    with database(server, logins["owner"]) as name:
        place = Place(server, name, logins)
        with connect(place.conninfo("owner")) as conn:
            conn.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT ALL ON TABLES TO app_user, PUBLIC")
            perform(conn)
            load(conn)
        with connect(place.conninfo("application")) as conn:
            # It would write 99 behind the guard while somebody writes his progress, and see what others write.
            conn.execute(
                "CREATE FUNCTION pg_temp.mine() RETURNS trigger LANGUAGE plpgsql AS "
                "$$BEGIN NEW.quota := 99; RETURN NEW; END$$"
            )
            for table in TABLES:
                create = "CREATE TRIGGER z BEFORE UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION pg_temp.mine()"
                assert refusal(conn, create.format(table)) == "42501"
                assert refusal(conn, f"CREATE TEMP TABLE t (id uuid REFERENCES {table} (id))") in (
                    "42501",
                    "42P16",
                )


def test_who_may_create_in_the_schema_puts_nothing_of_his_under_the_log(ada: Connection, sit: Sit) -> None:
    sit("superuser").execute("GRANT CREATE ON SCHEMA public TO app_user")
    # A better match than the function of pg_catalog, and called by one that runs as the owner.
    ada.execute(
        "CREATE FUNCTION to_jsonb(vision) RETURNS jsonb LANGUAGE sql "
        """AS $$SELECT '{"forged": true}'::jsonb$$"""
    )
    assert changed(ada, "UPDATE vision SET title = 'Mine'") == 1
    assert value(ada, "SELECT after ->> 'title' FROM audit_log ORDER BY id DESC LIMIT 1") == "Mine"


def test_a_schema_that_the_application_may_create_in_is_no_go(sit: Sit) -> None:
    check = CHANGE.check("05_server_and_schema")
    assert preflight.run_check(sit("owner"), check).total == 0
    sit("superuser").execute("GRANT CREATE ON SCHEMA public TO app_user")
    assert preflight.run_check(sit("owner"), check).rows == (
        {
            "setting": "app_user and schema public",
            "expected": "may create nothing in it",
            "found": "may create in it",
        },
    )


def test_a_privilege_to_make_triggers_breaks_the_promise_of_the_grants(sit: Sit) -> None:
    verify = CHANGE.step("027").verify
    assert preflight.run_check(sit("owner"), verify).total == 0
    sit("owner").execute("GRANT TRIGGER ON goal TO app_user; GRANT REFERENCES ON audit_log TO PUBLIC")
    found = [(row["object"], row["found"]) for row in preflight.run_check(sit("owner"), verify).rows]
    assert ("app_user on goal", "TRIGGER") in found
    assert ("PUBLIC on audit_log", "REFERENCES") in found


def test_the_owner_reads_the_whole_log_and_a_definer_of_his_sees_no_other_table(sit: Sit) -> None:
    owner = sit("owner")
    assert value(owner, "SELECT count(DISTINCT user_id) FROM audit_log") == 2
    owner.execute(
        "CREATE FUNCTION visions() RETURNS bigint LANGUAGE sql SECURITY DEFINER RETURN (SELECT count(*) FROM vision)"
    )
    # FORCE binds a definer to the claims, too: this is why the audit log is not forced.
    assert value(sit("application"), "SELECT visions()") == 0
    assert value(sit("application", ADA), "SELECT visions()") == 1


# --- limits: what a superuser and an owner can still do -----------------------------------------------------


def test_limit_a_superuser_who_switches_triggers_off_passes_lock_and_log(sit: Sit) -> None:
    admin = sit("superuser")
    assert refusal(admin, set_quota(ADA, 7)) == LOCKED, "being one is not enough"
    before = value(admin, "SELECT max(id) FROM audit_log")
    admin.execute("SET session_replication_role = replica")
    assert changed(admin, set_quota(ADA, 7)) == 1
    assert changed(admin, "DELETE FROM audit_log WHERE id = 1") == 1
    assert value(admin, "SELECT max(id) FROM audit_log") == before
    assert refusal(sit("owner"), "SET session_replication_role = replica") == "42501"


def test_limit_an_owner_who_disables_triggers_passes_lock_and_log(sit: Sit) -> None:
    owner = sit("owner", ADA)
    owner.execute(
        "ALTER TABLE plan_item DISABLE TRIGGER guard_lock; ALTER TABLE audit_log DISABLE TRIGGER append_only"
    )
    assert changed(owner, set_quota(ADA, 7)) == 1
    assert changed(owner, "DELETE FROM audit_log WHERE id = 1") == 1
    found = {step.number: preflight.run_check(owner, step.verify).total for step in CHANGE.steps}
    assert {number for number, total in found.items() if total} == {"019", "024"}, (
        "and the proofs of the steps tell"
    )


def test_limit_a_superuser_is_taken_for_a_member_of_every_role(sit: Sit) -> None:
    assert (
        changed(sit("superuser"), f"UPDATE cycle SET lock_enforced = false WHERE id = {key('ada cycle')}")
        == 1
    )


def test_limit_who_can_set_claims_acts_for_whom_he_likes(sit: Sit) -> None:
    session = sit("application", BEN)
    session.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, false)".encode())
    assert value(session, "SELECT title FROM vision") == "A house by the sea"


# --- there and back ----------------------------------------------------------------------------------------


def test_an_owner_who_is_no_superuser_applies_it_and_goes_back_and_forth(
    server: embedded.Server, logins: dict[str, str], tmp_path: Path
) -> None:
    with database(server, logins["owner"]) as name:
        conninfo = Place(server, name, logins).conninfo("owner")
        with throwaway.running(CHANGE, conninfo, tmp_path) as run:
            assert run.board is not None
            assert run.board.go, run.board.failed
            empty = catalog.snapshot(run.control)
            throwaway.apply(run)
            assert broken(run.control) == []
            whole = catalog.snapshot(run.control)
        kinds = {kind for kind, *_ in whole - empty}
        assert {"table", "type", "function", "policy", "trigger", "comment", "index", "constraint"} <= kinds
        with connect(conninfo) as owner:
            perform(owner, back=True)
            assert catalog.differences(empty, catalog.snapshot(owner)) == []
            perform(owner)
            assert catalog.differences(whole, catalog.snapshot(owner)) == []


def test_rolling_back_takes_the_rows_with_it_and_nothing_else_stays(sit: Sit) -> None:
    owner = sit("owner")
    perform(owner, back=True)
    left = """SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace)
        + (SELECT count(*) FROM pg_type WHERE typnamespace = 'public'::regnamespace)
        + (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)"""
    assert value(owner, left) == 0


def test_it_works_in_a_schema_that_is_not_in_the_path_of_who_uses_it(
    server: embedded.Server, logins: dict[str, str]
) -> None:
    with database(server, logins["owner"]) as name:
        place = Place(server, name, logins)
        with connect(place.conninfo("owner")) as owner:
            owner.execute(
                "CREATE SCHEMA planning; GRANT USAGE ON SCHEMA planning TO app_user; SET search_path = planning"
            )
            perform(owner)
            load(owner)
            assert broken(owner) == []
        with connect(place.conninfo("application")) as app:
            app.execute(SAMPLE_ID)
            app.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, false)".encode())
            # Tables of the same names before it in the path mislead nobody.
            app.execute("CREATE TEMP TABLE cycle (id uuid, user_id uuid, lock_enforced boolean)")
            app.execute("CREATE TEMP TABLE audit_log (LIKE planning.audit_log)")
            assert refusal(app, set_quota(ADA, 7).replace("plan_item", "planning.plan_item", 1)) == LOCKED
            assert changed(app, set_quota(ADA, 6).replace("plan_item", "planning.plan_item", 1)) == 1
            assert (
                value(app, "SELECT after ->> 'quota' FROM planning.audit_log ORDER BY id DESC LIMIT 1") == "9"
            )
            assert value(app, "SELECT count(*) FROM audit_log") == 0


@pytest.mark.skipif(not DEBIANS_15.exists(), reason="this machine has no PostgreSQL 15")
@pytest.mark.skipif(os.environ.get("PGRUNBOOK_POSTGRES") == "15", reason="the whole lane runs on 15")
def test_it_runs_on_15(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {15: DEBIANS_15.parent, **embedded._installations()}
    monkeypatch.setattr(embedded, "_installations", lambda: known)
    oldest = embedded.start(15, folder=Path(f"/tmp/pgrunbook-15-{uuid.uuid4().hex[:6]}"))
    try:
        with psycopg.connect(oldest.conninfo_for("postgres"), autocommit=True) as conn:
            assert CHANGE.go_sample is not None
            conn.execute(CHANGE.go_sample.read_bytes())
            conn.execute("CREATE ROLE owner LOGIN; CREATE ROLE application LOGIN IN ROLE app_user")
        place = Place(oldest, "", {"owner": "owner", "application": "application"})
        with (
            database(oldest, "owner") as name,
            connect(dataclasses.replace(place, name=name).conninfo("owner")) as owner,
        ):
            before = catalog.snapshot(owner)
            board = [preflight.run_check(owner, check) for check in CHANGE.preflight]
            assert [(f.label, f.rows, f.problem) for f in board if f.total or f.problem] == []
            perform(owner)
            assert broken(owner) == []
            load(owner)
            load(owner)
            with connect(dataclasses.replace(place, name=name).conninfo("application")) as app:
                app.execute(SAMPLE_ID)
                assert value(app, "SELECT count(*) FROM plan_item") == 0
                app.execute(f"SELECT set_config('app.user_id', {key(ADA)}::text, false)".encode())
                assert value(app, "SELECT count(*) FROM plan_item") == 48
                assert refusal(app, set_quota(ADA, 7)) == LOCKED
                assert refusal(app, "DELETE FROM cycle") == LOCKED
                assert changed(app, set_quota(ADA, 6)) == 1
            perform(owner, back=True)
            assert catalog.differences(before, catalog.snapshot(owner)) == []
    finally:
        embedded.stop(oldest)
