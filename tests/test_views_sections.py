"""The sections of a record stand in one order, and none is there without something to say."""

from __future__ import annotations

import pytest
import recorded

from pgrunbook.history import summarise
from pgrunbook.views import sections
from pgrunbook.views.summary import Summary

pytestmark = pytest.mark.static


def test_the_summary_comes_first_then_the_evidence() -> None:
    summary = recorded.summary("things")
    assert [one.id for one in sections.before(summary)] == [
        "approvals", "steps", "stalls", "checks", "remedies", "verification", "rollbacks",
        "findings", "ran", "rehearsal", "locks", "waits", "builds", "timings", "sizes",
    ]  # fmt: skip
    assert [one.id for one in sections.after(summary)] == ["scripts", "events", "versions"]
    assert all(one.blocks for one in sections.before(summary))


def test_of_a_run_that_did_nothing_each_section_says_so() -> None:
    bare = Summary(**summarise("r1", [], chain=""))
    said = {one.id: one.none for one in sections.before(bare)}
    assert said["ran"] == "No script ran."
    assert not {"checklist", "builds", "sizes"} & said.keys()
    assert not any(one.blocks or one.lead for one in sections.before(bare))


def test_a_run_that_asked_for_two_people_says_so() -> None:
    (approvals, *_) = sections.before(recorded.summary("things"))
    assert approvals.lead == "2 people had to approve each step."


def test_a_checklist_that_somebody_ticked_is_there() -> None:
    told = summarise("r1", [], chain="")
    rows = ({"item": "backup", "state": "ticked"}, {"item": "smoke", "state": "OPEN"})
    ids = {one.id: one for one in sections.before(Summary(**{**told, "checklist": rows}))}
    assert ids["checklist"].lead == "1 of 2 items ticked. Open: smoke."
