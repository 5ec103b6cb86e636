"""One script outside a transaction: it comes to its end or its ruins are cleared away."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import TABLE, changed, refused, running, write

from pgrunbook import session
from pgrunbook.errors import StepCancelled

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
        assert refused(run, "002") == (
            '002_build_index failed: migrate/002_build_index.sql: could not create unique index "things_code"\n'
            "  DETAIL:  Key (code)=(c1) is duplicated.\n"
            '  the invalid index "things_code" was dropped\n'
            "  next: mend the cause, then apply the step again"
        )
        assert conn.execute(INDEX).fetchall() == []
        conn.execute("UPDATE things SET code = 'c2' WHERE id = 2")
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
                applied.result(20)
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


def test_an_index_of_that_name_that_is_another_is_neither_taken_nor_dropped(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    with running(write(tmp_path), database, tmp_path) as run:
        throwaway.apply(run, "001")
        conn.execute("CREATE INDEX things_code ON things (id)")
        for _ in range(2):
            said = refused(run, "002")
        assert said == (
            "002_build_index failed: verify/002_build_index.sql still finds 1 row\n"
            "  missing: things_code\n"
            '  index "things_code" was there already: nothing was changed\n'
            "  next: compare these rows with what the step promises"
        )
        assert throwaway.statuses(run) == ["done", "failed", "not run"]
        assert throwaway.roll_back(run, "001") == []
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]


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
