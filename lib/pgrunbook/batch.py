"""One batch of a remedy or of its undo: tried under the stall budget, smaller when it takes too long."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from pgrunbook import pending
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.looking import pause
from pgrunbook.pace import AIM, START, Pace
from pgrunbook.rowhold import Overheld, RowHold
from pgrunbook.session import Connection

__all__ = ["Batches", "Rules", "begin", "goes_back_whole", "is_sized", "refused"]

T = TypeVar("T")

TIMEOUT_MS = 30_000
# A batch that waits keeps the rows that it repaired already: it gives them back soon and tries again.
LOCK_TIMEOUT_MS = 50
ATTEMPTS, PAUSE_S = 40, 0.25
SETTING = "pgrunbook.batch"
# A process that freezes with rows in its hands loses them.
FROZEN_MS = 2_000


@dataclass(frozen=True, slots=True)
class Rules:
    """What batches have to keep: the stall budget, their share of the time, how they begin and are stopped."""

    stall_ms: int = 100
    share: float = 0.5
    checkpoint: Callable[[], None] = lambda: None
    start: int = START


@dataclass(slots=True)
class Batches:
    """Batches one after the other on one connection; `look` is a second one, which measures."""

    work: Connection
    look: Connection | None
    script: Script
    rules: Rules
    fixed: bool = False
    patient: bool = False
    aim: float = AIM
    pace: Pace = field(init=False)
    _rest_s: float = 0.0

    def __post_init__(self) -> None:
        """Begin with a small batch."""
        self.pace = Pace(self.rules.stall_ms, self.rules.start, self.fixed, self.patient, self.aim)

    def one(self, attempt: Callable[[int, RowHold], T]) -> T:
        """Return what an attempt with so many rows gives, after the pause that the last batch has earned.

        While somebody holds a row that it wants it is tried again, and smaller where it held rows too long.
        Raises RemedyFailed, and whatever the checkpoint raises.
        """
        checkpoint = self.rules.checkpoint
        pause(self._rest_s, checkpoint)
        waited = 0
        while True:
            checkpoint()
            began = time.perf_counter()
            hold = RowHold(self.work, self.look, self.pace.limit_ms)
            try:
                pending.merge(self.work, self.script.repairs, lock_ms=_lock_ms(self.rules))
                try:
                    with _left_idle(self.work), hold:
                        done = attempt(self.pace.size, hold)
                finally:
                    # Others waited for what was taken back, too.
                    self.pace.worst_ms = max(self.pace.worst_ms, hold.ms)
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected) as error:
                waited += 1
                if waited >= ATTEMPTS:
                    raise refused(self.script, error) from error
                pause(PAUSE_S, checkpoint)
            except (psycopg.Error, Overheld) as error:
                if isinstance(error, psycopg.errors.QueryCanceled):
                    # Somebody's wish goes before our own limit.
                    checkpoint()
                if isinstance(error, psycopg.Error) and not (
                    hold.over and isinstance(error, psycopg.errors.QueryCanceled)
                ):
                    raise refused(self.script, error, lost=self.work.closed) from error
                if not self.pace.smaller():
                    raise self._too_long() from error
                pause(self._pause_after(began), checkpoint)
            else:
                self.pace.took(hold.ms)
                self._rest_s = self._pause_after(began)
                return done

    def _pause_after(self, began: float) -> float:
        return (time.perf_counter() - began) * (1 / self.rules.share - 1)

    def _too_long(self) -> RemedyFailed:
        sizes = is_sized(self.script)
        what = "one row, or what has to be changed together with it," if sizes else "one batch of it"
        sized = "" if sizes else f"write LIMIT coalesce(current_setting('{SETTING}', true)::int, 1000), "
        return RemedyFailed(
            remedy=self.script.name,
            reason=f"{what} keeps others waiting for longer than the stall budget of {self.rules.stall_ms} ms",
            details=[f"it was stopped {self.pace.limit_ms:.0f} ms after its first row, and taken back"],
            next_step=f"{sized}let it find its rows by an index, or give it more in its header, as in"
            f" `-- stall_budget: {10 * self.rules.stall_ms} ms`; what was done before stays, call it again to go on",
        )


@contextlib.contextmanager
def _left_idle(conn: Connection) -> Iterator[None]:
    """End the transaction of a batch even where its own ROLLBACK or COMMIT was what was cancelled."""
    try:
        yield
    finally:
        if not conn.closed and conn.info.transaction_status is not TransactionStatus.IDLE:
            with contextlib.suppress(psycopg.OperationalError):
                conn.execute("ROLLBACK")


def begin(conn: Connection, rules: Rules, size: int) -> None:
    """Set the limits of a batch, and its size, in the transaction that is open."""
    conn.execute(
        f"SET LOCAL statement_timeout = {TIMEOUT_MS}; SET LOCAL lock_timeout = {_lock_ms(rules)};"
        f" SET LOCAL idle_in_transaction_session_timeout = {max(FROZEN_MS, 2 * rules.stall_ms)};"
        f" SET LOCAL {SETTING} = {size};"
        # A policy that hid rows would make the repair a part of one: what cannot be seen is an error.
        " SET LOCAL row_security = off;"
        # Compiling a batch takes longer than the batch, and its rows are locked meanwhile.
        " SET LOCAL jit = off;"
        # Nobody waits for our disk or our standbys: after a crash repair and quarantine are both there or both not,
        # and what the run writes about the whole makes all of it durable.
        " SET LOCAL synchronous_commit = off"
    )


def _lock_ms(rules: Rules) -> int:
    return max(1, min(LOCK_TIMEOUT_MS, rules.stall_ms // 2))


def is_sized(script: Script) -> bool:
    """Return whether a remedy lets its batches be sized."""
    return SETTING in script.statements[0].text


def goes_back_whole(script: Script) -> bool:
    """Return whether rows of a batch may lean on others of it, so that undo gives all of them back at once."""
    return len(script.repairs) > 1 or "DELETE" in script.repairs.values()


def refused(script: Script, error: psycopg.Error, *, lost: bool = False) -> RemedyFailed:
    """Return what the server refused, with the constraint and the rows where it names them.

    Where the connection is gone, it may have been committing.
    """
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lost:
        return RemedyFailed(
            remedy=script.name,
            reason="the connection was lost, and whether its last batch was committed is not known",
            details=lines[:1],
            next_step="call it again: it finds out from the rows and their quarantine, which were committed together"
            " or not at all, and goes on from there",
        )
    named = error.diag.constraint_name
    table = ".".join(part for part in (error.diag.schema_name, error.diag.table_name) if part)
    return RemedyFailed(
        remedy=script.name,
        reason=lines[0],
        details=[*lines[1:3], *([f"constraint or index {named} of {table}"] if named and table else [])],
        next_step="nothing of this batch was changed; mend the cause and call it again",
    )
