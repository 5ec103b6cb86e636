"""Random operations of two tenants, an owner and an administrator agree with the rules of the core data model."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import rls
from core_operations import ADA, BEN, SHADOWED, SHADOWS, Desk, Machine, insertion, now, row_of, start
from core_rules import APP_USER, OWNER, SUPERVISOR, Rules
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from pgrunbook import change
from pgrunbook import server as embedded

CHANGE = change.load("040_core_data_model", root=Path(__file__).parents[1] / "sql" / "changes")
STEPS = 50


@contextlib.contextmanager
def applied(server: embedded.Server) -> Iterator[str]:
    """Give a database with the change, applied by a role that is no superuser, and drop it."""
    name = f"core_{uuid.uuid4().hex[:12]}"
    conninfo = embedded.create_database(server, name)
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            assert CHANGE.go_sample is not None
            conn.execute(CHANGE.go_sample.read_bytes())
            for role, wanted in ((OWNER, "NOLOGIN"), (SUPERVISOR, "NOLOGIN IN ROLE app_user, lock_admin")):
                if not conn.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,)).fetchone():
                    conn.execute(f"CREATE ROLE {role} {wanted}".encode())
            conn.execute(f"GRANT CREATE ON SCHEMA public TO {OWNER}; SET ROLE {OWNER}".encode())
            for step in CHANGE.steps:
                conn.execute(step.migrate.path.read_bytes())
        yield conninfo
    finally:
        embedded.drop_database(server, name)


@contextlib.contextmanager
def session(conninfo: str) -> Iterator[psycopg.Connection[Any]]:
    """Give a session that may take on any role, and puts tables of its own before the real ones."""
    with contextlib.closing(psycopg.connect(conninfo, options="-c timezone=UTC")) as conn:
        conn.execute(f"SET ROLE {APP_USER}; {SHADOWS} RESET ROLE".encode())
        conn.commit()
        yield conn


@pytest.fixture(scope="module")
def database(server: embedded.Server) -> Iterator[str]:
    """One database for all of these tests: none of them commits, but for the rows that all begin with."""
    with applied(server) as conninfo:
        with session(conninfo) as conn:
            Machine.ground = start(conn, Rules(now(conn)))
            conn.commit()
        yield conninfo


def drive(conn: psycopg.Connection[Any], operations: int, **options: Any) -> None:
    """Run random operations, fifty on each of as many fresh starts as it takes."""
    Machine.conn = conn
    Machine.done.clear()
    chosen = settings(
        max_examples=operations // STEPS,
        stateful_step_count=STEPS,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        database=None,
        suppress_health_check=list(HealthCheck),
        **options,
    )
    run_state_machine_as_test(Machine, settings=chosen)


def test_row_security_reads_the_claims_once_and_finds_rows_by_an_index(database: str) -> None:
    """For what each screen asks for; `tests/bench/rls.py` says what it costs."""
    with session(database) as conn:
        conn.execute(f"SET LOCAL track_functions = 'all'; DROP TABLE {', '.join(SHADOWED)}".encode())
        rls.fill(conn, rows=6_000, tenants=60)
        for table, (query, by_hand) in rls.texts(conn).items():
            found, calls = rls.ask(conn, rls.POLICY, query, by_hand)
            nodes = list(rls.nodes(found["Plan"]))
            assert calls == 1, table
            assert [one["Actual Loops"] for one in nodes if one.get("Parent Relationship") == "InitPlan"] == [
                1
            ], table
            assert any("Index Name" in one for one in nodes), table
            assert not any("Seq Scan" in one["Node Type"] for one in nodes), table
            assert (
                found["Plan"]["Actual Rows"]
                == rls.ask(conn, rls.BY_HAND, query, by_hand)[0]["Plan"]["Actual Rows"]
            )
        # So it is seen where the policy calls the function itself.
        _, calls = rls.ask(conn, rls.NAIVE, *rls.texts(conn, {"all": rls.COUNT})["all"], indexed=False)
        assert calls > 6_000


def test_one_tenant_is_not_told_what_another_one_has(database: str) -> None:
    """A reference to a row of another tenant is refused in the same way, whatever that one has beside it."""
    with session(database) as conn:
        desk = Desk(conn)
        theirs = dict(desk.seen_by(ADA))
        goal, plan, item = theirs["goal"], theirs["weekly_plan"], theirs["plan_item"]
        for table, columns in [
            ("goal", {"cycle_id": goal["cycle_id"], "goal_type": goal["goal_type"]}),
            ("weekly_plan", {"cycle_id": plan["cycle_id"], "week_number": plan["week_number"]}),
            ("plan_item", {name: item[name] for name in ("cycle_id", "weekly_plan_id", "task_id")}),
        ]:
            row = row_of(table, str(uuid.uuid4()), BEN, **columns)
            assert desk.tries(APP_USER, ("", "", BEN), *insertion(table, row)) == ("23503", None), table


def test_random_operations_agree_with_the_rules(database: str) -> None:
    with session(database) as conn:
        drive(conn, 500, derandomize=True)
    print(dict(Machine.done))
    assert {"accepted", "P7012", "P7013", "42501", "23503", "23505", "23514"} <= set(Machine.done)
    assert Machine.done["accepted"] > Machine.done.total() / 5


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_thousands_of_random_operations_agree_with_the_rules(database: str) -> None:
    with session(database) as conn:
        drive(conn, 10_000)
    print(Machine.done.total(), dict(Machine.done))
    assert Machine.done.total() > 5_000


def without(trigger: str, table: str, events: str) -> str:
    """Return SQL that leaves a trigger these events alone."""
    return (
        f"CREATE OR REPLACE TRIGGER {trigger} BEFORE {events} ON public.{table}"
        f" FOR EACH ROW EXECUTE FUNCTION public.guard_{table}();"
    )


def rewritten(function: str, old: str, new: str) -> str:
    """Return SQL that replaces a piece of a function, which has to be there."""
    return f"""
    DO $sabotage$
    DECLARE
        was text := pg_get_functiondef('public.{function}'::regproc);
    BEGIN
        IF position($old${old}$old$ IN was) = 0 THEN
            RAISE EXCEPTION 'nothing to replace in {function}';
        END IF;
        EXECUTE replace(was, $old${old}$old$, $new${new}$new$);
    END
    $sabotage$;
    """


def rekeyed(table: str, name: str, definition: str) -> str:
    """Return SQL that replaces a constraint, or drops it."""
    again = f", ADD CONSTRAINT {name} {definition}" if definition else ""
    return f"ALTER TABLE public.{table} DROP CONSTRAINT {name}{again};"


SABOTAGES = {
    "items are inserted unguarded": without("guard_lock", "plan_item", "UPDATE OR DELETE"),
    "items are deleted unguarded": without("guard_lock", "plan_item", "INSERT OR UPDATE"),
    "items are updated unguarded": without("guard_lock", "plan_item", "INSERT OR DELETE"),
    "items are moved unguarded": rewritten("guard_plan_item", "NEW.weekly_plan_id, NEW", "OLD.weekly_plan_id, NEW"),
    "items change their task": rewritten("guard_plan_item", "NEW.task_id, NEW", "OLD.task_id, NEW"),
    "items leave a locked week": rewritten("guard_plan_item", "TG_OP <> 'INSERT' AND", "TG_OP = 'DELETE' AND"),
    "items enter a locked week": rewritten("guard_plan_item", "TG_OP <> 'DELETE' AND", "TG_OP = 'INSERT' AND"),
    "progress is locked as well": rewritten("guard_plan_item", "(NEW.quota,", "(NEW.done + NEW.quota,"),
    "week 7 is free": rewritten("guard_plan_item", ">= 7", ">= 8"),
    "week 6 is locked": rewritten("guard_plan_item", ">= 7", ">= 6"),
    "weeks are deleted unguarded": without("guard_lock", "weekly_plan", "UPDATE"),
    "weeks leave the lock": rewritten("guard_weekly_plan", "OLD.week_number >= 7", "OLD.week_number > 12"),
    "weeks enter the lock": rewritten("guard_weekly_plan", "NEW.week_number >= 7", "NEW.week_number > 12"),
    "cycles are deleted unguarded": without("guard_lock", "cycle", "UPDATE"),
    "cycles are put off": rewritten("guard_cycle", "(NEW.id, NEW.starts_on)", "(NEW.id, OLD.starts_on)"),
    "anybody unlocks": rewritten("guard_cycle", "pg_has_role(current_user, 'lock_admin', 'USAGE')", "true"),
    "nobody unlocks": rewritten("guard_cycle", "pg_has_role(current_user, 'lock_admin', 'USAGE')", "false"),
    "claims hide a cycle": rewritten("hold_lock_flag", "IS DISTINCT FROM hold_lock_flag.user_id", "IS NULL"),
    "WITH CHECK is gone": "ALTER POLICY own_rows ON public.vision WITH CHECK (true);",
    "USING is gone": "ALTER POLICY own_rows ON public.chat_message USING (true);",
    "entries are seen by all": "ALTER POLICY own_entries ON public.audit_log USING (true);",
    "the owner is not bound": "ALTER TABLE public.vision NO FORCE ROW LEVEL SECURITY;",
    "row security is off": "ALTER TABLE public.task DISABLE ROW LEVEL SECURITY;",
    "an earlier user is fallen back to": rewritten(
        "current_app_user", "claims IS NOT NULL", "claims::jsonb ->> 'sub' <> ''"
    ),
    "a key without its tenant": rekeyed(
        "goal", "goal_cycle_fkey", "FOREIGN KEY (cycle_id) REFERENCES public.cycle (id) ON DELETE CASCADE"
    ),
    "a key without its cycle": rekeyed(
        "plan_item",
        "plan_item_task_fkey",
        "FOREIGN KEY (task_id) REFERENCES public.task (id) ON DELETE CASCADE",
    ),
    "uniqueness tells of others": rekeyed("goal", "goal_one_per_type_per_cycle", "UNIQUE (cycle_id, goal_type)"),
    "two goals of a type": rekeyed("goal", "goal_one_per_type_per_cycle", ""),
    "a chat goes with its cycle": rekeyed(
        "chat_session",
        "chat_session_cycle_fkey",
        "FOREIGN KEY (cycle_id, user_id) REFERENCES public.cycle (id, user_id) ON DELETE CASCADE",
    ),
    "any quota": rekeyed("plan_item", "plan_item_quota_range", ""),
    "any document": rekeyed("vision", "vision_details_object", ""),
    "week 13": rekeyed("weekly_plan", "weekly_plan_week_number_range", ""),
    "a table is not audited": "DROP TRIGGER write_audit_log ON public.chat_session;",
    "deletes are not audited": "CREATE OR REPLACE TRIGGER write_audit_log AFTER INSERT OR UPDATE ON public.task"
    " FOR EACH ROW EXECUTE FUNCTION public.write_audit_log();",
    "the log says after for before": rewritten("write_audit_log", "to_jsonb(OLD)", "to_jsonb(NEW)"),
    "the log names its owner": rewritten("write_audit_log", "current_setting('role')", "current_user"),
    "the log is diverted": "ALTER FUNCTION public.write_audit_log() RESET search_path;",
    "the guard is diverted": "ALTER FUNCTION public.hold_lock_flag(uuid, uuid) RESET search_path;",
    "the log is forged": "GRANT EXECUTE ON FUNCTION public.write_audit_log() TO PUBLIC;",
    "the log is rewritten": "DROP TRIGGER append_only ON public.audit_log;",
    "a table is emptied": "DROP TRIGGER refuse_truncate ON public.plan_item;",
    "times are rewritten": rewritten("touch_row", "NEW.created_at := OLD.created_at;", ""),
}  # fmt: skip


@pytest.mark.faults
@pytest.mark.timeout(300)
@pytest.mark.parametrize("sabotage", SABOTAGES)
def test_a_rule_that_is_taken_away_is_missed(
    sabotage: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Machine, "sabotage", SABOTAGES[sabotage])
    with session(database) as conn:
        with pytest.raises(AssertionError):
            drive(conn, 20_000, derandomize=True)
        print(Machine.done.total(), "operations")
