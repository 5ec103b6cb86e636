"""The gate's panel: a typed word arms GO, buttons only set flags, and nothing of it is left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from pgrunbook import kernel
from pgrunbook.views import gate_panel
from pgrunbook.views import panel as panels
from pgrunbook.views.gate_panel import GatePanel, Question

pytestmark = pytest.mark.static

HOSTILE = "<img src=x onerror=alert(1)>\u202e\n<b>"
ASKED = Question("Gate 001: Add the note", {"runs": HOSTILE}, "the step does not run.", who="ann")


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed now, instead of a notebook's output."""
    shown: list[Any] = []
    monkeypatch.setattr(gate_panel, "display", shown.append)
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


def test_no_go_needs_no_word_but_a_reason(gate: GatePanel) -> None:
    gate.reason.value = "  "
    gate.no_go.click()
    assert not gate.answer.given
    assert "NO-GO needs a reason" in gate.hint.value
    gate.reason.value = "too late"
    gate.no_go.click()
    assert (gate.answer.given, gate.answer.go, gate.answer.reason) == (True, False, "too late")


def test_what_was_typed_before_a_click_may_come_after_it(gate: GatePanel) -> None:
    gate.reason.value = "t"
    gate.no_go.click()
    assert gate.no_go.disabled
    gate.reason.value = "too late at night"
    assert gate.settle().reason == "too late at night"


def test_to_keep_the_change_needs_no_reason() -> None:
    panel = GatePanel(
        Question("Roll back?", {}, "the change stays.", word="ROLL BACK", who="ann", reasoned=False)
    )
    panel.show()
    panel.no_go.click()
    assert (panel.answer.given, panel.answer.go) == (True, False)
    panel.close()


def test_what_changes_while_it_waits_is_shown_as_text(gate: GatePanel) -> None:
    gate.update({"in the way": [HOSTILE, "role 'app'"], "window": "ends in 3 min"})
    assert "&lt;img" in gate.now.value
    assert "<img" not in gate.now.value
    assert gate.now.value.count("in the way") == 1
    GatePanel(ASKED).update({"in the way": "nobody"})


def test_go_that_is_not_armed_is_no_answer(gate: GatePanel) -> None:
    # A message to the kernel can be made up; the button's colour does not decide.
    gate.go.click()
    assert not gate.answer.given


def test_the_first_answer_counts(gate: GatePanel) -> None:
    gate.reason.value = "not now"
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
    assert panel.name in panel.box.children[3].children
    panel.close()


def test_the_question_is_brought_before_the_eye(monkeypatch: pytest.MonkeyPatch) -> None:
    focused: list[str] = []
    monkeypatch.setattr(gate_panel.ipywidgets.Text, "focus", lambda one: focused.append(one.placeholder))
    panel = GatePanel(Question("Roll back?", {}, "no", word="ROLL BACK", who="ann"))
    panel.show()
    assert focused == ["reason or ticket, kept in the record"]
    panel.close()


def test_names_and_values_are_only_text(gate: GatePanel) -> None:
    markup = gate.box.children[0].value
    assert "&lt;img" in markup
    assert "<img" not in markup
    assert "\u202e" not in markup


def test_a_closed_panel_leaves_no_widget_and_no_output(gate: GatePanel, screen: list[Any]) -> None:
    assert screen == [gate.box]
    family = [gate.box, gate.word, gate.reason, gate.go, gate.no_go]
    gate.close()
    assert screen == []
    assert all(one.comm is None for one in family)


def test_closing_a_panel_that_was_never_shown_does_nothing(screen: list[Any]) -> None:
    screen.append("of another cell")
    GatePanel(ASKED).close()
    assert screen == ["of another cell"]
