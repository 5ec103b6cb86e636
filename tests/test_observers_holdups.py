"""Who was in the way, told once each, however often we looked."""

from __future__ import annotations

import pytest

from pgrunbook.looking import Blocker
from pgrunbook.observers.holdups import MOST, Holdups

pytestmark = pytest.mark.static


def blocker(pid: int, relation: str = "things", *, age_ms: float = 30.0) -> Blocker:
    state = "idle in transaction"
    return Blocker(pid, "web", "shop", "client backend", state, relation, "AccessShare", age_ms, "SELECT 1")


def test_a_session_that_stays_is_one_row_from_its_first_look_to_its_last() -> None:
    seen = Holdups()
    for at_ms in (10.04, 110.0, 210.0):
        seen.see([blocker(7)], at_ms)
    seen.see([blocker(8)], 310.0)
    assert seen.facts == {
        "in_the_way": [
            {
                "who": f"pid {pid} 'shop'",
                "holds": "AccessShare",
                "on": "things",
                "state": "idle in transaction",
                "held_before_ms": 30.0,
                "from_ms": first,
                "to_ms": last,
            }
            for pid, first, last in ((7, 10.0, 210.0), (8, 310.0, 310.0))
        ]
    }


def test_the_statement_of_somebody_else_is_not_kept() -> None:
    seen = Holdups()
    seen.see([blocker(7)], 1)
    assert "SELECT" not in str(seen.facts)


def test_where_nobody_was_in_the_way_nothing_is_said() -> None:
    assert Holdups().facts == {}


def test_of_a_crowd_some_are_named_and_the_others_counted() -> None:
    seen = Holdups()
    for at_ms in (1.0, 2.0):
        seen.see([blocker(pid) for pid in range(MOST + 30)], at_ms)
    rows = seen.facts["in_the_way"]
    assert isinstance(rows, list)
    assert len(rows) == MOST
    assert {row["to_ms"] for row in rows} == {2.0}
    assert seen.facts["in_the_way_left_out"] == 30
