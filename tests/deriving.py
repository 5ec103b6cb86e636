"""Small migrations in memory, and what the checks that derive themselves from them find."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrunbook import statement
from pgrunbook.change import Step
from pgrunbook.derived import check, checks
from pgrunbook.derived.check import Answer, Check
from pgrunbook.header import Header, Kind, Severity
from pgrunbook.script import Script
from pgrunbook.session import Connection


def script(text: str, name: str, kind: Kind = Kind.MIGRATE, **header: Any) -> Script:
    """Return a script that was never a file."""
    path = Path(f"{kind.value}/{name}.sql")
    statements = statement.parse(text, file=str(path))
    return Script(path, kind, name, text, "0" * 64, Header("Made up", **header), statements)


def steps(*texts: str) -> tuple[Step, ...]:
    """Return one step a text: 001, 002 and so on."""
    found = []
    for number, text in enumerate(texts, start=1):
        name = f"{number:03}_made_up"
        proof = script("SELECT 1 AS missing", name, Kind.VERIFY)
        found.append(Step(name, f"{number:03}", script(text, name), proof, ()))
    return tuple(found)


def derived(conn: Connection, *texts: str, by_hand: str = "") -> list[Check]:
    """Return the checks of a change of these steps, beside a check that was written by hand."""
    written = [script(by_hand, "10_by_hand", Kind.PREFLIGHT)] if by_hand else []
    return list(checks.derive(conn, steps(*texts), by_hand=written))


def answers(conn: Connection, *texts: str) -> dict[str, Answer]:
    """Return the answer of each check by its name without the word derived."""
    found = {one.label.removeprefix("derived: "): check.ask(conn, one) for one in derived(conn, *texts)}
    assert len(found) == len(derived(conn, *texts)), "two checks have one name"
    return found


def stopping(conn: Connection, *texts: str) -> dict[str, Any]:
    """Return what would be NO-GO: the rows of each check that stops, or the words for why."""
    found: dict[str, Any] = {}
    for one in derived(conn, *texts):
        answer = check.ask(conn, one)
        if answer.problem:
            found[one.label.removeprefix("derived: ")] = answer.problem
        elif answer.found.total and one.severity is Severity.STOP:
            found[one.label.removeprefix("derived: ")] = [dict(row) for row in answer.found.rows]
    return found


def refused(conn: Connection, text: str, state: str) -> dict[str, Any]:
    """Return what would be NO-GO of a migration that the server refuses in just that way."""
    found = {label.removeprefix("001 "): rows for label, rows in stopping(conn, text).items()}
    with pytest.raises(psycopg.Error) as refusal, conn.transaction(force_rollback=True):
        conn.execute(text.encode())
    assert refusal.value.sqlstate == state
    return found


def passes(conn: Connection, text: str) -> None:
    """Assert that a migration is GO with nothing in doubt, and that the server takes it."""
    assert {label: one.unproved for label, one in answers(conn, text).items() if one.unproved} == {}
    assert stopping(conn, text) == {}
    conn.execute(text.encode())


def rows(conn: Connection, text: str, about: str) -> list[dict[str, Any]]:
    """Return the rows that the check of one step of this name finds."""
    answer = answers(conn, text)[f"001 {about}"]
    assert not answer.problem
    assert not answer.unproved, answer.unproved
    return [dict(row) for row in answer.found.rows]
