"""The window: what an operator writes is one moment, or is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pgrunbook import window
from pgrunbook.errors import BadWindow

pytestmark = pytest.mark.static

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


@pytest.fixture
def johannesburg(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine two hours before UTC."""
    monkeypatch.setenv("TZ", "Africa/Johannesburg")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_without_a_text_there_is_no_window(nothing: str | None) -> None:
    assert window.read(nothing) is None
    assert window.from_environment({window.VARIABLE: nothing or ""}) is None


@pytest.mark.parametrize(
    ("given", "utc"),
    [
        ("2026-11-22 04:00", "2026-11-22 02:00"),
        ("2026-11-22T04:00:00", "2026-11-22 02:00"),
        (" 2026-11-22 04:00+05:30 ", "2026-11-21 22:30"),
        ("2026-11-22 04:00Z", "2026-11-22 04:00"),
        # It is midnight there: four o'clock is today, and so is a minute past.
        ("04:00", "2026-11-22 02:00"),
        ("00:01", "2026-11-21 22:01"),
        ("23:59", "2026-11-22 21:59"),
        ("00:00", "2026-11-22 22:00"),
        ("21:59Z", "2026-11-22 21:59"),
    ],
)
@pytest.mark.usefixtures("johannesburg")
def test_a_text_is_a_moment_in_the_machines_zone_or_its_own(given: str, utc: str) -> None:
    ends = window.read(given, now=NOW.astimezone())
    assert ends is not None
    assert ends.astimezone(UTC).strftime("%Y-%m-%d %H:%M") == utc


@pytest.mark.usefixtures("johannesburg")
def test_a_moment_is_spelled_with_its_zone() -> None:
    ends = window.read("04:00", now=NOW)
    assert ends is not None
    assert window.spelled(ends) == "2026-11-22 04:00:00 UTC+02:00 (SAST)"
    assert window.spelled(NOW) == "2026-11-21 22:00:00 UTC"
    west = timezone(timedelta(hours=-3, minutes=-30))
    assert window.spelled(NOW.astimezone(west)) == "2026-11-21 18:30:00 UTC-03:30"
    for moment in (ends, NOW, NOW.astimezone(west)):
        assert window.told(window.spelled(moment)) == moment.replace(microsecond=0)
    assert [window.told(text) for text in ("", "soon", "2026-11-21 22:00:00", "soon UTC")] == [None] * 4


def test_a_moment_may_be_given_as_one() -> None:
    assert window.read(NOW, now=NOW - timedelta(seconds=1)) is NOW
    naive = window.read(datetime(2100, 1, 1))
    assert naive is not None
    assert naive.tzinfo is not None


@pytest.mark.parametrize(
    "given",
    ["4", "04", "4 am", "tomorrow", "2026-11-22", "20261122T0400", "2026-11-22 04", "04:00 +02:00", "25:00"],
)
def test_any_other_text_is_refused(given: str) -> None:
    with pytest.raises(BadWindow) as caught:
        window.read(given, now=NOW)
    assert str(caught.value).startswith(f"the window cannot end at {given!r}: ")


def test_an_end_that_has_passed_is_refused() -> None:
    with pytest.raises(BadWindow, match="it is over: it is 2026-11-21 22:00:00 UTC now"):
        window.read("2026-11-21 22:00Z", now=NOW)
