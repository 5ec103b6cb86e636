"""The panel of a checklist: names, remarks, and what is handed out to be recorded."""

from __future__ import annotations

from typing import Any

import pytest

from pgrunbook import kernel
from pgrunbook.checklist import Checked, Item, Tick
from pgrunbook.views import panel as panels
from pgrunbook.views import tick_panel
from pgrunbook.views.tick_panel import TickPanel, Wish

pytestmark = pytest.mark.static

BACKUP = Item("backup", "It was <restored>.", "before")
STAGING = Item("staging", "It ran.", "before")


@pytest.fixture
def panel(monkeypatch: pytest.MonkeyPatch) -> TickPanel:
    """A panel with one item open and one ticked."""
    monkeypatch.setattr(tick_panel, "display", lambda _box: None)
    monkeypatch.setattr(panels, "clear_output", lambda wait: None)
    ticked = Checked(STAGING, Tick("bob", "2026-01-31T12:00:00Z", "s2"))
    made = TickPanel(
        "Checklist", {"where": "LIVE"}, [Checked(BACKUP, why="taken back by bob"), ticked], "ann"
    )
    made.show()
    return made


def labels(panel: TickPanel) -> list[str]:
    return [row.children[1].value for row in panel.box.children[1:-1]]


def test_it_shows_what_is_ticked_and_by_whom(panel: TickPanel) -> None:
    assert [box.value for box in panel.boxes.values()] == [False, True]
    assert [name.value for name in panel.names.values()] == ["ann", "bob"]
    assert panel.remarks["staging"].value == "s2"
    assert panel.finish.description == "Done, 1 item left open"
    assert "&lt;restored&gt;. (taken back by bob)" in labels(panel)[0]
    assert panel.wishes() == []


def test_a_tick_is_handed_out_once_with_name_and_remark(panel: TickPanel) -> None:
    panel.remarks["backup"].value = " on s2 "
    panel.names["backup"].value = " Ann  Lee "
    assert panel.wishes() == []
    panel.boxes["backup"].value = True
    assert panel.wishes() == [Wish("backup", True, "Ann Lee", "on s2")]
    assert panel.wishes() == []
    assert panel.finish.description == "Done"
    panel.boxes["staging"].value = False
    assert panel.wishes() == [Wish("staging", False, "bob", "s2")]


def test_nobody_ticks_without_a_name(panel: TickPanel) -> None:
    panel.names["backup"].value = "  "
    assert panel.boxes["backup"].disabled
    panel.boxes["backup"].value = True
    assert panel.wishes() == []
    panel.names["backup"].value = "ann"
    assert not panel.boxes["backup"].disabled
    assert [wish.ticked for wish in panel.wishes()] == [True]


def test_a_remark_is_handed_out_with_done(panel: TickPanel) -> None:
    panel.remarks["staging"].value = "s2, twice"
    panel.remarks["backup"].value = "not yet"
    assert panel.wishes() == []
    panel.finish.click()
    assert panel.done
    assert panel.wishes() == [Wish("staging", True, "bob", "s2, twice")]
    assert panel.wishes() == []


def test_every_key_and_every_tick_is_answered(panel: TickPanel, monkeypatch: pytest.MonkeyPatch) -> None:
    answered: list[Any] = []
    monkeypatch.setattr(kernel, "answered", lambda: answered.append(1))
    panel.boxes["backup"].value = True
    panel.names["backup"].value = "b"
    panel.remarks["backup"].value = "c"
    assert len(answered) == 3


def test_a_closed_panel_leaves_no_widget(panel: TickPanel) -> None:
    panel.close()
    assert panel.boxes["backup"].comm is None
