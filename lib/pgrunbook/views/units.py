"""Numbers as people read them: times, sizes, counts."""

from __future__ import annotations

__all__ = ["counted", "duration", "percent", "size"]


def duration(ms: float) -> str:
    """Return milliseconds in the unit that reads best.

    >>> [duration(value) for value in (0, 0.052, 6.04, 417.3, 2500, 90_000, 7_380_000, 417_600_000)]
    ['0 ms', '0.052 ms', '6.04 ms', '417 ms', '2.5 s', '1 min 30 s', '2 h 3 min', '4 d 20 h']
    """
    if ms < 1:
        return f"{ms:.2g} ms"
    if ms < 999.5:
        return f"{ms:.3g} ms"
    if ms < 59_950:
        return f"{ms / 1000:.3g} s"
    seconds = round(ms / 1000)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s" if seconds % 60 else f"{seconds // 60} min"
    minutes = round(seconds / 60)
    if minutes >= 48 * 60:
        days, hours = divmod(round(minutes / 60), 24)
        return f"{days} d {hours} h" if hours else f"{days} d"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def size(number: int) -> str:
    """Return bytes in the unit that reads best, powers of 1,024 as `pg_size_pretty` counts.

    >>> [size(value) for value in (0, 812, 8192, 1_500_000, 3 * 1024**3)]
    ['0 bytes', '812 bytes', '8 kB', '1.43 MB', '3 GB']
    """
    if abs(number) < 1024:
        return f"{number} bytes"
    value = float(number)
    for unit in ("kB", "MB", "GB", "TB"):
        value /= 1024
        if abs(value) < 999.5 or unit == "TB":
            break
    return f"{value:.3g} {unit}"


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return the number with its noun.

    >>> counted(1, "row"), counted(12345, "row"), counted(2, "query", "queries")
    ('1 row', '12,345 rows', '2 queries')
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def percent(before: float, after: float) -> str:
    """Return the change from one value to another, signed.

    >>> percent(100, 133), percent(100, 50), percent(0, 5), percent(7, 7)
    ('+33 %', '-50 %', 'new', 'the same')
    """
    if before == after:
        return "the same"
    return f"{(after - before) / before * 100:+.0f} %" if before else "new"
