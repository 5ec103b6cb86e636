"""Sending: what the server is at is known, and its lines are the file's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from throwaway import TABLE, refused, running, step, tight, write

from pgrunbook.sending import Sending

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(TABLE)


def test_the_server_gets_every_statement_in_order(conn: Conn, tmp_path: Path) -> None:
    sql = "CREATE TABLE made (n int);\n-- then\nINSERT INTO made VALUES (1);\nUPDATE made SET n = n + 1"
    script = write(tmp_path, step(sql)).steps[0].migrate
    sending = Sending(script)
    assert sending.doing == "it had sent nothing yet"
    told: list[str] = []
    sending.send(conn, told.append)
    assert told == [
        f"runs statement {number} of 3, {verb} in line {line}"
        for number, verb, line in ((1, "CREATE TABLE", 5), (2, "INSERT", 7), (3, "UPDATE", 8))
    ]
    assert conn.execute("SELECT n FROM made").fetchall() == [{"n": 2}]
    assert sending.doing == "its statements were done"


def test_a_refusal_names_the_statement_and_the_line_of_the_file(database: str, tmp_path: Path) -> None:
    sql = "ALTER TABLE things ADD COLUMN note text;\n\n-- wrong\nSELECT 1,\n    nothing;\nSELECT 2;"
    with running(write(tmp_path, step(sql)), database, tmp_path) as run:
        assert refused(run) == (
            '001_only failed: migrate/001_only.sql: column "nothing" does not exist\n'
            "  LINE 9:     nothing;\n"
            "  ^\n"
            "  it was at statement 2 of 3, SELECT in line 8\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: mend the cause, then apply the step again"
        )


def test_locks_held_too_long_tell_what_was_being_done(database: str, tmp_path: Path) -> None:
    sql = "ALTER TABLE things ADD COLUMN note text;\nSELECT pg_sleep(60);"
    with running(write(tmp_path, step(sql)), database, tmp_path, budgets=tight(hold_ms=1_000)) as run:
        assert refused(run) == (
            "001_only failed: migrate/001_only.sql: it held its locks longer than the hold budget of 1000 ms\n"
            "  it was at statement 2 of 2, SELECT in line 6\n"
            "  the transaction was rolled back: nothing was left behind\n"
            "  next: let it do less under its locks, or raise hold_budget in the file's header"
        )


def test_a_proof_that_takes_too_long_is_told_as_such(database: str, tmp_path: Path) -> None:
    # Asked before the step, to see whether that is still to be done, it answers at once.
    done = "SELECT FROM pg_attribute WHERE attrelid = 'things'::regclass AND attname = 'note'"
    proof = f"SELECT CASE WHEN EXISTS ({done}) THEN pg_sleep(60)::text END AS x;"
    files = step("ALTER TABLE things ADD COLUMN note text;", proof)
    with running(write(tmp_path, files), database, tmp_path, budgets=tight(hold_ms=1_000)) as run:
        assert "\n  it was at its proof, verify/001_only.sql\n" in refused(run)
