"""Whether a step's promise holds already, beyond what the tests of a run prove."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from throwaway import apply, changed, roll_back, running, statuses, write

from pgrunbook.apply import in_place
from pgrunbook.errors import StepFailed

Conn = psycopg.Connection[dict[str, Any]]


def test_a_verify_file_that_cannot_be_run_does_not_say_that_a_step_is_there(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    odd = "-- The note is there\n\nSELECT 1 / 0 AS missing;\n"
    with running(write(tmp_path, changed({"verify/001_add_note.sql": odd})), database, tmp_path) as made:
        assert not in_place(made.binding, made.change.steps[0])


def test_a_way_back_that_was_begun_in_parts_is_finished_before_the_step_is_applied(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    parts = {
        "rollback/003_require_code.sql": None,
        "rollback/003_require_code.1.sql": "-- One\n-- lock: none\n\nCREATE TABLE part_one ();\n",
        "rollback/003_require_code.2.sql": "-- Two\n-- lock: none\n\nSELECT 1 / (SELECT count(*) FROM part_two);\n",
    }
    conn.execute("CREATE TABLE part_two (id int)")
    with running(write(tmp_path, changed(parts)), database, tmp_path) as made:
        apply(made)
        with pytest.raises(StepFailed, match="division by zero"):
            roll_back(made, "002")
        with pytest.raises(StepFailed) as caught:
            apply(made, "003")
        assert caught.value.reason.startswith("its way back was begun (rollback/003_require_code.2.sql)")
        conn.execute("INSERT INTO part_two VALUES (1)")
        assert roll_back(made, "002") == ["003_require_code"]
        assert statuses(made) == ["done", "done", "rolled back"]
