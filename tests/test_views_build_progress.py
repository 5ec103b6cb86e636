"""The picture of an index build."""

from __future__ import annotations

import pytest
from drawing import build_progress, text_of

from pgrunbook.views import charts

pytestmark = pytest.mark.static


def test_a_build_names_its_phases_and_whom_it_waited_for() -> None:
    shown = text_of(build_progress())
    assert "building index: scanning table" in shown
    assert "last seen at 90 %" in shown
    assert "waited for pid 4800" in shown


def test_a_build_that_nobody_saw_is_said() -> None:
    assert "over before it was looked at" in text_of(charts.build_progress([]))
