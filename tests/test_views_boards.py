"""Boards: one verdict that never varies, tables in which every value is only text."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import throwaway

from pgrunbook.change import Change
from pgrunbook.gate import Decision
from pgrunbook.header import Severity
from pgrunbook.ledger import Status
from pgrunbook.preflight import Board, Finding
from pgrunbook.quarantine import Repair
from pgrunbook.rehearsal import FileRehearsal, Rehearsal
from pgrunbook.remedy import Applied, Preview
from pgrunbook.session import ServerFacts
from pgrunbook.step import Outcome
from pgrunbook.target import Kind, Target
from pgrunbook.undoing import Refused, Undone
from pgrunbook.views import boards
from pgrunbook.views.view import View

pytestmark = pytest.mark.static

HOSTILE = "<script>alert('1')</script>\"&\n\u202e"
FACTS = ServerFacts(
    database="shop", user="dba", version="18.4", version_num=180004, is_standby=False,
    system_identifier="42", timeline=1, started="2026-03-01",
)  # fmt: skip


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return throwaway.write(tmp_path)


def finding(label: str = "preflight/10_doubled_codes.sql", *, total: int = 2, **options: Any) -> Finding:
    given: dict[str, Any] = {
        "title": "Codes used twice",
        "severity": Severity.STOP,
        "effect": "the index cannot be built",
        "remedy": "clear the later ones",
        "columns": ("code",),
        "rows": ({"code": "c1"}, {"code": HOSTILE})[:total],
        "total": total,
    }
    return Finding(label, **{**given, **options})


def board(*findings: Finding) -> Board:
    return Board("700_throwaway", findings, ("10_doubled_codes",))


def clean(view: View) -> str:
    """Return the HTML of a view that holds hostile values, once it is certain that it is harmless."""
    assert view.html is not None
    assert "<script" not in view.html
    assert "\u202e" not in view.html
    assert not re.search(r"\son\w+=", view.html)
    assert "\n" not in view.text
    return view.html


# -- where -------------------------------------------------------------------------------------------


def test_a_live_binding_shows_what_the_operator_has_to_recognise(change: Change) -> None:
    live = Target(Kind.LIVE, "host=db1 dbname=shop user=dba password=secret")
    view = boards.binding(change, live, FACTS, "run-1", "ann")
    assert view.text == "700_throwaway bound to database 'shop' on db1 as 'dba', a primary (LIVE)"
    html = view.html or ""
    for shown in ("PostgreSQL 18.4", "dba", "ann", "system 42, timeline 1", "run-1"):
        assert f"{shown}</td>" in html
    assert "secret" not in f"{view.text} {html} {view.facts}"


def test_a_rehearsals_binding_shows_nothing_that_varies(change: Change) -> None:
    view = boards.binding(change, Target(Kind.REHEARSAL, "dbname=r_1"), FACTS, "run-1", "ann")
    assert (view.text, view.html) == (
        "700_throwaway bound to the rehearsal database, a primary (rehearsal)",
        None,
    )


def test_a_binding_tells_the_window_where_one_was_set(change: Change) -> None:
    ends = "2026-11-22 04:00:00 UTC+02:00 (SAST)"
    live = boards.binding(change, Target(Kind.LIVE, "dbname=shop"), FACTS, "run-1", "ann", ends)
    assert live.text.endswith(f", a primary (LIVE), window ends {ends}")
    assert f"{ends}</td>" in (live.html or "")
    rehearsal = boards.binding(change, Target(Kind.REHEARSAL, "dbname=r"), FACTS, "run-1", "ann", ends)
    assert rehearsal.text.endswith(f"(rehearsal), window ends {ends}")


# -- preflight ---------------------------------------------------------------------------------------


def test_no_go_shows_the_rows_and_what_to_do() -> None:
    view = boards.audit(board(finding(), finding("preflight/20_fine.sql", total=0)))
    assert view.text == "700_throwaway: NO-GO, 1 of 2 checks found rows"
    html = clean(view)
    assert "10_doubled_codes: Codes used twice. Remedy: clear the later ones" in html
    assert "&lt;script&gt;" in html
    assert '<td class="bad">' in html or ">stop<" in html


def test_a_warning_does_not_stop() -> None:
    view = boards.audit(board(finding(severity=Severity.WARN)))
    assert view.text == "700_throwaway: GO, 1 check, 1 warns"


def test_a_check_that_waits_for_its_step_says_which() -> None:
    found = replace(finding(), before="002_build")
    made = Board(
        "700_throwaway", (found, finding("preflight/20_fine.sql", total=0)), (), ("001_add", "002_build")
    )
    view = boards.audit(made)
    assert view.text == "700_throwaway: GO until 002_build, 1 of 2 checks found rows"
    html = clean(view)
    for shown in ("stops from", "002_build", "the beginning"):
        assert f">{shown}</t" in html
    # The row of the server's own checks says it, too.
    assert "NULL" not in html
    assert "stops from" not in (boards.audit(board(finding())).html or "")


def test_a_check_that_could_not_run_stops_and_says_why() -> None:
    broken = finding(total=0, problem="column <b> does not exist")
    view = boards.audit(board(broken))
    assert "NO-GO" in view.text
    assert "column &lt;b&gt; does not exist" in clean(view)


def test_what_the_server_says_varies_and_stays_in_the_facts() -> None:
    server = finding("server: old_transactions", severity=Severity.WARN)
    quiet = finding("server: old_transactions", severity=Severity.WARN, total=0)
    loud, silent = boards.audit(board(server)), boards.audit(board(quiet))
    assert (loud.text, loud.html) == (silent.text, silent.html)
    assert loud.facts == {"server: old_transactions": [{"code": "c1"}, {"code": HOSTILE}]}


def test_what_the_server_says_is_shown_where_it_stops() -> None:
    view = boards.audit(board(finding("server: missing_privileges", title="No privilege")))
    assert "No privilege" in clean(view)


# -- remedies ----------------------------------------------------------------------------------------


def test_a_preview_shows_before_and_after() -> None:
    repairs = (
        Repair(key={"id": 1}, before={"code": HOSTILE}, after={"code": None}),
        Repair(key={"id": 2}, before={"code": "c"}, after=None),
    )
    view = boards.preview(Preview("10_doubled_codes", "things", repairs, undo_proved=True))
    assert view.text == (
        "remedy 10_doubled_codes ... would repair 2 rows of things in its first batch; undo gives every row back"
    )
    html = clean(view)
    assert '<em class="null">NULL</em>' in html
    assert "deleted" in html


def test_a_preview_of_several_tables_says_of_each_row_which() -> None:
    repairs = tuple(
        Repair(key={"id": 1}, before={"code": "a"}, after={"code": "b"}, table=(name,))
        for name in ("one", "two")
    )
    html = boards.preview(Preview("10_doubled_codes", "one, two", repairs, undo_proved=True)).html or ""
    assert ">table</th>" in html
    assert ">two</td>" in html


def test_a_preview_says_when_undo_does_not_give_every_row_back() -> None:
    repairs = (Repair(key={"id": 1}, before={"code": "a"}, after={"code": "b"}),)
    view = boards.preview(Preview("10_doubled_codes", "things", repairs, undo_proved=False))
    assert view.text.endswith("; UNDO DOES NOT GIVE EVERY ROW BACK")


def test_a_preview_without_rows_says_so() -> None:
    view = boards.preview(Preview("10_doubled_codes", "things", (), undo_proved=True))
    assert (view.text, view.html) == ("remedy 10_doubled_codes ... nothing to repair", None)


def test_a_remedy_says_how_many_rows_it_repaired() -> None:
    view = boards.repaired(Applied("10_doubled_codes", "things", 1203, 2))
    assert view.text.startswith("remedy 10_doubled_codes ... 1,203 rows repaired")
    assert view.facts == {"table": "things", "batches": 2}


def test_an_undo_lists_the_rows_that_it_left_alone() -> None:
    assert boards.undone(Undone("10_doubled_codes", 2)).html is None
    changed = Refused("things", {"id": HOSTILE}, {"code": None}, {"code": "mine"})
    gone = Refused("things", {"id": 7}, None, None)
    view = boards.undone(Undone("10_doubled_codes", 1, (changed, gone), 400))
    assert view.text == (
        "remedy 10_doubled_codes ... undone, 1 row is as it was,"
        " 400 rows left alone because somebody changed them since"
    )
    html = clean(view)
    for shown in ("code: mine", "not there", "deleted", "400"):
        assert shown in html


def test_a_rehearsed_undo_says_what_would_be_and_what_a_rule_forbids() -> None:
    assert boards.undo_previewed(Undone("10_doubled_codes", 2)).text == (
        "remedy 10_doubled_codes ... undo would give back 2 rows"
    )
    left = Refused("things", {"id": 1}, {"code": None}, {"code": HOSTILE})
    view = boards.undo_previewed(Undone("10_doubled_codes", 2, (left,), 1, (f"violates {HOSTILE}",)))
    assert view.text == (
        "remedy 10_doubled_codes ... undo would give back 2 rows, 1 row would be left alone because somebody changed"
        " them since; the rest is FORBIDDEN by a rule that is in force"
    )
    assert "forbidden now" in clean(view)


# -- steps -------------------------------------------------------------------------------------------


def test_a_script_is_shown_as_it_will_be_sent(change: Change) -> None:
    step = change.step("001")
    view = boards.script(replace(step.migrate, text="SELECT '<b>' AS a\nFROM t;\n"))
    assert view.text == "migrate/001_add_note.sql"
    assert "SELECT &#x27;&lt;b&gt;&#x27; AS a\nFROM t;</pre>" in (view.html or "")
    assert view.facts == {"sha256": step.migrate.sha256}


def decision(**options: Any) -> Decision:
    given: dict[str, Any] = {
        "step": "001_add_note", "go": True, "who": "ann", "reason": "CHG-1", "how": "typed", "script_sha256": "aa",
    }  # fmt: skip
    return Decision(**{**given, **options})


def test_a_decision_names_everybody_and_their_reasons() -> None:
    view = boards.decision([decision(), decision(who="bob", reason=HOSTILE)])
    assert view.text.startswith("gate 001_add_note ... open, approved by ann (CHG-1), bob (<script>")
    assert "\n" not in view.text
    assert "\u202e" not in view.text
    assert view.html is None


def test_a_rehearsals_decision_names_nobody() -> None:
    view = boards.decision([decision(how="rehearsal", who="root")])
    assert view.text == "gate 001_add_note ... open, approved by the rehearsal"


def test_outcomes_are_one_line_each_and_their_figures_are_facts(change: Change) -> None:
    done = Outcome("001_add_note", Status.DONE, "apply", seconds=1.5, held_ms=2.0)
    view = boards.outcomes([done], change)
    assert view.text == "001 Add the note ... done, nobody stalled"
    assert view.facts["seconds"] == 1.5
    both = boards.outcomes([done, replace(done, step="002_build_index")], change)
    assert both.text.splitlines()[1] == "002 Build the index ... done, nobody stalled"
    assert list(both.facts) == ["1. 001_add_note", "2. 002_build_index"]


def test_what_the_server_warned_of_stands_beside_the_figures_of_its_step(change: Change) -> None:
    warned = Outcome(
        "001_add_note", Status.ROLLED_BACK, "rollback", notices=("NOTICE: x", "WARNING: job 7 still runs")
    )
    both = boards.outcomes([warned, replace(warned, step="002_build_index", notices=())], change)
    assert str(both.facts["1. 001_add_note"]).endswith("worst stall 0.0 ms; WARNING: job 7 still runs")
    assert "WARNING" not in str(both.facts["2. 002_build_index"])


@pytest.mark.parametrize(
    ("status", "note", "said"),
    [
        (Status.DONE, "already done", "already done"),
        (Status.DONE, "finished by an earlier run", "finished by an earlier run"),
        (Status.ROLLED_BACK, "rollback", "rolled back, nobody stalled"),
        (Status.ROLLING_BACK, "rollback", "partly rolled back, nobody stalled"),
    ],
)
def test_an_outcome_says_what_happened(change: Change, status: Status, note: str, said: str) -> None:
    view = boards.outcomes([Outcome("001_add_note", status, note)], change)
    assert view.text == f"001 Add the note ... {said}"


def test_nothing_to_do_is_said(change: Change) -> None:
    assert boards.outcomes([], change).text == "nothing to do"


# -- rehearsal, status, verification -----------------------------------------------------------------


def rehearsed(observed: str = "AccessExclusive on things", *not_restored: str) -> Rehearsal:
    file = FileRehearsal("migrate/001_add_note.sql", ("AccessExclusive on things",), (observed,), ())
    return Rehearsal("700_throwaway", "18.4", (file,), not_restored)


def test_a_rehearsal_that_holds_says_both_promises() -> None:
    view = boards.rehearsal(rehearsed())
    assert view.text == (
        "700_throwaway rehearsed on a clone: 1 file, every lock as declared; the way back restores the catalog"
    )
    assert "18.4" not in f"{view.text}{view.html}"


def test_a_rehearsal_that_differs_says_where() -> None:
    view = boards.rehearsal(rehearsed("Share on things", f"+ constraint {HOSTILE}"))
    assert "1 file took other locks than declared; the way back leaves 1 difference" in view.text
    html = clean(view)
    assert '<td class="bad">differs</td>' in html
    assert "constraint &lt;script&gt;" in html


def test_verification_shows_the_rows_of_a_broken_promise() -> None:
    fine = finding("verify/001_add_note.sql", total=0)
    assert boards.verification([fine]).text == "1 step verified, all promises hold"
    view = boards.verification([fine, finding("verify/002_build_index.sql")])
    assert view.text == "2 steps verified, 1 BROKEN"
    html = clean(view)
    assert '<td class="bad">broken</td>' in html
    assert "&lt;script&gt;" in html


def test_verification_shows_why_a_promise_could_not_be_asked() -> None:
    view = boards.verification([finding("verify/001_add_note.sql", total=0, problem="no such table")])
    assert view.text == "1 step verified, 1 BROKEN"
    assert "no such table" in clean(view)
