"""Repairs what a check found, keeps what it replaced, and can give it back."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg

from pgrunbook import quarantine, restoring
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.patience import split_name
from pgrunbook.quarantine import Repair, Table
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
    """What a remedy would do, tried and taken back; `table` names the tables where they are several."""

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

    def attempt() -> Preview:
        with conn.transaction(force_rollback=True):
            repairs = _batch(conn, script)
            restored = restoring.restore(conn, repairs)
            proved = len(restored) == len(repairs)
            if proved and repairs:
                proved = restoring.whole(conn, repairs) == restoring.whole(look, repairs)
            return Preview(script.name, _tables_of(script), tuple(repairs), proved)

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
    total = batches = 0
    since = quarantine.last(conn)

    def attempt() -> list[Repair]:
        with conn.transaction():
            repairs = _batch(conn, script)
            once = {(repair.table, repair.texts[0]) for repair in repairs}
            if len(once) < len(repairs) or (
                batches
                and repairs
                and quarantine.again(conn, repairs, change=change, remedy=script.name, since=since)
            ):
                raise RemedyFailed(
                    remedy=script.name,
                    reason="it repairs the same row twice and would never end",
                    next_step="let it find only rows that still need repair; the last batch was rolled back",
                )
            quarantine.keep(conn, repairs, run_id=run_id, change=change, remedy=script.name)
            return repairs

    while True:
        checkpoint()
        with _guarded(script, checkpoint):
            repairs = _patiently(attempt, checkpoint)
        if not repairs:
            return Applied(script.name, _tables_of(script), total, batches)
        total, batches = total + len(repairs), batches + 1
        on_batch(total)


def undo(
    conn: Connection, script: Script, *, change: str, checkpoint: Callable[[], None] = lambda: None
) -> Undone:
    """Give back what a remedy replaced, newest first, batch by batch.

    A row that somebody changed since is left as it is and listed. Raises RemedyFailed with the server's
    reason, for instance when a constraint now forbids the old value; that batch is left as it was.
    """
    restored = 0
    tables = _tables(script)
    # Rows that were changed alone can be given back one by one; others lean on those of the same batch.
    whole = len(script.repairs) > 1 or "DELETE" in script.repairs.values()
    refused: list[Mapping[str, Any]] = []
    newest: int | None = None

    def attempt() -> tuple[dict[int, Repair], set[int]]:
        with conn.transaction():
            _limit(conn)
            try:
                kept = quarantine.kept(
                    conn,
                    tables,
                    change=change,
                    remedy=script.name,
                    below=newest,
                    limit=UNDO_BATCH,
                    whole_batches=whole,
                )
            except ValueError as error:
                raise RemedyFailed(
                    remedy=script.name,
                    reason=str(error),
                    next_step="restore the file of the remedy as it was when it ran, then undo it; nothing was changed",
                ) from None
            given_back: set[int] = set()
            for part in quarantine.rounds(kept):
                numbers = list(part)
                done = restoring.restore(conn, [part[number] for number in numbers])
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


def _tables(script: Script) -> Mapping[str, Table]:
    """Return the tables that a remedy changes, by their names as SQL spells them and as quarantine does."""
    parts = {name: split_name(name) for name in script.repairs}
    return parts | {".".join(table): table for table in parts.values()}


def _tables_of(script: Script) -> str:
    return ", ".join(".".join(split_name(name)) for name in script.repairs)


def _limit(conn: Connection) -> None:
    conn.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    conn.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")


def _batch(conn: Connection, script: Script) -> list[Repair]:
    _limit(conn)
    tables = _tables(script)
    names = list(dict.fromkeys(tables.values()))
    for name, verb in script.repairs.items():
        others = restoring.touched_by_delete(conn, tables[name], besides=names) if verb == "DELETE" else []
        if others:
            raise RemedyFailed(
                remedy=script.name,
                reason=f"a foreign key would change {', '.join(others)} with the rows that it deletes",
                next_step="repair these tables first, or with it in WITH queries: quarantine keeps what it returns",
            )
    before = restoring.changed(conn, names)
    try:
        repairs = quarantine.read(conn, script.text, tables)
    except ValueError as error:
        raise RemedyFailed(
            remedy=script.name,
            reason=str(error),
            next_step="return objects such as jsonb_build_object('id', t.id) AS key; nothing was changed",
        ) from None
    after = restoring.changed(conn, names)
    if before is not None and after is not None and after - before != len(repairs):
        raise RemedyFailed(
            remedy=script.name,
            reason=f"it changed {after - before:,} rows of {_tables_of(script)} and returned {len(repairs):,}",
            next_step="return every row that it changes, and mind triggers and foreign keys that change others;"
            " the batch was rolled back",
        )
    return repairs


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
