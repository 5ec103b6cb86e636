"""Random operations of two tenants and an administrator, against the database and against its rules in Python."""

from __future__ import annotations

import copy
import json
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, ClassVar

import psycopg
from core_rules import (
    APP_USER,
    DENIED,
    DOCUMENTS,
    LOCK_ADMIN,
    NOBODY,
    NUMBER,
    OWNER,
    PARENTS,
    SUPERVISOR,
    TABLES,
    TEXT,
    Actor,
    Row,
    Rules,
    Verdict,
)
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from psycopg import sql
from psycopg.types.json import Jsonb

ADA, BEN = "00000000-0000-4000-8000-0000000000ad", "00000000-0000-4000-8000-0000000000be"
NOWHERE = "00000000-0000-4000-8000-00000000dead"
OLD = "2001-01-01T00:00:00+00:00"
CLAIMS = ("request.jwt.claims", "request.jwt.claim.sub", "app.user_id")

# The settings that speak for a user ({0}; {1} is the other one), and what nobody is meant by. The first that says
# anything decides.
SPEAKING = [
    ("", "", "{0}"),
    ("", "{0}", ""),
    ('{{"sub": "{0}", "role": "authenticated"}}', "", ""),
    ('{{"sub": "{0}"}}', "{1}", "{1}"),
    ("", "{0}", "{1}"),
]
SILENT = [
    ("", "", ""),
    ("{{}}", "", "{0}"),
    ("no json", "", "{0}"),
    ('{{"sub": 7}}', "", ""),
    ('{{"sub": null}}', "{0}", "{0}"),
    ('["{0}"]', "", ""),
    ('{{"sub": "\\u0000"}}', "", ""),
    ("", "nobody", "{0}"),
    ("", "", "{0}x"),
    (" ", "", "{0}"),
]

# What the application tries that is not its own business, and what even the owner shall not do.
FORGERIES = [
    "INSERT INTO public.audit_log (user_id, action, table_name, row_id, after, database_role)"
    f" VALUES ('{ADA}', 'insert', 'goal', '{NOWHERE}', '{{}}', 'app_user')",
    "SELECT setval('public.audit_log_id_seq', 1)",
    "CREATE TRIGGER forge AFTER INSERT ON pg_temp.cycle FOR EACH ROW EXECUTE FUNCTION public.write_audit_log()",
    "ALTER TABLE public.plan_item DISABLE TRIGGER guard_lock",
    "ALTER TABLE public.plan_item DISABLE ROW LEVEL SECURITY",
    "DROP POLICY own_rows ON public.cycle",
    "SET LOCAL session_replication_role = replica",
    "CREATE FUNCTION public.current_app_user(int) RETURNS uuid LANGUAGE sql RETURN NULL::uuid",
]
REWRITES = ["UPDATE public.audit_log SET actor_id = NULL", "DELETE FROM public.audit_log WHERE false"]
EMPTYINGS = [f"TRUNCATE public.{table} CASCADE" for table in [*TABLES, "audit_log"]]
OUTRAGES = [
    *((APP_USER, one) for one in [*FORGERIES, *FORGERIES, *REWRITES, *EMPTYINGS]),
    *((OWNER, one) for one in [*REWRITES, *EMPTYINGS]),
]
# Tables that a session puts before the real ones.
SHADOWED = ("pg_temp.cycle", "pg_temp.weekly_plan", "pg_temp.audit_log")
SHADOWS = """
CREATE TEMPORARY TABLE cycle (id uuid, user_id uuid, lock_enforced boolean);
CREATE TEMPORARY TABLE weekly_plan (id uuid, week_number smallint);
CREATE TEMPORARY TABLE audit_log (user_id uuid, action text, table_name text, row_id uuid, before jsonb, after jsonb,
    actor_id uuid, database_role text);
"""
SEEN = " UNION ALL ".join(
    f"SELECT '{table}', to_jsonb(t) FROM public.{table} AS t" for table in [*TABLES, "audit_log"]
)
TOLD = ("user_id", "action", "table_name", "row_id", "before", "after", "actor_id", "database_role")


