"""Faults are counted as they fire, so that the last lines cannot say more than was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from faults.arena import Arena, opened


@dataclass
class Tally:
    """What was fired, and what came back to the clean state."""

    fired: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    rounds: int = 0
    refused: int = 0


TALLY = Tally()


@pytest.fixture(scope="session")
def tally() -> Tally:
    return TALLY


@pytest.fixture(scope="session")
def arena(major: int) -> Iterator[Arena]:
    with opened(major) as made:
        yield made


def pytest_terminal_summary(terminalreporter: Any) -> None:
    if TALLY.fired:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(TALLY.fired.items()))
        terminalreporter.write_line(
            f"faults: {TALLY.fired.total()} ({kinds}), resumed to the clean state: {TALLY.resumed}"
        )
    if TALLY.rounds:
        terminalreporter.write_line(
            f"two runners at once: {TALLY.rounds} rounds, the second was refused in {TALLY.refused} of them,"
            " nothing was done twice"
        )
