"""Panels: a typed word arms GO, buttons only set flags, and nothing of a panel is left."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest

from pgrunbook import kernel
from pgrunbook.patience import Blocker
from pgrunbook.views import panel as panels
from pgrunbook.views import widgets
from pgrunbook.views.widgets import GatePanel, Question, Signal, StepPanel

pytestmark = pytest.mark.static

HOSTILE = "<img src=x onerror=alert(1)>\u202e\n<b>"
ASKED = Question("Gate 001: Add the note", {"runs": HOSTILE}, "the step does not run.", who="ann")


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed now, instead of a notebook's output."""
    shown: list[Any] = []
    monkeypatch.setattr(widgets, "display", shown.append)
    monkeypatch.setattr(panels, "clear_output", lambda wait: shown.clear() if wait else None)
    return shown


@pytest.fixture
def gate() -> Iterator[GatePanel]:
    panel = GatePanel(ASKED)
    panel.show()
    yield panel
    panel.close()


def test_only_the_word_arms_go(gate: GatePanel) -> None:
    assert gate.go.disabled
    for typed in ("apply", "APPL", "APPLY NOW", "GO"):
        gate.word.value = typed
        assert gate.go.disabled
    gate.word.value = " APPLY "
    assert not gate.go.disabled
    gate.word.value = ""
    assert gate.go.disabled


def test_go_keeps_who_and_why(gate: GatePanel) -> None:
    gate.reason.value, gate.word.value = " CHG-1 ", "APPLY"
    gate.go.click()
    assert (gate.answer.given, gate.answer.go, gate.answer.who, gate.answer.reason) == (
        True,
        True,
        "ann",
        "CHG-1",
    )


def test_no_go_needs_no_word(gate: GatePanel) -> None:
    gate.no_go.click()
    assert (gate.answer.given, gate.answer.go) == (True, False)


def test_go_that_is_not_armed_is_no_answer(gate: GatePanel) -> None:
    # A message to the kernel can be made up; the button's colour does not decide.
    gate.go.click()
    assert not gate.answer.given


def test_the_first_answer_counts(gate: GatePanel) -> None:
    gate.no_go.click()
    gate.word.value = "APPLY"
    gate.go.click()
    assert not gate.answer.go


