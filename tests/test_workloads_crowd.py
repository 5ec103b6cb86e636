"""A crowd begins at one moment, and fails as its first one did, whenever that was."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgrunbook.workloads.crowd import together

pytestmark = pytest.mark.static


def test_nobody_begins_before_all_are_prepared() -> None:
    told: list[tuple[str, int]] = []

    def body(number: int, ready: Callable[[], object]) -> None:
        told.append(("prepared", number))
        ready()
        told.append(("at work", number))

    assert together(8, body) > 0
    assert [what for what, _ in told] == ["prepared"] * 8 + ["at work"] * 8
    assert {number for _, number in told} == set(range(8))


@pytest.mark.parametrize("prepared", [False, True])
def test_a_failure_of_one_is_the_failure_of_all(prepared: bool) -> None:
    def body(number: int, ready: Callable[[], object]) -> None:
        if prepared:
            ready()
        if number == 1:
            raise ValueError("one of three")
        if not prepared:
            ready()

    with pytest.raises(ValueError, match="one of three"):
        together(3, body)
