"""One step: it comes to its end or leaves nothing behind, and the ledger says which."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import (
    FILES,
    TABLE,
    changed,
    columns,
    ends_in,
    kinds,
    refused,
    role,
    running,
    step,
    tight,
    write,
)

from pgrunbook import session
from pgrunbook.errors import StepCancelled, StepFailed, WindowEnded
from pgrunbook.forecast import LOCKS_S
from pgrunbook.patience import POLICY
from pgrunbook.preflight import Board

if TYPE_CHECKING:
    from conftest import Elsewhere

Eventually = Callable[..., Any]

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(TABLE)


def test_a_statement_that_fails_is_rolled_back_and_explained(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    chosen = write(
        tmp_path,
        step("ALTER TABLE things ADD COLUMN note text; SELECT 1 / (count(*) - count(*)) FROM things;"),
    )
    with running(chosen, database, tmp_path) as run:
        assert refused(run) == (
            "001_only failed: migrate/001_only.sql: division by zero\n"
            "  it was at statement 2 of 2, SELECT in line 5\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again"
        )
        assert columns(conn) == ["id", "code"]
        assert throwaway.statuses(run) == ["failed"]
        assert kinds(run) == ["gate", "apply started", "apply failed"]


def test_locks_held_longer_than_the_budget_are_given_back(conn: Conn, database: str, tmp_path: Path) -> None:
    files = step("ALTER TABLE things ADD COLUMN note text; SELECT pg_sleep(30);", head="-- hold_budget: 1 s")
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert refused(run) == (
            "001_only failed: migrate/001_only.sql: it held its locks longer than the hold budget of 1000 ms\n"
            "  it was at statement 2 of 2, SELECT in line 5\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: let it do less under its locks, or raise hold_budget in the file's header"
        )
        assert columns(conn) == ["id", "code"]


def test_the_hold_budget_is_for_all_statements_together(conn: Conn, database: str, tmp_path: Path) -> None:
    many = "ALTER TABLE things ADD COLUMN note text;" + "SELECT pg_sleep(0.08);" * 40
    files = step(many, head="-- hold_budget: 200 ms")
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert "longer than the hold budget of 200 ms" in refused(run)
        assert columns(conn) == ["id", "code"]


def test_a_step_that_stops_nobody_has_no_hold_budget(database: str, tmp_path: Path) -> None:
    slow = "COMMENT ON TABLE things IS 'slow'; SELECT pg_sleep(0.2);"
    verify = "SELECT 1 AS missing WHERE obj_description('things'::regclass) IS DISTINCT FROM 'slow';"
    files = step(slow, verify, lock="ShareUpdateExclusive on things", head="-- hold_budget: 1 ms")
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert throwaway.apply(run) == ["apply"]


def test_deferred_constraints_that_fail_at_commit_are_a_failure(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute("CREATE TABLE others (id int REFERENCES things DEFERRABLE INITIALLY DEFERRED)")
    files = step("INSERT INTO others VALUES (99);", "SELECT 1 AS x WHERE NOT EXISTS (SELECT FROM others);")
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert refused(run) == (
            '001_only failed: migrate/001_only.sql: insert or update on table "others" violates foreign key'
            ' constraint "others_id_fkey"\n'
            '  DETAIL:  Key (id)=(99) is not present in table "things".\n'
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again"
        )
        assert throwaway.statuses(run) == ["failed"]
        conn.execute("INSERT INTO things VALUES (99, 'c99')")
        assert throwaway.apply(run) == ["apply"]


def test_a_lock_that_cannot_be_had_names_who_is_in_the_way(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    chosen = write(tmp_path)
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    with running(chosen, database, tmp_path) as run:
        said = refused(run)
        assert said.startswith("could not take AccessExclusive on things in ")
        assert f"in the way: pid {elsewhere.pid} holds AccessShareLock on things" in said
        assert throwaway.statuses(run) == ["failed", "not run", "not run"]
        blockers = throwaway.told(run)[-1]["detail"]["blockers"]
        assert str(elsewhere.pid) in blockers
        elsewhere.release()
        assert throwaway.apply(run, "001") == ["apply"]


def test_waiting_for_a_lock_ends_in_time_to_keep_the_window(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    files = changed(
        {
            name: text.replace("\n\n", "\n-- estimate: 10 ms\n\n", 1)
            for name in ("migrate/001_add_note.sql", "rollback/001_add_note.sql")
            if (text := FILES[name])
        }
    )
    # The policy alone would wait for a minute.
    budgets = tight(patience_s=60, policy=POLICY)
    with running(write(tmp_path, files), database, tmp_path, budgets=budgets) as run:
        run.decide_by_policy("001")
        # Time to wait in, beside the reserve.
        ends = ends_in(run, LOCKS_S + 5)
        with pytest.raises(WindowEnded) as caught:
            run.apply("001")
        left = (ends - datetime.now(UTC)).total_seconds()
        assert 0 < left < LOCKS_S + 0.5
        said = str(caught.value).splitlines()
        assert said[0] == f"001_add_note stopped: the window ends at {run.budgets.window}"
        assert said[1].startswith("  could not take AccessExclusive on things in 0 attempts over ")
        assert said[2].startswith(f"  in the way: pid {elsewhere.pid} holds AccessShareLock on things for ")
        assert said[3:] == [
            "  the transaction was rolled back: nothing was left behind",
            "  next: apply the step again in the next window; what was applied before it stays",
        ]
        assert throwaway.statuses(run) == ["failed", "not run", "not run"]
        begun, failed = throwaway.told(run)[-2:]
        assert begun["detail"]["window_ends"] == run.budgets.window
        assert begun["detail"]["takes"] == "about 10 ms"
        assert (failed["kind"], str(elsewhere.pid) in failed["detail"]["blockers"]) == ("apply failed", True)
    elsewhere.release()
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert throwaway.apply(run, "001") == ["apply"]


def test_a_statement_that_stops_nobody_ends_in_time_to_keep_the_window(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    slow = "COMMENT ON TABLE things IS 'slow'; SELECT pg_sleep(60);"
    files = step(slow, lock="ShareUpdateExclusive on things", head="-- estimate: 10 ms")
    with running(write(tmp_path, files), database, tmp_path) as run:
        run.decide_by_policy("001")
        ends = ends_in(run, LOCKS_S + 5)
        with pytest.raises(WindowEnded, match="SELECT in line 5; it took longer than its estimate"):
            run.apply("001")
        assert datetime.now(UTC) < ends
        assert session.value(conn, "SELECT obj_description('things'::regclass)") is None
        assert throwaway.statuses(run) == ["failed"]


def test_cancel_ends_the_wait_for_a_lock(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    waiting = threading.Event()
    with running(write(tmp_path), database, tmp_path, budgets=tight(patience_s=60, policy=POLICY)) as run:
        run.binding.on_wait = lambda _blockers, _attempt: waiting.set()
        run.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, "001")
            assert waiting.wait(60)
            run.cancel()
            with pytest.raises(StepCancelled) as caught:
                applied.result(60)
        assert str(caught.value) == (
            "001_add_note was cancelled\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: run the same cell or command again to resume"
        )
        assert kinds(run) == ["gate", "apply started", "apply cancelled"]
        elsewhere.release()
        assert throwaway.apply(run, "001") == ["apply"]


def test_cancel_ends_a_running_statement(
    conn: Conn, database: str, tmp_path: Path, eventually: Eventually
) -> None:
    verify = "SELECT 1 AS x WHERE NOT EXISTS (SELECT FROM things WHERE id = 11);"
    files = step(
        "INSERT INTO things VALUES (11, 'c11'); SELECT pg_sleep(60);", verify, lock="RowExclusive on things"
    )
    with running(write(tmp_path, files), database, tmp_path) as run:
        run.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, "001")
            sleeping = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            eventually(lambda: session.value(conn, sleeping))
            run.cancel()
            with pytest.raises(StepCancelled, match="001_only was cancelled"):
                applied.result(60)
        assert conn.execute("SELECT count(*) AS n FROM things").fetchone() == {"n": 10}
        assert throwaway.statuses(run) == ["failed"]


def test_an_operator_who_presses_ctrl_c_leaves_nothing_running(
    conn: Conn, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running(write(tmp_path), database, tmp_path) as run:

        def pressed(*_arguments: object, **_options: object) -> None:
            raise KeyboardInterrupt

        run.decide_by_policy("001")
        with monkeypatch.context() as patch:
            patch.setattr("pgrunbook.proof.prove", pressed)
            with pytest.raises(KeyboardInterrupt):
                run.apply("001")
        assert columns(conn) == ["id", "code"]
        assert kinds(run) == ["gate", "apply started", "apply cancelled"]
        assert [entry["kind"] for entry in run.binding.journal.entries()][-2:] == [
            "apply cancelled",
            "observed",
        ]


@pytest.mark.parametrize("name", ["001", "002"])
def test_a_killed_connection_is_a_failure_and_the_next_apply_works(
    name: str, conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    pids = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook step%' AND wait_event_type = 'Lock'"
    # A wait that ends with the test: the lock that the statement wants is somebody else's.
    slow = "SET LOCAL lock_timeout TO 0; SELECT pg_advisory_lock(1);"
    files = changed(
        {"migrate/001_add_note.sql": throwaway.FILES["migrate/001_add_note.sql"].replace(";", f"; {slow}")}
    )
    with running(write(tmp_path, files), database, tmp_path, budgets=tight(hold_ms=60_000)) as run:
        if name == "002":
            throwaway.apply(run, "001")
            elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        else:
            elsewhere.execute("SELECT pg_advisory_lock(1)")
        run.decide_by_policy(name)
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, name)
            pid = eventually(lambda: conn.execute(pids).fetchone())["pid"]
            conn.execute("SELECT pg_terminate_backend(%s)", (pid,))
            if name == "002":
                elsewhere.release()
            with pytest.raises(StepFailed) as caught:
                applied.result(60)
        assert "terminating connection due to administrator command" in str(caught.value)
        assert throwaway.statuses(run)[int(name) - 1] == "failed"
        elsewhere.execute("SELECT pg_advisory_unlock_all()")
        assert throwaway.apply(run, name) == ["apply"]


def test_a_role_that_may_not_alter_the_table_is_told_what_it_needs(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    may = ["GRANT ALL ON things TO {0}", f"GRANT CREATE ON DATABASE {conn.info.dbname} TO {{0}}"]
    with role(conn, *may) as name, running(write(tmp_path), f"{database} user={name}", tmp_path) as run:
        assert run.board is not None
        assert not run.board.go
        run.audits.board = Board("as if nothing stopped it", ())
        assert refused(run) == (
            "001_add_note failed: migrate/001_add_note.sql: must be owner of table things\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: connect as the owner of the table, or let an administrator grant the privilege"
        )


def test_what_the_server_says_meanwhile_is_kept(database: str, tmp_path: Path) -> None:
    say = "DO $$ BEGIN RAISE WARNING 'mind the gap'; END $$; ALTER TABLE things ADD COLUMN note text;"
    files = step(say, "SELECT 1 AS x WHERE (SELECT count(*) FROM pg_attribute WHERE attname = 'note') = 0;")
    with running(write(tmp_path, files), database, tmp_path) as run:
        run.decide_by_policy("001")
        outcome = run.apply("001")
        assert outcome.notices == ("WARNING: mind the gap",)
        assert outcome.facts["notices"] == ["WARNING: mind the gap"]
        assert outcome.held_ms < outcome.seconds * 1000
        assert outcome.attempts == 1


def test_a_frozen_client_loses_its_locks(
    conn: Conn, database: str, tmp_path: Path, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen, thawed = threading.Event(), threading.Event()
    held = "SELECT count(*) AS n FROM pg_locks WHERE relation = 'things'::regclass AND mode ~ '^AccessEx'"
    at_first: list[int] = []

    def freeze(_job: object, work: session.Connection, **_options: object) -> None:
        at_first.append(session.value(work, held))
        frozen.set()
        assert thawed.wait(60)

    monkeypatch.setattr("pgrunbook.proof.prove", freeze)
    monkeypatch.setattr("pgrunbook.hold.Hold._count", lambda _self: None)
    with running(write(tmp_path), database, tmp_path, budgets=tight(hold_ms=1_000)) as run:
        run.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, "001")
            assert frozen.wait(60)
            assert at_first == [1]
            eventually(lambda: session.value(conn, held) == 0)
            thawed.set()
            with pytest.raises(StepFailed, match="idle-in-transaction timeout"):
                applied.result(60)
        monkeypatch.undo()
        assert throwaway.apply(run, "001") == ["apply"]
