"""The panel of a call: Cancel sets a flag, who is in the way is ended after a second question."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
from ipywidgets import widgets

from pgrunbook.patience import Blocker
from pgrunbook.views import panel as panels
from pgrunbook.views import step_panel
from pgrunbook.views.step_panel import Frame, Signal, StepPanel

pytestmark = pytest.mark.static

HOSTILE = "<img src=x onerror=alert(1)>\u202e\n<b>"


@pytest.fixture(autouse=True)
def screen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is displayed now, instead of a notebook's output."""
    shown: list[Any] = []
    monkeypatch.setattr(step_panel, "display", shown.append)
    monkeypatch.setattr(panels, "clear_output", lambda wait: shown.clear() if wait else None)
    return shown


def test_names_and_values_are_only_text() -> None:
    panel = StepPanel(HOSTILE)
    panel.show()
    panel.update(Frame(1.0, HOSTILE, lines=[(HOSTILE, HOSTILE), ("in the way", "x" * 5000)], cancel=HOSTILE))
    assert "<img" not in panel.effect.value
    assert "<img" not in panel.text.value
    assert len(panel.text.value) < 3000
    panel.close()


def test_closing_a_panel_that_was_never_shown_does_nothing(screen: list[Any]) -> None:
    screen.append("of another cell")
    StepPanel("t").close()
    assert screen == ["of another cell"]


def test_cancel_sets_a_flag_and_says_so_once_the_panel_is_drawn_again() -> None:
    panel = StepPanel("001 Add the note")
    panel.update(Frame(0.0))
    panel.show()
    panel.update(Frame(2.5, lines=[("in the way", "pid 7")]))
    assert "for 2 s" in panel.text.value
    assert "pid 7" in panel.text.value
    panel.cancel.click()
    assert panel.cancelled
    panel.update(Frame(3.0))
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
    monkeypatch.setattr(step_panel.ipywidgets.Button, "focus", lambda _one: focused.append(1))
    panel = StepPanel("t")
    panel.show()
    panel.update(Frame(0.1))
    assert focused == []
    panel.update(Frame(1.1))
    panel.update(Frame(1.2))
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
    panel.update(Frame(1.0), [one])
    assert offered(panel) == [[WHO, *BOTH]]
    press(panel, "End its session")
    assert panel.confirmed() == []
    panel.update(Frame(1.1), [one])
    assert offered(panel) == [[f"End the session of {WHO}?", "Yes, end the session", "No"]]
    press(panel, "No")
    panel.update(Frame(1.2), [one])
    assert (offered(panel), panel.confirmed()) == ([[WHO, *BOTH]], [])
    press(panel, "Cancel its statement")
    panel.update(Frame(1.3), [one])
    press(panel, "Yes, cancel the statement")
    assert panel.confirmed() == [Signal(one, True)]
    assert panel.confirmed() == []


def test_a_row_that_is_too_long_wraps_and_cuts_no_button(panel: StepPanel) -> None:
    panel.update(Frame(1.0), [blocker()])
    (row,) = panel.rows.children
    assert row.layout.flex_flow == "row wrap"
    assert [one.layout.flex for one in row.children[1:]] == ["0 0 auto"] * 2


def test_two_quick_clicks_ask_once(panel: StepPanel) -> None:
    panel.update(Frame(1.0), [blocker()])
    press(panel, "End its session")
    panel.update(Frame(1.1), [blocker()])
    press(panel, "Yes, end the session")
    press(panel, "Yes, end the session")
    assert len(panel.confirmed()) == 1


def test_a_question_about_somebody_who_is_gone_is_taken_back(panel: StepPanel) -> None:
    panel.update(Frame(1.0), [blocker()])
    press(panel, "End its session")
    panel.update(Frame(1.1), [blocker()])
    yes = panel.rows.children[0].children[1]
    # The same pid in another transaction is not who was asked about.
    panel.update(Frame(1.2), [blocker(transaction="3/46")])
    yes.click()
    assert panel.confirmed() == []
    assert offered(panel) == [[WHO, *BOTH]]


def test_buttons_stay_where_they_are_while_nothing_changes(panel: StepPanel) -> None:
    panel.update(Frame(1.0), [blocker(8), blocker(7)])
    rows = panel.rows.children
    # Ages and order change with every look.
    panel.update(Frame(1.1), [dataclasses.replace(blocker(7), age_ms=9000.0), blocker(8)])
    assert panel.rows.children == rows
    panel.update(Frame(1.2), [])
    assert panel.rows.children == ()
    assert all(row.comm is None for row in rows)


def test_only_what_can_be_done_is_offered(panel: StepPanel) -> None:
    prepared = blocker(None, "prepared", backend="prepared transaction 'x'")
    ours = blocker(9, application_name="pgrunbook step r")
    idle = blocker(state="idle in transaction")
    panel.update(Frame(1.0), [prepared, ours, idle])
    assert offered(panel) == [[WHO, "End its session"]]


def test_a_name_on_a_row_is_only_text(panel: StepPanel) -> None:
    panel.update(Frame(1.0), [blocker(application_name=HOSTILE)])
    assert "<img" not in offered(panel)[0][0]


# -- what a frame costs ------------------------------------------------------------------------------


@pytest.fixture
def sent(panel: StepPanel, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What goes to the browser after the panel is there."""
    found: list[str] = []

    def send(widget: Any, key: Any = None) -> None:
        found.append(f"{type(widget).__name__} {key}")

    monkeypatch.setattr(widgets.Widget, "send_state", send)
    return found


def test_a_frame_without_news_sends_nothing(panel: StepPanel, sent: list[str]) -> None:
    frame = Frame(
        0.2, "asks for its locks", share=0.25, worst_ms=3, budget_ms=100, picture="<svg/>", cancel="x"
    )
    panel.update(frame, [blocker()])
    first = len(sent)
    assert first > 0
    for moment in (0.2, 0.45, 0.7, 0.95):
        panel.update(dataclasses.replace(frame, seconds=moment), [blocker()])
    assert len(sent) == first
    panel.update(dataclasses.replace(frame, worst_ms=4))
    assert len(sent) > first


def test_a_long_step_sends_one_message_a_second_while_nothing_happens(
    panel: StepPanel, sent: list[str]
) -> None:
    panel.update(Frame(0.0, "builds"))
    sent.clear()
    for number in range(4 * 600):
        panel.update(Frame(number / 4, "builds"))
    assert sent == ["HTML value"] * 599


def test_time_says_when_the_estimate_is_past(panel: StepPanel) -> None:
    panel.update(Frame(3.2, takes_s=2.04))
    assert "for 3 s; estimate 2 s, past it by 1 s" in panel.text.value
    panel.update(Frame(30.2, takes_s=2.04, held_back_s=28.3))
    assert "for 30 s, 28 s of it held back; estimate 2 s<" in panel.text.value


def test_cancel_says_what_it_does(panel: StepPanel) -> None:
    assert "what is done already stays" in panel.effect.value
    panel.update(Frame(0.1, cancel="the transaction is rolled back"))
    assert "the transaction is rolled back" in panel.effect.value