class Desk:
    """The real tables: one session that takes on any role, and gives back what each statement came to."""

    def __init__(self, conn: psycopg.Connection[Any]) -> None:
        self.conn = conn

    def act(self, role: str, claims: tuple[str, ...]) -> None:
        """Take on a role and the claims of a token, for the rest of the transaction."""
        values = ", ".join(f"set_config('{name}', %s, true)" for name in ("role", *CLAIMS))
        self.conn.execute(f"SELECT {values}".encode(), (role, *claims))

    def tries(
        self, role: str, claims: tuple[str, ...], statement: sql.Composable, values: Any = ()
    ) -> tuple[str, Any]:
        """Return the SQLSTATE that a statement was refused with, or what it came to."""
        self.conn.execute("SAVEPOINT operation")
        self.act(role, claims)
        try:
            cursor = self.conn.execute(statement, values)
            came_to = cursor.fetchone()[0] if cursor.description else cursor.rowcount  # type: ignore[index]
        except psycopg.Error as error:
            self.conn.execute("ROLLBACK TO operation; RELEASE operation")
            return error.sqlstate or "?", None
        self.conn.execute("RELEASE operation")
        return "", came_to

    def seen_by(self, user: str | None) -> list[tuple[str, Row]]:
        """Return the rows of all tables that the application sees when it acts for a user."""
        self.act(APP_USER, ("", "", user or ""))
        return self.conn.execute(SEEN.encode()).fetchall()


def insertion(table: str, row: Row, upsert: bool = False) -> tuple[sql.Composed, list[Any]]:
    names = [name for name in row if name != "ends_on"]
    conflict = sql.SQL("")
    if upsert:
        sets = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in names if name != "id"]
        conflict = sql.SQL(" ON CONFLICT (id) DO UPDATE SET {}").format(sql.SQL(", ").join(sets))
    text = sql.SQL("INSERT INTO public.{} ({}) VALUES ({})").format(
        sql.Identifier(table),
        sql.SQL(", ").join(map(sql.Identifier, names)),
        sql.SQL(", ").join([sql.Placeholder()] * len(names)),
    )
    return text + conflict, [sent(table, name, row[name]) for name in names]


def updating(table: str, key: str | None, changes: Row) -> tuple[sql.Composed, list[Any]]:
    sets = [sql.SQL("{} = %s").format(sql.Identifier(name)) for name in changes]
    text = sql.SQL("UPDATE public.{} SET {}").format(sql.Identifier(table), sql.SQL(", ").join(sets))
    values = [sent(table, name, value) for name, value in changes.items()]
    return (text + sql.SQL(" WHERE id = %s"), [*values, key]) if key else (text, values)


def deletion(table: str, key: str | None) -> tuple[sql.Composed, list[Any]]:
    text = sql.SQL("DELETE FROM public.{}").format(sql.Identifier(table))
    return (text + sql.SQL(" WHERE id = %s"), [key]) if key else (text, [])


def sent(table: str, column: str, value: Any) -> Any:
    is_document = column == DOCUMENTS.get(table, ("",))[0]
    return Jsonb(value) if is_document and value is not None else value


def row_of(table: str, key: str, user: str | None, **columns: Any) -> Row:
    """Return a sound row with those columns."""
    made: Row = {"id": key, "user_id": user, "created_at": OLD, "updated_at": OLD}
    match table:
        case "vision":
            made |= {"title": "far", "body": "away", "horizon_years": 3}
        case "cycle":
            made |= {
                "vision_id": None,
                "title": "c",
                "status": "draft",
                "starts_on": "2026-01-05",
                "ends_on": None,
            }
            made |= {"lock_enforced": False}
        case "goal":
            made |= {
                "cycle_id": None,
                "goal_type": "personal",
                "title": "g",
                "description": "",
                "status": "active",
            }
        case "weekly_plan":
            made |= {"cycle_id": None, "week_number": 6, "focus": ""}
        case "task":
            made |= {"cycle_id": None, "goal_id": None, "title": "t", "notes": "", "weekly_quota": 1}
            made |= {"is_archived": False}
        case "plan_item":
            made |= {
                "cycle_id": None,
                "weekly_plan_id": None,
                "task_id": None,
                "quota": 3,
                "done": 0,
                "note": "",
            }
            made |= {"status": "planned"}
        case "chat_session":
            made |= {"cycle_id": None, "title": "", "ended_at": None}
        case "chat_message":
            made |= {"chat_session_id": None, "role": "user", "content": "hello"}
    if table in DOCUMENTS:
        made[DOCUMENTS[table][0]] = {}
    return made | columns


