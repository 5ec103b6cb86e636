"""The picture of how races ended."""

from __future__ import annotations

import pytest
from drawing import text_of

from pgrunbook import race
from pgrunbook.interleaving import Interleaving
from pgrunbook.outcome import Result
from pgrunbook.racer import Rows
from pgrunbook.views.endings import endings

pytestmark = pytest.mark.static

SPEC = "session s1 step x {} step y {} session s2 step z {}"


def made(expected: str) -> Result:
    read = race.parse(f"# Made\n# expect: {expected}\n\n{SPEC}", file="10_made.spec")
    values = ("0", "1", "<b>")
    played = [
        Interleaving(order, outcome=(Rows(("n",), ((value,),)),))
        for order, value in zip(read.spec.permutations, values, strict=True)
    ]
    return Result(read, tuple(played))


def test_each_race_has_its_outcomes_beside_its_bar() -> None:
    drawn = text_of(endings([made("n 0 in some permutation")]))
    assert "10_made" in drawn
    assert "n 0 (1); n 1 (1); n <b> (1)" in drawn
    assert "NOT AS EXPECTED" not in drawn


def test_a_broken_promise_is_said() -> None:
    assert "NOT AS EXPECTED: n 0 (1)" in text_of(endings([made("n 0")]))


def test_no_race_is_said() -> None:
    assert "no race was run" in text_of(endings([]))
