"""What live panels share: text stays text, and nothing is left behind."""

from __future__ import annotations

import ipywidgets
import pytest

from pgrunbook.views import panel

pytestmark = pytest.mark.static


def test_names_and_values_are_only_text() -> None:
    said = panel.markup(panel.WAITING, "<b>", [("<i>", "a\nb")], "<b>our own</b>")
    assert "&lt;b&gt;" in said
    assert "&lt;i&gt;" in said
    assert "a\nb" not in said
    assert '<div style="margin-top:.4em"><b>our own</b></div>' in said
    assert panel.escaped("x" * 500).endswith("(500 characters)")


def test_a_panel_ends_with_all_that_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    cleared: list[bool] = []
    monkeypatch.setattr(panel, "clear_output", lambda wait: cleared.append(wait))
    panel.close(None)
    assert cleared == []
    text = ipywidgets.HTML("x")
    box = ipywidgets.VBox([ipywidgets.HBox([text])])
    found = panel.family(box)
    assert (found[0], found[-1], len(found)) == (text, box, 3)
    panel.close(box)
    assert cleared == [True]
    assert [one.comm for one in found] == [None] * 3
