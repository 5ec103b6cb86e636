"""Gates: every question fails closed, and says why."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest
import throwaway

from pgrunbook.errors import GateClosed, UnknownName
from pgrunbook.gate import ROLLBACK, Decision, Gates, Policy, is_step, person, subject
from pgrunbook.target import Kind

pytestmark = pytest.mark.static

STEP = "002_add_key"
NEXT = (
    '\n  next: approve it with runbook.gate("002") in the notebook, or'
    " --approve-all --reason TEXT on the command line; nothing was changed"
)


def decision(
    who: str = "ann", *, go: bool = True, sha: str = "aa", how: str = "typed", step: str = STEP
) -> Decision:
    return Decision(step=step, go=go, who=who, reason="the window is open", how=how, script_sha256=sha)


def closed(gates: Gates, sha: str = "aa") -> str:
    with pytest.raises(GateClosed) as caught:
        gates.require(STEP, sha)
    text = str(caught.value)
    assert text.startswith(f"the gate of {STEP} is closed: ")
    assert text.endswith(NEXT)
    return caught.value.reason


def test_a_go_opens_the_gate_of_its_step_and_no_other() -> None:
    gates = Gates()
    gates.record(decision())
    gates.record(decision("bob", step="003_other"))
    assert gates.require(STEP, "aa").who == "ann"
    with pytest.raises(GateClosed):
        gates.require("001_first", "aa")


def test_a_gate_is_closed_until_somebody_decides() -> None:
    assert closed(Gates()) == "nobody approved it in this run"


def test_a_no_go_closes_it_and_is_quoted() -> None:
    gates = Gates()
    gates.record(decision("bob", go=False))
    assert closed(gates) == "bob said NO-GO (the window is open)"


def test_a_no_go_takes_back_every_go() -> None:
    gates = Gates(approvals_needed=2)
    gates.record(decision("ann"))
    gates.record(decision("bob"))
    assert gates.require(STEP, "aa").go
    gates.record(decision("cid", go=False))
    assert closed(gates) == "cid said NO-GO (the window is open)"
    gates.record(decision("ann"))
    assert closed(gates) == "1 of 2 people approved it (ann)"


def test_who_said_no_go_does_not_count_as_an_approval() -> None:
    gates = Gates(approvals_needed=2)
    gates.record(decision("bob", go=False))
    gates.record(decision("ann"))
    assert closed(gates) == "1 of 2 people approved it (ann)"
    gates.record(decision("bob"))
    assert gates.require(STEP, "aa").who == "bob"


def test_two_people_are_two_people() -> None:
    gates = Gates(approvals_needed=2)
    for who in ("Ann Lee", "ann lee", " Ann  Lee "):
        gates.record(decision(who))
    assert closed(gates).startswith("1 of 2 people approved it (")
    gates.record(decision("Bob"))
    assert gates.require(STEP, "aa").who == "Bob"


def test_an_edited_script_needs_a_new_approval() -> None:
    gates = Gates()
    gates.record(decision())
    assert closed(gates, sha="bb") == "the script was edited after it was approved"
    gates.record(decision(sha="bb"))
    assert gates.require(STEP, "bb").go
    assert closed(gates, sha="aa") == "the script was edited after it was approved"


def test_approvals_of_two_texts_do_not_add_up() -> None:
    gates = Gates(approvals_needed=2)
    gates.record(decision("ann", sha="aa"))
    gates.record(decision("bob", sha="bb"))
    assert closed(gates, sha="bb") == "1 of 2 people approved it (bob)"


@pytest.mark.parametrize("who", ["", "  ", "\t\n"])
def test_nobody_is_no_approver(who: str) -> None:
    gates = Gates()
    gates.record(decision(who))
    assert closed(gates) == "nobody put a name to its approval"


def test_a_rehearsal_approves_itself_alone_and_says_so() -> None:
    gates = Gates(approvals_needed=2)
    gates.record(decision("the rehearsal", how=Policy.REHEARSAL.value))
    assert gates.require(STEP, "aa").how == "rehearsal"
    assert closed(gates, sha="bb") == "the script was edited after it was approved"


@pytest.mark.parametrize(
    ("kind", "approve_all", "policy"),
    [
        (Kind.REHEARSAL, False, Policy.REHEARSAL),
        (Kind.REHEARSAL, True, Policy.REHEARSAL),
        (Kind.LIVE, False, Policy.CLOSED),
        (Kind.LIVE, True, Policy.APPROVE_ALL),
    ],
)
def test_a_live_target_without_a_person_stays_closed(kind: Kind, approve_all: bool, policy: Policy) -> None:
    assert Policy.of(kind, approve_all=approve_all) is policy


def test_the_ledger_gets_the_whole_decision() -> None:
    facts = decision().facts
    assert facts == {"go": True, "reason": "the window is open", "how": "typed", "script_sha256": "aa"}
    fields = {field.name for field in dataclasses.fields(Decision)}
    assert fields == {*facts, "step", "who"}


def test_a_gate_is_about_a_step_a_remedy_or_the_rollback(tmp_path: Path) -> None:
    chosen = throwaway.write(tmp_path)
    step, remedy = chosen.steps[0], chosen.remedies[0]
    assert subject(chosen, "001") == ("001_add_note", step.migrate.sha256)
    assert subject(chosen, "10_doubled_codes") == ("10_doubled_codes", remedy.sha256)
    assert subject(chosen, "undo 10_doubled_codes") == ("undo 10_doubled_codes", remedy.sha256)
    names = ("001", "10_doubled_codes", "undo 10_doubled_codes", ROLLBACK, "rollback to 001")
    assert [is_step(chosen, name) for name in names] == [True, False, False, False, False]
    for unknown in ("009", "rollback to 009", "undo 009"):
        with pytest.raises(UnknownName):
            subject(chosen, unknown)


def test_a_rollback_is_about_the_text_of_the_files_that_it_may_run(tmp_path: Path) -> None:
    chosen = throwaway.write(tmp_path)
    listed = "".join(f"{step.rollback[0].sha256}  {step.rollback[0].label}\n" for step in chosen.steps[:0:-1])
    assert subject(chosen, "rollback to 001") == (
        "rollback to 001_add_note", hashlib.sha256(listed.encode()).hexdigest(),
    )  # fmt: skip
    assert len({subject(chosen, name)[1] for name in (ROLLBACK, "rollback to 001", "rollback to 002")}) == 3
    way = "rollback/002_build_index.sql"
    edited = throwaway.write(tmp_path, throwaway.changed({way: throwaway.FILES[way] + "-- edited\n"}))
    assert subject(edited, "rollback to 001")[1] != subject(chosen, "rollback to 001")[1]
    assert subject(edited, "rollback to 002")[1] == subject(chosen, "rollback to 002")[1]


def test_a_person_is_a_name_however_it_is_spelled() -> None:
    for who in ("Ann Lee", " ann   lee ", "ANN\u00a0LEE", "ann\u200b lee", "\uff21nn Lee", "ann\u202e lee"):
        assert person(who) == "ann lee"
    assert person("Jose\u0301") == person("JOSÉ") != person("Jose")
    assert person("\u200b\u202e \t") == ""
