"""A timing: what a query was measured to cost, and what of its expectation that does not hold."""

from __future__ import annotations

import statistics
from dataclasses import dataclass

from pgrunbook.header import Expectation

__all__ = ["Timing", "misses"]


@dataclass(frozen=True, slots=True)
class Timing:
    """One query measured: execution times in milliseconds, and its plan (the last run's)."""

    name: str
    title: str
    runs_ms: tuple[float, ...]
    rows: int
    nodes: tuple[str, ...]
    indexes: tuple[str, ...]
    shared_hit: int
    shared_read: int
    text: str = ""
    """The plan as EXPLAIN writes it for people; without its times where there was none left to run it again."""

    @property
    def median_ms(self) -> float:
        """Return the median execution time in milliseconds."""
        return statistics.median(self.runs_ms)


def misses(timing: Timing, expect: Expectation | None) -> list[str]:
    """Return what a timing does not hold of its expectation, one sentence each; empty when all holds."""
    if expect is None:
        return []
    found = []
    if expect.index is not None and expect.index not in timing.indexes:
        used = ", ".join(timing.indexes) or "no index"
        found.append(f"expected index {expect.index}, the plan uses {used} ({timing.nodes[0]})")
    if expect.median_below_ms is not None and timing.median_ms >= expect.median_below_ms:
        found.append(
            f"expected a median below {expect.median_below_ms:g} ms, found {timing.median_ms:.3f} ms"
        )
    if expect.rows is not None and timing.rows != expect.rows:
        noun = "row" if expect.rows == 1 else "rows"
        found.append(f"expected {expect.rows} {noun}, found {timing.rows}")
    return found
