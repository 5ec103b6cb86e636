"""The spells of a step: who waited for whom from when to when, folded together as the samples come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Whoever only draws has no need of a database driver.
    from pgrunbook.observers.locks import Wait
    from pgrunbook.observers.progress import BuildSample

__all__ = ["MOST", "Seen", "Span", "Spell", "Spells"]

Span = tuple[float, float, str]
"""From when to when, in ms, and a label."""

MOST = 200
_GAP_MS = 1.0
_BEHIND = "behind us"


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which one session waited, or we held back or held our locks; in ms since the job began."""

    pid: int
    who: str
    start_ms: float
    end_ms: float
    side: str
    blockers: tuple[int, ...] = ()

    @property
    def ms(self) -> float:
        """Return how long it was seen to last."""
        return self.end_ms - self.start_ms


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one job; times in ms since it began, which was at `offset_ms` of the whole."""

    offset_ms: float = 0.0
    waits: Sequence[Wait] = ()
    builds: Sequence[BuildSample] = ()
    held: Sequence[Span] = ()
    held_back: Sequence[Span] = ()
    samples: int = 0
    stall_budget_ms: float = 0.0


@dataclass(slots=True)
class Spells:
    """Folds samples into spells; each sample is read once, however long the step goes on."""

    worst_ms: float = 0.0
    """The longest that anybody was seen to stand behind us."""
    _read: int = 0
    _last: dict[int, int] = field(default_factory=dict)
    _all: list[Spell] = field(default_factory=list)

    @property
    def all(self) -> tuple[Spell, ...]:
        """Return the spells so far, in the order in which they were first seen."""
        return tuple(self._all)

    def take(self, waits: Sequence[Wait]) -> None:
        """Take all samples so far; those that were taken before are not read again."""
        for wait in waits[self._read :]:
            self._fold(wait)
        self._read = len(waits)
        if len(self._all) > 2 * MOST:
            self._forget()

    def _fold(self, wait: Wait) -> None:
        start = wait.at_ms - wait.waited_ms
        if wait.side == _BEHIND:
            self.worst_ms = max(self.worst_ms, wait.waited_ms)
        found = Spell(wait.pid, wait.who, start, wait.at_ms, str(wait.side), wait.blockers)
        place = self._last.get(wait.pid)
        if place is not None and start <= (last := self._all[place]).end_ms + _GAP_MS:
            # As bad as its worst sample.
            side = last.side if last.side == _BEHIND else found.side
            self._all[place] = replace(found, start_ms=last.start_ms, side=side)
            return
        self._last[wait.pid] = len(self._all)
        self._all.append(found)

    def _forget(self) -> None:
        """Keep the last ones: a live picture shows what is, and the worst stall is known."""
        self._all = self._all[-MOST:]
        self._last = {one.pid: place for place, one in enumerate(self._all)}
