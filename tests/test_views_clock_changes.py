"""The picture of schedules over changes of the clocks."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pytest
from drawing import HOSTILE, text_of

from pgrunbook.views.clock_changes import clock_changes

pytestmark = pytest.mark.static

FIRST = datetime(2027, 3, 11, 20)


@dataclass(frozen=True)
class Known:
    """A schedule whose steps of 24 hours drift by an hour after the third day."""

    zone: str = "America/New_York"
    clocks: str = "forward"
    changes: bool = True
    day: date = date(2027, 3, 14)
    at: time = time(20)
    ours: tuple[datetime, ...] = tuple(FIRST + timedelta(days=n) for n in range(7))
    stepped: tuple[datetime, ...] = tuple(FIRST + timedelta(days=n, hours=int(n > 2)) for n in range(7))


def test_the_picture_tells_what_stays_and_what_drifts() -> None:
    picture = clock_changes([Known(), Known(zone="UTC", changes=False, stepped=Known.ours)])
    assert (
        "America/New_York, clocks go forward: ours at 20:00 after it, steps of 24 hours at 21:00"
        in picture.alt
    )
    assert "UTC, clocks stay: ours at 20:00 after it, steps of 24 hours at 20:00" in picture.alt
    assert "14 Mar" in text_of(picture)
    assert picture.png.startswith(b"\x89PNG")


def test_a_zone_is_text_whatever_it_is_called() -> None:
    assert "<script" not in clock_changes([Known(zone=HOSTILE)]).svg


def test_without_schedules_it_says_so() -> None:
    assert "no schedule was asked for" in clock_changes([]).alt
