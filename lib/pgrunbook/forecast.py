"""Forecasts: how long a step will take here, and whether the window has time for it and its way back."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from pgrunbook import session, window
from pgrunbook.change import Script, Step
from pgrunbook.errors import WindowTooShort
from pgrunbook.header import Estimate
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = ["LOCKS_S", "Fit", "Forecast", "Rate", "fit", "of", "plan", "rate_of", "seconds_until"]

LOCKS_S = 5.0
"""What is kept back for taking the locks of the way back."""
UNKNOWN_MS = 1_000.0
LEAST_S = 0.001
ASSUMED = 50e6
LIMIT_S = 0.5
LOCK_TIMEOUT_MS = 50
RANGES, RANGE_BLOCKS = 16, 256


@dataclass(frozen=True, slots=True)
class Rate:
    """The size of a table in bytes, and the bytes a second at which it was read just now."""

    table: str
    size: int
    bytes_per_s: float
    measured: bool = True

    @property
    def seconds(self) -> float:
        """Return how long one sequential read of the whole table takes."""
        return self.size / self.bytes_per_s

    def __str__(self) -> str:
        """Return both in words."""
        how = "" if self.measured else "an assumed "
        return f"{_bytes(self.size)} of {self.table} at {how}{_bytes(self.bytes_per_s)}/s"


@dataclass(frozen=True, slots=True)
class Forecast:
    """How long something takes, in seconds, and how that came about."""

    seconds: float
    how: str = ""
    words: str = ""

    def __str__(self) -> str:
        """Return one line for the gate."""
        how = f" ({self.how})" if self.how else ""
        return f"about {_time(self.seconds)}{how}" + (f"; {self.words}" if self.words else "")


@dataclass(frozen=True, slots=True)
class Fit:
    """A step that the window has time for: what it takes, and what undoing it would take."""

    ends: datetime
    takes: Forecast
    back: Forecast

    @property
    def reserve_s(self) -> float:
        """Return the seconds that are kept back for undoing the step."""
        return self.back.seconds + LOCKS_S

    @property
    def left_s(self) -> float:
        """Return the seconds until the window ends."""
        return seconds_until(self.ends)

    @property
    def fits(self) -> bool:
        """Return whether the step, and its way back if it fails, would be done before the window ends."""
        return self.takes.seconds + self.reserve_s <= self.left_s

    @property
    def left(self) -> str:
        """Return the time until the window ends in words."""
        return f"in {_time(self.left_s)}" if self.left_s > 0 else "and is over"

    @property
    def deadline(self) -> float:
        """Return the moment of time.perf_counter() at which waiting and building have to end."""
        return time.perf_counter() + self.left_s - self.reserve_s

    @property
    def facts(self) -> dict[str, object]:
        """Return the forecast for the ledger."""
        return {
            "window_ends": window.spelled(self.ends),
            "takes": str(self.takes),
            "reserve": self.reserve,
        }

    @property
    def reserve(self) -> str:
        """Return the reserve in words."""
        return f"{_time(self.reserve_s)}: {self.back} to undo it, {_time(LOCKS_S)} to get the locks for that"


def seconds_until(ends: datetime) -> float:
    """Return the seconds from now to a moment, by this machine's clock."""
    return (ends - datetime.now(ends.tzinfo)).total_seconds()


def fit(conn: Connection, step: Step, ends: datetime | None) -> Fit | None:
    """Return how a step fits the window, or None where none was set.

    Raises WindowTooShort when the step and its way back would not be done before the window ends.
    """
    if ends is None:
        return None
    found = plan(conn, step, ends)
    if not found.fits:
        raise WindowTooShort(
            step=step.name,
            ends=window.spelled(ends),
            left=found.left,
            takes=str(found.takes),
            reserve=found.reserve,
        )
    return found


def plan(conn: Connection, step: Step, ends: datetime) -> Fit:
    """Return what a step and its way back take here and now, beside the end of the window."""
    return Fit(ends, of(conn, [step.migrate]), of(conn, step.rollback))


