"""Questions: a gate says what would run, where, and how anybody is affected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import question
from pgrunbook.gate import Policy
from pgrunbook.run import Run
from pgrunbook.target import Kind, Target


@pytest.fixture
def run(conn: psycopg.Connection[Any], database: str, tmp_path: Path) -> Iterator[Run]:
    """A run on a live target whose board says GO."""
    conn.execute(throwaway.TABLE)
    chosen = throwaway.write(tmp_path / "changes")
    live = Target(Kind.LIVE, database)
    with throwaway.running(
        chosen, live, tmp_path / "records", policy=Policy.APPROVE_ALL, reason="test"
    ) as made:
        yield made


def test_a_step_in_a_transaction_says_its_lock_and_the_budget(run: Run) -> None:
    asked = question.of(run, "001")
    assert (asked.title, asked.word, asked.who) == ("Gate 001: Add the note", "APPLY", "tester")
    where = asked.about["where"]
    assert where.startswith("LIVE: database 'test_")
    assert asked.about == {
        "where": where,
        "runs": "migrate/001_add_note.sql",
        "lock": "AccessExclusive on things",
        "others wait": "100 ms at most because of us",
        "way back": "rollback/001_add_note.sql",
    }


def test_a_step_outside_a_transaction_waits_itself(run: Run) -> None:
    about = question.of(run, "002").about
    assert about["others wait"] == "not at all; it is this step that waits, for open transactions"


def test_a_remedy_says_what_it_does(run: Run) -> None:
    asked = question.of(run, "10_doubled_codes")
    assert asked.title == "Gate 10_doubled_codes: Clear the later ones"
    assert asked.about["runs"] == "remedy/10_doubled_codes.sql"
    assert asked.no_go == "no row is changed, and Run All ends here."


def test_the_rollback_has_a_word_of_its_own_and_says_what_is_applied(run: Run) -> None:
    asked = question.of(run, "rollback")
    assert asked.word == "ROLL BACK"
    assert asked.about["applied"] == "no step"
    throwaway.apply(run, "001", "002")
    assert question.of(run, "rollback").about["applied"] == "2 steps: 001, 002"


def test_where_two_people_approve_nobodys_name_is_filled_in(run: Run) -> None:
    run.approvals_needed = 2
    asked = question.of(run, "001", so_far="1 of 2 people approved it (ann)")
    assert asked.who == ""
    assert asked.about["approvals"] == "1 of 2 people approved it (ann)"


def test_only_what_is_done_and_still_true_needs_no_answer(run: Run, conn: psycopg.Connection[Any]) -> None:
    assert question.settled(run, "001") == ""
    throwaway.apply(run, "001")
    assert question.settled(run, "001") == "already done"
    conn.execute("ALTER TABLE things DROP COLUMN note")
    assert question.settled(run, "001") == ""
    assert question.settled(run, "rollback") == ""


def test_a_remedy_needs_no_answer_once_an_audit_found_nothing(
    run: Run, conn: psycopg.Connection[Any]
) -> None:
    assert question.settled(run, "10_doubled_codes") == "nothing to repair"
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    run.preflight()
    assert question.settled(run, "10_doubled_codes") == ""
    run.audits.board = None
    assert question.settled(run, "10_doubled_codes") == ""


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
            about = question.of(made, "001").about
            assert re.fullmatch(r"about \d+ ms \(0\.01 MB of things at .+B/s, 2 reads\)", about["takes"])
            if ends is None:
                assert "window" not in about
            else:
                assert about["window"].startswith(f"ends at {made.budgets.window}, in ")
                assert about["window"].endswith(f" to get the locks for that{short}")
