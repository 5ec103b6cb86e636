"""Watches who waits for a lock while a step runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Locks", "Side", "Wait", "worst_stall_ms"]


class Side(StrEnum):
    """On which side of our request a waiting session stands; its value is what a ledger or a file holds."""

    OURS = "ours"
    """Our own request waits."""
    BEHIND_US = "behind us"
    """A session waits for us, directly or through others."""
    OTHER = "other"
    """Others among themselves."""


@dataclass(frozen=True, slots=True)
class Wait:
    """One sample of one waiting session; times in milliseconds, `at_ms` since the step began.

    `who` is the session's application or role; `relation` is what it waits for where that is no table.
    """

    at_ms: float
    pid: int
    who: str
    waited_ms: float
    wants: str
    relation: str
    blockers: tuple[int, ...]
    side: Side


class Locks:
    """Samples lock waits (PostgreSQL manual, 52.12 `pg_locks.waitstart`, 9.27 `pg_blocking_pids`)."""

    def __init__(self, ours: int) -> None:
        """Watch the session with this pid."""
        self.ours = ours
        self.waits: list[Wait] = []
        self.samples = 0

    def before(self, conn: Connection) -> None:
        """Do nothing: waits before the step are not ours."""

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Add a `Wait` for each session that waits now."""
        self.samples += 1
        found = session.rows(conn, "lock_waits")
        behind = _behind(self.ours, {row["pid"]: tuple(row["blockers"]) for row in found})
        for row in found:
            side = (
                Side.OURS
                if row["pid"] == self.ours
                else Side.BEHIND_US
                if row["pid"] in behind
                else Side.OTHER
            )
            self.waits.append(
                Wait(
                    at_ms=at_ms,
                    pid=row["pid"],
                    who=row["who"],
                    waited_ms=max(0.0, row["waited_ms"]),
                    wants=row["wants"],
                    relation=row["relation"],
                    blockers=tuple(row["blockers"]),
                    side=side,
                )
            )

    def after(self, conn: Connection) -> None:
        """Do nothing: the samples are the result."""


def worst_stall_ms(waits: Sequence[Wait]) -> float:
    """Return the longest wait of a session that stood behind us, in milliseconds; 0 when nobody did."""
    return max((wait.waited_ms for wait in waits if wait.side is Side.BEHIND_US), default=0.0)


def _behind(ours: int, blocked_by: dict[int, tuple[int, ...]]) -> set[int]:
    """Return the sessions that wait for `ours`, directly or through other waiting sessions.

    >>> sorted(_behind(1, {2: (1,), 3: (2,), 4: (9,)}))
    [2, 3]
    """
    behind: set[int] = set()
    grown = True
    while grown:
        grown = False
        for pid, holders in blocked_by.items():
            if pid != ours and pid not in behind and (ours in holders or behind.intersection(holders)):
                behind.add(pid)
                grown = True
    return behind