def of(conn: Connection, scripts: Sequence[Script]) -> Forecast:
    """Return how long scripts take together here and now: what their headers say, times what is measured."""
    rates: dict[str, Rate] = {}
    seconds, how, words = 0.0, [], []
    for script in scripts:
        estimate = script.header.estimate
        if estimate is None:
            estimate = Estimate(UNKNOWN_MS)
            how.append(f"{script.label} gives no estimate")
        seconds += estimate.fixed_ms / 1000
        words += [estimate.words] if estimate.words else []
        for times, table in estimate.reads:
            if table not in rates:
                rates[table] = rate_of(conn, table)
            seconds += times * rates[table].seconds
            how.append(f"{rates[table]}, {times:g} read{'' if times == 1 else 's'}")
    return Forecast(max(seconds, LEAST_S), " + ".join(how), "; ".join(words))


def rate_of(conn: Connection, table: str) -> Rate:
    """Return the size of a table with its partitions, and how fast one session reads it now.

    Reads some ranges of blocks that are spread over the table, at most 32 MB and for about half a second, and
    takes the server's own execution times, so that the network does not count. Where it cannot be read (the
    privilege is missing, somebody locks it) the rate is assumed.
    """
    read = used = trying = 0.0
    size = 0
    try:
        with session.reading(conn, timeout_ms=int(LIMIT_S * 1000), lock_timeout_ms=LOCK_TIMEOUT_MS):
            # As one session reads; which of the rows it may see is no matter.
            conn.execute(
                "SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; SET LOCAL row_security = on"
            )
            parts = session.rows(conn, "table_parts", {"table": table, "exact": True})
            size = sum(part["bytes"] for part in parts)
            ends = time.perf_counter() + LIMIT_S
            for name, first, last, block in _ranges(parts):
                if time.perf_counter() >= ends:
                    break
                trying = (last - first) * block
                used += _read(conn, name, first, last)
                read, trying = read + trying, 0.0
    except psycopg.Error as error:
        if trying and isinstance(error, psycopg.errors.QueryCanceled):
            # It may well be slower; that it is no faster is known.
            read, used = read + trying, used + LIMIT_S
        if not size:
            parts = session.rows(conn, "table_parts", {"table": table, "exact": False})
            size = sum(part["bytes"] for part in parts)
    if not read:
        return Rate(table, size, ASSUMED, measured=False)
    return Rate(table, size, read / max(used, 1e-6))


def _ranges(parts: Sequence[dict[str, int | str]]) -> Iterator[tuple[str, int, int, int]]:
    """Yield ranges of blocks as (part, first, end, bytes a block), each from one stretch of the table.

    At random places: what an earlier forecast has read is in memory now, and the rest may not be.
    """
    total = sum(int(part["bytes"]) // int(part["block"]) for part in parts)
    stretch = total / RANGES
    wanted = [
        int(number * stretch + random.random() * max(0.0, stretch - RANGE_BLOCKS)) for number in range(RANGES)
    ]
    before = 0
    for part in parts:
        blocks, block = int(part["bytes"]) // int(part["block"]), int(part["block"])
        for first in sorted({place - before for place in wanted if before <= place < before + blocks}):
            last = min(first + max(1, min(RANGE_BLOCKS, int(stretch))), blocks)
            yield str(part["name"]), first, last, block
        before += blocks


def _read(conn: Connection, part: str, first: int, last: int) -> float:
    """Return how long the server took to read some blocks, in seconds."""
    query = sql.SQL(
        "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) SELECT count(*) FROM ONLY {}"
        " WHERE ctid >= {}::tid AND ctid < {}::tid"
    ).format(sql.Identifier(*split_name(part)), sql.Literal(f"({first},0)"), sql.Literal(f"({last},0)"))
    row = conn.execute(query).fetchone()
    assert row is not None
    return float(next(iter(row.values()))[0]["Execution Time"]) / 1000


def _time(seconds: float) -> str:
    """Return a time in words.

    >>> _time(0.0042), _time(12.34), _time(190), _time(7260)
    ('5 ms', '12.3 s', '3 min 10 s', '2 h 1 min')
    """
    if seconds < 0.9995:
        return f"{max(1, -int(-seconds * 1000 // 1))} ms"
    if seconds < 99.95:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if rest else f"{minutes} min"


def _bytes(number: float) -> str:
    """Return a size in words.

    >>> _bytes(8192), _bytes(3_400_000), _bytes(1_340_000_000)
    ('0.01 MB', '3.4 MB', '1.34 GB')
    """
    return f"{number / 1e9:.3g} GB" if number >= 999.5e6 else f"{max(number / 1e6, 0.01):.3g} MB"
