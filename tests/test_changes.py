"""The contract of a change, held against every folder of sql/changes and against one made of the template.

Names no change: the folders are the list. `pytest -k 060` runs the whole contract of one of them.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway
from jsonschema import Draft202012Validator
from psycopg import sql

from pgrunbook import (
    catalog,
    change,
    dossier,
    explain,
    preflight,
    records,
    rehearsal,
    scaffold,
    session,
    target,
    undoing,
)
from pgrunbook import server as embedded
from pgrunbook.catalog import Catalog
from pgrunbook.change import Change, Script
from pgrunbook.gate import Policy
from pgrunbook.header import Severity
from pgrunbook.run import Run
from pgrunbook.session import Connection
from pgrunbook.step import Budgets
from pgrunbook.timing import misses

ROOT = Path(__file__).parents[1] / "sql" / "changes"
TEMPLATE = ROOT / "_template"
MADE = "999_made_without_python"
PAGE = 6_000
"""Characters that fit on a printed page, tables included."""

# What squawk finds and we do all the same: rule, reason, and how a file shows that the reason holds.
ALLOWED: dict[str, tuple[str, Callable[[Script], bool]]] = {
    "require-lock-timeout": (
        "the runner sets lock_timeout before every attempt; see patience",
        lambda _script: True,
    ),
    "require-statement-timeout": ("the runner sets it to the hold budget of the step", lambda _script: True),
    "prefer-robust-stmts": (
        "IF NOT EXISTS would take the invalid index of a failed build for a good one; the runner clears it",
        lambda script: all(one.verb == "CREATE INDEX" and one.concurrently for one in script.statements),
    ),
    "prefer-bigint-over-smallint": (
        "a quantity, not a key: a CHECK in the same file keeps it far below the limit",
        lambda script: all(
            f"CHECK ({name} BETWEEN " in script.text for name in re.findall(r"(\w+) +smallint", script.text)
        ),
    ),
    "prefer-bigint-over-int": (
        "a quantity; a key that counts up says in its file why it is an INTEGER",
        lambda script: "INTEGER" in script.text or " integer NOT NULL GENERATED " not in script.text,
    ),
    "ban-drop-constraint": (
        "dropped and added again in one statement, so that the file can be run twice and nobody sees it missing",
        lambda script: all(
            re.search(rf"ADD CONSTRAINT {name}\b", script.text)
            for name in re.findall(r"DROP CONSTRAINT (?:IF EXISTS )?(\w+)", script.text)
        ),
    ),
}


def folder_of(name: str) -> Path:
    return TEMPLATE if name == MADE else ROOT / name


def each(*patterns: str) -> list[tuple[str, str]]:
    """Return (change, file's stem) for the files of every change that match."""
    return [
        (name, path.stem)
        for name in [*change.names(ROOT), MADE]
        for pattern in patterns
        for path in sorted(folder_of(name).glob(pattern))
    ]


every_change = pytest.mark.parametrize("name", [*change.names(ROOT), MADE])


def every_file(*patterns: str) -> pytest.MarkDecorator:
    found = each(*patterns)
    return pytest.mark.parametrize(("name", "file"), found, ids=[f"{name}-{file}" for name, file in found])


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Change]:
    """Load a change; the last one is copied from the template, which is all that adding a change takes."""
    root = tmp_path_factory.mktemp("changes")
    (root / "notebooks").mkdir()
    (root / "sql").mkdir()
    scaffold.create(MADE, root=root / "sql", template=TEMPLATE, notebooks=root / "notebooks")
    return lambda name: change.load(name, root=root / "sql" if name == MADE else ROOT)


Copy = Callable[[str], contextlib.AbstractContextManager[str]]


@pytest.fixture(scope="module")
def copy(
    server: embedded.Server, changes: Callable[[str], Change], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Copy]:
    """Give a copy of the database that is ready for a change; the sample itself is loaded once."""
    templates: dict[str, str] = {}

    def prepare(conninfo: str, chosen: Change) -> None:
        for required in chosen.requires:
            prepare(conninfo, changes(required))
            with throwaway.running(changes(required), conninfo, tmp_path_factory.mktemp("required")) as run:
                throwaway.apply(run)
        if chosen.go_sample is not None:
            with throwaway.looking(conninfo) as conn:
                conn.execute(chosen.go_sample.read_bytes())

    @contextlib.contextmanager
    def give(name: str) -> Iterator[str]:
        if name not in templates:
            made = f"go_{uuid.uuid4().hex[:12]}"
            prepare(embedded.create_database(server, made), changes(name))
            templates[name] = made
        fresh = f"copy_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
            create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
            conn.execute(create.format(sql.Identifier(fresh), sql.Identifier(templates[name])))
        try:
            yield server.conninfo_for(fresh)
        finally:
            embedded.drop_database(server, fresh)

    yield give
    for made in templates.values():
        embedded.drop_database(server, made)


