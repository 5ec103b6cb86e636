"""When jobs are due around the days on which the clocks change, beside steps of as many hours."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Final

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["CHANGES", "Course", "courses"]

NEW_YORK, LORD_HOWE, UTC = "America/New_York", "Australia/Lord_Howe", "UTC"
CHANGES: Final = (
    (NEW_YORK, "forward", date(2027, 3, 14)),
    (NEW_YORK, "back", date(2026, 11, 1)),
    (LORD_HOWE, "forward", date(2026, 10, 4)),
    (LORD_HOWE, "back", date(2027, 4, 4)),
    (UTC, "forward", date(2027, 3, 14)),
    (UTC, "back", date(2026, 11, 1)),
)
"""Zones, what the clocks do, and the Sunday on which they do it; in UTC nothing happens on New York's days."""
# Before a change, on or after it, and on: so many are asked for, and those in the middle stand around the change.
_AHEAD: Final = 3
_EVENING, _FRIDAY = ("daily", time(20)), ("weekly", time(6))
# New York leaves out 02:00 to 03:00, Lord Howe 02:00 to 02:30; what they repeat are 01:00 and 01:30 to 02:00.
_NIGHT: Final = {"forward": ("daily", time(2, 15)), "back": ("daily", time(1, 45))}

_DUE: Final = """
WITH RECURSIVE run (place, due) AS (
    SELECT 0, calculate_next_schedule(%(type)s, %(config)s, %(start)s::timestamp AT TIME ZONE %(zone)s)
    UNION ALL
    SELECT place + 1, calculate_next_schedule(%(type)s, %(config)s, due) FROM run WHERE place < 2 * %(ahead)s
)
SELECT due AT TIME ZONE %(zone)s AS ours,
    (first_value(due) OVER (ORDER BY place) + make_interval(hours => place * %(hours)s))
        AT TIME ZONE %(zone)s AS stepped,
    (extract(epoch FROM due - lag(due) OVER (ORDER BY place)) / 3600)::float AS hours_since
FROM run ORDER BY place
"""


@dataclass(frozen=True, slots=True)
class Course:
    """Times of one schedule on the wall clock of its zone: ours, and in steps of 24 hours or 7 times as many."""

    zone: str
    clocks: str
    day: date
    frequency: str
    at: time
    ours: tuple[datetime, ...]
    stepped: tuple[datetime, ...]
    hours: float
    """Between the last time before the change and the one after it."""

    @property
    def changes(self) -> bool:
        """Return whether this zone has a change of the clocks at all."""
        return self.zone != UTC

    @property
    def name(self) -> str:
        """Return the schedule in words."""
        return f"Friday {self.at:%H:%M}" if self.frequency == "weekly" else f"daily {self.at:%H:%M}"

    @property
    def around(self) -> tuple[datetime, ...]:
        """Return the last of our times before the change, and the two after it."""
        return self.ours[_AHEAD - 1 : _AHEAD + 2]

    def kept(self, times: Sequence[datetime]) -> bool:
        """Return whether all of these are at the time of day that was asked for."""
        return all(one.time() == self.at for one in times)


def courses(conn: Connection) -> tuple[Course, ...]:
    """Return when jobs are due around each change: every Friday, every evening, and at night; it only reads."""
    with session.reading(conn, timeout_ms=5_000):
        return tuple(
            _course(conn, zone, clocks, day, *schedule)
            for zone, clocks, day in CHANGES
            for schedule in (_FRIDAY, _EVENING, _NIGHT[clocks])
        )


def _course(conn: Connection, zone: str, clocks: str, day: date, frequency: str, at: time) -> Course:
    days = 7 if frequency == "weekly" else 1
    config = {"day": 5, "hour": at.hour, "minute": at.minute, "timezone": zone}
    found = conn.execute(
        _DUE,
        {
            "type": frequency,
            "config": json.dumps(config),
            "start": date.fromordinal(day.toordinal() - _AHEAD * days),
            "zone": zone,
            "ahead": _AHEAD,
            "hours": 24 * days,
        },
    ).fetchall()
    return Course(
        zone=zone,
        clocks=clocks,
        day=day,
        frequency=frequency,
        at=at,
        ours=tuple(row["ours"] for row in found),
        stepped=tuple(row["stepped"] for row in found),
        hours=found[_AHEAD]["hours_since"],
    )
