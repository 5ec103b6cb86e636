"""When a job is due next: calculate_next_schedule beside a model that knows only the calendar of Python's zoneinfo."""

from __future__ import annotations

import bisect
import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
import scheduler_ground as ground
from psycopg import errors
from psycopg.types.json import Jsonb

from pgrunbook import server as embedded

NEW_YORK, LORD_HOWE = "America/New_York", "Australia/Lord_Howe"
FRIDAY_AT_SIX = {"day": 5, "hour": 6, "minute": 0}
EIGHT_IN_THE_EVENING = {"hour": 20, "minute": 0}
HINT = (
    'weekly: {"day": 5, "hour": 6, "minute": 0}; daily: {"hour": 20, "minute": 0};'
    ' every_n_hours: {"hours": 2}; once: {}. "timezone" may name another zone: America/New_York.'
)


@pytest.fixture(scope="module")
def calendar(server: embedded.Server) -> Iterator[psycopg.Connection[Any]]:
    """A session that only asks."""
    with (
        ground.scheduler(server) as name,
        contextlib.closing(psycopg.connect(server.conninfo_for(name))) as conn,
    ):
        conn.autocommit = True
        conn.execute("SET TimeZone = 'UTC'")
        yield conn


def following(
    conn: psycopg.Connection[Any], frequency: str | None, config: Any, start: datetime | str | None
) -> datetime | None:
    found = conn.execute(
        "SELECT calculate_next_schedule(%s, %s, %s::timestamptz)",
        [frequency, None if config is None else Jsonb(config), start],
    ).fetchone()
    assert found is not None
    answer: datetime | None = found[0]
    return answer


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


# -- as it is meant


def test_from_monday_the_next_friday_at_six_is_four_days_ahead(calendar: psycopg.Connection[Any]) -> None:
    assert following(calendar, "weekly", FRIDAY_AT_SIX, at("2025-12-15 09:00")) == at("2025-12-19 06:00")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2025-12-14 12:00", "2025-12-19 06:00"),
        ("2025-12-15 12:00", "2025-12-19 06:00"),
        ("2025-12-16 12:00", "2025-12-19 06:00"),
        ("2025-12-17 12:00", "2025-12-19 06:00"),
        ("2025-12-18 12:00", "2025-12-19 06:00"),
        ("2025-12-19 05:59:59.999999", "2025-12-19 06:00"),
        ("2025-12-19 06:00", "2025-12-26 06:00"),
        ("2025-12-19 12:00", "2025-12-26 06:00"),
        ("2025-12-20 12:00", "2025-12-26 06:00"),
    ],
)
def test_the_next_friday_is_found_from_every_day_and_is_next_week_once_six_has_struck(
    calendar: psycopg.Connection[Any], start: str, expected: str
) -> None:
    assert following(calendar, "weekly", FRIDAY_AT_SIX, at(start)) == at(expected)


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        ("2025-12-31 19:59:59", "2025-12-31 20:00"),
        ("2025-12-31 20:00", "2026-01-01 20:00"),
        ("2028-02-28 21:00", "2028-02-29 20:00"),
    ],
)
def test_a_daily_time_is_today_or_tomorrow(
    calendar: psycopg.Connection[Any], start: str, expected: str
) -> None:
    assert following(calendar, "daily", EIGHT_IN_THE_EVENING, at(start)) == at(expected)


@pytest.mark.parametrize("hours", [2, 3, 4, 24, 9999])
def test_some_hours_are_hours_by_the_clock_whatever_the_zone(
    calendar: psycopg.Connection[Any], hours: int
) -> None:
    start = at("2025-03-08 23:30", NEW_YORK)
    config = {"hours": hours, "timezone": NEW_YORK}
    assert following(calendar, "every_n_hours", config, start) == start.astimezone(UTC) + timedelta(
        hours=hours
    )


