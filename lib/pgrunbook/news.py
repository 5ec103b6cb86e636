"""The news of running work: what it does, who is in its way, how far it is, how long anybody had to wait."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pgrunbook import signalling
from pgrunbook.observers import Observation
from pgrunbook.observers.progress import BuildSample
from pgrunbook.pace import Progress
from pgrunbook.patience import Blocker
from pgrunbook.spells import Seen, Spell, Spells
from pgrunbook.stage import ASKS, Stage
from pgrunbook.views.live_waits import HELD_BACK, HOLDS, OURS, live_waits
from pgrunbook.views.step_panel import Frame

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
    _stage: Stage | None = None
    _job_began: float = field(default_factory=time.perf_counter)
    _spells: Spells = field(default_factory=Spells)
    _ours: list[Spell] = field(default_factory=list)
    _before: list[Seen] = field(default_factory=list)

    def at(self, stage: Stage) -> None:
        """Take what the job does now; another script than before is another job."""
        if self._stage is None or stage.script != self._stage.script:
            self._before.extend(self._seen())
            self._job_began, self._attempts = time.perf_counter(), 0
            self._spells, self._ours, self._observation = Spells(), [], None
        self._blockers = ()
        if stage.doing == ASKS:
            self._attempts += 1
        if stage.holds:
            self._goes_on(HOLDS)
        self._stage = stage

    def waits(self, blockers: Sequence[Blocker], attempts: int) -> None:
        """Take who is in the way now, and how often the locks were asked for so far."""
        fresh = not self._blockers
        self._blockers, self._attempts, self._looked = blockers, attempts, time.perf_counter()
        if blockers:
            self._goes_on(HELD_BACK, fresh=fresh)

    def sampled(self, observation: Observation) -> None:
        """Take what the observers have seen so far."""
        self._observation = observation
        self._spells.take(observation.waits)

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
            *(("asked", one) for one in self._told),
        ]

    @property
    def frame(self) -> Frame:
        """Return what the panel shows now: plain values, from what was seen already."""
        stage = self._stage
        return Frame(
            seconds=self.seconds,
            doing=self._doing(),
            held_back_s=sum(one.ms for one in self._ours if one.side == HELD_BACK) / 1000,
            takes_s=stage.takes_s if stage else None,
            share=self._share(),
            worst_ms=self._spells.worst_ms,
            budget_ms=stage.stall_budget_ms if stage else 0.0,
            lines=self.lines,
            picture=self.picture,
            cancel=stage.cancel if stage else "",
        )

    @property
    def seen(self) -> list[Seen]:
        """Return what was seen of each job so far; nothing where no job was watched."""
        return [*self._before, *self._seen()]

    def _seen(self) -> list[Seen]:
        """Return what was seen of the job that runs now, if anything was."""
        found, stage = self._observation or Observation(), self._stage
        if stage is None or not (found.samples or self._ours):
            return []
        label = stage.script.rpartition("/")[2].split("_")[0].removesuffix(".sql")
        back, held = (
            [(one.start_ms, one.end_ms, says(one)) for one in self._ours if one.side == side]
            for side, says in (
                (HELD_BACK, lambda one: one.who),
                (HOLDS, lambda _one: label),
            )
        )
        return [
            Seen(
                offset_ms=(self._job_began - self.began) * 1000,
                waits=found.waits,
                builds=found.builds,
                held=held,
                held_back=back,
                samples=found.samples,
                stall_budget_ms=stage.stall_budget_ms,
            )
        ]

    @property
    def picture(self) -> str:
        """Return who waits for whom as SVG, or nothing while nobody does."""
        ours, waits = list(self._ours), self._spells.all
        if not waits and all(one.side == HOLDS for one in ours):
            return ""
        mine = sorted([*ours, *(one for one in waits if one.side == OURS)], key=lambda one: one.start_ms)
        return live_waits(mine, [one for one in waits if one.side != OURS])

    def _goes_on(self, side: str, *, fresh: bool = False) -> None:
        now = (time.perf_counter() - self._job_began) * 1000
        last = self._ours[-1] if self._ours else None
        pids = tuple(one.pid for one in self._blockers if one.pid) if side == HELD_BACK else ()
        if last is not None and last.side == side and not fresh:
            self._ours[-1] = replace(last, end_ms=now, blockers=pids or last.blockers)
        else:
            who = self._blockers[0].who if side == HELD_BACK else ""
            self._ours.append(Spell(0, who, now, now, side, pids))

    def _doing(self) -> str:
        stage = self._stage
        if blockers := self.blockers:
            more = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
            return f"waits because of {blockers[0].who}{more}; it does not queue"
        if stage is None:
            return "works batch by batch" if self._progress is not None else "works"
        if stage.doing == ASKS and self._attempts > 1:
            return f"{ASKS}, try {self._attempts}"
        if (build := self._running_build()) is not None:
            return build.doing
        return stage.doing

    def _running_build(self) -> BuildSample | None:
        """Return the last look at a build that runs now."""
        seen, stage = self._observation, self._stage
        runs = stage is not None and stage.doing.startswith("runs ")
        return seen.builds[-1] if seen is not None and seen.builds and runs else None

    def _share(self) -> float | None:
        """Return how much is done, from 0 to 1, where that is known."""
        if (rows := self._progress) is not None:
            return rows.rows / rows.expected if 0 < rows.rows <= rows.expected else None
        build = self._running_build()
        if build is None or not build.total or build.phase.startswith("waiting"):
            return None
        return min(1.0, build.done / build.total)

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
