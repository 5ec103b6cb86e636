"""Taking the locks of a step without making live traffic wait behind us."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import sql

from pgrunbook import session
from pgrunbook.errors import LockNotTaken
from pgrunbook.header import LockClaim
from pgrunbook.session import Connection

__all__ = ["POLICY", "Acquired", "Attempt", "Blocker", "acquire", "blockers", "split_name", "worst_case"]

# Holders younger than this are ordinary traffic and gone before our request would be.
OLD_MS = 20.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the policy: how long a request may queue, and the pause after it ran out."""

    lock_timeout_ms: int
    pause_ms: int


POLICY: tuple[Attempt, ...] = (
    *[Attempt(20, 50)] * 20,  # ordinary traffic: the next gap is near
    *[Attempt(30, 250)] * 40,  # busy table: less often, a little longer
    *[Attempt(50, 1000)] * 120,  # hardly a gap: once a second
    *[Attempt(50, 3000)] * 120,  # give others room between our attempts
)


def worst_case(policy: Sequence[Attempt] = POLICY) -> float:
    """Return the longest time in seconds that the policy goes on, pauses with their jitter included.

    >>> worst_case((Attempt(20, 100), Attempt(50, 100)))
    0.37
    """
    pauses = sum(row.pause_ms for row in policy) * (1 + _JITTER)
    return round((sum(row.lock_timeout_ms for row in policy) + pauses) / 1000, 3)


_JITTER = 0.5
_LOOK_LEAST_S, _LOOK_MOST_S = 0.005, 0.1


@dataclass(frozen=True, slots=True)
class Blocker:
    """Somebody who holds what a step wants; times in milliseconds."""

    pid: int | None
    user: str
    application_name: str
    backend: str
    state: str
    relation: str
    holds: str
    age_ms: float
    query: str

    @property
    def who(self) -> str:
        """Return the words that tell this session from others."""
        name = f" {self.application_name!r}" if self.application_name else ""
        return f"pid {self.pid}{name}" if self.pid is not None else self.backend

    def __str__(self) -> str:
        """Return one line: who, how long, what."""
        return (
            f"{self.who} holds {self.holds} on {self.relation} for {self.age_ms / 1000:.1f} s, {self.state}"
        )


@dataclass(frozen=True, slots=True)
class Acquired:
    """How the locks of a step were taken; `at` is time.perf_counter() of that moment."""

    attempts: int
    waited_s: float
    at: float


def blockers(look: Connection, locks: Sequence[LockClaim], *, ours: int | None = None) -> list[Blocker]:
    """Return everybody who holds a lock that conflicts with one of ours, oldest first."""
    wanted = [(claim.table, mode.catalog) for claim in locks for mode in claim.mode.conflicting]
    found = session.rows(
        look,
        "lock_holders",
        {"relations": [table for table, _ in wanted], "modes": [mode for _, mode in wanted], "ours": ours},
    )
    return [Blocker(**row) for row in found]


def acquire(
    work: Connection,
    look: Connection,
    locks: Sequence[LockClaim],
    *,
    stall_budget_ms: int,
    policy: Sequence[Attempt] = POLICY,
    limit_s: float | None = None,
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Acquired:
    """Begin a transaction on `work` that holds all locks, in one fixed order; return how it went.

    Looks from a second connection first and does not ask while an old conflicting holder is there, so
    that nobody has to queue behind our request. No request waits longer than half the stall budget or
    its row of the policy, whichever is less. `checkpoint` is called between attempts and may raise to
    stop. Raises LockNotTaken after the last row, or after `limit_s` seconds, by default the worst case
    of the policy (PostgreSQL manual, 13.3.1 and `lock_timeout`).
    """
    began = time.perf_counter()
    limit = worst_case(policy) if limit_s is None else limit_s
    ordered = sorted(locks, key=lambda claim: (claim.table, claim.mode.value))
    asked = 0
    for row in policy:
        if not _clear(work, look, ordered, began + limit, asked, on_wait, checkpoint):
            break
        asked += 1
        if _ask(work, ordered, max(1, min(row.lock_timeout_ms, stall_budget_ms // 2))):
            return Acquired(asked, time.perf_counter() - began, time.perf_counter())
        on_wait(blockers(look, ordered, ours=work.info.backend_pid), asked)
        # Jitter keeps two runners, or a runner and a cron job, from meeting for ever.
        _pause(row.pause_ms / 1000 * (1 + random.uniform(-_JITTER, _JITTER)), checkpoint)
    raise LockNotTaken(
        locks="; ".join(f"{claim.mode.word} on {claim.table}" for claim in ordered),
        attempts=asked,
        seconds=time.perf_counter() - began,
        blockers=[str(blocker) for blocker in blockers(look, ordered, ours=work.info.backend_pid)],
    )


def _clear(
    work: Connection,
    look: Connection,
    ordered: Sequence[LockClaim],
    deadline: float,
    asked: int,
    on_wait: Callable[[Sequence[Blocker], int], None],
    checkpoint: Callable[[], None],
) -> bool:
    """Look until no old holder is in the way; return False when the deadline passes first."""
    while True:
        checkpoint()
        old = [one for one in blockers(look, ordered, ours=work.info.backend_pid) if one.age_ms >= OLD_MS]
        if not old:
            return True
        if time.perf_counter() >= deadline:
            return False
        on_wait(old, asked)
        # Who has been there for a tenth of a second may be gone in a hundredth; who has been there for an
        # hour is worth a look ten times a second. The gap between two short readers must not be missed.
        _pause(min(_LOOK_MOST_S, max(_LOOK_LEAST_S, old[0].age_ms / 1000 / 20)), checkpoint)


def split_name(table: str) -> tuple[str, ...]:
    """Return the parts of a table name as written in a header.

    >>> split_name('shop.classes'), split_name('"odd.name"')
    (('shop', 'classes'), ('odd.name',))
    """
    parts, current, inside = [], "", False
    for character in table:
        if character == '"':
            inside = not inside
        elif character == "." and not inside:
            parts.append(current)
            current = ""
        else:
            current += character
    return (*parts, current)


def _ask(work: Connection, ordered: Sequence[LockClaim], timeout_ms: int) -> bool:
    work.execute("BEGIN")
    try:
        work.execute(f"SET LOCAL lock_timeout = {int(timeout_ms)}")
        for claim in ordered:
            work.execute(
                sql.SQL("LOCK TABLE {} IN {} MODE").format(
                    sql.Identifier(*split_name(claim.table)), sql.SQL(claim.mode.sql)
                )
            )
    except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
        work.execute("ROLLBACK")
        return False
    except psycopg.Error:
        if not work.closed:
            work.execute("ROLLBACK")
        raise
    return True


def _pause(seconds: float, checkpoint: Callable[[], None]) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        checkpoint()
        time.sleep(min(left, 0.05))
