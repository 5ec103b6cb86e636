"""Forecasts: measured on the table itself, and a step that does not fit its window is not begun."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import throwaway
from throwaway import step, write

from pgrunbook import forecast
from pgrunbook.change import Change
from pgrunbook.errors import WindowTooShort
from pgrunbook.forecast import Forecast, Rate
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

GROW = "INSERT INTO things SELECT i, repeat('x', 500) FROM generate_series({}, {}) AS i"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def estimating(root: Path, estimate: str, back: str = "") -> Change:
    """Return a change of one step whose files give these estimates."""
    files = step(
        "ALTER TABLE things ADD COLUMN note text;", head=f"-- estimate: {estimate}" if estimate else ""
    )
    if back:
        name = "rollback/001_only.sql"
        files[name] = (files[name] or "").replace("\n\n", f"\n-- estimate: {back}\n\n", 1)
    return write(root, files)


def soon(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


def test_an_estimate_grows_with_its_table_and_is_never_zero(
    look: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A disk that is always as fast.
    monkeypatch.setattr(forecast, "_read", lambda _conn, _part, first, last: (last - first) * 1e-4)
    script = estimating(tmp_path, "4 reads of things; and so on").steps[0].migrate
    look.execute("CREATE TABLE nothing (id int)")
    empty = estimating(tmp_path / "empty", "1 read of nothing").steps[0].migrate
    assert forecast.of(look, [empty]).seconds == forecast.LEAST_S
    few = forecast.of(look, [script])
    assert few.seconds >= forecast.LEAST_S
    look.execute(GROW.format(11, 50_000))
    many = forecast.of(look, [script])
    look.execute(GROW.format(50_001, 400_000))
    more = forecast.of(look, [script])
    assert few.seconds < many.seconds < more.seconds
    assert "MB of things at " in many.how
    assert many.how.endswith("B/s, 4 reads")
    assert str(many).startswith("about ")
    assert str(many).endswith("; and so on")


def test_the_rate_comes_from_a_part_of_a_large_table(look: Connection) -> None:
    look.execute(GROW.format(11, 100_000))
    look.execute("SELECT pg_stat_force_next_flush()")
    look.execute("SELECT pg_stat_reset_single_table_counters('things'::regclass)")
    rate = forecast.rate_of(look, "things")
    assert rate.measured
    assert rate.size > 48e6
    blocks = "SELECT heap_blks_read + heap_blks_hit AS n FROM pg_statio_user_tables WHERE relname = 'things'"
    look.execute("SELECT pg_stat_force_next_flush()")
    row = look.execute(blocks).fetchone()
    assert row is not None
    assert 0 < row["n"] <= forecast.RANGES * forecast.RANGE_BLOCKS < rate.size / 8192


def test_partitions_count_as_one_table(look: Connection) -> None:
    look.execute(
        "CREATE TABLE parted (id int) PARTITION BY RANGE (id);"
        'CREATE TABLE "odd; part" PARTITION OF parted FOR VALUES FROM (0) TO (50000);'
        "CREATE TABLE other PARTITION OF parted FOR VALUES FROM (50000) TO (100000);"
        "INSERT INTO parted SELECT generate_series(0, 99999)"
    )
    rate = forecast.rate_of(look, "parted")
    row = look.execute("SELECT pg_relation_size('other') AS one").fetchone()
    assert row is not None
    assert (rate.size, rate.measured) == (2 * row["one"], True)


def test_a_table_that_somebody_locks_is_not_waited_for(look: Connection, elsewhere: Elsewhere) -> None:
    look.execute(GROW.format(11, 20_000))
    look.execute("ANALYZE things")
    elsewhere.begin_and_hold("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
    rate = forecast.rate_of(look, "things")
    assert rate == Rate("things", rate.size, forecast.ASSUMED, measured=False)
    assert rate.size > 9e6
    assert "at an assumed 50 MB/s" in str(rate)
    assert look.execute("SELECT 1 AS x").fetchone() == {"x": 1}


def test_a_table_that_the_role_may_not_read_has_an_assumed_rate(look: Connection, database: str) -> None:
    look.execute(GROW.format(11, 2_000))
    with (
        throwaway.role(look) as name,
        psycopg.connect(
            f"{database} user={name}", autocommit=True, row_factory=psycopg.rows.dict_row
        ) as conn,
    ):
        rate = forecast.rate_of(conn, "things")
    assert (rate.measured, rate.size > 1e6) == (False, True)


def test_a_table_that_is_too_slow_to_measure_is_as_slow_as_was_seen(
    look: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    look.execute(GROW.format(11, 100_000))
    monkeypatch.setattr(forecast, "_read", lambda conn, *_range: conn.execute("SELECT pg_sleep(60)"))
    rate = forecast.rate_of(look, "things")
    assert (rate.measured, rate.bytes_per_s) == (True, forecast.RANGE_BLOCKS * 8192 / forecast.LIMIT_S)


def test_what_is_not_there_yet_takes_no_time(look: Connection) -> None:
    assert forecast.rate_of(look, "nowhere").size == 0


@pytest.mark.parametrize(
    ("estimate", "seconds", "how"),
    [
        ("250 ms; whatever", 0.25, ""),
        ("1 s + 500 ms", 1.5, ""),
        ("", 1.0, "migrate/001_only.sql gives no estimate"),
    ],
)
def test_a_time_is_taken_as_it_stands(
    look: Connection, tmp_path: Path, estimate: str, seconds: float, how: str
) -> None:
    found = forecast.of(look, [estimating(tmp_path, estimate).steps[0].migrate])
    assert (found.seconds, found.how) == (seconds, how)


def test_a_step_fits_with_time_left_to_undo_it(look: Connection, tmp_path: Path) -> None:
    chosen = estimating(tmp_path, "10 s", "20 s").steps[0]
    assert forecast.fit(look, chosen, None) is None
    fit = forecast.fit(look, chosen, soon(60))
    assert fit is not None
    assert (fit.takes, fit.reserve_s) == (Forecast(10.0), 25.0)
    assert fit.facts["reserve"] == "25 s: about 20 s to undo it, 5 s to get the locks for that"
    with pytest.raises(WindowTooShort) as caught:
        forecast.fit(look, chosen, soon(34))
    said = str(caught.value).splitlines()
    assert said[0].startswith("001_only is not begun: the window ends at 20")
    assert said[0].endswith((", in 33.9 s", ", in 34 s", ", in 33.8 s"))
    assert said[1:3] == [
        "  takes about 10 s",
        "  reserve 25 s: about 20 s to undo it, 5 s to get the locks for that",
    ]
    assert forecast.fit(look, chosen, soon(37))


def test_a_window_that_is_over_says_so(look: Connection, tmp_path: Path) -> None:
    with pytest.raises(WindowTooShort, match="and is over"):
        forecast.fit(look, estimating(tmp_path, "1 ms").steps[0], soon(-1))


def test_the_deadline_leaves_the_reserve(look: Connection, tmp_path: Path) -> None:
    now, ends = time.perf_counter(), soon(100)
    fit = forecast.fit(look, estimating(tmp_path, "1 s", "10 s").steps[0], ends)
    assert fit is not None
    assert fit.deadline == pytest.approx(now + 85, abs=1)
