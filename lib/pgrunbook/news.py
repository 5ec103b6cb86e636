"""The news of running work: who is in its way, how far a build is, how long anybody had to wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from pgrunbook import signalling
from pgrunbook.observers import Observation
from pgrunbook.pace import Progress
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
    _told: tuple[str, ...] = ()
    _progress: Progress | None = None

    def waits(self, blockers: Sequence[Blocker], attempts: int) -> None:
        """Take who is in the way now, and how often the locks were asked for so far."""
        self._blockers, self._attempts, self._looked = blockers, attempts, time.perf_counter()

    def sampled(self, observation: Observation) -> None:
        """Take what the observers have seen so far."""
        self._observation = observation

    def repaired(self, progress: Progress) -> None:
        """Take how far a remedy or its undo is."""
        self._progress = progress

    def tell(self, sentence: str) -> None:
        """Take what came of something that the operator asked for; the last few are shown."""
        self._told = (*self._told, sentence)[-_SHOWN:]

    @property
    def blockers(self) -> Sequence[Blocker]:
        """Return who is in the way as far as is known; a look that is too old counts no more."""
        return self._blockers if time.perf_counter() - self._looked <= _STALE_S else ()

    @property
    def awaited(self) -> set[int]:
        """Return the pids of the sessions that a build waits for now."""
        last = self._observation.builds[-1:] if self._observation else ()
        return {pid for one in last for pid in (one.waits_for, *(who.pid for who in one.awaited)) if pid}

    @property
    def seconds(self) -> float:
        """Return how long the work has run, in seconds."""
        return time.perf_counter() - self.began

    @property
    def lines(self) -> list[tuple[str, str]]:
        """Return what the operator should know now, as names and values; texts come from the database."""
        repaired = [("rows", str(self._progress))] if self._progress else []
        return [
            *repaired,
            *self._in_the_way(),
            *self._build(),
            *self._stall(),
            *(("asked", one) for one in self._told),
        ]

    def _in_the_way(self) -> list[tuple[str, str]]:
        if not (blockers := self.blockers):
            return []
        lines = []
        for one in blockers[:_SHOWN]:
            lines.append(("in the way", str(one)))
            does = "runs" if one.state == "active" else "last statement"
            said = [f"role {one.user!r}"] * bool(one.user) + [f"{does}: {one.query}"] * bool(one.query)
            if said:
                lines.append(("", "; ".join(said)))
            if why := signalling.stays(one, statement_only=False):
                lines.append(("", f"{why[0]}: {why[1]}"))
        if (more := len(blockers) - _SHOWN) > 0:
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
        awaited = [str(one) for one in last.awaited[:_SHOWN]]
        if last.waits_for and not awaited:
            awaited = [f"pid {last.waits_for}"]
        lines = [("build", last.doing), *(("in the way", one) for one in awaited)]
        if awaited:
            lines.append(("meanwhile", "nobody waits behind us; it goes on when their transactions end"))
        return lines

    def _stall(self) -> list[tuple[str, str]]:
        worst = self._observation.worst_stall_ms if self._observation else 0.0
        return [("others", f"waited for us, the longest {duration(worst)}")] if worst else []
