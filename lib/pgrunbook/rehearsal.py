"""The change run on a clone of the target's schema: which locks it takes, and whether it can be undone."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from pgrunbook import catalog, preflight, session
from pgrunbook.change import Change, Script
from pgrunbook.clone import clone
from pgrunbook.errors import RehearsalFailed
from pgrunbook.lockmode import LockMode
from pgrunbook.patience import split_name
from pgrunbook.server import Server, drop_database
from pgrunbook.session import Connection
from pgrunbook.target import Target

__all__ = ["FileRehearsal", "Rehearsal", "StatementLocks", "TableLock", "rehearse"]


@dataclass(frozen=True, slots=True)
class TableLock:
    """A lock that was seen in `pg_locks`; `held_ms` from the statement that took it to the end of the file.

    `kind` is the letter of pg_class.relkind. On the empty clone `held_ms` tells what a lock costs besides the
    rows: only on data does a statement that reads or writes rows show its price.
    """

    schema: str
    relation: str
    kind: str
    mode: LockMode
    held_ms: float = field(default=0.0, compare=False)

    @property
    def kind_word(self) -> str:
        """Return the kind in words.

        >>> TableLock("public", "classes", "r", LockMode.SHARE).kind_word
        'table'
        """
        return _KINDS.get(self.kind, f"relation of kind {self.kind}")

    def __str__(self) -> str:
        """Return it as file headers spell it."""
        return f"{self.mode.word} on {self.relation}"


_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "f": "foreign table",
    "m": "materialized view",
    "v": "view",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "c": "composite type",
}


@dataclass(frozen=True, slots=True)
class StatementLocks:
    """The locks that one statement took on live relations, and those that its file held before it."""

    file: str
    number: int
    verb: str
    text: str
    took: tuple[TableLock, ...]
    held_before: tuple[TableLock, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class FileRehearsal:
    """One file: what its header declares and what was observed, strongest lock a live table."""

    file: str
    declared: tuple[str, ...]
    observed: tuple[str, ...]
    statements: tuple[StatementLocks, ...]

    @property
    def as_declared(self) -> bool:
        """Return whether declaration and observation agree."""
        return self.declared == self.observed


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All files of a change, forwards and backwards, and what the way back did not restore."""

    change: str
    server_version: str
    files: tuple[FileRehearsal, ...]
    not_restored: tuple[str, ...]

    @property
    def differing(self) -> tuple[FileRehearsal, ...]:
        """Return the files whose declared and observed locks differ."""
        return tuple(file for file in self.files if not file.as_declared)

    @property
    def holds(self) -> bool:
        """Return whether every lock was declared and the way back restored the catalog."""
        return not self.differing and not self.not_restored


def rehearse(
    change: Change,
    source: Target,
    server: Server,
    *,
    name: str,
    search_path: str = "",
    on_file: Callable[[str], None] = lambda _label: None,
) -> Rehearsal:
    """Return what every file of a change did to an empty clone of the source's schema.

    Applies all steps, proves each with its verify file, undoes them in reverse order and compares the
    catalog after each undo with the one before that step. The clone is dropped at the end.
    Raises RehearsalFailed when a file does not run or a step is not proved.
    """
    scripts = [script for step in change.steps for script in (step.migrate, *step.rollback)]
    target = clone(source, server, name, naming="\n".join(script.text for script in scripts))
    files: list[FileRehearsal] = []
    not_restored: list[str] = []
    try:
        with (
            session.connect(target, purpose="rehearsal") as work,
            session.connect(target, purpose="rehearsal") as look,
        ):
            if search_path:
                for conn in (work, look):
                    conn.execute("SELECT set_config('search_path', %s, false)", (search_path,))
            before: list[catalog.Catalog] = []
            for step in change.steps:
                before.append(catalog.snapshot(look))
                on_file(step.migrate.label)
                files.append(_perform(step.migrate, work, look, target))
                _prove(step.verify, look)
            for step, state in zip(reversed(change.steps), reversed(before), strict=True):
                for script in step.rollback:
                    on_file(script.label)
                    files.append(_perform(script, work, look, target))
                left = catalog.differences(state, catalog.snapshot(look))
                not_restored.extend(f"{step.name}: {line}" for line in left)
            version = work.info.parameter_status("server_version") or ""
    finally:
        drop_database(server, name)
    return Rehearsal(change.name, version, tuple(files), tuple(not_restored))


def _perform(script: Script, work: Connection, look: Connection, target: Target) -> FileRehearsal:
    # Before the file runs: it may drop or rename the table.
    declared = sorted(f"{claim.mode.word} on {_resolved(look, claim.table)}" for claim in script.header.locks)
    live = {row["oid"] for row in look.execute("SELECT oid::bigint AS oid FROM pg_class").fetchall()}
    try:
        if script.header.in_transaction:
            with work.transaction():
                found = _in_transaction(script, work, look, live)
            ended = time.perf_counter()
            statements = [_held_until(ended, statement, began) for statement, began in found]
        else:
            statements = [_outside(script, work, look, target, live)]
    except psycopg.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RehearsalFailed(file=script.label, reason=reason) from error
    return FileRehearsal(script.label, tuple(declared), _strongest(statements), tuple(statements))


