"""Rows that come after the audit: a clean NO-GO, with the rows, and nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway

from pgrunbook import session
from pgrunbook.errors import GateClosed, RowsInTheWay, StepFailed
from pgrunbook.run import Run

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
Eventually = Callable[..., Any]
DOUBLED = "INSERT INTO things VALUES (77, 'c1')"
INDEXES = "SELECT count(*) FROM pg_index WHERE indrelid = 'things'::regclass AND NOT indisprimary"
BUILDING = """
SELECT count(*) FROM pg_stat_activity
 WHERE query ~ 'CREATE UNIQUE INDEX C' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(throwaway.TABLE)


def no_go(made: Run, name: str) -> RowsInTheWay:
    with pytest.raises(RowsInTheWay) as caught:
        made.apply(name)
    return caught.value


def step_rows(conn: Conn) -> list[dict[str, Any]]:
    return conn.execute("SELECT * FROM pgrunbook.step ORDER BY step").fetchall()


def test_a_duplicate_between_audit_and_build_is_a_no_go_with_its_rows(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path) as made:
        throwaway.apply(made, "001")
        made.decide_by_policy("002")
        before = step_rows(conn)
        elsewhere.execute(DOUBLED)
        error = no_go(made, "002")
        lines = str(error).splitlines()
        assert lines[0] == "002_build_index is NO-GO: rows came after the audit that its rule cannot have"
        assert lines[1].endswith('could not create unique index "things_code"')
        assert "  Key (code)=(c1) is duplicated." in lines
        assert "  preflight/10_doubled_codes.sql: Codes used twice" in lines
        assert "  code: c1" in lines
        assert lines[-2:] == [
            '  the invalid index "things_code" was dropped',
            "  next: look at these rows, then run remedy 10_doubled_codes or repair them by hand, run preflight"
            " and ask the gate of this step, or give the command, again",
        ]
        assert error.exit_code == 3
        assert session.value(conn, INDEXES) == 0
        assert step_rows(conn) == before, "as if it had never been begun"
        assert made.board is not None
        assert "10_doubled_codes" in [one.name for one in made.board.failed]
        # The GO was given on what is true no more.
        conn.execute("DELETE FROM things WHERE id = 77")
        made.preflight()
        with pytest.raises(GateClosed, match="nobody approved it in this run"):
            made.apply("002")
        assert throwaway.apply(made, "002", "003") == ["apply", "apply"]
        assert made.check_chain()


def test_a_duplicate_that_is_committed_while_the_index_is_built_is_a_no_go(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path) as made:
        throwaway.apply(made, "001")
        made.decide_by_policy("002")
        elsewhere.begin_and_hold(DOUBLED)
        with ThreadPoolExecutor(1) as pool:
            applying = pool.submit(no_go, made, "002")
            eventually(lambda: session.value(conn, BUILDING))
            elsewhere.release()
            error = applying.result(60)
        assert "code: c1" in error.rows
        assert session.value(conn, INDEXES) == 0
        assert throwaway.statuses(made) == ["done", "not run", "not run"]


def test_the_state_that_an_earlier_run_left_comes_back(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path) as made:
        throwaway.apply(made)
        throwaway.roll_back(made, "001")
        before = [row for row in step_rows(conn) if row["step"] == "002_build_index"]
        made.decide_by_policy("002")
        elsewhere.execute(DOUBLED)
        no_go(made, "002")
        (now,) = [row for row in step_rows(conn) if row["step"] == "002_build_index"]
        # The ledger tells its times to the second.
        for row in (now, *before):
            row["started_at"] = row["started_at"].replace(microsecond=0)
            row["finished_at"] = row["finished_at"].replace(microsecond=0)
        assert [now] == before
        assert throwaway.statuses(made) == ["done", "rolled back", "rolled back"]


MISSING = {
    "SET NOT NULL": ("", "ALTER TABLE things ALTER code SET NOT NULL;", "INSERT INTO things VALUES (88)"),
    "VALIDATE": (
        "ALTER TABLE things ADD CONSTRAINT there CHECK (code IS NOT NULL) NOT VALID;",
        "ALTER TABLE things VALIDATE CONSTRAINT there;",
        "ALTER TABLE things DROP CONSTRAINT there;"
        "INSERT INTO things VALUES (88);"
        "ALTER TABLE things ADD CONSTRAINT there CHECK (code IS NOT NULL) NOT VALID",
    ),
    "foreign key": (
        "CREATE TABLE codes (code text PRIMARY KEY); INSERT INTO codes SELECT code FROM things;",
        "ALTER TABLE things ADD CONSTRAINT known FOREIGN KEY (code) REFERENCES codes;",
        "INSERT INTO things VALUES (88, 'unknown')",
    ),
    "unique": ("", "ALTER TABLE things ADD CONSTRAINT once UNIQUE (code);", DOUBLED),
}


@pytest.mark.parametrize("rule", MISSING)
def test_every_rule_that_rows_break_is_a_no_go(
    rule: str, conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    ready, migrate, spoils = MISSING[rule]
    conn.execute(ready.encode())
    lock = "AccessExclusive on things"
    check = "SELECT id AS id FROM things WHERE id IN (77, 88)"
    files = {
        **throwaway.step(migrate, "SELECT 1 AS x WHERE false;", lock=lock),
        "preflight/10_spoilt.sql": f"-- Rows that the rule cannot have\n\n{check};\n",
    }
    # One that holds before the step would say that it is in place.
    files["verify/001_only.sql"] = (
        "-- Proof\n\nSELECT 1 AS x WHERE NOT EXISTS (SELECT FROM pg_class WHERE relname = 'no');\n"
    )
    with throwaway.running(throwaway.write(tmp_path, files), database, tmp_path) as made:
        made.decide_by_policy("001")
        elsewhere.execute(spoils)
        error = no_go(made, "001")
        assert error.rows[-1] in ("id: 88", "id: 77")
        assert "the transaction was rolled back: nothing was left behind" in str(error)
        assert throwaway.statuses(made) == ["not run"]


def test_a_rule_that_the_step_itself_broke_is_a_failure(conn: Conn, database: str, tmp_path: Path) -> None:
    files = throwaway.step("UPDATE things SET id = 1 WHERE id = 2;")
    with throwaway.running(throwaway.write(tmp_path, files), database, tmp_path) as made:
        made.decide_by_policy("001")
        with pytest.raises(StepFailed, match="violates unique constraint"):
            made.apply("001")
        assert throwaway.statuses(made) == ["failed"]


def test_any_other_failure_stays_one(conn: Conn, database: str, tmp_path: Path) -> None:
    files = throwaway.step("SELECT 1 / 0;")
    with throwaway.running(throwaway.write(tmp_path, files), database, tmp_path) as made:
        made.decide_by_policy("001")
        with pytest.raises(StepFailed):
            made.apply("001")
        assert throwaway.statuses(made) == ["failed"]
