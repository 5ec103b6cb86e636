"""The reach of a GO: which rows or steps, how far, which locks, and who is in the way; alike at every screen."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import events
from pgrunbook import server as embedded
from pgrunbook.gate import subject
from pgrunbook.reach import Reach, in_the_way
from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]
REMEDY = "10_doubled_codes"


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    conn.execute(throwaway.TABLE)
    chosen = throwaway.write(tmp_path / "changes")
    with throwaway.running(chosen, database, tmp_path) as made:
        yield made


def lines(run: Run, name: str, **more: Any) -> dict[str, Any]:
    return Reach(run.ledger, run.change, name, 100, **more).lines()


def here(run: Run, name: str) -> list[str]:
    found = in_the_way(run.control, run.ledger, run.change, name)
    return [found] if isinstance(found, str) else found


def test_a_rollback_says_which_steps_it_undoes_and_how_far_it_goes(run: Run) -> None:
    throwaway.apply(run)
    second, third = (step.rollback[0] for step in run.change.steps[1:])
    assert lines(run, "rollback to 001") == {
        "undoes": ["003_require_code: Require the code", "002_build_index: Build the index"],
        "stays": "1 step: 001",
        "runs": [
            f"rollback/003_require_code.sql, SHA-256 {third.sha256[:12]}",
            f"rollback/002_build_index.sql, SHA-256 {second.sha256[:12]}",
            f"the text of this way back: SHA-256 {subject(run.change, 'rollback to 001')[1][:12]}",
        ],
        "statements": [
            "ALTER TABLE things DROP CONSTRAINT IF EXISTS things_code_present",
            "DROP INDEX CONCURRENTLY IF EXISTS things_code",
        ],
        "locks": [
            "AccessExclusive on things: nobody can read or write meanwhile; declared",
            "not rehearsed in this run: whether it takes other locks is not known",
        ],
        "others wait": "100 ms at most because of us at each file",
        "way back": "the steps again, each with a new GO; rows of what is dropped are gone",
    }
    whole = lines(run, "rollback")
    assert ([one[:3] for one in whole["undoes"]], whole["stays"]) == (["003", "002", "001"], "no step")
    throwaway.roll_back(run, "001")
    assert lines(run, "rollback")["undoes"] == ["001_add_note: Add the note"]
    assert lines(run, "rollback to 001")["undoes"] == "no step"


def test_a_rollback_says_what_it_cannot_drop_and_what_was_not_finished(run: Run, conn: Conn) -> None:
    throwaway.apply(run, "001")
    conn.execute("CREATE VIEW notes AS SELECT note FROM things")
    conn.execute("UPDATE pgrunbook.step SET status = 'running'")
    found = lines(run, "rollback")
    assert found["undoes"] == ["001_add_note: Add the note (begun and not finished)"]
    assert found["forbidden by"] == ["view notes depends on column note of table things (001_add_note)"]


def test_the_locks_of_a_way_back_are_told_as_the_rehearsal_saw_them(
    run: Run, server: embedded.Server
) -> None:
    rehearsed = events.rehearsed(run.rehearse(server))
    throwaway.apply(run)
    (lock,) = lines(run, "rollback", rehearsed=rehearsed)["locks"]
    assert re.fullmatch(
        r"AccessExclusive on things: nobody can read or write meanwhile; declared, and held for [0-9.]+ ms"
        " in the rehearsal, on a clone without rows",
        lock,
    )


def test_a_remedy_and_its_undo_say_of_how_many_rows(run: Run, conn: Conn) -> None:
    conn.execute("UPDATE things SET code = 'c1' WHERE id IN (2, 3)")
    found = lines(run, REMEDY, found=1)
    assert (
        found["rows"]
        == "all that its check finds, batch by batch (its check found 1); what it replaces is kept"
    )
    assert found["locks"] == ["RowExclusive on things: all can read and write"]
    assert found["others wait"] == "for rows of the batch at work alone, 100 ms at most because of us"
    assert lines(run, REMEDY)["rows"].endswith(
        "(nobody has counted them in this run); what it replaces is kept"
    )
    told = "gives back {} that it replaced, newest first; those changed since stay"
    assert lines(run, f"undo {REMEDY}")["rows"] == told.format("0 rows")
    run.decide_by_policy(REMEDY)
    run.apply_remedy(REMEDY)
    undo = lines(run, f"undo {REMEDY}")
    assert undo["rows"] == told.format("2 rows")
    sha256 = run.change.remedies[0].sha256[:12]
    assert undo["runs"] == f"the undo of remedy/{REMEDY}.sql, SHA-256 {sha256}"
    throwaway.undo(run, REMEDY)
    assert lines(run, f"undo {REMEDY}")["rows"] == told.format("0 rows")


@pytest.mark.parametrize("name", [REMEDY, f"undo {REMEDY}"])
def test_who_may_hold_the_rows_of_a_remedy_is_in_its_way_and_no_reader_is(
    run: Run, someone_else: Callable[[], Any], eventually: Callable[..., Any], name: str
) -> None:
    reader, writer = someone_else(), someone_else()
    reader.begin_and_hold("SELECT count(*) FROM things")
    assert here(run, name) == ["nobody"]
    writer.begin_and_hold("UPDATE things SET code = code WHERE id = 2")
    told = eventually(lambda: (found := here(run, name)) != ["nobody"] and found)
    assert f"pid {writer.pid}" in told[0]
    assert told[1] == "role 'postgres'; last statement: UPDATE things SET code = code WHERE id = 2"
    assert not any(f"pid {reader.pid}" in line for line in told)
    writer.release()
    assert here(run, name) == ["nobody"]


def test_of_a_table_that_the_search_path_hides_nobody_knows_who_is_in_the_way(run: Run, conn: Conn) -> None:
    assert here(run, "001") == ["nobody"]
    run.control.execute("SET search_path TO pg_catalog")
    assert here(run, "001") == ["not known of things: this role's search path does not find it"]
    conn.execute("DROP TABLE things")
    assert here(run, "001") == ["nobody"], "there is no such table to hold"


def test_who_is_in_the_way_of_a_rollback_is_told_as_far_as_it_goes(
    run: Run, elsewhere: Any, eventually: Callable[..., Any]
) -> None:
    # Of a younger one nobody is told anyway.
    elsewhere.begin_and_hold("SELECT count(*), pg_sleep(0.1) FROM things")
    assert here(run, "rollback") == ["nobody"], "there is nothing to undo"
    elsewhere.release()
    throwaway.apply(run, "001")
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    told = eventually(lambda: (found := here(run, "rollback")) != ["nobody"] and found)
    assert f"pid {elsewhere.pid}" in told[0]
    assert here(run, "rollback to 001") == ["nobody"]
