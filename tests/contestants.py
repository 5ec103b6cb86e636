"""Results of a contest that are known."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Ran:
    """What a method did, as far as a test says."""

    method: str
    writers: int = 16
    prefixes: int = 1
    duplicates: int | None = 0
    gaps: int | None = 0
    codes: int = 2000
    wanted: int = 2000
    retries: int = 0
    codes_per_second: float = 4000.0
    p50_ms: float = 1.5
    p99_ms: float = 12.25
    max_ms: float = 40.0
    stopped: bool = False


YARDSTICK = Ran("bare", duplicates=None, gaps=None)
CLEAN = Ran("counter")
GAPPY = Ran("sequence", gaps=112)
DOUBLING = Ran("max", duplicates=1600)


def several() -> list[Ran]:
    """Return three methods at three numbers of writers, on one prefix and on many."""
    return [
        Ran(method, writers, prefixes, duplicates=twice if writers > 1 else 0, gaps=gaps)
        for method, twice, gaps in (("counter", 0, 0), ("sequence", 0, 5), ("max", 7, 0))
        for prefixes in (1, 64)
        for writers in (1, 4, 64)
    ]
