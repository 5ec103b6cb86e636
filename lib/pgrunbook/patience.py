"""Taking the locks of a step without making live traffic wait behind us."""

from __future__ import annotations

import contextlib
import itertools
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
from pgrunbook.looking import OLD_MS, Blocker, Looks, blockers, pause
from pgrunbook.session import Connection

__all__ = [
    "OLD_MS",
    "POLICY",
    "Acquired",
    "Attempt",
    "Blocker",
    "acquire",
    "blockers",
    "split_name",
    "worst_case",
]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One row of the policy: how long a request may queue, and the pause after it ran out."""

    lock_timeout_ms: int
    pause_ms: int


POLICY: tuple[Attempt, ...] = (
    *[Attempt(10, 25)] * 10,  # ordinary traffic: its transactions are shorter
    *[Attempt(20, 50)] * 20,  # longer ones: the next gap is near
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


def acquire(
    work: Connection,
    look: Connection,
    locks: Sequence[LockClaim],
    *,
    stall_budget_ms: int,
    policy: Sequence[Attempt] = POLICY,
    limit_s: float | None = None,
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None,
    on_ask: Callable[[], None] = lambda: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Acquired:
    """Begin a transaction on `work` that holds all locks, in one fixed order; return how it went.

    Looks from a second connection first and does not ask while an old conflicting holder is there, so
    that nobody has to queue behind our request. No attempt, however many locks it is for, waits longer than
    half the stall budget or its row of the policy, whichever is less. An autovacuum worker is asked to give
    way, unless it works against wraparound. `on_ask` is called before each attempt, `checkpoint`
    between attempts; it may raise to stop.
    Raises LockNotTaken after the last row, or after `limit_s` seconds, by default the worst case of the
    policy; then, as after any other error, no transaction is open (PostgreSQL manual, 13.3.1 and
    `lock_timeout`).
    """
    began = time.perf_counter()
    deadline = began + (worst_case(policy) if limit_s is None else limit_s)
    ordered = sorted(locks, key=lambda claim: (claim.table, claim.mode.value))
    looks = Looks(look, ordered, session.pid(work))
    asked = longest_ms = 0
    failed_ms = 0.0
    for row in policy:
        if not _clear(looks, deadline, asked, on_wait, checkpoint):
            break
        asked += 1
        timeout_ms = max(1, min(row.lock_timeout_ms, stall_budget_ms // 2))
        longest_ms = max(longest_ms, timeout_ms)
        on_ask()
        asked_at = time.perf_counter()
        taken = _ask(work, ordered, timeout_ms)
        now = time.perf_counter()
        if taken:
            return Acquired(asked, now - began, now, queued_ms=(now - asked_at) * 1000, failed_ms=failed_ms)
        failed_ms = max(failed_ms, (now - asked_at) * 1000)
        on_wait(looks.take(), asked)
        # Jitter keeps two runners, or a runner and a cron job, from meeting for ever.
        pause_s = row.pause_ms / 1000 * (1 + random.uniform(-_JITTER, _JITTER))
        pause(min(pause_s, deadline - time.perf_counter()), checkpoint)
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
    looks: Looks,
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
        looks.wait(old[0], checkpoint)


def split_name(table: str) -> tuple[str, ...]:
    """Return the parts of a table name as SQL spells it.

    >>> split_name('shop.classes'), split_name('"odd.name"'), split_name('"x""; DROP TABLE y"')
    (('shop', 'classes'), ('odd.name',), ('x"; DROP TABLE y',))
    """
    return tuple(quoted.replace('""', '"') or plain for quoted, plain in _PART.findall(table))


_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def _ask(work: Connection, ordered: Sequence[LockClaim], timeout_ms: int) -> bool:
    ends = time.perf_counter() + timeout_ms / 1000
    # Also where no lock is claimed: a statement must not queue for one that it takes all the same.
    request = f"BEGIN; SET LOCAL lock_timeout = {timeout_ms};"
    try:
        # What is held already stalls others until all is held: one round trip for all tables of one mode.
        for mode, claims in itertools.groupby(ordered, lambda claim: claim.mode):
            # One lock_timeout is for one table and one partition; statement_timeout is for all of them.
            left_ms = max(1, math.ceil((ends - time.perf_counter()) * 1000))
            tables = sql.SQL(", ").join(sql.Identifier(*split_name(claim.table)) for claim in claims)
            request += (
                f" SET LOCAL lock_timeout = {left_ms}; SET LOCAL statement_timeout = {left_ms};"
                f" LOCK TABLE {tables.as_string(work)} IN {mode.sql} MODE; SET LOCAL statement_timeout = 0;"
            )
            work.execute(request.encode())
            request = ""
        if request:
            work.execute(request.encode())
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
