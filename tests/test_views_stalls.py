"""The worst stall of each step beside its own budget."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from drawing import text_of

from pgrunbook.views import charts

pytestmark = pytest.mark.static


@dataclass(frozen=True)
class Step:
    step: str
    worst_stall_ms: float
    stall_budget_ms: float = 100.0


def test_each_step_is_judged_by_its_own_budget() -> None:
    picture = charts.stalls([Step("001_a", 6), Step("002_b", 120), Step("003_c", 120, 2000)])
    assert picture.alt == (
        "Worst stall by step, 1 OVER their budget: 001_a 6 ms, budget 100 ms; 002_b 120 ms, OVER budget 100 ms;"
        " 003_c 120 ms, budget 2 s."
    )
    assert "OVER the budget" in text_of(picture)


def test_without_one_over_its_budget_nothing_says_so() -> None:
    picture = charts.stalls([Step("001_a", 0), Step("002_b", 100)])
    assert "all within their budgets" in picture.alt
    assert "OVER" not in text_of(picture)


@pytest.mark.parametrize("worst", [0.0, 10_800_000.0])
def test_no_stall_and_one_of_hours_can_stand_beside_each_other(worst: float) -> None:
    assert charts.stalls([Step("001_a", 0), Step("002_b", worst)]).svg


def test_no_step_is_said() -> None:
    assert "no step has run" in text_of(charts.stalls([]))