def documents(table: str) -> list[Any]:
    """Return a few documents of a table, half of them sound."""
    _, keys = DOCUMENTS[table]
    right = {TEXT: "word", NUMBER: 7.5}
    sound: list[Any] = [{}, {key: right.get(kind, ["a"]) for key, kind in keys.items()}, {"more": None}]
    return [*sound, [], 7, *({key: {"not": "so"}} for key in keys), {next(iter(keys)): None}]


# What an update writes into a column, sound and unsound.
VALUES: dict[str, list[Any]] = {
    "week_number": [1, 6, 7, 8, 12, 13, 0],
    "quota": [0, 3, 21, 100, 101, -1, None],
    "done": [0, 5, 1000, 1001],
    "weekly_quota": [1, 4, 0],
    "horizon_years": [10, 31],
    "title": ["title", "x" * 200, "", "x" * 201, None],
    "content": ["words", ""],
    "note": ["a note"],
    "focus": ["focus", None],
    "starts_on": ["2026-01-05", "2026-02-02"],
    "lock_enforced": [True, False],
    "is_archived": [True, False],
    "goal_type": ["personal", "professional", "both"],
    "status": ["completed", "active", "planned"],
    "role": ["assistant", "robot"],
    "created_at": [OLD, "1999-01-01T00:00:00+00:00"],
    "updated_at": ["1999-01-01T00:00:00+00:00"],
}
UNTRIED = ("body", "description", "ends_on", "ended_at", "notes")
REFERENCES = {f"{table}_id": table for table in TABLES}
REFERRING = sorted({child for child, *_ in PARENTS})
numbers = st.integers(0, 2**16)
tables = st.sampled_from([*TABLES, "weekly_plan", "plan_item", "plan_item"])
users = st.sampled_from([ADA, BEN])
roles = st.sampled_from([APP_USER] * 8 + [OWNER, SUPERVISOR, LOCK_ADMIN])


@st.composite
def actors(draw: st.DrawFn) -> tuple[Actor, tuple[str, ...]]:
    """Return somebody, with the claims that say so."""
    user, other = draw(st.sampled_from([(ADA, BEN), (BEN, ADA)]))
    silent = draw(st.integers(0, 9)) == 9
    claims = tuple(text.format(user, other) for text in draw(st.sampled_from(SILENT if silent else SPEAKING)))
    return Actor(draw(roles), NOBODY if silent else user), claims


def one_of(things: list[Any], number: int) -> Any:
    return things[number % len(things)]


