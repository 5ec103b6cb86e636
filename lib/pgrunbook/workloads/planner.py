"""The planner of the core data model, for a notebook: tenants, the lock and what row security costs."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg

from pgrunbook import session
from pgrunbook.change import Change
from pgrunbook.runbook import Runbook
from pgrunbook.session import Connection
from pgrunbook.target import Kind, Target
from pgrunbook.telling import telling
from pgrunbook.views import table
from pgrunbook.views.tenant_costs import tenant_costs
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["Planner"]

_TABLES = (
    "vision", "cycle", "goal", "weekly_plan", "task", "plan_item", "chat_session", "chat_message", "audit_log",
)  # fmt: skip
_RUNS = 9
_LIVE = "not armed: the target is live, and a runbook writes no rows there and takes on no role"

_WEEK_7 = "(SELECT id FROM weekly_plan WHERE week_number = 7)"
_RUN = "(SELECT id FROM task WHERE title = 'Run')"
# Each is tried and taken back, as the application acting for Ada, whose cycle is locked.
_TRIED = {
    "quota of week 6": "UPDATE plan_item SET quota = 9"
    " WHERE weekly_plan_id = (SELECT id FROM weekly_plan WHERE week_number = 6)",
    "progress of week 7": f"UPDATE plan_item SET done = 2, status = 'in_progress' WHERE weekly_plan_id = {_WEEK_7}",
    "quota of week 7": f"UPDATE plan_item SET quota = 9 WHERE weekly_plan_id = {_WEEK_7}",
    "an item of week 7 deleted": f"DELETE FROM plan_item WHERE weekly_plan_id = {_WEEK_7}",
    "an item moved out of week 7": "UPDATE plan_item SET weekly_plan_id ="
    f" (SELECT id FROM weekly_plan WHERE week_number = 1) WHERE weekly_plan_id = {_WEEK_7} AND task_id = {_RUN}",
    "week 7 made week 1": "UPDATE weekly_plan SET week_number = 1 WHERE week_number = 7",
    "week 7 deleted": "DELETE FROM weekly_plan WHERE week_number = 7",
    "the task deleted": "DELETE FROM task WHERE title = 'Run'",
    "the cycle put off": "UPDATE cycle SET starts_on = starts_on + 7",
    "the lock cleared": "UPDATE cycle SET lock_enforced = false",
    "the cycle deleted": "DELETE FROM cycle",
    "TRUNCATE": "TRUNCATE plan_item",
    "an entry forged": "INSERT INTO audit_log (user_id, action, table_name, row_id, after, database_role)"
    " VALUES (current_app_user(), 'insert', 'vision', gen_random_uuid(), '{}', 'me')",
    "the audit log rewritten": "UPDATE audit_log SET after = NULL",
}

_MANY = (
    "INSERT INTO vision (user_id, title, body)"
    " SELECT md5((i % 2000)::text)::uuid, 'x', 'x' FROM generate_series(1, 100000) AS i"
)
_READ = "SELECT title FROM vision"
_EACH_ROW = "ALTER POLICY own_rows ON vision USING (user_id = (SELECT current_app_user() WHERE vision.id IS NOT NULL))"


@telling
class Planner:
    """The application's side in a notebook: `planner = Planner.of(runbook)`.

    It writes rows and takes on roles in a rehearsal only; on a live target it says that it is not armed.
    """

    def __init__(self, target: Target, change: Change) -> None:
        """Work on a target in which the change is applied."""
        self.target = target
        self._change = change

    @classmethod
    def of(cls, runbook: Runbook) -> Planner:
        """Return the planner of a runbook's target."""
        return cls(runbook.run.target, runbook.run.change)

    @property
    def armed(self) -> bool:
        """Return whether rows may be written here: in a rehearsal."""
        return self.target.kind is Kind.REHEARSAL

    def load(self) -> View:
        """Load the change's sample data, and return how many rows each table has."""
        if not self.armed or self._change.data_sample is None:
            return View(f"sample data ... {_LIVE}")
        with self._connected() as conn:
            conn.execute(self._change.data_sample.read_bytes())
            rows = [{"table": one, "rows": _count(conn, one)} for one in _TABLES]
        line = f"sample data loaded: rows in {counted(sum(bool(row['rows']) for row in rows), 'table')}"
        return View(line, html=table.to_html(rows, caption=line))

    def tenants(self) -> View:
        """Return how many rows of each table two users, nobody and a superuser see."""
        if not self.armed:
            return View(f"tenants ... {_LIVE}")
        with self._connected() as conn:
            ada, ben = _users(conn)
            seats = {"Ada": ada, "Ben": ben, "nobody": "", "no user": "not a uuid"}
            rows = []
            for one in _TABLES:
                row: dict[str, object] = {"table": one, "superuser": _count(conn, one)}
                for who, user in seats.items():
                    with _acting(conn, user):
                        row[who] = _count(conn, one)
                with _acting(conn, ada):
                    row["Ada sees of Ben"] = _count(conn, one, f" WHERE user_id = '{ben}'")
                rows.append(row)
        apart = all(
            row["Ada sees of Ben"] == row["nobody"] == row["no user"] == 0
            and row["superuser"] == int(str(row["Ada"])) + int(str(row["Ben"]))
            for row in rows
        )
        line = f"{counted(len(rows), 'table')}, two tenants: " + (
            "each sees his own rows, nobody sees any" if apart else "ROWS OF ANOTHER ARE SEEN"
        )
        return View(line, html=table.to_html(rows, caption=line))

    def lock(self) -> View:
        """Try ways around the lock as Ada, whose weeks 7 to 12 are locked; return what the server answers."""
        if not self.armed:
            return View(f"lock ... {_LIVE}")
        with self._connected() as conn:
            ada, _ = _users(conn)
            rows = [
                {"as Ada": what, "answer": _tried(conn, ada, statement)} for what, statement in _TRIED.items()
            ]
        refused = sum(row["answer"] != "done" for row in rows)
        line = (
            f"lock of weeks 7 to 12 ... {len(rows) - refused} of {len(rows)} tries passed, {refused} refused"
        )
        return View(line, html=table.to_html(rows, caption=line))

    def cost(self) -> View:
        """Read one tenant's 50 rows of 100,000 in four ways; the rows are taken back again."""
        if not self.armed:
            return View(f"row security ... {_LIVE}")
        medians: dict[str, float] = {}
        rows = []
        with self._connected() as conn, conn.transaction(force_rollback=True):
            conn.execute("SET LOCAL session_replication_role = replica; SET LOCAL jit = off")
            conn.execute("SET LOCAL max_parallel_workers_per_gather = 0")
            conn.execute(_MANY)
            conn.execute("ANALYZE vision")
            [user] = [str(row["id"]) for row in conn.execute("SELECT md5('7')::uuid AS id")]
            ways: dict[str, tuple[str, str, str]] = {
                "no row security, tenant in the query": ("", "", f"{_READ} WHERE user_id = '{user}'"),
                "row security": (user, "", _READ),
                "row security without the index": (user, "DROP INDEX vision_user_idx", _READ),
                "claims read for each row": (user, _EACH_ROW, _READ),
            }
            for way, (tenant, before, query) in ways.items():
                if before:
                    conn.execute(before.encode())
                plan, medians[way] = _measured(conn, tenant, query, runs=1 if before == _EACH_ROW else _RUNS)
                rows.append({"way": way, **_facts(plan)})
        held = rows[1]
        found = f"{held['rows']} rows by {held['by']}, claims read {held['claims read']}"
        line = f"row security on 100,000 rows ... {found}"
        picture = tenant_costs(medians)
        facts = {"median ms": {way: round(ms, 3) for way, ms in medians.items()}, "picture": picture.alt}
        return View(line, table.to_html(rows, caption=line), picture.png, picture.svg, facts)

    def _connected(self) -> contextlib.closing[Connection]:
        return contextlib.closing(session.connect(self.target, purpose="planner"))


