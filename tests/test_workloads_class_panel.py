"""The form: Create makes a class and shows its code, nobody can type the code, nothing of it is left."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attended
import pytest

from pgrunbook import kernel
from pgrunbook.errors import BadClassForm
from pgrunbook.workloads import class_panel
from pgrunbook.workloads.class_codes import Saved
from pgrunbook.workloads.class_panel import ClassPanel, ask

pytestmark = pytest.mark.static

HOSTILE = "<img src=x onerror=alert(1)>\u202e"


class Screen:
    """Keeps what is displayed, and the panels that were opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[Any] = []
        self.panels: list[ClassPanel] = []
        monkeypatch.setattr(class_panel, "display", self.shown.append)
        monkeypatch.setattr(class_panel, "clear_output", lambda wait: self.shown.clear())

    def panel(self) -> ClassPanel:
        self.panels.append(ClassPanel())
        return self.panels[-1]

    async def until(self, condition: Callable[[ClassPanel], bool]) -> ClassPanel:
        while not self.shown or not condition(self.panels[-1]):
            await asyncio.sleep(0.01)
        return self.panels[-1]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    return Screen(monkeypatch)


def made(code: str) -> Saved:
    return Saved(success=True, class_id=7, class_code=code, message="Draft class created successfully.")


def test_create_shows_the_code_that_the_server_made(screen: Screen) -> None:
    asked: list[Mapping[str, object]] = []

    def create(form: Mapping[str, object]) -> Saved:
        asked.append(form)
        return made(f"11-REALLL-RLN-{len(asked):04d}")

    async def person() -> None:
        panel = await screen.until(lambda _: True)
        assert panel.code.disabled
        for name, value in (("client_id", "11"), ("class_type", "REALLL"), ("class_subject", "RLN")):
            panel.fields[name].value = value
        panel.create.click()
        await screen.until(lambda shown: shown.code.value == "11-REALLL-RLN-0001")
        assert panel.code.disabled
        assert "Draft class created successfully." in panel.told.value
        panel.create.click()
        await screen.until(lambda shown: shown.code.value == "11-REALLL-RLN-0002")
        panel.finish.click()

    saved = attended.at_once(ask(create, wait_s=30, panel=screen.panel), person())
    assert [one["class_code"] for one in saved] == ["11-REALLL-RLN-0001", "11-REALLL-RLN-0002"]
    assert asked == [{"client_id": "11", "class_type": "REALLL", "class_subject": "RLN"}] * 2
    assert screen.shown == []


def test_a_refusal_is_shown_as_text_and_the_form_stays(screen: Screen) -> None:
    def create(form: Mapping[str, object]) -> Saved:
        raise BadClassForm(field="class_type", found=HOSTILE, next_step="leave it")

    async def person() -> None:
        panel = await screen.until(lambda _: True)
        panel.code.value = "old"
        panel.create.click()
        await screen.until(lambda shown: bool(shown.told.value))
        assert "<img" not in panel.told.value
        assert "&lt;img" in panel.told.value
        assert "\u202e" not in panel.told.value
        assert panel.code.value == ""
        assert not panel.create.disabled
        panel.finish.click()

    assert attended.at_once(ask(create, wait_s=30, panel=screen.panel), person()) == []


def test_a_hostile_code_is_the_value_of_a_text_field_and_no_markup(screen: Screen) -> None:
    panel = screen.panel()
    panel.show()
    panel.saved(made(HOSTILE))
    assert panel.code.value == HOSTILE
    assert "<img" not in panel.told.value
    panel.close()


def test_a_second_click_asks_for_nothing_more(screen: Screen) -> None:
    panel = screen.panel()
    panel.show()
    panel.create.click()
    first = panel.wanted
    panel.fields["client_id"].value = "12"
    panel.create.click()
    assert panel.wanted is first
    assert panel.create.disabled
    panel.close()


def test_run_all_goes_on_when_nobody_touches_the_form(screen: Screen) -> None:
    assert attended.at_once(ask(lambda _: made("x"), wait_s=0.05, panel=screen.panel)) == []
    assert screen.shown == []


def test_typing_keeps_the_form_open_and_lets_the_next_letter_through(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[bool] = []
    monkeypatch.setattr(kernel, "answered", lambda: answered.append(True))
    panel = screen.panel()
    panel.show()
    panel.touched = 0.0
    panel.fields["client_id"].value = "1"
    assert panel.touched > 0
    assert answered == [True]
    panel.close()


def test_a_kernel_that_ends_and_a_stopped_cell_leave_no_form(
    screen: Screen, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stopped() -> None:
        cell = asyncio.ensure_future(ask(lambda _: made("x"), wait_s=30, panel=screen.panel))
        await screen.until(lambda _: True)
        cell.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cell

    attended.at_once(stopped())
    assert screen.shown == []
    monkeypatch.setattr(kernel, "still_here", lambda: False)
    assert attended.at_once(ask(lambda _: made("x"), wait_s=30, panel=screen.panel)) == []
