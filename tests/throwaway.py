"""Changes made for one test: a small folder of SQL files, and runs of it against a fresh database."""

from __future__ import annotations

import contextlib
import dataclasses
import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgrunbook import change, session, target
from pgrunbook.change import Change
from pgrunbook.errors import LockNotTaken, StepCancelled, StepFailed
from pgrunbook.gate import Policy, undo_of, way_back
from pgrunbook.patience import Attempt
from pgrunbook.run import Run
from pgrunbook.session import Connection
from pgrunbook.step import Budgets
from pgrunbook.target import Kind, Target
from pgrunbook.undoing import Undone

NAME = "700_throwaway"

# Two transactional steps and a build outside a transaction, on a table of ten rows.
TABLE = """\
CREATE TABLE things (id int PRIMARY KEY, code text);
INSERT INTO things SELECT i, 'c' || i FROM generate_series(1, 10) AS i;
"""
FILES: Mapping[str, str] = {
    "README.md": "# Throw-away\n",
    "preflight/10_doubled_codes.sql": (
        "-- Codes used twice\n-- effect: the index cannot be built\n\n"
        "SELECT code AS code FROM things WHERE code IS NOT NULL GROUP BY code HAVING count(*) > 1 ORDER BY 1;\n"
    ),
    "remedy/10_doubled_codes.sql": (
        "-- Clear the later ones\n\n"
        "WITH batch AS (\n"
        "    SELECT t.id, t.code FROM things AS t\n"
        "    WHERE EXISTS (SELECT FROM things AS o WHERE o.code = t.code AND o.id < t.id) ORDER BY t.id\n"
        "    LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000)\n"
        ")\n"
        "UPDATE things AS t SET code = NULL FROM batch WHERE t.id = batch.id AND t.code = batch.code\n"
        "RETURNING jsonb_build_object('id', t.id) AS key, jsonb_build_object('code', batch.code) AS before,\n"
        "    jsonb_build_object('code', t.code) AS after;\n"
    ),
    "migrate/001_add_note.sql": (
        "-- Add the note\n-- lock: AccessExclusive on things\n\nALTER TABLE things ADD COLUMN note text;\n"
    ),
    "verify/001_add_note.sql": (
        "-- The note is there\n-- remedy: add it\n\n"
        "SELECT 'note' AS missing WHERE NOT EXISTS (SELECT FROM pg_attribute\n"
        "    WHERE attrelid = 'things'::regclass AND attname = 'note' AND NOT attisdropped);\n"
    ),
    "rollback/001_add_note.sql": (
        "-- Drop the note\n-- lock: AccessExclusive on things\n\nALTER TABLE things DROP COLUMN IF EXISTS note;\n"
    ),
    "migrate/002_build_index.sql": (
        "-- Build the index\n-- transaction: none\n-- lock: ShareUpdateExclusive on things\n\n"
        "CREATE UNIQUE INDEX CONCURRENTLY things_code ON things (code);\n"
    ),
    "verify/002_build_index.sql": (
        "-- The index is there\n\n"
        "SELECT 'things_code' AS missing WHERE NOT EXISTS (SELECT FROM pg_index\n"
        "    WHERE indexrelid = to_regclass('things_code') AND indisvalid AND indisunique\n"
        "      AND indkey[0] = (SELECT attnum FROM pg_attribute WHERE attrelid = indrelid AND attname = 'code'));\n"
    ),
    "rollback/002_build_index.sql": (
        "-- Drop the index\n-- transaction: none\n-- lock: ShareUpdateExclusive on things\n\n"
        "DROP INDEX CONCURRENTLY IF EXISTS things_code;\n"
    ),
    "migrate/003_require_code.sql": (
        "-- Require the code\n-- lock: AccessExclusive on things\n\n"
        "ALTER TABLE things ADD CONSTRAINT things_code_present CHECK (code IS NOT NULL) NOT VALID;\n"
    ),
    "verify/003_require_code.sql": (
        "-- The rule is there\n\nSELECT 'things_code_present' AS missing\n"
        "WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conname = 'things_code_present');\n"
    ),
    "rollback/003_require_code.sql": (
        "-- Drop the rule\n-- lock: AccessExclusive on things\n\n"
        "ALTER TABLE things DROP CONSTRAINT IF EXISTS things_code_present;\n"
    ),
    "timing/10_lookup.sql": (
        "-- Look one up\n-- expect: rows 1\n\nSELECT id AS id FROM things WHERE code = 'c1';\n"
    ),
    "samples/go.sql": TABLE,
    "samples/no_go/10_doubled_codes.sql": "UPDATE things SET code = 'c1' WHERE id IN (2, 3);\n",
}

NOTE = """SELECT 'note' AS missing WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attname = 'note' AND attnum > 0);"""

# Ends soon where the real policy would go on for minutes.
HASTY = Budgets(hold_ms=5_000, policy=(Attempt(20, 10),) * 10, patience_s=0.3)


