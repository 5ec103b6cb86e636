"""The proof of a job: a step that does not keep its promise does not stand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from throwaway import TABLE, columns, refused, running, step, write

if TYPE_CHECKING:
    pass

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(TABLE)


def test_a_step_whose_proof_finds_rows_is_rolled_back(conn: Conn, database: str, tmp_path: Path) -> None:
    verify = "SELECT i AS still, 'x' AS missing FROM generate_series(1, 7) AS i;"
    files = step("ALTER TABLE things ADD COLUMN note text;", verify)
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert refused(run) == (
            "001_only failed: verify/001_only.sql still finds 7 rows\n"
            + "".join(f"  still: {i}, missing: x\n" for i in range(1, 6))
            + "  the transaction was rolled back: nothing was left behind\n"
            "  next: compare these rows with what the step promises"
        )
        assert columns(conn) == ["id", "code"]


def test_a_proof_that_cannot_be_run_rolls_the_step_back(conn: Conn, database: str, tmp_path: Path) -> None:
    files = step("ALTER TABLE things ADD COLUMN note text;", "SELECT 1 / (count(*) - 10) AS x FROM things;")
    with running(write(tmp_path, files), database, tmp_path) as run:
        assert "division by zero" in refused(run)
        assert columns(conn) == ["id", "code"]
