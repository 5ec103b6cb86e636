"""The bars of lock waits: one a wait, however many samples saw it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pgrunbook.views.units import duration

__all__ = ["BEHIND", "OTHER", "OURS", "Bar", "Wait", "collapse"]

BEHIND, OURS, OTHER = "behind us", "ours", "other"
# In the order of concern.
_SIDES = [BEHIND, OURS, OTHER]


class Wait(Protocol):
    """One sample of one session that waits for a lock; times in ms since the step began.

    Plain values: `observers.locks.Wait(**row)` of a row read from JSON will do. `side` is "ours", "behind us" or
    "other"; anything else is drawn as other.
    """

    @property
    def at_ms(self) -> float: ...  # noqa: D102
    @property
    def pid(self) -> int: ...  # noqa: D102
    @property
    def who(self) -> str: ...  # noqa: D102
    @property
    def waited_ms(self) -> float: ...  # noqa: D102
    @property
    def wants(self) -> str: ...  # noqa: D102
    @property
    def relation(self) -> str: ...  # noqa: D102
    @property
    def blockers(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def side(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Bar:
    """One wait, however many samples saw it; times in ms since the step began."""

    pid: int
    who: str
    start_ms: float
    end_ms: float
    side: str
    says: str

    @property
    def waited_ms(self) -> float:
        """Return how long the wait was seen to last."""
        return self.end_ms - self.start_ms


def collapse(waits: Sequence[Wait]) -> tuple[Bar, ...]:
    """Return one bar a wait: samples of one session that overlap are one wait, as bad as its worst."""
    bars: list[Bar] = []
    for wait in sorted(waits, key=lambda wait: (wait.pid, wait.at_ms - wait.waited_ms, wait.at_ms)):
        start, side = wait.at_ms - wait.waited_ms, str(wait.side)
        side = side if side in _SIDES else OTHER
        last = bars[-1] if bars else None
        if last and last.pid == wait.pid and start <= last.end_ms:
            worse = min(side, last.side, key=_SIDES.index)
            end = max(last.end_ms, wait.at_ms)
            bars[-1] = Bar(last.pid, last.who, last.start_ms, end, worse, _says(wait, end - last.start_ms))
        else:
            bars.append(Bar(wait.pid, wait.who, start, wait.at_ms, side, _says(wait, wait.waited_ms)))
    return tuple(bars)


def _says(wait: Wait, waited_ms: float) -> str:
    by = ", ".join(map(str, wait.blockers))
    return f"{wait.who} (pid {wait.pid}) waited {duration(waited_ms)} for {wait.wants} on {wait.relation}" + (
        f", held up by {by}" if by else ""
    )
