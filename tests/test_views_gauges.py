"""Gauges: a bar, a mark and the figure in words."""

from __future__ import annotations

import re

import pytest

from pgrunbook.views.gauges import share_gauge, stall_gauge

pytestmark = pytest.mark.static


def widths(svg: str) -> list[float]:
    return [float(one) for one in re.findall(r'<rect width="([\d.]+)"', svg)]


def test_what_is_not_known_has_no_gauge() -> None:
    assert share_gauge(None) == ""
    assert stall_gauge(3, 0) == ""


@pytest.mark.parametrize(
    ("share", "says"), [(0, "0 %"), (0.456, "45 %"), (1, "100 %"), (7, "100 %"), (-1, "0 %")]
)
def test_the_share_is_a_length_and_a_figure(share: float, says: str) -> None:
    drawn = share_gauge(share)
    whole, part = widths(drawn)
    assert part / whole == pytest.approx(float(says.split()[0]) / 100)
    assert f'role="img" aria-label="{says} done"' in drawn
    assert drawn.endswith(f"<span>{says} done</span></div>")


@pytest.mark.parametrize("worst", [0.0, 6.0, 100.0, 250.0, 10_800_000.0])
def test_the_worst_stall_stands_beside_its_budget(worst: float) -> None:
    drawn = stall_gauge(worst, 100)
    whole, part = widths(drawn)
    mark = float(re.findall(r'd="M([\d.]+) 0V', drawn)[0])
    assert 0 < mark <= whole * 0.8 + 0.1
    assert (part > mark) is (worst > 100)
    assert ("OVER the budget 100 ms" in drawn) is (worst > 100)
