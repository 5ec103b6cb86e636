"""The board: what stops which step."""

from __future__ import annotations

import pytest

from pgrunbook.board import Board, Finding
from pgrunbook.errors import PreflightFailed
from pgrunbook.header import Severity

pytestmark = pytest.mark.static

STEPS = ("001_a", "002_b", "003_c")


def finding(name: str, rows: int, *, before: str = "", severity: Severity = Severity.STOP) -> Finding:
    shown = tuple({"code": f"c{n}", "id": n} for n in range(min(rows, 9)))
    label = f"preflight/{name}.sql"
    return Finding(label, f"Title of {name}", severity, "", "", ("code", "id"), shown, rows, before=before)


def board(*findings: Finding) -> Board:
    return Board("060_x", findings, ("10_doubled",), STEPS)


def stopped(made: Board, step: str) -> list[str]:
    return [finding.name for finding in made.stopping(step)]


def test_a_check_without_a_step_stops_the_whole_change() -> None:
    made = board(finding("10_doubled", 2))
    assert (made.go, made.goes_until) == (False, "")
    assert [stopped(made, step) for step in STEPS] == [["10_doubled"]] * 3
    assert stopped(made, "rollback") == ["10_doubled"]


def test_a_check_before_a_step_stops_that_step_and_later_ones() -> None:
    made = board(finding("10_doubled", 2, before="002_b"), finding("20_fine", 0, before="001_a"))
    assert (made.go, made.goes_until) == (False, "002_b")
    assert [stopped(made, step) for step in STEPS] == [[], ["10_doubled"], ["10_doubled"]]
    made.require_go("001_a")
    broken = Finding("preflight/30_x.sql", "", Severity.STOP, "", "", problem="gone", before="003_c")
    assert [stopped(board(broken), step) for step in STEPS] == [[], [], ["30_x"]]
    assert stopped(board(finding("10_doubled", 2, before="002_b", severity=Severity.WARN)), "002_b") == []


def test_the_refusal_of_a_step_names_it_and_shows_the_rows() -> None:
    made = board(finding("10_doubled", 7, before="002_b"), finding("20_fine", 0))
    with pytest.raises(PreflightFailed) as caught:
        made.require_go("003_c")
    assert str(caught.value) == (
        "060_x is NO-GO before 003_c: 1 of 2 checks found rows\n"
        "  preflight/10_doubled.sql: Title of 10_doubled (7 rows)\n"
        "  code: c0, id: 0\n  code: c1, id: 1\n  code: c2, id: 2\n  code: c3, id: 3\n  code: c4, id: 4\n"
        "  and 2 more\n"
        "  next: look at the rows of these checks, then run remedy 10_doubled or repair them by hand,"
        " and ask the gate of this step, or give the command, again; this step changed nothing"
    )
    assert caught.value.exit_code == 3
    with pytest.raises(PreflightFailed, match="060_x is NO-GO: 1 of 1 check found rows"):
        board(finding("10_doubled", 1)).require_go("003_c")


def test_a_check_that_was_asked_again_takes_the_place_of_the_old_answer() -> None:
    made = board(finding("10_doubled", 7, before="002_b"), finding("20_fine", 0))
    again = made.updated([finding("10_doubled", 0, before="002_b"), finding("99_unknown", 1)])
    assert [(one.name, one.total) for one in again.findings] == [("10_doubled", 0), ("20_fine", 0)]
    assert again.go
    assert (again.offered, again.steps) == (made.offered, made.steps)
