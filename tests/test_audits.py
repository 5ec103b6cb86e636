"""The audits of a run: a check that guards a step is asked again before it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from throwaway import FILES, NAME, changed

from pgrunbook.errors import GateClosed, PreflightFailed, PreflightMissing
from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]
GUARD = FILES["preflight/10_doubled_codes.sql"].replace("\n\n", "\n-- before: 002\n\n", 1)
GUARDED = changed({"preflight/10_doubled_codes.sql": GUARD})
DOUBLED = "UPDATE things SET code = 'c1' WHERE id IN (2, 3)"


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    conn.execute(throwaway.TABLE)
    conn.execute(DOUBLED)
    with throwaway.running(throwaway.write(tmp_path, GUARDED), database, tmp_path) as made:
        yield made


def audits(made: Run) -> int:
    told = [entry["detail"] for entry in made.binding.journal.entries() if entry["kind"] == "preflight"]
    return sum("again" not in detail for detail in told)


def refused(made: Run, name: str) -> str:
    with pytest.raises(PreflightFailed) as caught:
        made.decide_by_policy(name)
    return str(caught.value)


def test_steps_before_the_guarded_one_go_on(run: Run) -> None:
    assert run.board is not None
    assert (run.board.go, run.board.goes_until) == (False, "002_build_index")
    assert throwaway.apply(run, "001") == ["apply"]
    said = refused(run, "002").splitlines()
    assert said[0].startswith(f"{NAME} is NO-GO before 002_build_index: 1 of ")
    assert said[1:3] == ["  preflight/10_doubled_codes.sql: Codes used twice (1 row)", "  code: c1"]
    with pytest.raises(PreflightFailed):
        run.apply("002")
    assert throwaway.statuses(run) == ["done", "not run", "not run"]


def test_the_remedy_between_opens_the_way(run: Run) -> None:
    throwaway.apply(run, "001")
    run.decide_by_policy("10_doubled_codes")
    assert run.apply_remedy("10_doubled_codes").repairs == 2
    # The board is older than the remedy: the gate of the guarded step makes a new one by itself.
    assert throwaway.apply(run, "002", "003") == ["apply", "apply"]


def test_the_audit_of_a_guarded_step_is_made_after_the_last_step(run: Run, conn: Conn) -> None:
    conn.execute("UPDATE things SET code = NULL WHERE id IN (2, 3)")
    run.preflight()
    assert audits(run) == 2
    run.require_ready("002")
    assert audits(run) == 2, "nothing was done since"
    throwaway.apply(run, "001")
    conn.execute(DOUBLED)
    assert "NO-GO before 002_build_index" in refused(run, "002")
    assert audits(run) == 3
    assert run.board is not None
    assert [one.name for one in run.board.failed] == ["10_doubled_codes"]


def test_what_came_between_the_gate_and_the_step_is_found(run: Run, conn: Conn) -> None:
    conn.execute("UPDATE things SET code = NULL WHERE id IN (2, 3)")
    throwaway.apply(run, "001")
    run.decide_by_policy("002")
    conn.execute(DOUBLED)
    with pytest.raises(PreflightFailed, match="NO-GO before 002_build_index"):
        run.apply("002")
    assert throwaway.statuses(run) == ["done", "not run", "not run"]
    with pytest.raises(PreflightFailed):
        run.decide_by_policy("002")
    conn.execute("UPDATE things SET code = NULL WHERE id IN (2, 3)")
    with pytest.raises(GateClosed):
        run.apply("002")
    run.decide_by_policy("002")
    assert run.apply("002").note == "apply"
    # Done is done, whatever is found now.
    run.preflight()
    assert run.apply("002").note == "already done"


def test_a_check_without_a_step_is_not_asked_again(conn: Conn, database: str, tmp_path: Path) -> None:
    conn.execute(throwaway.TABLE)
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path) as made:
        throwaway.apply(made, "001", "002")
        assert audits(made) == 1


def test_without_an_audit_no_step_is_ready(run: Run) -> None:
    run.audits.board = None
    with pytest.raises(PreflightMissing):
        run.require_ready("001")
    run.require_ready("10_doubled_codes")
    run.require_ready("rollback")


def test_other_findings_stay_as_they_are(run: Run) -> None:
    assert run.board is not None
    other = dataclasses.replace(run.board.findings[0], title="as it was")
    run.audits.board = dataclasses.replace(run.board, findings=(other, *run.board.findings[1:]))
    with pytest.raises(PreflightFailed):
        run.apply("002")
    assert run.board.findings[0] is other