def a_run(chosen: Change, conninfo: str, records: Path) -> contextlib.closing[Run]:
    return contextlib.closing(
        Run(
            chosen,
            target.rehearsal(conninfo),
            records,
            Policy.REHEARSAL,
            operator="tester",
            budgets=Budgets(),
        )
    )


def rows_of(conn: Connection) -> dict[str, str]:
    """Return a hash of all rows of every table outside the ledger."""
    tables = conn.execute(
        "SELECT oid::regclass::text AS name FROM pg_class"
        " WHERE relkind = 'r' AND relnamespace::regnamespace::text !~ '^(pg_catalog|information_schema|pgrunbook)$'"
    ).fetchall()
    return {table["name"]: hash_of(conn, table["name"]) for table in tables}


def hash_of(conn: Connection, table: str) -> str:
    return str(
        session.value(
            conn,
            f"SELECT md5(string_agg((t.*)::text, E'\\n' ORDER BY (t.*)::text COLLATE \"C\")) FROM {table} AS t",
        )
    )


def named(scripts: tuple[Script, ...], name: str) -> Script:
    return next(script for script in scripts if script.name == name)


# --- the audit ---------------------------------------------------------------------------------------------


@every_change
def test_the_board_says_go_on_the_good_sample(
    name: str, changes: Callable[[str], Change], copy: Copy
) -> None:
    with copy(name) as conninfo, throwaway.looking(conninfo) as conn:
        board = preflight.audit(conn, changes(name))
    assert board.go, [(f.label, f.problem, f.rows[:3]) for f in board.failed]


@every_change
def test_every_check_has_a_sample_that_it_reports(name: str, changes: Callable[[str], Change]) -> None:
    chosen = changes(name)
    assert sorted(chosen.no_go_samples) == [script.name for script in chosen.preflight]


@every_file("samples/no_go/*.sql")
def test_every_check_can_say_no_go_and_no_other_does(
    name: str, file: str, changes: Callable[[str], Change], copy: Copy
) -> None:
    chosen = changes(name)
    with copy(name) as conninfo, throwaway.looking(conninfo) as conn:
        conn.execute(chosen.no_go_samples[file].read_bytes())
        board = preflight.audit(conn, chosen)
    found = {finding.name: finding for finding in board.findings}
    assert found[file].total > 0
    assert not found[file].problem
    assert all(finding.columns for finding in board.findings if finding.total)
    stops = chosen.check(file).header.severity is Severity.STOP
    # What a step would meet is found beside it by the checks that derive themselves.
    by_hand = [finding.name for finding in board.failed if not finding.label.startswith("derived: ")]
    assert by_hand == [file] * stops


# --- forwards and back -------------------------------------------------------------------------------------


@every_change
def test_each_step_is_proved_and_undone_and_can_be_applied_again(
    name: str, changes: Callable[[str], Change], copy: Copy, tmp_path: Path
) -> None:
    chosen = changes(name)
    with copy(name) as conninfo, a_run(chosen, conninfo, tmp_path) as run:
        run.preflight()
        rows, states = rows_of(run.control), [catalog.snapshot(run.control)]
        for step in chosen.steps:
            before = preflight.run_check(run.control, step.verify)
            assert before.total > 0, f"{step.verify.label} finds nothing before its step"
            assert not before.problem, before.problem
            throwaway.apply(run, step.number)
            after = preflight.run_check(run.control, step.verify)
            assert (after.total, after.problem) == (0, ""), after
            board = run.preflight()
            assert board.go, f"after {step.name}: {[(f.label, f.problem, f.rows[:3]) for f in board.failed]}"
            states.append(catalog.snapshot(run.control))
        assert [f.label for f in run.verify() if f.total or f.problem] == []
        timings = [explain.measure(run.control, script) for script in chosen.timings]
        missed = [misses(t, s.header.expect) for t, s in zip(timings, chosen.timings, strict=True)]
        assert not any(missed), missed

        for kept, state in reversed(list(zip([None, *chosen.steps], states[:-1], strict=False))):
            throwaway.roll_back(run, kept.name if kept else None)
            same(state, run, f"rolled back to {kept.name if kept else 'the beginning'}")
        assert rows_of(run.control) == rows, "rows differ after the way there and back"
        for step, state in zip(chosen.steps, states[1:], strict=True):
            throwaway.apply(run, step.number)
            same(state, run, f"{step.name} applied again")
        undone = throwaway.roll_back(run)
        same(states[0], run, "rolled back at once")
        assert list(dict.fromkeys(undone)) == [step.name for step in reversed(chosen.steps)]
        chain = str(run.check_chain())
        told = dossier.from_ledger(run.run_id, run.ledger.run(run.run_id), chain=chain).text
        Draft202012Validator(json.loads(records.schema())).validate(json.loads(told))