def test_every_key_is_answered(gate: GatePanel, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(kernel, "answered", lambda: told.append(1))
    for field in (gate.reason, gate.word, gate.name):
        field.value = "x"
    assert len(told) == 3


def test_where_two_people_approve_each_has_to_give_a_name() -> None:
    panel = GatePanel(Question("t", {}, "no", who=""))
    panel.show()
    panel.word.value = "APPLY"
    assert panel.go.disabled
    panel.name.value = "bob"
    assert not panel.go.disabled
    assert panel.name in panel.box.children[1].children
    panel.close()


def test_the_question_is_brought_before_the_eye(monkeypatch: pytest.MonkeyPatch) -> None:
    focused: list[str] = []
    monkeypatch.setattr(widgets.ipywidgets.Text, "focus", lambda one: focused.append(one.placeholder))
    panel = GatePanel(Question("Roll back?", {}, "no", word="ROLL BACK", who="ann"))
    panel.show()
    assert focused == ["type ROLL BACK to arm GO"]
    panel.close()


def test_names_and_values_are_only_text(gate: GatePanel) -> None:
    markup = gate.box.children[0].value
    assert "&lt;img" in markup
    assert "<img" not in markup
    assert "\u202e" not in markup
    step = StepPanel(HOSTILE)
    step.show()
    step.update(1.0, [(HOSTILE, HOSTILE), ("in the way", "x" * 5000)])
    assert "<img" not in step.text.value
    assert len(step.text.value) < 3000
    step.close()


def test_a_closed_panel_leaves_no_widget_and_no_output(gate: GatePanel, screen: list[Any]) -> None:
    assert screen == [gate.box]
    family = [gate.box, gate.word, gate.reason, gate.go, gate.no_go]
    gate.close()
    assert screen == []
    assert all(one.comm is None for one in family)


def test_closing_a_panel_that_was_never_shown_does_nothing(screen: list[Any]) -> None:
    screen.append("of another cell")
    GatePanel(ASKED).close()
    StepPanel("t").close()
    assert screen == ["of another cell"]


def test_cancel_sets_a_flag_and_says_so_once_the_panel_is_drawn_again() -> None:
    panel = StepPanel("001 Add the note")
    panel.update(0.0)
    panel.show()
    panel.update(2.5, [("in the way", "pid 7")])
    assert "for 2 s" in panel.text.value
    assert "pid 7" in panel.text.value
    panel.cancel.click()
    assert panel.cancelled
    panel.update(3.0)
    assert "cancelling: the server was asked to stop" in panel.text.value
    assert panel.cancel.disabled
    panel.close()


def test_what_cannot_be_cancelled_has_no_button() -> None:
    panel = StepPanel("rehearsal on a clone", stoppable=False)
    panel.show()
    assert panel.cancel not in panel.box.children
    panel.close()


def test_a_step_that_takes_long_comes_before_the_eye_once(monkeypatch: pytest.MonkeyPatch) -> None:
    focused: list[int] = []
    monkeypatch.setattr(widgets.ipywidgets.Button, "focus", lambda _one: focused.append(1))
    panel = StepPanel("t")
    panel.show()
    panel.update(0.1)
    assert focused == []
    panel.update(1.1)
    panel.update(1.2)
    assert focused == [1]
    panel.close()


# -- who is in the way -------------------------------------------------------------------------------


def blocker(pid: int | None = 7, state: str = "active", transaction: str = "3/45", **other: Any) -> Blocker:
    known = {"backend": "client backend", "application_name": "report", "query": "SELECT 1", **other}
    return Blocker(
        pid=pid, user="app", state=state, relation="things", holds="AccessShareLock", age_ms=3200.0,
        transaction=transaction, **known,
    )  # fmt: skip


@pytest.fixture
def panel() -> Iterator[StepPanel]:
    made = StepPanel("001 Add the note")
    made.show()
    yield made
    made.close()


def offered(panel: StepPanel) -> list[list[str]]:
    """The texts of each row: who, then the buttons."""
    return [
        [row.children[0].value, *(button.description for button in row.children[1:])]
        for row in panel.rows.children
    ]


def press(panel: StepPanel, text: str, row: int = 0) -> None:
    (button,) = [one for one in panel.rows.children[row].children if getattr(one, "description", "") == text]
    button.click()


WHO = "pid 7 &#x27;report&#x27; of role &#x27;app&#x27;"
BOTH = ["Cancel its statement", "End its session"]


def test_who_is_in_the_way_can_be_ended_after_a_second_question(panel: StepPanel) -> None:
    one = blocker()
    panel.update(1.0, [], [one])
    assert offered(panel) == [[WHO, *BOTH]]
    press(panel, "End its session")
    assert panel.confirmed() == []
    panel.update(1.1, [], [one])
    assert offered(panel) == [[f"End the session of {WHO}?", "Yes, end the session", "No"]]
    press(panel, "No")
    panel.update(1.2, [], [one])
    assert (offered(panel), panel.confirmed()) == ([[WHO, *BOTH]], [])
    press(panel, "Cancel its statement")
    panel.update(1.3, [], [one])
    press(panel, "Yes, cancel the statement")
    assert panel.confirmed() == [Signal(one, True)]
    assert panel.confirmed() == []


def test_two_quick_clicks_ask_once(panel: StepPanel) -> None:
    panel.update(1.0, [], [blocker()])
    press(panel, "End its session")
    panel.update(1.1, [], [blocker()])
    press(panel, "Yes, end the session")
    press(panel, "Yes, end the session")
    assert len(panel.confirmed()) == 1


def test_a_question_about_somebody_who_is_gone_is_taken_back(panel: StepPanel) -> None:
    panel.update(1.0, [], [blocker()])
    press(panel, "End its session")
    panel.update(1.1, [], [blocker()])
    yes = panel.rows.children[0].children[1]
    # The same pid in another transaction is not who was asked about.
    panel.update(1.2, [], [blocker(transaction="3/46")])
    yes.click()
    assert panel.confirmed() == []
    assert offered(panel) == [[WHO, *BOTH]]


def test_buttons_stay_where_they_are_while_nothing_changes(panel: StepPanel) -> None:
    panel.update(1.0, [], [blocker(8), blocker(7)])
    rows = panel.rows.children
    # Ages and order change with every look.
    panel.update(1.1, [], [dataclasses.replace(blocker(7), age_ms=9000.0), blocker(8)])
    assert panel.rows.children == rows
    panel.update(1.2, [], [])
    assert panel.rows.children == ()
    assert all(row.comm is None for row in rows)


def test_only_what_can_be_done_is_offered(panel: StepPanel) -> None:
    prepared = blocker(None, "prepared", backend="prepared transaction 'x'")
    ours = blocker(9, application_name="pgrunbook step r")
    idle = blocker(state="idle in transaction")
    panel.update(1.0, [], [prepared, ours, idle])
    assert offered(panel) == [[WHO, "End its session"]]


def test_a_name_on_a_row_is_only_text(panel: StepPanel) -> None:
    panel.update(1.0, [], [blocker(application_name=HOSTILE)])
    assert "<img" not in offered(panel)[0][0]
