"""The news of running work: who is in its way, how far a build is, how long anybody had to wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pgrunbook.observers import Observation
from pgrunbook.patience import Blocker
from pgrunbook.views.units import duration

__all__ = ["News"]

_SHOWN = 5
# A look that found somebody is repeated within seconds; without a new one they are gone.
_STALE_S = 6.0


@dataclass(slots=True)
class News:
    """What a run last told about its work; told from other threads, read by the panel."""

    began: float = field(default_factory=time.perf_counter)
    _blockers: Sequence[Blocker] = ()
    _attempts: int = 0
    _looked: float = 0.0
    _observation: Observation | None = None

    def waits(self, blockers: Sequence[Blocker], attempts: int) -> None:
        """Take who is in the way now, and how often the locks were asked for so far."""
        self._blockers, self._attempts, self._looked = blockers, attempts, time.perf_counter()

    def sampled(self, observation: Observation) -> None:
        """Take what the observers have seen so far."""
        self._observation = observation

    @property
    def seconds(self) -> float:
        """Return how long the work has run, in seconds."""
        return time.perf_counter() - self.began

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Return what the operator should know now, as names and values; texts come from the database."""
        return [*self._in_the_way(), *self._build(), *self._stall()]

    def _in_the_way(self) -> list[tuple[str, str]]:
        if not self._blockers or time.perf_counter() - self._looked > _STALE_S:
            return []
        lines = []
        for one in self._blockers[:_SHOWN]:
            lines.append(("in the way", str(one)))
            if one.query:
                lines.append(("", f"last statement: {one.query}"))
        if (more := len(self._blockers) - _SHOWN) > 0:
            lines.append(("", f"and {more} more"))
        asked = f"; asked {self._attempts} times so far" if self._attempts > 1 else ""
        lines.append(
            ("meanwhile", f"we do not queue, so nobody waits behind us; it goes on when they end{asked}")
        )
        return lines

    def _build(self) -> list[tuple[str, str]]:
        if self._observation is None or not self._observation.builds:
            return []
        last = self._observation.builds[-1]
        counts = last.total and not last.phase.startswith("waiting")
        share = f", {min(100, 100 * last.done // last.total)} %" if counts else ""
        lines = [("build", f"{last.phase}{share}")]
        if last.waits_for:
            lines.append(("in the way", f"pid {last.waits_for}: the build goes on when its transaction ends"))
        return lines

    def _stall(self) -> list[tuple[str, str]]:
        worst = self._observation.worst_stall_ms if self._observation else 0.0
        return [("others", f"waited for us, the longest {duration(worst)}")] if worst else []
