"""The vocabulary of events: every kind that it knows is told somewhere, and it refuses what it does not mean."""

from __future__ import annotations

import pytest
import recorded

from pgrunbook import vocabulary

pytestmark = pytest.mark.static


def test_every_kind_that_it_knows_is_among_those_that_are_tried() -> None:
    assert vocabulary.KINDS.keys() <= {kind for kind, _, _ in recorded.of_every_kind()}


@pytest.mark.parametrize("value", [True, -1, 1.5, float("nan"), "1", None])
def test_a_count_is_a_whole_number_that_is_not_negative(value: object) -> None:
    assert not vocabulary.COUNT.fits(value)
    assert vocabulary.COUNT.fits(0)


def test_rows_are_as_wide_as_their_columns() -> None:
    wide = vocabulary._wide
    assert wide({})
    assert wide({"columns": ["a", "b"], "found": [[1, 2], [None, 3]]})
    assert not wide({"columns": ["a", "b"], "found": [[1]]})
    assert not wide({"found": [[1]]})
