"""The audit before anything is touched: checks of the change and of the server, GO or NO-GO."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Mapping, Sequence

import psycopg

from pgrunbook import queries, session, surroundings
from pgrunbook.board import Board, Finding
from pgrunbook.change import Change, Script, Step
from pgrunbook.counting import SAMPLE, Counted, through_cursor
from pgrunbook.derived import check, checks
from pgrunbook.header import Header, Kind, parse
from pgrunbook.session import Connection, reading
from pgrunbook.surroundings import Question

__all__ = ["Board", "Finding", "ask_again", "audit", "guards", "run_check"]

TIMEOUT_MS = 300_000


def audit(conn: Connection, change: Change, *, window_s: float | None = None) -> Board:
    """Return the board of a change: the server's checks, those derived from its statements, then its own.

    Every check runs in a read-only transaction under a statement timeout; nothing that it does stays. The
    checks of steps are about those that the ledger does not call done. The change's own checks are left out,
    and said to be, when a table that they need is missing; derived ones are left out then. `window_s` is what is
    left of the window.
    """
    findings = [_health(conn, name, change.tables) for name in queries.names("health_")]
    tables_missing = any(f.label.endswith("missing_tables") and f.total for f in findings)
    open_steps = surroundings.open_steps(conn, change)
    asked = surroundings.questions(open_steps, in_place=lambda step: _in_place(conn, step), window_s=window_s)
    findings += [_asked(conn, question) for question in asked]
    if not tables_missing:
        findings += _derived(conn, open_steps, change.preflight)
    for script in change.preflight:
        findings.append(run_check(conn, script) if not tables_missing else _left_out(script))
    offered = tuple(remedy.name for remedy in change.remedies)
    return Board(change.name, tuple(findings), offered, tuple(step.name for step in change.steps))


def guards(change: Change, step: str) -> tuple[Script, ...]:
    """Return the checks that must be clean before a step, and not before all."""
    names = [one.name for one in change.steps]
    first = [script for script in change.preflight if script.header.before]
    return tuple(script for script in first if names.index(script.header.before) <= names.index(step))


def ask_again(conn: Connection, change: Change, board: Board, step: str) -> Board:
    """Return the board with the checks asked again that guard a step, and those derived from it."""
    board = board.updated(run_check(conn, script) for script in guards(change, step))
    open_steps = surroundings.open_steps(conn, change)
    found = tuple(_derived(conn, open_steps, change.preflight, only=step))
    known = {finding.label for finding in board.findings}
    # What a step before made could not be asked about until now.
    fresh = tuple(finding for finding in found if finding.label not in known)
    return dataclasses.replace(board.updated(found), findings=(*board.updated(found).findings, *fresh))


def _derived(
    conn: Connection, steps: Sequence[Step], by_hand: Sequence[Script], *, only: str = ""
) -> Iterator[Finding]:
    """Yield what the derived checks find, of one step alone where one is named."""
    by_number = {step.number: step for step in steps}
    in_place = functools.cache(lambda step: _in_place(conn, by_number[step]))
    for one in checks.derive(conn, steps, by_hand=by_hand):
        step = by_number[one.step]
        if only not in ("", step.name):
            continue
        answer = check.ask(conn, one)
        found, effect = answer.found, one.header.effect
        if found.total and one.doubt:
            effect += f", unless the {one.doubt} repairs them"
        finding = Finding(
            one.label, one.header.title, one.severity, effect, one.header.remedy, found.columns,
            session.masked(conn, found.rows), found.total, answer.problem, step.name, answer.unproved, answer.cost,
        )  # fmt: skip
        if (finding.stops or finding.warns) and in_place(one.step):
            # A step that is in place although no ledger knows it runs no more.
            finding = dataclasses.replace(finding, rows=(), total=0, problem="", unproved="")
        yield finding


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
    return Finding(question.label, *texts, columns, session.masked(conn, tuple(rows[:SAMPLE])), len(rows))


def _not_run(label: str, header: Header, error: psycopg.Error) -> Finding:
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    texts = (header.title, header.severity, header.effect, header.remedy)
    return Finding(label, *texts, problem=f"could not be run: {reason}", before=header.before)


def _left_out(script: Script) -> Finding:
    return Finding(
        script.label, script.header.title, script.header.severity, script.header.effect, script.header.remedy,
        problem="not run, because a table of the change is missing", before=script.header.before,
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
        found = _fetch(conn, text, parameters, read_only=read_only)
    except psycopg.Error as error:
        if not read_only:
            raise
        return _not_run(label, header, error)
    texts = (header.title, header.severity, header.effect, header.remedy)
    rows = session.masked(conn, found.rows)
    return Finding(label, *texts, found.columns, rows, found.total, before=header.before)


def _fetch(
    conn: Connection, text: str, parameters: Mapping[str, object] | None, *, read_only: bool
) -> Counted:
    """Return columns, the first rows, and the number of all rows, without bringing them all here."""
    if not read_only:
        with conn.transaction():
            return through_cursor(conn, text, parameters)
    with reading(conn, timeout_ms=TIMEOUT_MS):
        return through_cursor(conn, text, parameters)