def _in_transaction(
    script: Script, work: Connection, look: Connection, live: set[int]
) -> list[tuple[StatementLocks, float]]:
    """Return each statement with the moment at which it began."""
    held: dict[tuple[int, str], TableLock] = {}
    found = []
    for number, statement in enumerate(script.statements, start=1):
        before = tuple(held.values())
        began = time.perf_counter()
        work.execute(statement.text.encode())
        milliseconds = (time.perf_counter() - began) * 1000
        now = _held(look, work.info.backend_pid, live)
        took = tuple(lock for key, lock in now.items() if key not in held)
        held |= now
        locks = StatementLocks(
            script.label, number, statement.verb, statement.text, took, before, milliseconds
        )
        found.append((locks, began))
    return found


def _held_until(ended: float, statement: StatementLocks, began: float) -> StatementLocks:
    held_ms = (ended - began) * 1000
    took = tuple(dataclasses.replace(lock, held_ms=held_ms) for lock in statement.took)
    return dataclasses.replace(statement, took=took)


def _outside(
    script: Script, work: Connection, look: Connection, target: Target, live: set[int]
) -> StatementLocks:
    """Hold the statement up with an open writer on its tables, so that its locks can be read meanwhile."""
    statement = script.statements[0]
    began = time.perf_counter()
    seen: dict[tuple[int, str], TableLock] = {}
    failure: list[psycopg.Error] = []

    def execute() -> None:
        try:
            work.execute(statement.text.encode())
        except psycopg.Error as error:
            failure.append(error)

    with session.connect(target, purpose="rehearsal writer") as writer:
        search_path = session.value(look, "SELECT current_setting('search_path')")
        writer.execute("SELECT set_config('search_path', %s, false)", (search_path,))
        writer.execute("BEGIN")
        for table in _tables(script, look):
            name = sql.Identifier(*split_name(table))
            writer.execute(sql.SQL("LOCK TABLE {} IN ROW EXCLUSIVE MODE").format(name))
        thread = threading.Thread(target=execute, name="pgrunbook-rehearsal")
        thread.start()
        while thread.is_alive():
            seen |= _held(look, work.info.backend_pid, live)
            if session.value(
                look,
                "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s",
                (work.info.backend_pid,),
            ):
                seen |= _held(look, work.info.backend_pid, live)
                break
        writer.execute("ROLLBACK")
        thread.join()
    if failure:
        raise failure[0]
    ended = time.perf_counter()
    took = tuple(seen.values())
    locks = StatementLocks(script.label, 1, statement.verb, statement.text, took, (), (ended - began) * 1000)
    return _held_until(ended, locks, began)


def _tables(script: Script, look: Connection) -> list[str]:
    """Return the tables that a statement claims to lock, and those it names: the claim may be wrong."""
    statement = script.statements[0]
    named = [claim.table for claim in script.header.locks] + list(statement.tables)
    found = look.execute(
        "SELECT DISTINCT c.oid::regclass::text AS name FROM pg_class AS c"
        " WHERE c.relkind IN ('r', 'p') AND (c.oid IN (SELECT to_regclass(n) FROM unnest(%s::text[]) AS n)"
        " OR c.oid IN (SELECT indrelid FROM pg_index WHERE indexrelid = to_regclass(%s)))"
        " ORDER BY 1",
        (named, statement.index if statement.verb != "CREATE INDEX" else None),
    ).fetchall()
    return [row["name"] for row in found]


def _held(look: Connection, pid: int, live: set[int]) -> dict[tuple[int, str], TableLock]:
    return {
        (row["relation_id"], row["mode"]): TableLock(
            row["schema"], row["relation"], row["kind"], LockMode.parse(row["mode"])
        )
        for row in session.rows(look, "table_locks_held", {"pid": pid})
        if row["relation_id"] in live
    }


def _strongest(statements: Iterable[StatementLocks]) -> tuple[str, ...]:
    strongest: dict[str, LockMode] = {}
    # From 18 on a GRANT takes ACCESS SHARE: what one major takes and another does not, no header can declare.
    told = [one for one in statements if one.verb not in ("GRANT", "REVOKE")]
    for lock in (lock for one in told for lock in one.took if lock.kind in ("r", "p", "m", "v", "f")):
        if (
            lock.mode.value > strongest.get(lock.relation, LockMode.ACCESS_SHARE).value
            or lock.relation not in strongest
        ):
            strongest[lock.relation] = lock.mode
    return tuple(sorted(f"{mode.word} on {relation}" for relation, mode in strongest.items()))


def _prove(script: Script, look: Connection) -> None:
    finding = preflight.run_check(look, script)
    if finding.problem or finding.total:
        raise RehearsalFailed(
            file=script.label, reason=finding.problem or f"still finds {finding.total} rows after its step"
        )


def _resolved(look: Connection, table: str) -> str:
    return session.value(look, "SELECT coalesce(to_regclass(%s)::text, %s)", (table, table)) or table
