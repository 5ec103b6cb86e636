"""The picture of sizes before and after."""

from __future__ import annotations

import pytest
from drawing import sizes, text_of

from pgrunbook.views import charts

pytestmark = pytest.mark.static


def test_sizes_say_what_was_added() -> None:
    assert "8 kB → 16 kB, +100 %" in text_of(sizes())


def test_no_size_is_said() -> None:
    assert "no size was measured" in text_of(charts.sizes([]))