def _count(conn: Connection, name: str, where: str = "") -> int:
    return int(session.value(conn, f"SELECT count(*) FROM {name}{where}"))


def _users(conn: Connection) -> tuple[str, str]:
    """Return the two users of the sample data, first the one whose cycle is locked."""
    first, second, *_ = conn.execute(
        "SELECT user_id FROM cycle ORDER BY lock_enforced DESC, user_id"
    ).fetchall()
    return str(first["user_id"]), str(second["user_id"])


@contextlib.contextmanager
def _acting(conn: Connection, user: str) -> Iterator[None]:
    """Be the application that acts for a user; whatever is done is taken back."""
    with conn.transaction(force_rollback=True):
        conn.execute("SELECT set_config('app.user_id', %s, true)", (user,))
        conn.execute("SET LOCAL ROLE app_user")
        yield


def _tried(conn: Connection, user: str, statement: str) -> str:
    try:
        with _acting(conn, user):
            done = conn.execute(statement.encode())
            return "done" if done.rowcount else "no row reached"
    except psycopg.Error as refused:
        return f"refused ({refused.sqlstate}): {refused.diag.message_primary}"


def _measured(conn: Connection, user: str, query: str, *, runs: int) -> tuple[Mapping[str, Any], float]:
    times, plan = [], {}
    for _ in range(runs):
        with _acting(conn, user) if user else contextlib.nullcontext():
            found = session.value(conn, f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {query}")
        times.append(float(found[0]["Execution Time"]))
        plan = found[0]["Plan"]
    return plan, statistics.median(times)


def _facts(plan: Mapping[str, Any]) -> dict[str, object]:
    """Return what does not vary of a plan: rows, how they were found, how often the claims were read."""
    nodes = list(_walk(plan))
    indexes = [str(node["Index Name"]) for node in nodes if "Index Name" in node]
    subplans = {node.get("Parent Relationship") for node in nodes}
    often = "for each row" if "SubPlan" in subplans else "once" if "InitPlan" in subplans else "never"
    by = f"index {indexes[0]}" if indexes else "reading every row"
    return {"rows": int(plan["Actual Rows"]), "by": by, "claims read": often}


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for below in node.get("Plans", []):
        yield from _walk(below)
