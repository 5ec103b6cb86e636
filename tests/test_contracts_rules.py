"""Tests of one value: the two ends of a BETWEEN are one test."""

from __future__ import annotations

import pytest

from pgrunbook.contracts.rules import Items, Length, Match, Range, joined

pytestmark = pytest.mark.static


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Length(1), Length(None, 9), Length(1, 9)),
        (Length(None, 9), Length(1), Length(1, 9)),
        (Items(0), Items(None, 2), Items(0, 2)),
        (Range(1, low_open=True), Range(high=2), Range(1, 2, low_open=True)),
        (Range(high=2, high_open=True), Range(1), Range(1, 2, high_open=True)),
    ],
)
def test_two_ends_are_one_test(one: Length, other: Length, both: Length) -> None:
    assert joined(one, other) == both


@pytest.mark.parametrize(
    ("one", "other"),
    [(Length(1), Length(2)), (Length(1), Items(None, 2)), (Range(1), Range(2)), (Match("a"), Match("b"))],
)
def test_others_stay_apart(one: Length, other: Length) -> None:
    assert joined(one, other) is None
