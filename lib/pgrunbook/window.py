"""The window: the moment at which the operator wants to be done, read and spelled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time, timedelta

from pgrunbook.errors import BadWindow

__all__ = ["VARIABLE", "from_environment", "read", "spelled", "told"]

VARIABLE = "PGRUNBOOK_WINDOW_ENDS"
# fromisoformat() also takes a date alone, and 04 for an hour: an operator may mean another moment by them.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?")
_TIME = re.compile(r"\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:?\d\d)?")


def read(
    given: str | datetime | None, *, now: datetime | None = None, may_be_over: bool = False
) -> datetime | None:
    """Return the end of the window with its zone, or None where nothing is given.

    A text is an ISO date and time, or a time alone for the next such time; without an offset it is in this
    machine's zone. Raises BadWindow for any other text, and for an end that has passed unless it may be over.

    >>> at = datetime.fromisoformat("2026-11-21T22:00+00:00")
    >>> read("2026-11-22 04:00+02:00", now=at).isoformat(), read("04:00Z", now=at).isoformat()
    ('2026-11-22T04:00:00+02:00', '2026-11-22T04:00:00+00:00')
    """
    now = now or datetime.now().astimezone()
    if given is None or (isinstance(given, str) and not given.strip()):
        return None
    ends = given if isinstance(given, datetime) else _moment(given.strip(), now)
    if ends.tzinfo is None:
        ends = ends.astimezone()
    if ends <= now and not may_be_over:
        raise BadWindow(given=str(given), found=f"it is over: it is {spelled(now)} now")
    return ends


def from_environment(environment: Mapping[str, str], *, may_be_over: bool = False) -> datetime | None:
    """Return the end of the window that PGRUNBOOK_WINDOW_ENDS names, or None; raises BadWindow."""
    return read(environment.get(VARIABLE), may_be_over=may_be_over)


def spelled(ends: datetime) -> str:
    """Return a moment with its offset from UTC, and the zone's name where the machine gave it one.

    >>> spelled(datetime.fromisoformat("2026-11-22T04:00+02:00"))
    '2026-11-22 04:00:00 UTC+02:00'
    """
    name = ends.tzname() or ""
    offset = ends.strftime("%z")
    zone = f"UTC{offset[:3]}:{offset[3:5]}" if offset.strip("+-0") else "UTC"
    known = f" ({name})" if name and not name.startswith(("UTC", "GMT")) else ""
    return f"{ends:%Y-%m-%d %H:%M:%S} {zone}{known}"


def told(text: str) -> datetime | None:
    """Return the moment that `spelled` has spelled, or None for any other text.

    >>> [told(text) and told(text).isoformat() for text in ("2026-11-22 04:00:00 UTC+02:00 (EET)", "04:00")]
    ['2026-11-22T04:00:00+02:00', None]
    """
    moment, known, zone = text.partition(" UTC")
    try:
        return datetime.fromisoformat(f"{moment}{zone.partition(' ')[0] or '+00:00'}") if known else None
    except ValueError:
        return None


def _moment(text: str, now: datetime) -> datetime:
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
        if _TIME.fullmatch(text):
            return _next(time.fromisoformat(text), now)
    except ValueError as error:
        raise BadWindow(given=text, found=str(error)) from None
    raise BadWindow(given=text, found="it is no date and time, and no time alone")


def _next(at: time, now: datetime) -> datetime:
    """Return the next moment at which a clock shows this time; of a clock that is put back, the earlier one."""
    today = now.astimezone(at.tzinfo).date()
    days = (datetime.combine(today + timedelta(days), at) for days in (0, 1))
    aware = [day if day.tzinfo else day.astimezone() for day in days]
    return next((day for day in aware if day > now), aware[-1])
