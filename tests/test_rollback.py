"""Rolling back, beyond what the tests of a run prove."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import FILES, HASTY, apply, roll_back, running, statuses, write

from pgrunbook import catalog, session, target
from pgrunbook.errors import LockNotTaken, StepFailed, WayBackBlocked

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


def snapshot(database: str) -> catalog.Catalog:
    with session.connect(target.rehearsal(database), purpose="look") as conn:
        return catalog.snapshot(conn)


def test_each_step_back_restores_the_catalog_as_it_was_before_it(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    with running(write(tmp_path), database, tmp_path) as made:
        states = [snapshot(database)]
        for step in made.change.steps:
            apply(made, step.number)
            states.append(snapshot(database))
        assert len(set(states)) == 4
        for keep, state in (("002", states[2]), ("001", states[1]), (None, states[0])):
            roll_back(made, keep)
            assert catalog.differences(state, snapshot(database)) == []
        # A second time there is nothing to do.
        assert roll_back(made) == []


def test_what_somebody_built_on_it_stops_the_whole_way_back_before_it_begins(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made)
        conn.execute("CREATE VIEW notes AS SELECT note FROM things")
        with pytest.raises(WayBackBlocked) as caught:
            roll_back(made)
        assert caught.value.dependents == (
            {"step": "001_add_note", "object": "view notes", "why": "depends on column note of table things"},
        )
        assert statuses(made) == ["done", "done", "done"]
        # What it does not touch may go.
        assert roll_back(made, "001") == ["003_require_code", "002_build_index"]
        conn.execute("DROP VIEW notes")
        assert roll_back(made) == ["001_add_note"]


def test_what_a_failed_step_did_not_make_is_not_asked_about(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    conn.execute("ALTER TABLE things ADD note int; CREATE VIEW notes AS SELECT note FROM things")
    files = {
        "migrate/001_add_note.sql": "-- Fail\n-- lock: none\n\nDO $$ BEGIN RAISE 'not today'; END $$;\n",
        "verify/001_add_note.sql": FILES["verify/001_add_note.sql"].replace(
            "attname", "atttypid = 'text'::regtype AND attname"
        ),
    }
    with running(write(tmp_path, FILES | files), database, tmp_path) as made:
        with pytest.raises(StepFailed, match="not today"):
            apply(made)
        assert roll_back(made) == []
        assert statuses(made) == ["rolled back", "not run", "not run"]
    assert conn.execute("SELECT count(note) FROM notes").fetchone() == {"count": 0}


def test_a_way_back_that_cannot_have_its_lock_is_tried_again_by_the_next_call(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    conn.execute(throwaway.TABLE)
    with running(write(tmp_path), database, tmp_path, budgets=HASTY) as made:
        apply(made)
        elsewhere.begin_and_hold("SELECT FROM things WHERE id = 1 FOR UPDATE")
        with pytest.raises(LockNotTaken):
            roll_back(made)
        assert statuses(made) == ["done", "done", "rolling back"]
        elsewhere.release()
        assert roll_back(made) == ["003_require_code", "002_build_index", "001_add_note"]


def test_a_change_whose_files_were_edited_after_they_ran_can_still_go_back(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    before = snapshot(database)
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made)
    edited = {
        path: (text or "") + "\n-- edited\n" for path, text in throwaway.FILES.items() if "migrate" in path
    }
    with running(write(tmp_path, throwaway.changed(edited)), database, tmp_path) as made:
        assert len(roll_back(made)) == 3
    assert snapshot(database) == before
