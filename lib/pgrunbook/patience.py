"""Taking the locks of a step without making live traffic wait behind us."""

from __future__ import annotations

import contextlib
import math
import random
import re
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
    transaction: str = ""

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


@dataclass(frozen=True, slots=True)
class Acquired:
    """How the locks of a step were taken; `at` is time.perf_counter() of that moment.

    `queued_ms` is how long the request that got them stood in the queue, `failed_ms` the longest of those that
    gave up: for so long others may have stood behind it.
    """

    attempts: int
    waited_s: float
    at: float
    queued_ms: float = 0.0
    failed_ms: float = 0.0

    def stall_bound_ms(self, held_ms: float) -> float:
        """Return the longest that anybody can have stood behind us when the locks were held for so long.

        >>> Acquired(2, 0.1, 0.0, queued_ms=1.0, failed_ms=20.0).stall_bound_ms(3.0)
        20.0
        """
        return max(self.failed_ms, self.queued_ms + held_ms)


def blockers(look: Connection, locks: Sequence[LockClaim], *, ours: int | None = None) -> list[Blocker]:
    """Return everybody who holds a lock that conflicts with one of ours, oldest first."""
    return _Looks(look, locks, ours).take()


class _Looks:
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
        holders = [
            Blocker(**{**row, "age_ms": (time.perf_counter() - self.since[row["transaction"]]) * 1000})
            if row["age_ms"] is None
            else Blocker(**row)
            for row in found
        ]
        return sorted(holders, key=lambda one: -one.age_ms)


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
    that nobody has to queue behind our request. No attempt, however many locks it is for, waits longer than
    half the stall budget or its row of the policy, whichever is less. An autovacuum worker is asked to give
    way, unless it works against wraparound. `checkpoint` is called between attempts and may raise to stop.
    Raises LockNotTaken after the last row, or after `limit_s` seconds, by default the worst case of the
    policy; then, as after any other error, no transaction is open (PostgreSQL manual, 13.3.1 and
    `lock_timeout`).
    """
    began = time.perf_counter()
    deadline = began + (worst_case(policy) if limit_s is None else limit_s)
    ordered = sorted(locks, key=lambda claim: (claim.table, claim.mode.value))
    looks = _Looks(look, ordered, work.info.backend_pid)
    asked = longest_ms = 0
    failed_ms = 0.0
    for row in policy:
        if not _clear(looks, deadline, asked, on_wait, checkpoint):
            break
        asked += 1
        timeout_ms = max(1, min(row.lock_timeout_ms, stall_budget_ms // 2))
        longest_ms = max(longest_ms, timeout_ms)
        asked_at = time.perf_counter()
        taken = _ask(work, ordered, timeout_ms)
        now = time.perf_counter()
        if taken:
            return Acquired(asked, now - began, now, queued_ms=(now - asked_at) * 1000, failed_ms=failed_ms)
        failed_ms = max(failed_ms, (now - asked_at) * 1000)
        on_wait(looks.take(), asked)
        # Jitter keeps two runners, or a runner and a cron job, from meeting for ever.
        pause = row.pause_ms / 1000 * (1 + random.uniform(-_JITTER, _JITTER))
        _pause(min(pause, deadline - time.perf_counter()), checkpoint)
        if time.perf_counter() >= deadline:
            break
    raise LockNotTaken(
        locks="; ".join(f"{claim.mode.word} on {claim.table}" for claim in ordered),
        attempts=asked,
        seconds=time.perf_counter() - began,
        longest_ms=longest_ms,
        blockers=[str(blocker) for blocker in looks.take()],
    )


def _clear(
    looks: _Looks,
    deadline: float,
    asked: int,
    on_wait: Callable[[Sequence[Blocker], int], None],
    checkpoint: Callable[[], None],
) -> bool:
    """Look until no old holder is in the way; return False when the deadline passes first."""
    while True:
        checkpoint()
        old = [one for one in looks.take() if one.age_ms >= OLD_MS]
        if not old:
            return True
        if time.perf_counter() >= deadline:
            return False
        on_wait(old, asked)
        if all(one.backend == "autovacuum worker" for one in old):
            _ask_to_give_way(looks.look, old)
        # Who has been there for a tenth of a second may be gone in a hundredth; who has been there for an
        # hour is worth a look ten times a second. The gap between two short readers must not be missed.
        _pause(min(_LOOK_MOST_S, max(_LOOK_LEAST_S, old[0].age_ms / 1000 / 20)), checkpoint)


def split_name(table: str) -> tuple[str, ...]:
    """Return the parts of a table name as SQL spells it.

    >>> split_name('shop.classes'), split_name('"odd.name"'), split_name('"x""; DROP TABLE y"')
    (('shop', 'classes'), ('odd.name',), ('x"; DROP TABLE y',))
    """
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(table))


_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def _ask(work: Connection, ordered: Sequence[LockClaim], timeout_ms: int) -> bool:
    ends = time.perf_counter() + timeout_ms / 1000
    work.execute("BEGIN")
    try:
        # Also where no lock is claimed: a statement must not queue for one that it takes all the same.
        work.execute(f"SET LOCAL lock_timeout = {timeout_ms}")
        for claim in ordered:
            # One lock_timeout is for one table and one partition; what is held already stalls others meanwhile.
            left_ms = max(1, math.ceil((ends - time.perf_counter()) * 1000))
            work.execute(
                sql.SQL(
                    "SET LOCAL lock_timeout = {left}; SET LOCAL statement_timeout = {left};"
                    " LOCK TABLE {table} IN {mode} MODE"
                ).format(
                    left=sql.Literal(left_ms),
                    table=sql.Identifier(*split_name(claim.table)),
                    mode=sql.SQL(claim.mode.sql),
                )
            )
        work.execute("SET LOCAL statement_timeout = 0")
    except BaseException as error:
        if not work.closed:
            work.execute("ROLLBACK")
        if isinstance(error, (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)):
            return False
        # A cancelled statement is our own timeout when the time is over, and somebody's wish before that.
        if isinstance(error, psycopg.errors.QueryCanceled) and time.perf_counter() >= ends:
            return False
        raise
    return True


def _ask_to_give_way(look: Connection, workers: Sequence[Blocker]) -> None:
    for worker in workers:
        # A role that may not signal it waits until it ends.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            session.rows(look, "cancel_autovacuum", {"pid": worker.pid})


def _pause(seconds: float, checkpoint: Callable[[], None]) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        checkpoint()
        time.sleep(min(left, 0.05))
