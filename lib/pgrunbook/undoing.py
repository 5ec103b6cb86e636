"""Giving back what a remedy replaced, newest first, batch by batch; or trying whether it can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgrunbook import quarantine, remedy, restoring
from pgrunbook.batch import Batches, Rules, begin, goes_back_whole
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed, UndoForbidden
from pgrunbook.pace import Progress
from pgrunbook.quarantine import Repair
from pgrunbook.rowhold import RowHold
from pgrunbook.session import Connection
from pgrunbook.whereabouts import Astray

__all__ = ["Refused", "Undone", "preview", "undo"]

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Refused:
    """A row that undo leaves alone: what the remedy left in it, and what it holds now (None: it is not there)."""

    table: str
    key: Mapping[str, Any]
    left_as: Mapping[str, Any] | None
    now: Mapping[str, Any] | None

    @property
    def facts(self) -> dict[str, Any]:
        """Return it for machines and the ledger."""
        left_as = None if self.left_as is None else dict(self.left_as)
        now = None if self.now is None else dict(self.now)
        return {"table": self.table, "key": dict(self.key), "left_as": left_as, "now": now}


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo gave back, or would, and the rows that others changed since, which it leaves alone.

    `refused` are the first of them, `left_alone` is how many they are in all. `forbidden` is what the server said of
    the batches that it refused while it was only tried.
    """

    remedy: str
    restored: int
    refused: tuple[Refused, ...] = ()
    left_alone: int = 0
    forbidden: tuple[str, ...] = ()
    seconds: float = field(default=0.0, compare=False)
    worst_hold_ms: float = field(default=0.0, compare=False)


def undo(
    conn: Connection,
    script: Script,
    *,
    change: str,
    look: Connection | None = None,
    rules: Rules | None = None,
    on_batch: Callable[[Progress], None] = lambda _progress: None,
    step_of: Callable[[str, str], str] = lambda _rule, _column: "",
) -> Undone:
    """Give back what a remedy replaced, newest first.

    A row that somebody changed since is left as it is and listed. Raises UndoForbidden when a constraint or an index
    forbids an old value now, and RemedyFailed with the server's reason; that batch is left as it was. `step_of` tells
    which step made a rule, by its name or by the column that it requires.
    """
    return _Undoing(conn, script, change, look, rules or Rules(), on_batch, step_of).all()


def preview(
    conn: Connection,
    script: Script,
    *,
    change: str,
    look: Connection | None = None,
    rules: Rules | None = None,
    on_batch: Callable[[Progress], None] = lambda _progress: None,
) -> Undone:
    """Return what undo would give back, leave alone and be forbidden, each batch tried and taken back.

    Batches are tried one by one, so that nobody waits for them: what one of them needs of another is not seen.
    """
    return _Undoing(conn, script, change, look, rules or Rules(), on_batch, tried=True).all()


class _Forbidden(Exception):
    """A rule of the database refused a batch; `oldest` is the number of its oldest row."""

    def __init__(self, cause: psycopg.Error, oldest: int) -> None:
        super().__init__(str(cause))
        self.cause, self.oldest = cause, oldest


@dataclass(slots=True)
class _Undoing:
    conn: Connection
    script: Script
    change: str
    look: Connection | None
    rules: Rules
    on_batch: Callable[[Progress], None]
    step_of: Callable[[str, str], str] = lambda _rule, _column: ""
    tried: bool = False
    newest: int | None = None

    def all(self) -> Undone:
        began = time.perf_counter()
        if self.tried and not quarantine.exists(self.conn):
            return Undone(self.script.name, 0)
        if not quarantine.is_current(self.conn):
            # Only a run that writes brings the ledger up to date.
            raise RemedyFailed(
                remedy=self.script.name,
                reason="an earlier version of the library made the quarantine here",
                next_step="decide about the remedy, which brings the ledger up to date, then try its undo again",
            )
        batches = Batches(self.conn, self.look, self.script, self.rules)
        expected = quarantine.count(self.conn, change=self.change, remedy=self.script.name)
        restored = left_alone = 0
        refused: list[Refused] = []
        forbidden: dict[str, None] = {}
        while True:
            try:
                kept, given_back, now = batches.one(self._batch)
            except _Forbidden as error:
                if not self.tried:
                    raise self._forbidden(error.cause, restored) from error.cause
                forbidden[str(error.cause).splitlines()[0]] = None
                self.newest = error.oldest
                continue
            if not kept:
                break
            self.newest = min(kept)
            restored += len(given_back)
            stay = sorted(kept.keys() - given_back, reverse=True)
            left_alone += len(stay)
            for number in stay[: SHOWN - len(refused)]:
                one = kept[number]
                refused.append(Refused(".".join(one.table), one.key, one.after, now.get(number)))
            done = restored + left_alone
            self.on_batch(Progress(done, expected, time.perf_counter() - began, batches.pace.size))
        return Undone(
            self.script.name,
            restored,
            tuple(refused),
            left_alone,
            tuple(forbidden),
            time.perf_counter() - began,
            batches.pace.worst_ms,
        )

    def _batch(self, size: int, hold: RowHold) -> tuple[dict[int, Repair], set[int], dict[int, Any]]:
        """Give one batch back and return it, the numbers of what was given back, and what the others hold."""
        whole = goes_back_whole(self.script)
        kept: dict[int, Repair] = {}
        try:
            with self.conn.transaction(force_rollback=self.tried):
                begin(self.conn, self.rules, size)
                kept = self._kept(size, whole=whole)
                given_back: set[int] = set()
                for part in quarantine.rounds(kept):
                    numbers = list(part)
                    done = restoring.restore(self.conn, [part[number] for number in numbers])
                    given_back |= {numbers[position] for position in done}
                if self.tried:
                    # What would be checked at the end of a transaction that is taken back is checked now.
                    self.conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
                else:
                    quarantine.mark_undone(self.conn, given_back)
                hold.check()
        except psycopg.errors.IntegrityError as error:
            raise _Forbidden(error, min(kept)) from error
        stay = sorted(kept.keys() - given_back, reverse=True)
        if self.tried and stay:
            # What was repaired once more since gives way when that is given back.
            later = quarantine.repaired_since(self.conn, stay, change=self.change, remedy=self.script.name)
            given_back |= later
            stay = [number for number in stay if number not in later]
        now = restoring.now(self.conn, [kept[number] for number in stay[:SHOWN]])
        return kept, given_back, {stay[position]: row for position, row in now.items()}

    def _forbidden(self, error: psycopg.Error, restored: int) -> UndoForbidden:
        rule, column, table = error.diag.constraint_name, error.diag.column_name, error.diag.table_name or ""
        detail = error.diag.message_detail
        return UndoForbidden(
            remedy=self.script.name,
            reason=str(error).splitlines()[0],
            details=[detail] if detail else [],
            rule=rule or f"NOT NULL of {column}",
            table=table,
            step=self.step_of(rule or "", column or ""),
            restored=restored,
        )

    def _kept(self, size: int, *, whole: bool) -> dict[int, Repair]:
        try:
            return quarantine.kept(
                self.conn,
                remedy.tables(self.script),
                change=self.change,
                remedy=self.script.name,
                below=self.newest,
                limit=size,
                whole_batches=whole,
            )
        except ValueError as error:
            raise RemedyFailed(
                remedy=self.script.name,
                reason=str(error),
                next_step="restore the file of the remedy as it was when it ran, then undo it; nothing was changed",
            ) from None
        except Astray as error:
            raise RemedyFailed(
                remedy=self.script.name, reason=str(error), next_step=error.next_step
            ) from None