def write(root: Path, files: Mapping[str, str | None] = FILES, *, name: str = NAME) -> Change:
    """Write a change folder (None: no such file) and load it."""
    for path, text in files.items():
        file = root / name / path
        if text is None:
            file.unlink(missing_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    return change.load(name, root=root)


def changed(files: Mapping[str, str | None]) -> dict[str, str | None]:
    """Return the small change with some files replaced, added or (None) left out."""
    return {**FILES, **files}


def step(
    migrate: str,
    verify: str = NOTE,
    rollback: str = "SELECT 1;",
    *,
    name: str = "001_only",
    lock: str = "AccessExclusive on things",
    head: str = "",
) -> dict[str, str | None]:
    """Return a change of one step: its statements, what they take, and further header lines."""
    heads = f"-- lock: {lock}\n{head}\n"
    return {
        "README.md": "# Throw-away\n",
        f"migrate/{name}.sql": f"-- Step\n{heads}\n{migrate}\n",
        f"verify/{name}.sql": f"-- Proof\n\n{verify}\n",
        f"rollback/{name}.sql": f"-- Way back\n-- lock: {lock}\n\n{rollback}\n",
    }  # fmt: skip


def run(chosen: Change, database: str | Target, records: Path, **options: Any) -> Run:
    """Return a run that approves itself as a rehearsal does, with short patience."""
    bound = target.rehearsal(database) if isinstance(database, str) else database
    return Run(
        chosen,
        bound,
        records,
        **{"policy": Policy.REHEARSAL, "operator": "tester", "budgets": HASTY, **options},
    )


@contextlib.contextmanager
def running(chosen: Change, database: str | Target, records: Path, **options: Any) -> Iterator[Run]:
    """Give a run whose board says GO, and close it."""
    with contextlib.closing(run(chosen, database, records, **options)) as made:
        made.preflight()
        yield made


@contextlib.contextmanager
def live(conn: psycopg.Connection[Any], database: str, folder: Path) -> Iterator[Run]:
    """Give a run of the small change on a live target, whose board says GO and whose policy approves all."""
    conn.execute(TABLE)
    bound = Target(Kind.LIVE, database)
    chosen = write(folder / "changes")
    with running(chosen, bound, folder / "records", policy=Policy.APPROVE_ALL, reason="test") as made:
        yield made


def apply(made: Run, *names: str) -> list[str]:
    """Approve and apply steps, all without names; return the notes of their outcomes."""
    notes = []
    for name in names or [one.number for one in made.change.steps]:
        made.decide_by_policy(name)
        notes.append(made.apply(name).note)
    return notes


def roll_back(made: Run, to: str | None = None) -> list[str]:
    """Approve and roll back; return the steps that were undone."""
    made.decide_by_policy(way_back(to))
    return [outcome.step for outcome in made.roll_back(to)]


def undo(made: Run, remedy: str) -> Undone:
    """Approve and undo a remedy."""
    made.decide_by_policy(undo_of(remedy))
    return made.undo_remedy(remedy)


def statuses(made: Run) -> list[str]:
    """Return what the ledger says of each step, in order."""
    return [row["status"] for row in made.status()]


def looking(database: str) -> contextlib.closing[Connection]:
    """Return a session of the library's own kind."""
    return contextlib.closing(session.connect(target.rehearsal(database), purpose="look"))


def tight(budgets: Budgets = HASTY, **options: Any) -> Budgets:
    """Return the hasty budgets with some changed."""
    return dataclasses.replace(budgets, **options)


def ends_in(made: Run, seconds: float) -> datetime:
    """Let the window of a run that is open end in so many seconds, and return when that is."""
    ends = datetime.now(UTC) + timedelta(seconds=seconds)
    made.budgets = made.binding.budgets = dataclasses.replace(made.budgets, window_ends=ends)
    return ends


@contextlib.contextmanager
def role(conn: Connection, *grants: str) -> Iterator[str]:
    """Make a role that owns nothing, with the grants (`{}` is its name), and drop it."""
    name = f"role_{uuid.uuid4().hex[:12]}"
    conn.execute(f"CREATE ROLE {name} LOGIN")
    try:
        for grant in grants:
            conn.execute(grant.format(name))
        yield name
    finally:
        conn.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


@contextlib.contextmanager
def autovacuum(conn: psycopg.Connection[dict[str, Any]]) -> Iterator[None]:
    """Let the server vacuum by itself, and soon, as the one of the tests else does not."""
    conn.execute("ALTER SYSTEM SET autovacuum_naptime TO '1s'")
    conn.execute("ALTER SYSTEM SET autovacuum TO on")
    conn.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        conn.execute("ALTER SYSTEM SET autovacuum TO off")
        conn.execute("ALTER SYSTEM RESET autovacuum_naptime")
        conn.execute("SELECT pg_reload_conf()")
        conn.execute(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
        )


def columns(conn: psycopg.Connection[dict[str, Any]]) -> list[str]:
    """Return the columns of the table now."""
    found = conn.execute(
        "SELECT attname AS name FROM pg_attribute"
        " WHERE attrelid = 'things'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    return [row["name"] for row in found]


def refused(run: Run, name: str = "001") -> str:
    """Return what a step that cannot be applied says."""
    run.decide_by_policy(name)
    with pytest.raises((StepFailed, StepCancelled, LockNotTaken)) as caught:
        run.apply(name)
    return str(caught.value)


def told(run: Run) -> list[dict[str, Any]]:
    """Return the events of a run, but for what the observers saw."""
    return [event for event in run.ledger.events(run_id=run.run_id) if event["kind"] != "observed"]


def kinds(run: Run) -> list[str]:
    """Return the kinds of the events about steps, in order, but for what the observers saw."""
    return [event["kind"] for event in told(run) if event["step"]]
