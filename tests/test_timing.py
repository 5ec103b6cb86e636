"""What of its expectation a measured query does not hold."""

from __future__ import annotations

import pytest

from pgrunbook.header import Expectation
from pgrunbook.timing import Timing, misses

TIMING = Timing(
    "10_x", "X", (3.0, 1.0, 2.0), 5, ("Seq Scan on things", "Index Scan using i on others"), ("i",), 7, 8
)


@pytest.mark.parametrize(
    ("expect", "found"),
    [
        (None, []),
        (Expectation(), []),
        (Expectation("i", 2.001, 5), []),
        (Expectation(index="j"), ["expected index j, the plan uses i (Seq Scan on things)"]),
        (Expectation(median_below_ms=2), ["expected a median below 2 ms, found 2.000 ms"]),
        (Expectation(rows=1), ["expected 1 row, found 5"]),
        (Expectation("j", 0.5, 50), [
            "expected index j, the plan uses i (Seq Scan on things)",
            "expected a median below 0.5 ms, found 2.000 ms",
            "expected 50 rows, found 5",
        ]),
    ],
)  # fmt: skip
def test_every_expectation_that_is_missed_is_a_sentence(expect: Expectation | None, found: list[str]) -> None:
    assert misses(TIMING, expect) == found


def test_a_plan_without_an_index_says_so() -> None:
    bare = Timing("10_x", "X", (1.0,), 1, ("Seq Scan on things",), (), 0, 0)
    assert misses(bare, Expectation(index="j")) == [
        "expected index j, the plan uses no index (Seq Scan on things)"
    ]
