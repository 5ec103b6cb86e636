"""Briefings: a gate says what would happen, where, which locks for how long, and what speaks against it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import briefing
from pgrunbook import server as embedded
from pgrunbook.run import Run


@pytest.fixture
def run(conn: psycopg.Connection[Any], database: str, tmp_path: Path) -> Iterator[Run]:
    """A run on a live target whose board says GO."""
    with throwaway.live(conn, database, tmp_path) as made:
        yield made


def test_a_step_in_a_transaction_says_its_lock_and_the_budget(run: Run) -> None:
    asked = briefing.of(run, "001")
    assert (asked.title, asked.word, asked.who) == ("Gate 001: Add the note", "APPLY", "tester")
    where, version = asked.about["where"][0], run.facts.version
    assert where.startswith("LIVE: database 'test_")
    assert run.board is not None
    assert asked.about == {
        "where": [
            where,
            f"database {run.facts.database!r} as role 'postgres', PostgreSQL {version}, a primary",
        ],
        "runs": f"migrate/001_add_note.sql, SHA-256 {run.change.steps[0].migrate.sha256[:12]}",
        "statements": ["ALTER TABLE things ADD COLUMN note text"],
        "locks": [
            "AccessExclusive on things: nobody can read or write meanwhile; declared",
            "not rehearsed in this run: whether it takes other locks is not known",
        ],
        "others wait": "100 ms at most because of us",
        "way back": "rollback/001_add_note.sql",
        "preflight": f"GO, {len(run.board.findings)} checks found nothing",
    }


def test_after_a_rehearsal_it_says_for_how_long_each_lock_was_held(run: Run, server: embedded.Server) -> None:
    run.rehearse(server)
    held, *others = briefing.of(run, "001").about["locks"]
    assert others == []
    assert re.fullmatch(
        r"AccessExclusive on things: nobody can read or write meanwhile; declared, and held for [0-9.]+ ms"
        " in the rehearsal, on a clone without rows",
        held,
    )


def test_locks_that_the_rehearsal_took_and_nobody_declared_are_loud(
    conn: psycopg.Connection[Any], database: str, tmp_path: Path, server: embedded.Server
) -> None:
    conn.execute(throwaway.TABLE)
    files = throwaway.step("ALTER TABLE things ADD COLUMN note text;", lock="ShareRowExclusive on things")
    chosen = throwaway.write(tmp_path / "changes", files)
    with throwaway.running(chosen, database, tmp_path / "records") as made:
        made.rehearse(server)
        assert briefing.of(made, "001").about["locks"] == [
            "ShareRowExclusive on things: nobody can write meanwhile, all can read; declared",
            "THE REHEARSAL TOOK OTHER LOCKS: AccessExclusive on things",
        ]


def test_it_tells_what_the_board_has_against_a_later_step(
    conn: psycopg.Connection[Any], database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    head = "-- Codes used twice\n-- effect: the index cannot be built\n"
    body = throwaway.FILES["preflight/10_doubled_codes.sql"].removeprefix(head)
    files = throwaway.changed({"preflight/10_doubled_codes.sql": f"{head}-- before: 002_build_index\n{body}"})
    chosen = throwaway.write(tmp_path / "changes", files)
    with throwaway.running(chosen, database, tmp_path / "records") as made:
        first, *told = briefing.of(made, "001").about["preflight"]
        assert first.startswith("GO for this step, ")
        assert any(line.endswith(": Codes used twice") for line in told)


def test_a_long_file_is_told_in_short(conn: psycopg.Connection[Any], database: str, tmp_path: Path) -> None:
    conn.execute(throwaway.TABLE)
    many = "".join(
        f"ALTER TABLE things ADD COLUMN {'n' * 30}_{i} text DEFAULT '{'x' * 200}';" for i in range(8)
    )
    chosen = throwaway.write(tmp_path / "changes", throwaway.step(many))
    with throwaway.running(chosen, database, tmp_path / "records") as made:
        told = briefing.of(made, "001").about["statements"]
        assert len(told) == 7
        assert told[-1] == "and 2 statements more"
        assert max(len(one) for one in told) < 200


def test_a_step_outside_a_transaction_waits_itself(run: Run) -> None:
    about = briefing.of(run, "002").about
    assert about["others wait"] == "not at all; it is this step that waits, for open transactions"


def test_a_remedy_says_what_it_does(run: Run) -> None:
    asked = briefing.of(run, "10_doubled_codes")
    assert asked.title == "Gate 10_doubled_codes: Clear the later ones"
    assert str(asked.about["runs"]).startswith("remedy/10_doubled_codes.sql, SHA-256 ")
    assert asked.reasoned
    assert asked.no_go == "no row is changed, and Run All ends here."


def test_the_rollback_has_a_word_of_its_own_and_says_what_is_applied(run: Run) -> None:
    asked = briefing.of(run, "rollback")
    assert asked.word == "ROLL BACK"
    assert not asked.reasoned
    assert (asked.title, asked.about["undoes"]) == ("Roll back?", "no step")
    throwaway.apply(run, "001", "002")
    asked = briefing.of(run, "rollback to 001")
    assert asked.title == "Roll back to 001?"
    assert asked.about["undoes"] == ["002_build_index: Build the index"]


def test_where_two_people_approve_nobodys_name_is_filled_in(run: Run) -> None:
    run.approvals_needed = 2
    asked = briefing.of(run, "001", so_far="1 of 2 people approved it (ann)")
    assert asked.who == ""
    assert asked.about["approvals"] == [
        "1 of 2 people approved it (ann)",
        "it waits for another name; they press GO here under their own name, or run:"
        ' pgrunbook approve 700_throwaway 001 --reason "..."',
    ]
    assert briefing.of(run, "001").about["approvals"] == "2 people, each under their own name"


def test_a_gate_tells_how_long_the_step_takes_and_whether_the_window_has_time_for_it(
    conn: psycopg.Connection[Any], database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    files = throwaway.step("ALTER TABLE things ADD COLUMN note text;", head="-- estimate: 2 reads of things")
    chosen = throwaway.write(tmp_path / "changes", files)
    for seconds, short in ((None, ""), (3600, ""), (3, "; TOO SHORT, the step will not begin")):
        ends = datetime.now(UTC) + timedelta(seconds=seconds) if seconds else None
        budgets = throwaway.tight(window_ends=ends)
        with throwaway.running(chosen, database, tmp_path / "records", budgets=budgets) as made:
            about = briefing.of(made, "001").about
            assert re.fullmatch(r"about \d+ ms \(0\.01 MB of things at .+B/s, 2 reads\)", about["takes"])
            if ends is None:
                assert "window" not in about
            else:
                assert about["window"].startswith(f"ends at {made.budgets.window}, in ")
                assert about["window"].endswith(f" to get the locks for that{short}")
