"""Repairs what a check found, keeps what it replaced, and can give it back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from pgrunbook import quarantine
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.patience import split_name
from pgrunbook.quarantine import Repair
from pgrunbook.session import Connection

__all__ = ["Applied", "Preview", "Repair", "Undone", "apply", "preview", "undo"]

T = TypeVar("T")

TIMEOUT_MS = 30_000
# A batch that waits keeps the rows that it repaired already: it gives them back soon and tries again.
LOCK_TIMEOUT_MS = 50
ATTEMPTS, PAUSE_S = 40, 0.25
UNDO_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Preview:
    """What a remedy would do, tried and taken back."""

    remedy: str
    table: str
    repairs: tuple[Repair, ...]
    undo_proved: bool


@dataclass(frozen=True, slots=True)
class Applied:
    """What a remedy did."""

    remedy: str
    table: str
    repairs: int
    batches: int


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo gave back, and the rows that others changed since, which it left alone."""

    remedy: str
    restored: int
    refused: tuple[Mapping[str, Any], ...]


def preview(conn: Connection, look: Connection, script: Script) -> Preview:
    """Return the first batch of a remedy as before/after rows, and whether undo gives every row back.

    Everything happens in a transaction that is rolled back; the proof compares the text of each whole row
    after the undo with the row as another session sees it. Raises RemedyFailed with the server's reason.
    """
    table = _table(script)

    def attempt() -> Preview:
        with conn.transaction(force_rollback=True):
            repairs = _batch(conn, script)
            restored = quarantine.restore(conn, table, repairs)
            proved = len(restored) == len(repairs)
            if proved and repairs:
                proved = quarantine.whole(conn, table, repairs) == quarantine.whole(look, table, repairs)
            return Preview(script.name, ".".join(table), tuple(repairs), proved)

    with _guarded(script):
        return _patiently(attempt, lambda: None)


def apply(
    conn: Connection,
    script: Script,
    *,
    run_id: str,
    change: str,
    on_batch: Callable[[int], None] = lambda _repairs: None,
    checkpoint: Callable[[], None] = lambda: None,
) -> Applied:
    """Run a remedy batch by batch until it finds nothing more; each batch commits with its quarantine rows.

    Stopped at any moment, the next call goes on where it ended. Raises RemedyFailed when a batch fails
    or repairs a row a second time, which would never end; and whatever `checkpoint` raises to stop it.
    """
    table = _table(script)
    total = batches = 0
    seen: set[str] = set()

    def attempt() -> list[Repair]:
        with conn.transaction():
            repairs = _batch(conn, script)
            keys = {repair.texts[0] for repair in repairs}
            if len(keys) < len(repairs) or keys & seen:
                raise RemedyFailed(
                    remedy=script.name,
                    reason="it repairs the same row twice and would never end",
                    next_step="let it find only rows that still need repair; the last batch was rolled back",
                )
            quarantine.keep(
                conn, repairs, run_id=run_id, change=change, remedy=script.name, table=".".join(table)
            )
            seen.update(keys)
            return repairs

    while True:
        checkpoint()
        with _guarded(script, checkpoint):
            repairs = _patiently(attempt, checkpoint)
        if not repairs:
            return Applied(script.name, ".".join(table), total, batches)
        total, batches = total + len(repairs), batches + 1
        on_batch(total)


def undo(
    conn: Connection, script: Script, *, change: str, checkpoint: Callable[[], None] = lambda: None
) -> Undone:
    """Give back what a remedy replaced, newest first, batch by batch.

    A row that somebody changed since is left as it is and listed. Raises RemedyFailed with the server's
    reason, for instance when a constraint now forbids the old value; that batch is left as it was.
    """
    table = _table(script)
    restored = 0
    refused: list[Mapping[str, Any]] = []
    newest: int | None = None

    def attempt() -> tuple[dict[int, Repair], set[int]]:
        with conn.transaction():
            _limit(conn)
            kept = quarantine.kept(conn, change=change, remedy=script.name, below=newest, limit=UNDO_BATCH)
            given_back: set[int] = set()
            for part in quarantine.rounds(kept):
                numbers = list(part)
                done = quarantine.restore(conn, table, [part[number] for number in numbers])
                given_back |= {numbers[position] for position in done}
            quarantine.mark_undone(conn, given_back)
            return kept, given_back

    while True:
        checkpoint()
        with _guarded(script, checkpoint):
            kept, given_back = _patiently(attempt, checkpoint)
        if not kept:
            return Undone(script.name, restored, tuple(refused))
        newest = min(kept)
        restored += len(given_back)
        refused += [kept[number].key for number in sorted(kept.keys() - given_back, reverse=True)]


def _table(script: Script) -> tuple[str, ...]:
    target = script.statements[0].target
    assert target is not None, f"{script.label} changes no table"
    return split_name(target)


def _limit(conn: Connection) -> None:
    conn.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    conn.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")


def _batch(conn: Connection, script: Script) -> list[Repair]:
    _limit(conn)
    if script.statements[0].verb == "DELETE" and (
        others := quarantine.touched_by_delete(conn, _table(script))
    ):
        raise RemedyFailed(
            remedy=script.name,
            reason=f"a foreign key would change {', '.join(others)} with the rows that it deletes",
            next_step="repair these tables first, by their own remedy; quarantine keeps rows of one table",
        )
    try:
        return quarantine.read(conn, script.text)
    except ValueError as error:
        raise RemedyFailed(
            remedy=script.name,
            reason=str(error),
            next_step="return objects such as jsonb_build_object('id', t.id) AS key; nothing was changed",
        ) from None


def _patiently(attempt: Callable[[], T], checkpoint: Callable[[], None]) -> T:
    """Return what the attempt returns, trying again while somebody holds a row that it wants."""
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
            checkpoint()
            time.sleep(PAUSE_S)
    return attempt()


@contextlib.contextmanager
def _guarded(script: Script, checkpoint: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Turn the server's refusals into RemedyFailed; a cancelled statement into what the checkpoint raises."""
    try:
        yield
    except psycopg.Error as error:
        if isinstance(error, psycopg.errors.QueryCanceled):
            checkpoint()
        lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        raise RemedyFailed(
            remedy=script.name,
            reason=lines[0],
            details=lines[1:3],
            next_step="nothing of this batch was changed; mend the cause and call it again",
        ) from error