def same(expected: Catalog, run: Run, when: str) -> None:
    differences = catalog.differences(expected, catalog.snapshot(run.control))
    assert differences == [], f"{when}:\n" + "\n".join(differences)


@every_change
def test_observed_locks_are_the_declared_ones_and_everything_is_restored(
    name: str, changes: Callable[[str], Change], copy: Copy, server: embedded.Server
) -> None:
    with copy(name) as conninfo:
        done = rehearsal.rehearse(
            changes(name), target.rehearsal(conninfo), server, name=f"rehearsal_{uuid.uuid4().hex[:12]}"
        )
    assert [(file.file, file.declared, file.observed) for file in done.differing] == []
    assert done.not_restored == ()
    assert done.holds


@every_change
def test_the_sample_data_reaches_every_new_table_and_may_be_loaded_twice(
    name: str, changes: Callable[[str], Change], copy: Copy, tmp_path: Path
) -> None:
    chosen = changes(name)
    if chosen.data_sample is None:
        return
    with copy(name) as conninfo:
        with throwaway.running(chosen, conninfo, tmp_path) as run:
            before = set(rows_of(run.control))
            throwaway.apply(run)
        with throwaway.looking(conninfo) as conn:
            conn.execute(chosen.data_sample.read_bytes())
            loaded = rows_of(conn)
            made = sorted(set(loaded) - before)
            assert [table for table in made if not session.value(conn, f"SELECT count(*) FROM {table}")] == []
            conn.execute(chosen.data_sample.read_bytes())
            assert rows_of(conn) == loaded


# --- remedies ----------------------------------------------------------------------------------------------


@every_file("remedy/*.sql")
def test_every_remedy_empties_its_check_and_can_be_undone_to_the_byte(
    name: str, file: str, changes: Callable[[str], Change], copy: Copy, tmp_path: Path
) -> None:
    chosen = changes(name)
    with copy(name) as conninfo, a_run(chosen, conninfo, tmp_path) as run:
        run.control.execute(chosen.no_go_samples[file].read_bytes())
        before = rows_of(run.control)
        preview = run.preview_remedy(file)
        assert preview.undo_proved
        assert preview.repairs
        assert rows_of(run.control) == before, "the preview changed rows"
        run.decide_by_policy(file)
        applied = run.apply_remedy(file)
        assert applied.repairs >= len(preview.repairs)
        found = preflight.run_check(run.control, chosen.check(file))
        assert (found.total, found.problem) == (0, "")
        undone = throwaway.undo(run, file)
        assert undone == undoing.Undone(file, applied.repairs)
        assert rows_of(run.control) == before, "undo did not give the rows back as they were"


@every_change
def test_every_remedy_answers_a_check(name: str, changes: Callable[[str], Change]) -> None:
    chosen = changes(name)
    assert {script.name for script in chosen.remedies} <= {script.name for script in chosen.preflight}


# --- the files ---------------------------------------------------------------------------------------------


@every_change
def test_every_file_runs_with_psql(
    name: str, changes: Callable[[str], Change], copy: Copy, server: embedded.Server
) -> None:
    chosen = changes(name)
    forwards = [script for step in chosen.steps for script in (step.migrate, step.verify)]
    back = [script for step in reversed(chosen.steps) for script in step.rollback]
    with copy(name) as conninfo:
        for script in [*chosen.preflight, *chosen.remedies, *forwards, *chosen.timings, *back]:
            command = [
                str(server.bin / "psql"),
                "-X",
                "-v",
                "ON_ERROR_STOP=1",
                "-f",
                str(script.path),
                conninfo,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{script.label}: {done.stderr}"


@every_change
def test_the_readme_is_one_page_and_tells_every_step(name: str, changes: Callable[[str], Change]) -> None:
    chosen = changes(name)
    assert len(chosen.readme) <= PAGE
    assert chosen.title != chosen.name
    for step in chosen.steps:
        assert f"{step.number} {step.name.removeprefix(step.number)[1:]}" in chosen.readme, step.name


@every_change
def test_squawk_finds_nothing_that_is_not_meant(name: str, changes: Callable[[str], Change]) -> None:
    chosen = changes(name)
    program = Path(sys.executable).with_name("squawk")
    unmeant = []
    for script in (step.migrate for step in chosen.steps):
        inside = ["--assume-in-transaction"] if script.header.in_transaction else []
        command = [str(program), "--reporter", "json", "--pg-version", "16.0", *inside, str(script.path)]
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        for finding in json.loads(said):
            _reason, holds = ALLOWED.get(finding["rule_name"], ("", lambda _script: False))
            if not holds(script):
                where = f"{script.label} line {finding['line'] + 1}"
                unmeant.append(f"{where}: {finding['rule_name']}: {finding['message']}")
    assert unmeant == []
