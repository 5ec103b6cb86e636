"""Looking who holds what a step wants, and who has left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pgrunbook import session
from pgrunbook.header import LockClaim
from pgrunbook.session import Connection

__all__ = ["OLD_MS", "Blocker", "Looks", "blockers", "pause"]

# Holders younger than this are ordinary traffic and gone before our request would be.
OLD_MS = 20.0
_LEAST_S, _MOST_S, _MOST_WITH_GLANCES_S, _GLANCE_S = 0.005, 0.1, 0.25, 0.025


@dataclass(frozen=True, slots=True)
class Blocker:
    """Somebody who holds what a step wants; times in milliseconds.

    A pid is used again: `backend_start`, empty where the server hides it, tells the session from later ones.
    """

    pid: int | None
    user: str
    application_name: str
    backend: str
    state: str
    relation: str
    holds: str
    age_ms: float
    query: str
    transaction: str = ""
    backend_start: str = ""

    @property
    def who(self) -> str:
        """Return the words that tell this session from others."""
        if self.pid is None:
            return self.backend
        name = f" {self.application_name!r}" if self.application_name else ""
        kind = f" ({self.backend})" if self.backend not in ("client backend", "session") else ""
        return f"pid {self.pid}{name}{kind}"

    def __str__(self) -> str:
        """Return one line: who, how long, what."""
        return (
            f"{self.who} holds {self.holds} on {self.relation} for {self.age_ms / 1000:.1f} s, {self.state}"
        )


def blockers(look: Connection, locks: Sequence[LockClaim], *, ours: int | None = None) -> list[Blocker]:
    """Return everybody who holds a lock that conflicts with one of ours, oldest first."""
    return Looks(look, locks, ours).take()


class Looks:
    """Looks at the same locks again and again.

    To a role without pg_read_all_stats the server does not tell when the transaction of another role began.
    It cannot be older than the last look that did not see it yet; one that the first look finds counts as old.
    """

    def __init__(self, look: Connection, locks: Sequence[LockClaim], ours: int | None) -> None:
        wanted = [(claim.table, mode.catalog) for claim in locks for mode in claim.mode.conflicting]
        self.look = look
        self.asked = {
            "relations": [table for table, _ in wanted],
            "modes": [mode for _, mode in wanted],
            "ours": ours,
        }
        self.since: dict[str, float] = {}
        self.last: float | None = None
        self.cost_s = 0.0

    def take(self) -> list[Blocker]:
        """Return who holds a conflicting lock now, oldest first."""
        now = time.perf_counter()
        found = session.rows(self.look, "lock_holders", self.asked)
        unseen = now - OLD_MS / 1000 if self.last is None else self.last
        self.since = {
            row["transaction"]: self.since.get(row["transaction"], unseen)
            for row in found
            if row["age_ms"] is None
        }
        self.last = now
        self.cost_s = time.perf_counter() - now
        holders = [
            Blocker(**{**row, "age_ms": (time.perf_counter() - self.since[row["transaction"]]) * 1000})
            if row["age_ms"] is None
            else Blocker(**row)
            for row in found
        ]
        return sorted(holders, key=lambda one: -one.age_ms)

    def wait(self, oldest: Blocker, checkpoint: Callable[[], None]) -> None:
        """Return when another look is worth its price, or when the oldest holder has left.

        A look reads the table of locks, which is everybody's; a glance at one session leaves it alone.
        """
        # Where the server hides the beginning of its transaction, only a look can tell.
        visible = oldest.pid is not None and oldest.backend_start != ""
        # Who has been there for a tenth of a second may be gone in a hundredth; who has been there for an
        # hour is worth a look a few times a second. The gap between two short readers must not be missed.
        most = _MOST_WITH_GLANCES_S if visible else _MOST_S
        seconds = min(most, max(_LEAST_S, oldest.age_ms / 1000 / 20))
        # On a server with very many locks a look is dear.
        ends = time.perf_counter() + max(seconds, min(1.0, 10 * self.cost_s))
        seen = {"pid": oldest.pid, "age_ms": oldest.age_ms}
        while (left := ends - time.perf_counter()) > 0:
            pause(min(left, _GLANCE_S), checkpoint)
            if visible and left > _GLANCE_S and not session.rows(self.look, "same_transaction", seen):
                return


def pause(seconds: float, checkpoint: Callable[[], None]) -> None:
    """Wait for so long; `checkpoint` is called meanwhile and may raise to stop."""
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        checkpoint()
        time.sleep(min(left, 0.05))
