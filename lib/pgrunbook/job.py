"""A job: one script to perform, the hands that do it, how it went, and its row in the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import psycopg

from pgrunbook import patience, window
from pgrunbook.change import Script
from pgrunbook.errors import LockNotTaken, StepCancelled, WindowEnded
from pgrunbook.forecast import Fit
from pgrunbook.ledger import Ledger, Status
from pgrunbook.observers import Observation, Watch
from pgrunbook.patience import Attempt, Blocker
from pgrunbook.session import Connection
from pgrunbook.stage import Stage

__all__ = ["Budgets", "Cancelled", "Hands", "Job", "Outcome", "event", "mark", "record_failure"]


class Cancelled(Exception):
    """Raised by a checkpoint when the operator asked to stop."""


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits of a run, in milliseconds, which a file's header overrides, and the end of the window."""

    stall_ms: int = 100
    hold_ms: int = 500
    policy: tuple[Attempt, ...] = patience.POLICY
    patience_s: float = 600.0
    window_ends: datetime | None = None
    remedy_share: float = 0.5
    """The share of the time in which a remedy works; it pauses for the rest."""

    @property
    def window(self) -> str:
        """Return the end of the window in words, or nothing where none was set."""
        return window.spelled(self.window_ends) if self.window_ends else ""


@dataclass(frozen=True, slots=True)
class Job:
    """One script to perform: forwards (a step) or backwards (one part of its way back)."""

    change: str
    step: str
    script: Script
    sha256: str
    proof: Script | None
    starts_as: Status
    ends_as: Status
    kind: str
    part: str = ""
    resumed: bool = False
    fit: Fit | None = None
    """How it fits the window; None: no window was set, or the job is not bound to it."""
    still_open: Callable[[], None] = lambda: None
    """Raises where somebody closed its gate before all could see that it has begun."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job went; times in seconds or milliseconds as named."""

    step: str
    status: Status
    note: str
    seconds: float = 0.0
    held_ms: float = 0.0
    attempts: int = 0
    waited_s: float = 0.0
    stall_budget_ms: int = 100
    stall_bound_ms: float = 0.0
    observation: Observation = field(default_factory=Observation)
    notices: tuple[str, ...] = ()

    @property
    def worst_stall_ms(self) -> float:
        """Return the longest that anybody can have stood behind our request, in milliseconds.

        Short stalls fall between two samples. Time in the queue and time with the locks together cannot be
        too low, so that they count wherever our locks stop others.
        """
        return max(self.observation.worst_stall_ms, self.stall_bound_ms)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return those notices of the server that an operator has to read now."""
        return tuple(one for one in self.notices if one.startswith("WARNING: "))

    @property
    def facts(self) -> dict[str, object]:
        """Return the figures for the ledger."""
        return {
            "note": self.note,
            "seconds": round(self.seconds, 4),
            "held_ms": round(self.held_ms, 2),
            "attempts": self.attempts,
            "waited_s": round(self.waited_s, 3),
            "worst_stall_ms": round(self.worst_stall_ms, 1),
            "stall_budget_ms": self.stall_budget_ms,
            "sizes": {one.name: [one.before_bytes, one.after_bytes] for one in self.observation.sizes},
            "build_phases": list(dict.fromkeys(one.phase for one in self.observation.builds)),
            "notices": list(self.notices),
        }


@dataclass(slots=True)
class Hands:
    """The three connections of a run and what the operator sees and says while a job is performed."""

    work: Connection
    ledger: Ledger
    watch: Callable[[], Connection]
    run_id: str
    actor: str
    budgets: Budgets = field(default_factory=Budgets)
    checkpoint: Callable[[], None] = lambda: None
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None
    on_sample: Callable[[Observation], None] = lambda _observation: None
    on_stage: Callable[[Stage], None] = lambda _stage: None
    stage: Stage | None = None
    """What the job does now, once it does something."""
    ran: bool = False
    """A statement outside a transaction came to its end: what it made stays, whatever happens then."""
    told: bool = True
    """The ledger holds how the job ended."""
    entry: int | None = None
    """The number of the journal's entry that will tell how the job ended, if it fails."""
    deadline: float | None = None
    """The moment of time.perf_counter() at which waiting and building have to end; None: no window was set."""
    window_ends: str = ""
    """The end of the window in words."""
    watched: Watch | None = None
    """Who watches the job, once somebody does."""

    @property
    def observation(self) -> Observation:
        """Return what was seen of the job so far."""
        return self.watched.observation if self.watched else Observation()

    def at(self, doing: str, *, holds: bool = False) -> None:
        """Tell what the job does now; `holds` once it has its locks."""
        if self.stage is not None:
            self.stage = replace(self.stage, doing=doing, holds=holds)
            self.on_stage(self.stage)

    @property
    def left_s(self) -> float | None:
        """Return the seconds until waiting and building have to end, or None where no window was set."""
        return None if self.deadline is None else max(0.0, self.deadline - time.perf_counter())

    @property
    def stopped(self) -> bool:
        """Return whether the operator asked to stop."""
        try:
            self.checkpoint()
        except Cancelled:
            return True
        return False


def record_failure(job: Job, hands: Hands, error: BaseException) -> bool:
    """Write how a job ended to the ledger; return whether the server could be told."""
    cancelled = isinstance(error, StepCancelled) or not isinstance(error, Exception)
    detail: dict[str, object] = {"reason": "cancelled" if cancelled else str(error)}
    if isinstance(error, LockNotTaken | WindowEnded):
        detail["blockers"] = "; ".join(error.blockers)
    if hands.ran:
        detail["ran"] = True
    status = Status.FAILED if job.starts_as is Status.RUNNING else job.starts_as
    try:
        with hands.ledger.conn.transaction():
            mark(job, hands, status, detail=detail)
            event(
                job, hands, f"{job.kind} {'cancelled' if cancelled else 'failed'}", detail, entry=hands.entry
            )
    except psycopg.Error:
        # The journal of the run holds it until the next connection.
        return False
    return True


def mark(
    job: Job,
    hands: Hands,
    status: Status,
    outcome: Outcome | None = None,
    *,
    ledger: Ledger | None = None,
    detail: Mapping[str, object] | None = None,
) -> None:
    """Write the state of the job's step; `outcome` says that this part is done."""
    (ledger or hands.ledger).mark(
        job.step,
        status,
        run_id=hands.run_id,
        change=job.change,
        sha256=job.sha256,
        seconds=outcome.seconds if outcome else None,
        detail={
            "part": job.part,
            "part_done": outcome is not None,
            **(outcome.facts if outcome else detail or {}),
        },
    )


def event(
    job: Job,
    hands: Hands,
    kind: str,
    detail: Mapping[str, object],
    *,
    ledger: Ledger | None = None,
    entry: int | None = None,
) -> None:
    """Append an event about the job; with the number of a journal's entry once only."""
    (ledger or hands.ledger).event(
        run_id=hands.run_id,
        change=job.change,
        step=job.step,
        kind=kind,
        actor=hands.actor,
        detail=detail,
        entry=entry,
    )
