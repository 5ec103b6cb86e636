"""Repairs what a check found, keeps what it replaced, and can give it back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = ["Applied", "Preview", "Repair", "Undone", "apply", "preview", "undo"]

TIMEOUT_MS = 30_000
LOCK_TIMEOUT_MS = 1_000


@dataclass(frozen=True, slots=True)
class Repair:
    """One row that a remedy changed: which, what it held, what it holds (None where it was deleted)."""

    key: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None


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

    Everything happens in a transaction that is rolled back; the proof compares each whole row after the
    undo with the row as another session sees it. Raises RemedyFailed with the server's reason.
    """
    table = _table(script)
    with _guarded(script):
        with conn.transaction(force_rollback=True):
            repairs = _batch(conn, script)
            for repair in repairs:
                _restore(conn, script, table, repair)
            proved = all(_whole(conn, table, repair) == _whole(look, table, repair) for repair in repairs)
        return Preview(script.name, ".".join(table), tuple(repairs), proved)


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
    or repairs a row a second time, which would never end.
    """
    table = _table(script)
    total = batches = 0
    seen: set[str] = set()
    while True:
        checkpoint()
        with _guarded(script), conn.transaction():
            repairs = _batch(conn, script)
            keys = {repr(sorted(repair.key.items())) for repair in repairs}
            if len(keys) < len(repairs) or keys & seen:
                raise RemedyFailed(
                    remedy=script.name,
                    reason="it repairs the same row twice and would never end",
                    next_step="make the file find only rows that still need repair; the last batch was rolled back",
                )
            seen |= keys
            if repairs:
                with conn.cursor() as cursor:
                    cursor.executemany(
                        "INSERT INTO pgrunbook.quarantine (run_id, change, remedy, table_name, key, before, after)"
                        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
                        [
                            (
                                run_id,
                                change,
                                script.name,
                                ".".join(table),
                                Jsonb(dict(repair.key)),
                                Jsonb(dict(repair.before)),
                                None if repair.after is None else Jsonb(dict(repair.after)),
                            )
                            for repair in repairs
                        ],
                    )
        if not repairs:
            return Applied(script.name, ".".join(table), total, batches)
        total, batches = total + len(repairs), batches + 1
        on_batch(total)


def undo(conn: Connection, script: Script, *, change: str) -> Undone:
    """Give back what a remedy replaced, newest first, in one transaction.

    A row that somebody changed since is left as it is and listed. Raises RemedyFailed with the server's
    reason, for instance when a constraint now forbids the old value; then nothing was given back.
    """
    table = _table(script)
    restored, refused = 0, []
    with _guarded(script), conn.transaction():
        kept = conn.execute(
            "SELECT id, key, before, after FROM pgrunbook.quarantine"
            " WHERE change = %s AND remedy = %s AND undone_at IS NULL ORDER BY id DESC FOR UPDATE",
            (change, script.name),
        ).fetchall()
        for row in kept:
            if _restore(conn, script, table, Repair(row["key"], row["before"], row["after"])):
                conn.execute(
                    "UPDATE pgrunbook.quarantine SET undone_at = clock_timestamp() WHERE id = %s",
                    (row["id"],),
                )
                restored += 1
            else:
                refused.append(row["key"])
    return Undone(script.name, restored, tuple(refused))


def _table(script: Script) -> tuple[str, ...]:
    target = script.statements[0].target
    assert target is not None, f"{script.label} changes no table"
    return split_name(target)


def _batch(conn: Connection, script: Script) -> list[Repair]:
    conn.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
    conn.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
    found = conn.execute(script.text.encode()).fetchall()
    return [Repair(row["key"], row["before"], row["after"]) for row in found]


def _restore(conn: Connection, script: Script, table: Sequence[str], repair: Repair) -> bool:
    name = sql.Identifier(*table)
    if repair.after is None:
        statement = sql.SQL(
            "INSERT INTO {table} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::{table}, %(before)s)"
        ).format(table=name)
        return conn.execute(statement, {"before": Jsonb(dict(repair.before))}).rowcount == 1
    statement = sql.SQL(
        "UPDATE {table} AS t SET {columns} FROM jsonb_populate_record(NULL::{table}, %(before)s) AS b"
        " WHERE {is_key} AND {as_left}"
    ).format(
        table=name,
        columns=sql.SQL(", ").join(
            sql.SQL("{column} = b.{column}").format(column=sql.Identifier(column)) for column in repair.before
        ),
        is_key=_equals(table, repair.key, "key"),
        as_left=_equals(table, repair.after, "after"),
    )
    values = {
        "before": Jsonb(dict(repair.before)),
        "key": Jsonb(dict(repair.key)),
        "after": Jsonb(dict(repair.after)),
    }
    return conn.execute(statement, values).rowcount == 1


def _equals(table: Sequence[str], columns: Mapping[str, Any], values: str) -> sql.Composable:
    """Return a condition that `t` holds the values of a jsonb parameter, typed as the table's columns are."""
    if not columns:
        return sql.SQL("true")
    # Equality on the key comes first in typed form, so that the primary key's index serves it.
    return sql.SQL(" AND ").join(
        sql.SQL(
            "t.{column} IS NOT DISTINCT FROM (SELECT v.{column} FROM jsonb_populate_record(NULL::{table}, {values}) AS v)"
            if value is None
            else "t.{column} = (SELECT v.{column} FROM jsonb_populate_record(NULL::{table}, {values}) AS v)"
        ).format(column=sql.Identifier(column), table=sql.Identifier(*table), values=sql.Placeholder(values))
        for column, value in columns.items()
    )


def _whole(conn: Connection, table: Sequence[str], repair: Repair) -> Any:
    statement = sql.SQL("SELECT to_jsonb(t)::text AS row FROM {table} AS t WHERE {is_key}").format(
        table=sql.Identifier(*table), is_key=_equals(table, repair.key, "key")
    )
    return conn.execute(statement, {"key": Jsonb(dict(repair.key))}).fetchall()


class _guarded:
    """Turns the server's refusals into RemedyFailed."""

    def __init__(self, script: Script) -> None:
        self.script = script

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, psycopg.Error):
            lines = str(error).splitlines()
            raise RemedyFailed(
                remedy=self.script.name,
                reason=lines[0],
                details=lines[1:3],
                next_step="nothing of this batch was changed; mend the cause and call it again",
            ) from error
