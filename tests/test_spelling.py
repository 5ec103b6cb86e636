"""How the values of a header are spelt: what is read, and what is refused rather than guessed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pgrunbook import spelling
from pgrunbook.lockmode import LockMode
from pgrunbook.spelling import Expectation, LockClaim

pytestmark = pytest.mark.static


def test_what_is_well_spelt_is_read() -> None:
    assert (spelling.milliseconds("50ms"), spelling.milliseconds("2 s")) == (50, 2000)
    assert spelling.locks('Share on "A b"; RowExclusive on app.b') == (
        LockClaim(LockMode.SHARE, '"A b"'),
        LockClaim(LockMode.ROW_EXCLUSIVE, "app.b"),
    )
    assert spelling.estimate("1.5 s + 2 reads of t").fixed_ms == 1500
    assert spelling.expectation("rows 0") == Expectation(rows=0)


@pytest.mark.parametrize(
    ("read", "value"),
    [
        (spelling.milliseconds, "0 ms"),
        (spelling.milliseconds, "1.5 s"),
        (spelling.locks, "Share"),
        (spelling.locks, "Share on Classes"),
        (spelling.locks, "Share on a; AccessShare on a"),
        (spelling.estimate, "soon"),
        (spelling.estimate, "0 ms"),
        (spelling.expectation, "median > 1 ms"),
        (spelling.expectation, "rows 1; rows 2"),
    ],
)
def test_what_would_have_to_be_guessed_is_refused(read: Callable[[str], object], value: str) -> None:
    with pytest.raises(ValueError, match=r"is n|stands twice"):
        read(value)
