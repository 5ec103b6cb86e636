"""The picture of sizes before and after."""

from __future__ import annotations

import pytest
from drawing import sizes, text_of

from pgrunbook.observers.size import SizeChange
from pgrunbook.views import charts

pytestmark = pytest.mark.static


def test_sizes_say_what_was_added() -> None:
    assert "8 kB → 16 kB, +100 %" in text_of(sizes())


def test_no_size_is_said() -> None:
    assert "no size was measured" in text_of(charts.sizes([]))


def test_what_is_new_is_told_as_new_with_its_size() -> None:
    drawn = charts.sizes([SizeChange("counters", 0, 16384), SizeChange("classes", 8192, 8192)])
    assert "new, 16 kB" in text_of(drawn)
    assert drawn.alt.endswith("counters new, 16 kB; classes 8 kB → 8 kB, the same.")


def test_of_very_many_those_that_changed_most_are_drawn_and_the_others_counted() -> None:
    told = text_of(charts.sizes([SizeChange(f"t{n:02}", 8192, 8192 + n) for n in range(60)]))
    assert "20 more, which changed less, not drawn" in told
    assert "t59" in told
    assert "t19" not in told
