"""One script outside a transaction: it comes to its end or its ruins are cleared away."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import FILES, NAME, TABLE, changed, refused, running, write

from pgrunbook import concurrent, outside, session
from pgrunbook.errors import RowsInTheWay, StepCancelled, WindowEnded
from pgrunbook.hold import Hold
from pgrunbook.job import Hands, Job
from pgrunbook.ledger import Status
from pgrunbook.observers import Observation

if TYPE_CHECKING:
    from conftest import Elsewhere

Eventually = Callable[..., Any]

Conn = psycopg.Connection[dict[str, Any]]
INDEX = "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass('things_code')"
WAITS = """
SELECT count(*) AS n FROM pg_stat_activity
 WHERE application_name LIKE 'pgrunbook step%' AND wait_event_type = 'Lock'"""


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(TABLE)


def test_a_build_that_fails_leaves_no_invalid_index(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        # Between the audit and the build somebody saves the code a second time.
        conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
        run.decide_by_policy("002")
        with pytest.raises(RowsInTheWay) as caught:
            run.apply("002")
        assert (
            caught.value.reason == 'migrate/002_build_index.sql: could not create unique index "things_code"'
        )
        assert caught.value.left == 'the invalid index "things_code" was dropped'
        assert conn.execute(INDEX).fetchall() == []
        conn.execute("UPDATE things SET code = 'c2' WHERE id = 2")
        run.preflight()
        assert throwaway.apply(run, "002") == ["apply"]
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]


def test_a_cancelled_build_does_not_wait_for_the_one_who_holds_it_up(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        run.decide_by_policy("002")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, "002")
            eventually(lambda: session.value(conn, WAITS))
            run.cancel()
            with pytest.raises(StepCancelled) as caught:
                applied.result(60)
        assert str(caught.value) == (
            "002_build_index was cancelled\n"
            '  an invalid index "things_code" may be left behind (canceling statement due to lock timeout);'
            " the next apply clears it\n"
            "  next: run the same cell or command again to resume"
        )
        assert throwaway.statuses(run) == ["done", "failed", "not run"]
        elsewhere.release()
        assert throwaway.apply(run, "002") == ["apply"]
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]
        events = run.ledger.events(run_id=run.run_id)
        assert [event["detail"] for event in events if event["kind"] == "invalid index dropped"] == [
            {"index": '"things_code"'}
        ]


@pytest.mark.parametrize("clause", ["CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"])
@pytest.mark.parametrize("proof", ["", "weak"])
def test_an_index_of_that_name_that_is_another_is_neither_taken_nor_dropped(
    conn: Conn, database: str, tmp_path: Path, clause: str, proof: str
) -> None:
    build = FILES["migrate/002_build_index.sql"].replace("CONCURRENTLY", clause)
    files = changed({"migrate/002_build_index.sql": build})
    if proof:
        files["verify/002_build_index.sql"] = WEAK
    with running(write(tmp_path, files), database, tmp_path) as run:
        throwaway.apply(run, "001")
        # After the audit, which would have said NO-GO.
        conn.execute("CREATE INDEX things_code ON things (id)")
        for _ in range(2):
            said = refused(run, "002")
        assert said == (
            "002_build_index failed: an index things_code is there that is another one\n"
            "  found:    CREATE INDEX things_code ON public.things USING btree (id)\n"
            "  expected: CREATE UNIQUE INDEX things_code ON public.things USING btree (code)\n"
            "  nothing was changed\n"
            "  next: DROP INDEX CONCURRENTLY things_code or rename it, if nothing needs it; then apply the step again"
        )
        assert throwaway.statuses(run)[1:] in (["failed", "not run"], ["not run", "not run"])
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]


WEAK = (
    "-- Something of that name is there\n\n"
    "SELECT 'things_code' AS missing WHERE to_regclass('things_code') IS NULL;\n"
)


def test_an_invalid_index_that_is_another_is_not_dropped(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        conn.execute("CREATE TABLE others (code text); INSERT INTO others VALUES ('x'), ('x')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("CREATE UNIQUE INDEX CONCURRENTLY things_code ON others (code)")
        assert refused(run, "002").startswith(
            "002_build_index failed: an invalid index things_code is there that is another one\n"
            "  found:    CREATE UNIQUE INDEX things_code ON public.others USING btree (code)\n"
        )
        assert conn.execute(INDEX).fetchall() == [{"valid": False}]


def test_a_valid_index_of_the_right_definition_is_kept(conn: Conn, database: str, tmp_path: Path) -> None:
    files = changed({"verify/002_build_index.sql": COMMENTED, "rollback/002_build_index.sql": None})
    files["rollback/002_build_index.sql"] = FILES["rollback/002_build_index.sql"]
    with running(write(tmp_path, files), database, tmp_path) as run:
        throwaway.apply(run, "001")
        conn.execute("CREATE UNIQUE INDEX things_code ON things (code)")
        number = "SELECT oid::int AS oid FROM pg_class WHERE relname = 'things_code'"
        before = session.value(conn, number)
        said = refused(run, "002")
        assert 'index "things_code" was there already: nothing was changed' in said
        conn.execute("COMMENT ON INDEX things_code IS 'seen'")
        assert throwaway.apply(run, "002") in (["finished by an earlier run"], ["found in place"])
        assert session.value(conn, number) == before


# Holds once somebody has looked at the index, so that the step itself meets an index that is there.
COMMENTED = (
    "-- It was looked at\n\nSELECT 'things_code' AS missing\n"
    "WHERE obj_description(to_regclass('things_code'), 'pg_class') IS NULL;\n"
)


# --- the window --------------------------------------------------------------------------------------------


class Window(Hold):
    """A window that ends as soon as somebody was seen to be waited for."""

    def __init__(self, work: session.Connection, waited_for: threading.Event) -> None:
        super().__init__(work, 0)
        self.waited_for = waited_for

    def _count(self) -> None:
        while not (self.waited_for.is_set() or self._end.wait(0.01)):
            pass
        super()._count()


@pytest.fixture
def short_window(monkeypatch: pytest.MonkeyPatch) -> None:
    perform = outside.perform

    def hurried(job: Any, hands: Any, *rest: Any) -> Any:
        waited_for = threading.Event()

        def seen(observation: Observation) -> None:
            if any(build.awaited for build in observation.builds):
                waited_for.set()

        monkeypatch.setattr(outside, "Hold", lambda work, _left_ms: Window(work, waited_for))
        hands.on_sample, hands.window_ends = seen, "04:00:00 UTC"
        return perform(job, hands, *rest)

    monkeypatch.setattr(outside, "perform", hurried)
    monkeypatch.setattr(concurrent, "CLEAR_MS", 50)


@pytest.mark.usefixtures("short_window")
def test_a_build_that_would_outlast_the_window_is_stopped(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        elsewhere.execute("SET application_name = 'shop'")
        elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        run.decide_by_policy("002")
        with pytest.raises(WindowEnded) as caught:
            run.apply("002")
        said = re.sub(r"since [0-9:]{8} UTC \(\d+ s\)", "since then", str(caught.value))
        assert said == (
            "002_build_index stopped: the window ends at 04:00:00 UTC\n"
            "  waiting for writers before build (0 of 1 transactions gone)\n"
            f"  in the way: pid {elsewhere.pid} 'shop', idle in transaction, since then:"
            " UPDATE things SET code = code WHERE id = 1\n"
            '  an invalid index "things_code" may be left behind (canceling statement due to lock timeout);'
            " the next apply clears it\n"
            "  next: apply the step again in the next window; what was applied before it stays"
        )
        elsewhere.release()
        assert throwaway.apply(run, "002") == ["apply"]
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]


def test_a_build_that_goes_on_elsewhere_is_not_waited_for_longer_than_the_window(
    conn: Conn,
    database: str,
    tmp_path: Path,
    someone_else: Callable[[], Elsewhere],
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(concurrent, "CLEAR_MS", 50)
    writer, builder = someone_else(), someone_else()
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        writer.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        build = builder.submit("CREATE UNIQUE INDEX CONCURRENTLY things_code ON things (code)")
        eventually(lambda: conn.execute(INDEX).fetchall() == [{"valid": False}])
        script = run.change.step("002").migrate
        job = Job(NAME, "002_build_index", script, script.sha256, None, Status.RUNNING, Status.DONE, "apply")
        hands = Hands(
            run.work, run.ledger, lambda: session.connect(run.target, purpose="watch"), run.run_id, "ann"
        )
        hands.deadline = time.perf_counter() + 0.5
        with pytest.raises(WindowEnded) as caught:
            outside.perform(job, hands, time.perf_counter(), [])
        assert (
            caught.value.left
            == 'the server still builds index "things_code"; the next apply watches it to its end'
        )
        writer.release()
        build.result(60)
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]


# --- drops and rebuilds ------------------------------------------------------------------------------------

DROP = throwaway.step(
    "DROP INDEX CONCURRENTLY things_code;",
    "SELECT 'things_code' AS there WHERE to_regclass('things_code') IS NOT NULL;",
    lock="ShareUpdateExclusive on things",
    head="-- transaction: none",
)
REINDEX = throwaway.step(
    "REINDEX INDEX CONCURRENTLY things_code;",
    "SELECT 1 AS never WHERE to_regclass('renewed') IS NULL;",
    lock="ShareUpdateExclusive on things",
    head="-- transaction: none",
)


@pytest.mark.usefixtures("short_window")
def test_a_drop_that_was_interrupted_is_finished_by_the_next_apply(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    conn.execute("CREATE INDEX things_code ON things (code)")
    with running(write(tmp_path, DROP), database, tmp_path) as run:
        elsewhere.begin_and_hold("SELECT code FROM things")
        run.decide_by_policy("001")
        with pytest.raises(WindowEnded) as caught:
            run.apply("001")
        lines = str(caught.value).splitlines()
        assert lines[1] == "  waiting for transactions that may still use the index"
        assert lines[2].startswith(
            f"  in the way: pid {elsewhere.pid} 'postgres', idle in transaction, since "
        )
        assert lines[3] == (
            "  index things_code is there, but invalid: no query uses it; the next apply finishes the drop"
        )
        assert conn.execute(INDEX).fetchall() == [{"valid": False}]
        elsewhere.release()
        assert throwaway.apply(run) == ["apply"]
        assert conn.execute(INDEX).fetchall() == []


def test_a_drop_that_another_session_brings_to_its_end_is_done(
    conn: Conn, database: str, tmp_path: Path, someone_else: Callable[[], Elsewhere], eventually: Eventually
) -> None:
    conn.execute("CREATE INDEX things_code ON things (code)")
    reader, dropper = someone_else(), someone_else()
    with running(write(tmp_path, DROP), database, tmp_path) as run:
        reader.begin_and_hold("SELECT code FROM things")
        drop = dropper.submit("DROP INDEX CONCURRENTLY things_code")
        eventually(lambda: conn.execute(INDEX).fetchall() == [{"valid": False}])
        run.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            applied = pool.submit(run.apply, "001")
            try:
                eventually(lambda: session.value(conn, IDLE_STEP))
            finally:
                reader.release()
            assert applied.result(60).notices == ("things_code was dropped by another session",)
        drop.result(60)


IDLE_STEP = """
SELECT count(*) FROM pg_stat_activity
 WHERE application_name LIKE 'pgrunbook step%' AND state = 'idle' AND query ~ 'An index by name'"""


@pytest.mark.usefixtures("short_window")
def test_an_interrupted_rebuild_leaves_twins_that_the_next_apply_clears(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    conn.execute("CREATE INDEX things_code ON things (code)")
    with running(write(tmp_path, REINDEX), database, tmp_path) as run:
        elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        run.decide_by_policy("001")
        with pytest.raises(WindowEnded) as caught:
            run.apply("001")
        assert caught.value.left == (
            "an invalid index things_code_ccnew may be left behind (canceling statement due to lock timeout);"
            " the next apply clears it"
        )
        assert session.value(conn, TWINS) == 1
        elsewhere.release()
        # Another index of that ending which nobody rebuilt is somebody else's.
        conn.execute("INSERT INTO things VALUES (11, 'c1')")
        with pytest.raises(psycopg.errors.UniqueViolation):
            conn.execute("CREATE UNIQUE INDEX CONCURRENTLY things_code_ccnew9 ON things (code)")
        said = refused(run)
        assert "still finds 1 row" in said
        assert session.value(conn, TWINS) == 1
        assert session.value(conn, "SELECT to_regclass('things_code_ccnew9') IS NOT NULL")
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]
        dropped = [
            e["detail"] for e in run.ledger.events(run_id=run.run_id) if e["kind"] == "invalid index dropped"
        ]
        assert dropped == [{"index": "things_code_ccnew"}]


TWINS = """
SELECT count(*) FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid
 WHERE c.relname ~ '_cc' AND NOT i.indisvalid"""


def test_a_build_that_is_not_proved_is_taken_back_by_the_roll_back(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    files = changed({"verify/002_build_index.sql": "-- Never true\n\nSELECT 1 AS missing;\n"})
    with running(write(tmp_path, files), database, tmp_path) as run:
        throwaway.apply(run, "001")
        assert refused(run, "002") == (
            "002_build_index failed: verify/002_build_index.sql still finds 1 row\n"
            "  missing: 1\n"
            "  the statement ran outside a transaction: what it made stays until the step is rolled back\n"
            "  next: compare these rows with what the step promises"
        )
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]
        assert throwaway.roll_back(run, "001") == ["002_build_index"]
        assert conn.execute(INDEX).fetchall() == []


def test_a_proof_outside_a_transaction_that_cannot_be_run_is_explained(database: str, tmp_path: Path) -> None:
    files = changed({"verify/002_build_index.sql": "-- Broken\n\nSELECT 1 / 0 AS x;\n"})
    with running(write(tmp_path, files), database, tmp_path) as run:
        throwaway.apply(run, "001")
        assert refused(run, "002") == (
            "002_build_index failed: migrate/002_build_index.sql: division by zero\n"
            "  the statement ran outside a transaction: what it made stays until the step is rolled back\n"
            "  next: mend the cause, then apply the step again"
        )
