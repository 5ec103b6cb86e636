"""A live panel's lifeline: it is renewed while the kernel lives, and a gate knows whether a page shows it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import ipywidgets
import pytest

from pgrunbook.views import lifeline, panel
from pgrunbook.views.lifeline import Sight

pytestmark = pytest.mark.static


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    outputs: list[Any] = []
    monkeypatch.setattr(lifeline.shown, "display", outputs.append)
    monkeypatch.setattr(panel, "clear_output", lambda wait: None)
    monkeypatch.setattr(lifeline, "BEAT_S", 0.01)
    return outputs


def test_a_saved_panel_whose_kernel_is_gone_says_what_to_do(displayed: list[Any]) -> None:
    box = ipywidgets.VBox([])
    lifeline.display(box)
    note, shown = displayed
    assert shown is box
    assert lifeline.LOST in note.data
    assert lifeline.NEXT in note.data
    # While the panel lives its foot hides that.
    assert f'id="pgrunbook-{box.model_id}"' in note.data
    assert f"<style>#pgrunbook-{box.model_id}{{display:none}}" in box.children[-1].value


def test_the_foot_is_renewed_until_the_panel_is_taken_away(displayed: list[Any]) -> None:
    async def scene() -> None:
        box = ipywidgets.VBox([])
        lifeline.display(box)
        foot = box.children[-1]
        first = foot.value
        assert f"animation:pgrunbook-silent 0s linear {lifeline.SILENCE_S}s forwards" in first
        while foot.value == first:
            await asyncio.sleep(0)
        (beating,) = lifeline._BEATS
        panel.close(box)
        await asyncio.wait_for(beating, 30)

    asyncio.run(scene())
    assert not lifeline._BEATS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [1000.0]
    monkeypatch.setattr(lifeline.time, "monotonic", lambda: now[0])

    def passes(seconds: float) -> None:
        now[0] += seconds

    return passes


def page_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ipywidgets.Widget, "_control_comm", object())


def test_a_panel_that_no_page_draws_is_lost(
    displayed: list[Any], clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    page_connects(monkeypatch)
    box = ipywidgets.VBox([])
    lifeline.display(box)
    sight = Sight(box)
    assert not sight.lost
    clock(lifeline.UNSEEN_S + 1)
    assert sight.lost


def test_a_new_page_is_asked_whether_it_shows_the_panel(
    displayed: list[Any], clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    page_connects(monkeypatch)
    box = ipywidgets.VBox([ipywidgets.HTML("the question")])
    lifeline.display(box)
    foot, sight = box.children[-1], Sight(box)
    foot._view_count = 1
    clock(10 * lifeline.UNSEEN_S)
    assert not sight.lost
    drawn: list[int] = []
    box.observe(lambda change: drawn.append(len(change["new"])), names="children")
    for shows in (True, False):
        page_connects(monkeypatch)
        assert not sight.lost
        clock(lifeline.SETTLING_S)
        assert not sight.lost
        # A page that shows the panel takes the foot away and draws it again, and says so.
        assert drawn == [1, 2]
        drawn.clear()
        if shows:
            foot._view_count += 1
        clock(lifeline.UNSEEN_S)
        assert sight.lost is not shows


@pytest.mark.parametrize("shows", [True, False])
def test_a_panel_that_a_page_takes_away_is_lost_unless_another_page_shows_it(
    shows: bool, displayed: list[Any], clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    page_connects(monkeypatch)
    box = ipywidgets.VBox([ipywidgets.HTML("the question")])
    lifeline.display(box)
    foot, sight = box.children[-1], Sight(box)
    foot._view_count = 1
    foot._view_count = 0
    drawn: list[int] = []
    box.observe(lambda change: drawn.append(len(change["new"])), names="children")
    clock(lifeline.SETTLING_S)
    assert not sight.lost
    assert drawn == [1, 2]
    if shows:
        foot._view_count = 1
    clock(lifeline.UNSEEN_S)
    assert sight.lost is not shows


def test_without_any_page_nothing_is_lost(
    displayed: list[Any], clock: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ipywidgets.Widget, "_control_comm", None)
    box = ipywidgets.VBox([])
    lifeline.display(box)
    sight = Sight(box)
    clock(10 * lifeline.UNSEEN_S)
    assert not sight.lost