class Machine(RuleBasedStateMachine):
    """Every rule does one thing to the database and to the rules; both must say the same, and end up alike."""

    conn: ClassVar[psycopg.Connection[Any]]
    ground: ClassVar[Rules]
    sabotage: ClassVar[str] = ""
    done: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.desk, self.rules = Desk(self.conn), copy.deepcopy(self.ground)
        self.rules.now = now(self.conn)
        self.made = 1000
        if self.sabotage:
            self.conn.execute(self.sabotage.encode())

    def teardown(self) -> None:
        try:
            self.look()
        finally:
            self.conn.rollback()

    @rule(who=actors(), table=tables, number=numbers, twist=numbers, upsert=st.booleans())
    def insert(self, who: tuple[Actor, Any], table: str, number: int, twist: int, upsert: bool) -> None:
        row = self.a_row(table, who[0].user or ADA, number)
        if twist % 3 == 0:
            row |= self.other_values(table, who[0].user, twist // 3, number)
        elif twist % 9 == 4:
            # Somebody else's row, sound in itself.
            row = self.a_row(table, BEN if who[0].user == ADA else ADA, number)
        if upsert and number % 2:
            row["id"] = self.pick(table, who[0].user, twist)
        judge = self.rules.upsert if upsert else self.rules.insert
        self.compare(who, f"insert {table}", judge(who[0], table, row), insertion(table, row, upsert))

    @rule(who=actors(), table=st.sampled_from(REFERRING), number=numbers)
    def refer_to_another(self, who: tuple[Actor, Any], table: str, number: int) -> None:
        """Insert what another one has, with his references."""
        others = [one for one in self.rules.rows[table].values() if one["user_id"] != who[0].user]
        row = self.a_row(table, who[0].user or ADA, number)
        row |= {**one_of(others or [row], number), "id": row["id"], "user_id": row["user_id"]}
        self.compare(who, f"insert {table}", self.rules.insert(who[0], table, row), insertion(table, row))

    @rule(
        who=actors(), table=tables, number=numbers, twist=numbers, more=st.booleans(), every=st.integers(0, 9)
    )
    def update(
        self, who: tuple[Actor, Any], table: str, number: int, twist: int, more: bool, every: int
    ) -> None:
        key = None if every == 9 else self.pick(table, who[0].user, number)
        changes = self.other_values(table, who[0].user, twist, number)
        if more:
            changes |= self.other_values(table, who[0].user, twist // 7 + 1, number // 3)
        if key is None:
            changes.pop("id", None)
        if not changes:
            return
        self.compare(
            who,
            f"update {table}",
            self.rules.update(who[0], table, key, changes),
            updating(table, key, changes),
        )

    @rule(who=actors(), number=numbers, quota=st.sampled_from(VALUES["quota"] + [4, 5, 6]))
    def set_quota(self, who: tuple[Actor, Any], number: int, quota: int | None) -> None:
        self.change(who, "plan_item", number, {"quota": quota})

    @rule(
        who=actors(),
        number=numbers,
        done=st.integers(0, 1001),
        status=st.sampled_from(["planned", "completed"]),
    )
    def tell_progress(self, who: tuple[Actor, Any], number: int, done: int, status: str) -> None:
        self.change(
            who, "plan_item", number, {"done": done, "status": status, "created_at": VALUES["created_at"][1]}
        )

    @rule(who=actors(), number=numbers, twist=numbers)
    def move_item(self, who: tuple[Actor, Any], number: int, twist: int) -> None:
        """To another week or task, of the same cycle or, with all that has to go with it, of any."""
        key = self.pick("plan_item", who[0].user, number)
        item = self.rules.rows["plan_item"].get(key)
        home = self.a_row("plan_item", who[0].user or ADA, twist, item and item["cycle_id"])
        if twist % 4 == 3:
            home = self.a_row("plan_item", who[0].user or ADA, twist)
        names = [("weekly_plan_id",), ("task_id",), ("weekly_plan_id", "task_id")][twist % 3]
        changes = {name: home[name] for name in [*names, *(["cycle_id"] if twist % 4 == 3 else [])]}
        verdict = self.rules.update(who[0], "plan_item", key, changes)
        self.compare(who, "move plan_item", verdict, updating("plan_item", key, changes))

    @rule(who=actors(), table=st.sampled_from(sorted(DOCUMENTS)), number=numbers, other=numbers)
    def set_document(self, who: tuple[Actor, Any], table: str, number: int, other: int) -> None:
        self.change(who, table, number, {DOCUMENTS[table][0]: one_of(documents(table), other)})

    @rule(who=actors(), number=numbers, week=st.integers(0, 13))
    def move_week(self, who: tuple[Actor, Any], number: int, week: int) -> None:
        self.change(who, "weekly_plan", number, {"week_number": week})

    @rule(who=actors(), number=numbers, locked=st.booleans(), as_admin=st.booleans())
    def turn_lock(self, who: tuple[Actor, Any], number: int, locked: bool, as_admin: bool) -> None:
        actor = Actor(LOCK_ADMIN, who[0].user) if as_admin else who[0]
        self.change((actor, who[1]), "cycle", number, {"lock_enforced": locked})

    @rule(who=actors(), number=numbers, starts_on=st.sampled_from(VALUES["starts_on"]))
    def put_off(self, who: tuple[Actor, Any], number: int, starts_on: str) -> None:
        self.change(who, "cycle", number, {"starts_on": starts_on})

    @rule(who=actors(), table=tables, number=numbers, every=st.integers(0, 9))
    def delete(self, who: tuple[Actor, Any], table: str, number: int, every: int) -> None:
        key = None if every == 9 else self.pick(table, who[0].user, number)
        self.compare(who, f"delete {table}", self.rules.delete(who[0], table, key), deletion(table, key))

    @rule(who=actors(), outrage=st.sampled_from(OUTRAGES))
    def overreach(self, who: tuple[Actor, Any], outrage: tuple[str, str]) -> None:
        """Try what is nobody's business, as the application or as the owner."""
        role, statement = outrage
        actor = Actor(role, who[0].user)
        verdict = (
            self.rules.truncate(actor) if statement.startswith("TRUNCATE") else self.rules.overreach(actor)
        )
        self.compare((actor, who[1]), "overreach", verdict, (sql.SQL(statement), []))  # type: ignore[arg-type]

    @rule(who=actors(), number=numbers, user=users)
    def probe(self, who: tuple[Actor, Any], number: int, user: str) -> None:
        """Ask the function of the guard for a cycle."""
        cycle = self.pick("cycle", who[0].user, number)
        verdict, locked = self.rules.probe(who[0], cycle, user)
        call = sql.SQL("SELECT public.hold_lock_flag(%s, %s)")
        came_to = self.compare(who, "probe", verdict, (call, [cycle, user]), counted=False)
        assert came_to in (None, locked)

    @rule(who=actors(), number=numbers, quota=st.integers(4, 9))
    def turn_coat(self, who: tuple[Actor, Any], number: int, quota: int) -> None:
        """Change the claims within the statement that raises a quota."""
        key = self.pick("plan_item", who[0].user, number)
        other = BEN if who[0].user == ADA else ADA
        verdict = copy.deepcopy(self.rules).update(who[0], "plan_item", key, {"quota": quota})
        if verdict.rows or verdict.broken:
            verdict = Verdict(verdict.broken | {DENIED})
        statement = sql.SQL(
            "UPDATE public.plan_item SET quota = %s, note = set_config('request.jwt.claims', %s, true) WHERE id = %s"
        )
        self.compare(who, "turn coat", verdict, (statement, [quota, json.dumps({"sub": other}), key]))

    def change(self, who: tuple[Actor, Any], table: str, number: int, changes: Row) -> None:
        key = self.pick(table, who[0].user, number)
        self.compare(
            who,
            f"update {table}",
            self.rules.update(who[0], table, key, changes),
            updating(table, key, changes),
        )

    def compare(
        self,
        who: tuple[Actor, Any],
        verb: str,
        verdict: Verdict,
        statement: tuple[Any, Any],
        *,
        counted: bool = True,
    ) -> Any:
        """Do it for real: refused for a rule that it breaks, or done as the rules say."""
        refused, came_to = self.desk.tries(who[0].role, who[1], *statement)
        said = f"{verb} as {who[0].role}: {refused or 'done'}, rules: {sorted(verdict.broken)}"
        if verdict.broken:
            assert refused in verdict.broken, said
            self.done[refused] += 1
            return None
        assert not refused, said
        assert came_to == verdict.rows or not counted, f"{said}, {came_to} rows for {verdict.rows}"
        self.done["accepted" if verdict.rows else "nothing there"] += 1
        if verdict.rows:
            self.look()
        return came_to

    def look(self) -> None:
        """See what each tenant, and nobody, sees."""
        for user in (ADA, BEN, NOBODY):
            expected = sorted(
                [*self.rules.of(user), *(("audit_log", one) for one in self.rules.entries_of(user))],
                key=str_of,
            )
            found = sorted(map(told, self.desk.seen_by(user)), key=str_of)
            assert found == expected

    def pick(self, table: str, user: str | None, number: int) -> str:
        """Return the key of a row: mostly one of the user's, now and then one of the other's or of none."""
        mine = [key for key, row in self.rules.rows[table].items() if row["user_id"] == user]
        others = [key for key in self.rules.rows[table] if key not in mine]
        keys = others if number % 4 == 3 else mine
        return NOWHERE if not keys or number % 37 == 36 else str(one_of(keys, number // 4))

    def a_row(self, table: str, user: str, number: int, cycle: str | None = None) -> Row:
        """Return a row that would be right where there is room for it: its references go together."""
        self.made += 1
        key = str(uuid.UUID(int=self.made))
        own = {
            name: [row for row in self.rules.rows[name].values() if row["user_id"] == user] for name in TABLES
        }
        cycle = cycle or one_of(own["cycle"] or [{"id": NOWHERE}], number)["id"]
        here = {name: [row for row in own[name] if row.get("cycle_id") == cycle] for name in TABLES}

        def any_of(rows: list[Row]) -> str:
            return str(one_of(rows or [{"id": NOWHERE}], number // 5)["id"])

        columns: Row = {"cycle_id": cycle}
        match table:
            case "vision":
                columns = {}
            case "cycle":
                columns = {"vision_id": any_of(own["vision"]), "lock_enforced": number % 5 == 0}
            case "goal":
                columns["goal_type"] = one_of(["personal", "professional"], number // 2)
            case "weekly_plan":
                columns["week_number"] = number // 2 % 12 + 1
            case "task":
                columns["goal_id"] = any_of(here["goal"])
            case "plan_item":
                columns |= {
                    "weekly_plan_id": any_of(here["weekly_plan"]),
                    "task_id": any_of(here["task"][::-1]),
                }
            case "chat_message":
                columns = {"chat_session_id": any_of(own["chat_session"])}
        return row_of(table, key, user, **columns)

    def other_values(self, table: str, user: str | None, number: int, other: int) -> Row:
        """Return one column of a table with something else in it."""
        names = [
            name
            for name in row_of(table, "", user)
            if name not in ("body", "description", "ends_on", "ended_at", "notes")
        ]
        name = one_of(names, number)
        if name == "id":
            self.made += 1
            return {"id": str(uuid.UUID(int=self.made))}
        if name == "user_id":
            return {"user_id": one_of([ADA, BEN, None], other)}
        if name in REFERENCES:
            return {name: self.pick(REFERENCES[name], user, other)}
        return {
            name: one_of(documents(table) if name == DOCUMENTS.get(table, ("",))[0] else VALUES[name], other)
        }


def told(line: tuple[str, Row]) -> tuple[str, Row]:
    table, row = line
    return table, ({name: row[name] for name in TOLD} if table == "audit_log" else row)


def str_of(line: tuple[str, Row]) -> str:
    return json.dumps(line, sort_keys=True)


def now(conn: psycopg.Connection[Any]) -> str:
    return str(conn.execute("SELECT to_jsonb(now())").fetchone()[0])  # type: ignore[index]


def start(conn: psycopg.Connection[Any], rules: Rules) -> Rules:
    """Insert what every run begins with, and return the rules that know of it.

    Each tenant has two cycles with weeks on both sides of the line; the first is locked.
    """
    desk = Desk(conn)
    for user, first in ((ADA, 100), (BEN, 200)):
        actor = Actor(APP_USER, user)
        ids = (str(uuid.UUID(int=number)) for number in range(first, first + 100))

        def add(table: str, actor: Actor = actor, ids: Iterator[str] = ids, **columns: Any) -> str:
            row = row_of(table, next(ids), actor.user, **columns)
            assert not rules.insert(actor, table, row).broken
            assert desk.tries(actor.role, ("", "", str(actor.user)), *insertion(table, row)) == ("", 1)
            return str(row["id"])

        vision = add("vision")
        for weeks, types in (((6, 7, 12), ("professional", "personal")), ((6, 8), ("professional",))):
            cycle = add("cycle", vision_id=vision)
            plans = [add("weekly_plan", cycle_id=cycle, week_number=week) for week in weeks]
            goals = [add("goal", cycle_id=cycle, goal_type=kind) for kind in types]
            tasks = [add("task", cycle_id=cycle, goal_id=goal) for goal in [*goals, goals[0]]]
            for number, plan in enumerate(plans):
                for task in tasks[number - 1 : number + 1] if number else tasks[:1]:
                    add("plan_item", cycle_id=cycle, weekly_plan_id=plan, task_id=task)
            chat = add("chat_session", cycle_id=cycle)
            add("chat_message", chat_session_id=chat)
            if len(weeks) == 3:
                changes: Row = {"lock_enforced": True}
                assert not rules.update(actor, "cycle", cycle, changes).broken
                desk.tries(actor.role, ("", "", user), *updating("cycle", cycle, changes))
    return rules
