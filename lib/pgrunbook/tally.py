"""The tally of a suite: how its lanes ended, from pytest's reports, as a table and a last line."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Outcome", "counts", "summary", "table"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a lane ended; a red lane always counts at least one failure."""

    name: str
    green: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    again: int = 0
    """How many of those that passed had failed first."""


def counts(junit: Path | None) -> tuple[int, int, int]:
    """Return how many tests a pytest report says passed, failed (errors included) and were skipped."""
    if junit is None or not junit.exists():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(junit).iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def table(outcomes: Sequence[Outcome]) -> list[str]:
    r"""Return the lines of the closing table.

    >>> outcomes = [Outcome("types", True, 12.3), Outcome("tests on 18", False, 61.0, 99, 1, 2)]
    >>> print("\n".join(table(outcomes)))
    lane           result   passed   failed  skipped    again    seconds
    types          passed        0        0        0        0         12
    tests on 18    FAILED       99        1        2        0         61
    """
    width = max(len(outcome.name) for outcome in outcomes) + 4
    lines = [f"{'lane':{width}}result   passed   failed  skipped    again    seconds"]
    for one in outcomes:
        result = "passed" if one.green else "FAILED"
        figures = f"{one.passed:9}{one.failed:9}{one.skipped:9}{one.again:9}{one.seconds:11.0f}"
        lines.append(f"{one.name:{width}}{result}{figures}")
    return lines


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the last line; tests that passed only when they ran again are told.

    >>> summary([Outcome("style", False, 0.1, failed=1), Outcome("tests on 18", True, 61.0, 99)])
    '99 passed, 1 failed'
    >>> summary([Outcome("tests on 18", True, 61.0, 99, again=2)])
    '99 passed (2 only when run again), 0 failed'
    """
    passed, failed, again = (
        sum(column) for column in zip(*((one.passed, one.failed, one.again) for one in outcomes), strict=True)
    )
    unsteady = f" ({again} only when run again)" if again else ""
    return f"{passed} passed{unsteady}, {failed} failed"
