"""The audit before anything is touched: checks of the change and of the server, GO or NO-GO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.string import TextLoader

from pgrunbook import queries, surroundings
from pgrunbook.change import Change, Script, Step
from pgrunbook.errors import PreflightFailed
from pgrunbook.header import Header, Kind, Severity, parse
from pgrunbook.session import Connection
from pgrunbook.surroundings import Question

__all__ = ["Board", "Finding", "audit", "run_check"]

SAMPLE = 50
TIMEOUT_MS = 300_000
# Python has no infinity and no year 10000 for these.
_AS_TEXT = ("date", "timestamp", "timestamptz", "interval")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found: its first rows, and how many there are in all."""

    label: str
    title: str
    severity: Severity
    effect: str
    remedy: str
    columns: tuple[str, ...] = ()
    rows: tuple[Mapping[str, Any], ...] = ()
    total: int = 0
    problem: str = ""

    @property
    def stops(self) -> bool:
        """Return whether this finding makes the board say NO-GO; a check that could not run does too."""
        return bool(self.problem) or (self.total > 0 and self.severity is Severity.STOP)

    @property
    def name(self) -> str:
        """Return the check's name without folder and ending."""
        return self.label.removeprefix("preflight/").removeprefix("verify/").removesuffix(".sql")


@dataclass(frozen=True, slots=True)
class Board:
    """All findings of one audit."""

    change: str
    findings: tuple[Finding, ...]
    offered: tuple[str, ...] = ()

    @property
    def go(self) -> bool:
        """Return whether nothing stops the change."""
        return not any(finding.stops for finding in self.findings)

    @property
    def failed(self) -> tuple[Finding, ...]:
        """Return the findings that stop the change."""
        return tuple(finding for finding in self.findings if finding.stops)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Return the findings that are worth a look and stop nothing."""
        return tuple(finding for finding in self.findings if finding.total and not finding.stops)

    def require_go(self) -> None:
        """Raise PreflightFailed, with the remedies that would help, unless the board says GO."""
        if self.go:
            return
        raise PreflightFailed(
            change=self.change,
            failed=[(f.label, f.problem or f.title, f.total) for f in self.failed],
            checks=len(self.findings),
            remedies=[name for name in self.offered if name in {f.name for f in self.failed}],
        )


def audit(conn: Connection, change: Change, *, window_s: float | None = None) -> Board:
    """Return the board of a change: first the server's checks, then the change's own.

    Every check runs in a read-only transaction under a statement timeout; nothing that it does stays. The
    checks of steps are about those that the ledger does not call done. The change's own checks are left out,
    and said to be, when a table that they need is missing. `window_s` is what is left of the window.
    """
    findings = [_health(conn, name, change.tables) for name in queries.names("health_")]
    tables_missing = any(f.label.endswith("missing_tables") and f.total for f in findings)
    open_steps = surroundings.open_steps(conn, change)
    asked = surroundings.questions(open_steps, in_place=lambda step: _in_place(conn, step), window_s=window_s)
    findings += [_asked(conn, question) for question in asked]
    for script in change.preflight:
        findings.append(run_check(conn, script) if not tables_missing else _left_out(script))
    return Board(change.name, tuple(findings), tuple(remedy.name for remedy in change.remedies))


def _in_place(conn: Connection, step: Step) -> bool:
    finding = run_check(conn, step.verify)
    return not finding.problem and not finding.total


def run_check(conn: Connection, script: Script, *, read_only: bool = True) -> Finding:
    """Return what a check file finds; `read_only=False` joins the transaction that is open."""
    return _found(conn, script.label, script.header, script.statements[0].text, None, read_only=read_only)


def _health(conn: Connection, name: str, tables: Sequence[str]) -> Finding:
    text = queries.get(name, conn.info.server_version)
    header = parse(text, kind=Kind.PREFLIGHT, file=f"{name}.sql")
    return _found(conn, f"server: {name.removeprefix('health_')}", header, text, {"tables": list(tables)})


def _asked(conn: Connection, question: Question) -> Finding:
    header = question.header
    try:
        rows = question.ask(conn)
    except psycopg.Error as error:
        return _not_run(question.label, header, error)
    columns = tuple(rows[0]) if rows else ()
    texts = (header.title, question.severity(rows), header.effect, header.remedy)
    return Finding(question.label, *texts, columns, tuple(rows[:SAMPLE]), len(rows))


def _not_run(label: str, header: Header, error: psycopg.Error) -> Finding:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    texts = (header.title, header.severity, header.effect, header.remedy)
    return Finding(label, *texts, problem=f"could not be run: {reason}")


def _left_out(script: Script) -> Finding:
    return Finding(
        script.label, script.header.title, script.header.severity, script.header.effect, script.header.remedy,
        problem="not run, because a table of the change is missing",
    )  # fmt: skip


def _found(
    conn: Connection,
    label: str,
    header: Header,
    text: str,
    parameters: Mapping[str, object] | None,
    *,
    read_only: bool = True,
) -> Finding:
    try:
        columns, rows, total = _fetch(conn, text, parameters, read_only=read_only)
    except psycopg.Error as error:
        if not read_only:
            raise
        return _not_run(label, header, error)
    return Finding(label, header.title, header.severity, header.effect, header.remedy, columns, rows, total)


def _fetch(
    conn: Connection, text: str, parameters: Mapping[str, object] | None, *, read_only: bool
) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...], int]:
    """Return columns, the first rows, and the number of all rows, without bringing them all here."""
    if not read_only:
        with conn.transaction():
            return _through_cursor(conn, text, parameters)
    with conn.transaction(force_rollback=True):
        conn.execute("SET TRANSACTION READ ONLY")
        conn.execute(f"SET LOCAL statement_timeout = {TIMEOUT_MS}")
        return _through_cursor(conn, text, parameters)


def _through_cursor(
    conn: Connection, text: str, parameters: Mapping[str, object] | None
) -> tuple[tuple[str, ...], tuple[dict[str, Any], ...], int]:
    with conn.cursor("pgrunbook_check") as cursor:
        for kind in _AS_TEXT:
            cursor.adapters.register_loader(kind, TextLoader)
        cursor.execute(text.rstrip().removesuffix(";"), parameters)
        rows = cursor.fetchmany(SAMPLE)
        columns = tuple(column.name for column in cursor.description or ())
        total = len(rows)
        if total == SAMPLE:
            moved = conn.execute('MOVE FORWARD ALL FROM "pgrunbook_check"')
            total += int((moved.statusmessage or "MOVE 0").split()[-1])
        return columns, tuple(rows), total