def test_once_has_no_next_time(calendar: psycopg.Connection[Any]) -> None:
    assert [
        following(calendar, "once", config, at("2025-12-15 09:00")) for config in ({}, {"hours": 2}, None)
    ] == [
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("day", range(8))
def test_days_are_counted_from_sunday_which_is_0_and_7(calendar: psycopg.Connection[Any], day: int) -> None:
    found = following(calendar, "weekly", {"day": day, "hour": 6}, at("2025-12-15 09:00"))
    assert found is not None
    assert found.isoweekday() % 7 == day % 7


def test_the_minute_may_be_left_out(calendar: psycopg.Connection[Any]) -> None:
    assert following(calendar, "daily", {"hour": 20}, at("2025-12-15 09:00")) == at("2025-12-15 20:00")


def test_without_a_time_to_start_from_it_is_now(calendar: psycopg.Connection[Any]) -> None:
    row = calendar.execute(
        """SELECT calculate_next_schedule('every_n_hours', '{"hours": 2}') - now() = interval '2 hours'"""
    ).fetchone()
    assert row == (True,)


# -- zones


def test_times_are_of_the_schedulers_zone_unless_the_job_says_another(
    server: embedded.Server, calendar: psycopg.Connection[Any]
) -> None:
    start = at("2025-12-15 09:00")
    with calendar.transaction(force_rollback=True):
        ground.configure(calendar, timezone="Asia/Tokyo")
        assert following(calendar, "daily", EIGHT_IN_THE_EVENING, start) == at(
            "2025-12-15 20:00", "Asia/Tokyo"
        )
        own = {**EIGHT_IN_THE_EVENING, "timezone": NEW_YORK}
        assert following(calendar, "daily", own, start) == at("2025-12-15 20:00", NEW_YORK)
    assert following(calendar, "daily", EIGHT_IN_THE_EVENING, start) == at("2025-12-15 20:00")


def test_without_a_configuration_times_are_utc(calendar: psycopg.Connection[Any]) -> None:
    with calendar.transaction(force_rollback=True):
        calendar.execute("DELETE FROM scheduler_config")
        assert following(calendar, "daily", EIGHT_IN_THE_EVENING, at("2025-12-15 09:00")) == at(
            "2025-12-15 20:00"
        )


@pytest.mark.parametrize(
    "zone", ["UTC", NEW_YORK, LORD_HOWE, "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
)
@pytest.mark.parametrize(
    ("frequency", "config"), [("daily", EIGHT_IN_THE_EVENING), ("weekly", FRIDAY_AT_SIX)]
)
def test_the_zone_of_the_session_changes_nothing(
    calendar: psycopg.Connection[Any], zone: str, frequency: str, config: dict[str, Any]
) -> None:
    starts = [at("2025-03-07 00:00") + timedelta(hours=5 * step) for step in range(100)]
    expected = [following(calendar, frequency, config, start) for start in starts]
    with calendar.transaction(force_rollback=True):
        calendar.execute("SELECT set_config('TimeZone', %s, true)", [zone])
        assert [following(calendar, frequency, config, start) for start in starts] == expected


# -- what makes no sense


@pytest.mark.parametrize(
    ("frequency", "config"),
    [
        (None, {"hour": 20}),
        ("", {}),
        ("monthly", {"day": 5, "hour": 6}),
        ("Weekly", FRIDAY_AT_SIX),
        ("daily", None),
        ("daily", {}),
        ("daily", []),
        ("daily", 20),
        ("daily", "20:00"),
        ("daily", [{"hour": 20}]),
        ("daily", {"hour": None}),
        ("daily", {"hour": 24}),
        ("daily", {"hour": -1}),
        ("daily", {"hour": 6.5}),
        ("daily", {"hour": "six"}),
        ("daily", {"hour": "6\n"}),
        ("daily", {"hour": [6]}),
        ("daily", {"hour": 20, "minute": 60}),
        ("daily", {"hour": 20, "minute": -1}),
        ("daily", {"hour": 20, "minute": ""}),
        ("daily", {"hour": 20, "minute": "half"}),
        ("weekly", {"hour": 6}),
        ("weekly", {"day": 8, "hour": 6}),
        ("weekly", {"day": -1, "hour": 6}),
        ("weekly", {"day": "Friday", "hour": 6}),
        ("weekly", {"day": None, "hour": 6}),
        ("weekly", {"day": 5}),
        ("every_n_hours", None),
        ("every_n_hours", {}),
        ("every_n_hours", {"hours": 0}),
        ("every_n_hours", {"hours": -2}),
        ("every_n_hours", {"hours": 1.5}),
        ("every_n_hours", {"hours": 10_000}),
        ("every_n_hours", {"hours": 10**12}),
        ("every_n_hours", {"hours": "two"}),
        ("every_n_hours", {"hours": None}),
        ("every_n_hours", {"hour": 2}),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused_with_what_one_looks_like(
    calendar: psycopg.Connection[Any], frequency: str | None, config: Any
) -> None:
    with pytest.raises(errors.InvalidParameterValue) as caught:
        following(calendar, frequency, config, at("2025-12-15 09:00"))
    diagnosis = caught.value.diag
    name = "NULL" if frequency is None else frequency
    said = (diagnosis.message_primary or "").removeprefix(f"no schedule: {name} with ")
    assert said == "NULL" if config is None else json.loads(said) == config
    assert diagnosis.message_hint == HINT


@pytest.mark.parametrize("zone", ["", "+05:00", "UTC+5", "05:30", "-3", 5])
def test_what_looks_like_an_offset_is_no_zone_since_its_sign_would_mean_the_opposite(
    calendar: psycopg.Connection[Any], zone: object
) -> None:
    with pytest.raises(errors.InvalidParameterValue, match="no schedule: daily with"):
        following(calendar, "daily", {"hour": 20, "timezone": zone}, at("2025-12-15 09:00"))


@pytest.mark.parametrize(
    "zone", ["Etc/GMT+5", "America/Argentina/Buenos_Aires", "America/Port-au-Prince", "GB-Eire"]
)
def test_every_name_of_a_zone_may_be_said(calendar: psycopg.Connection[Any], zone: str) -> None:
    got = following(calendar, "daily", {"hour": 20, "timezone": zone}, at("2025-12-15 09:00"))
    assert got is not None
    assert got.astimezone(ZoneInfo(zone)).strftime("%H:%M") == "20:00"


@pytest.mark.parametrize("zone", ["Mars/Phobos", "Europe/Atlantis"])
def test_a_zone_that_the_server_does_not_know_is_refused(
    calendar: psycopg.Connection[Any], zone: str
) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=r"time zone .* not recognized"):
        following(calendar, "daily", {"hour": 20, "timezone": zone}, at("2025-12-15 09:00"))


@pytest.mark.parametrize("start", [None, "infinity", "-infinity"])
@pytest.mark.parametrize("frequency", ["weekly", "daily", "every_n_hours", "once"])
def test_there_is_no_next_time_after_no_time(
    calendar: psycopg.Connection[Any], frequency: str, start: str | None
) -> None:
    with pytest.raises(errors.InvalidParameterValue, match=f"no next time after {start or 'NULL'}"):
        following(calendar, frequency, {**FRIDAY_AT_SIX, "hours": 2}, start)


# -- when the clocks change

SHIFT = {NEW_YORK: 3600, LORD_HOWE: 1800, "UTC": 0}
# 02:30 and 02:15 are left out in spring, 01:30 and 01:45 come twice in autumn.
CASES = [
    *(
        (zone, frequency, time)
        for zone in SHIFT
        for frequency, time in (("daily", "20:00"), ("weekly", "06:00"))
    ),
    *((NEW_YORK, frequency, time) for frequency in ("daily", "weekly") for time in ("02:30", "01:30")),
    *((LORD_HOWE, frequency, time) for frequency in ("daily", "weekly") for time in ("02:15", "01:45")),
]


def occurrences(config: dict[str, Any], first: date, last: date) -> list[datetime]:
    """Return every instant of a schedule: the wall-clock time of each day that it names, once.

    A time that a day has twice is the second; one that it has not comes as much later as the clocks leave out.
    """
    zone = ZoneInfo(config["timezone"])
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    wanted = [day for day in days if "day" not in config or day.isoweekday() % 7 == config["day"] % 7]
    return sorted(
        {
            max(
                datetime(
                    day.year, day.month, day.day, config["hour"], config["minute"], fold=fold, tzinfo=zone
                ).astimezone(UTC)
                for fold in (0, 1)
            )
            for day in wanted
        }
    )


def config_of(zone: str, frequency: str, time: str, *, day: int = 5) -> dict[str, Any]:
    hour, minute = map(int, time.split(":"))
    # The clocks change on Sundays: what is left out or comes twice has to be tried on that day.
    if time in ("02:30", "01:30", "02:15", "01:45"):
        day = 0
    return {
        "hour": hour,
        "minute": minute,
        "timezone": zone,
        **({"day": day} if frequency == "weekly" else {}),
    }


def asked(
    conn: psycopg.Connection[Any], frequency: str, config: dict[str, Any], first: date, last: date, step: str
) -> list[tuple[datetime, datetime]]:
    return conn.execute(
        "SELECT t, calculate_next_schedule(%s, %s, t) FROM generate_series(%s::timestamptz, %s, %s::interval) AS t",
        [frequency, Jsonb(config), first, last, step],
    ).fetchall()


@pytest.mark.parametrize(("zone", "frequency", "time"), CASES)
def test_at_every_hour_of_three_years_the_next_time_is_the_first_that_the_calendar_has(
    calendar: psycopg.Connection[Any], zone: str, frequency: str, time: str
) -> None:
    first, last = date(2024, 1, 1), date(2027, 1, 1)
    config = config_of(zone, frequency, time)
    expected = occurrences(config, first - timedelta(days=14), last + timedelta(days=14))
    answers = asked(calendar, frequency, config, first, last, "1 hour")
    assert len(answers) > 26_000
    wrong = [(at, got) for at, got in answers if got != expected[bisect.bisect_right(expected, at)]]
    assert wrong == []
    longest = timedelta(days=7 if frequency == "weekly" else 1, seconds=SHIFT[zone])
    assert all(timedelta(0) < got - at <= longest for at, got in answers)
    shown = {got.astimezone(ZoneInfo(zone)).strftime("%H:%M") for _, got in answers}
    later = {"02:30": "03:30", "02:15": "02:45"}
    assert shown == {time, *({later[time]} if time in later else ())}


@pytest.mark.parametrize(("zone", "frequency", "time"), CASES)
def test_one_after_the_other_every_time_comes_exactly_once(
    calendar: psycopg.Connection[Any], zone: str, frequency: str, time: str
) -> None:
    config = config_of(zone, frequency, time)
    first, last = date(2024, 1, 1), date(2026, 12, 31)
    expected = occurrences(config, first, last)
    chain = calendar.execute(
        "WITH RECURSIVE chain (t, number) AS (SELECT %(start)s::timestamptz, 1 UNION ALL SELECT"
        " calculate_next_schedule(%(frequency)s, %(config)s, t), number + 1 FROM chain WHERE number < %(number)s)"
        " SELECT t FROM chain",
        {"start": expected[0], "frequency": frequency, "config": Jsonb(config), "number": len(expected)},
    ).fetchall()
    assert [t for (t,) in chain] == expected


# Samoa had no 30 December 2011, a Friday. Greenland's clocks leave out the last hour of a Saturday, so that what was
# to be at 23:30 comes on Sunday.
@pytest.mark.parametrize(
    ("zone", "first", "time"),
    [
        ("Pacific/Apia", date(2011, 12, 20), "20:00"),
        ("Pacific/Apia", date(2011, 12, 20), "00:00"),
        ("America/Nuuk", date(2024, 3, 20), "23:30"),
        ("America/Nuuk", date(2024, 3, 20), "22:30"),
        ("America/Nuuk", date(2024, 3, 20), "00:00"),
    ],
)
@pytest.mark.parametrize("frequency", ["daily", "weekly"])
def test_a_time_that_moves_to_another_day_is_not_lost(
    calendar: psycopg.Connection[Any], zone: str, first: date, time: str, frequency: str
) -> None:
    last = first + timedelta(days=21)
    for day in range(7):
        config = config_of(zone, frequency, time, day=day)
        expected = occurrences(config, first - timedelta(days=14), last + timedelta(days=14))
        answers = asked(calendar, frequency, config, first, last, "30 minutes")
        assert [(at, got) for at, got in answers if got != expected[bisect.bisect_right(expected, at)]] == []
