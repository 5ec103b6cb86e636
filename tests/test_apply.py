"""Whether a step's promise holds already, beyond what the tests of a run prove."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import apply, changed, roll_back, running, statuses, write

from pgrunbook.apply import in_place
from pgrunbook.errors import StepFailed, WindowEnded, WindowTooShort
from pgrunbook.forecast import LOCKS_S
from pgrunbook.step import Budgets

if TYPE_CHECKING:
    from conftest import Elsewhere

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


def test_a_step_that_does_not_fit_the_window_is_not_begun_unless_it_is_done(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    text = throwaway.FILES["migrate/002_build_index.sql"] or ""
    files = changed({"migrate/002_build_index.sql": text.replace("\n\n", "\n-- estimate: 2 min\n\n", 1)})
    chosen = write(tmp_path, files)

    def at(seconds: float) -> Budgets:
        return throwaway.tight(window_ends=datetime.now(UTC) + timedelta(seconds=seconds))

    with running(chosen, database, tmp_path, budgets=at(60)) as made:
        assert apply(made, "001") == ["apply"]
        made.decide_by_policy("002")
        with pytest.raises(WindowTooShort) as caught:
            made.apply("002")
        assert str(caught.value).splitlines()[1:] == [
            "  takes about 2 min",
            "  reserve 6 s: about 1 s (rollback/002_build_index.sql gives no estimate) to undo it,"
            " 5 s to get the locks for that",
            "  next: apply it in a later window, or move the end if there is more time: window_ends in the"
            " notebook, --window-ends on the command line; nothing was changed",
        ]
        assert statuses(made) == ["done", "not run", "not run"]
        last = made.ledger.events(run_id=made.run_id)[-1]
        assert (last["kind"], last["step"]) == ("apply refused", "002_build_index")
    with running(chosen, database, tmp_path, budgets=at(180)) as made:
        assert apply(made, "002") == ["apply"]
        opened = made.binding.journal.entries()[0]
        assert opened["detail"]["window_ends"] == made.budgets.window
    # What is done needs no time, and the way back is never refused.
    with running(chosen, database, tmp_path, budgets=at(1)) as made:
        assert apply(made, "002") == ["already done"]
        assert roll_back(made) == ["002_build_index", "001_add_note"]


def test_a_build_that_waits_for_a_writer_ends_in_time_to_keep_the_window(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    conn.execute(throwaway.TABLE)
    files = {
        name: text.replace("\n\n", "\n-- estimate: 10 ms\n\n", 1)
        for name in ("migrate/002_build_index.sql", "rollback/002_build_index.sql")
        if (text := throwaway.FILES[name])
    }
    chosen = write(tmp_path, changed(files))
    with running(chosen, database, tmp_path) as made:
        apply(made, "001")
    elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
    with running(chosen, database, tmp_path) as made:
        made.decide_by_policy("002")
        ends = throwaway.ends_in(made, LOCKS_S + 5)
        with pytest.raises(WindowEnded) as caught:
            made.apply("002")
        assert datetime.now(UTC) < ends
        assert caught.value.ends == made.budgets.window
        assert statuses(made)[1] == "failed"
    elsewhere.release()
    with running(chosen, database, tmp_path) as made:
        assert apply(made, "002") == ["apply"]
