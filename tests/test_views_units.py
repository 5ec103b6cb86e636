"""Numbers as people read them, at the edges between units."""

from __future__ import annotations

import pytest

from pgrunbook.views import units

pytestmark = pytest.mark.static


@pytest.mark.parametrize(
    ("ms", "says"),
    [
        (0.9999, "1 ms"),
        (999.4, "999 ms"),
        (999.6, "1 s"),
        (59_940, "59.9 s"),
        (59_960, "1 min"),
        (3_600_000, "1 h"),
    ],
)
def test_a_duration_never_says_a_thousand_of_a_unit(ms: float, says: str) -> None:
    assert units.duration(ms) == says


@pytest.mark.parametrize(("number", "says"), [(1023, "1023 bytes"), (1024, "1 kB"), (1024**5, "1.02e+03 TB")])
def test_sizes_count_in_powers_of_1024(number: int, says: str) -> None:
    assert units.size(number) == says


def test_one_is_singular_and_a_plural_can_be_given() -> None:
    assert (units.counted(1, "query", "queries"), units.counted(0, "query", "queries")) == (
        "1 query",
        "0 queries",
    )


def test_a_change_from_nothing_is_new() -> None:
    assert (units.percent(0, 1), units.percent(0, 0)) == ("new", "the same")
