"""The archive: every script of a run, once, under the hash of its bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo
from throwaway import running, write

from pgrunbook import archive, evidence, session, target
from pgrunbook.ledger import Ledger
from pgrunbook.session import Connection
from pgrunbook.target import Kind, Target

TEXT = "-- Grüße, 'quoted' \\ %s\n\nSELECT 1;\n"
SHA256 = evidence.sha256_of(TEXT)


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    where = target.rehearsal(database)
    with contextlib.closing(session.connect(where, purpose="control r1")) as conn:
        made = Ledger(conn, where)
        made.install()
        yield made


def test_a_script_is_kept_once_and_comes_back_to_the_letter(ledger: Ledger) -> None:
    assert archive.keep(ledger.conn, {SHA256: TEXT}) == 1
    assert archive.keep(ledger.conn, {SHA256: TEXT}) == 0
    assert archive.texts(ledger.conn, [SHA256, "0" * 64]) == {SHA256: TEXT}
    assert archive.texts(ledger.conn, []) == {}


def test_the_ledger_itself_refuses_a_text_that_is_not_its_hash(ledger: Ledger) -> None:
    with pytest.raises(psycopg.errors.CheckViolation):
        archive.keep(ledger.conn, {"0" * 64: TEXT})


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE pgrunbook.script SET content = 'x'",
        "DELETE FROM pgrunbook.script",
        "TRUNCATE pgrunbook.script",
    ],
)
def test_what_is_kept_stays_as_it_is(ledger: Ledger, statement: str) -> None:
    archive.keep(ledger.conn, {SHA256: TEXT})
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match=r"pgrunbook\.script is append-only"):
        ledger.conn.execute(statement.encode())
    assert archive.texts(ledger.conn, [SHA256]) == {SHA256: TEXT}


def test_a_text_that_was_altered_all_the_same_is_known_by_its_hash(ledger: Ledger) -> None:
    archive.keep(ledger.conn, {SHA256: TEXT})
    ledger.conn.execute(
        "ALTER TABLE pgrunbook.script DISABLE TRIGGER ALL; ALTER TABLE pgrunbook.script DROP CONSTRAINT script_check;"
        r" UPDATE pgrunbook.script SET content = '\xff00'"
    )
    (text,) = archive.texts(ledger.conn, [SHA256]).values()
    assert evidence.sha256_of(text) != SHA256


def test_a_ledger_that_is_older_than_the_archive_has_no_texts(conn: Connection) -> None:
    assert archive.texts(conn, [SHA256]) == {}


def test_a_run_keeps_its_scripts_when_it_begins_to_write(
    conn: Connection, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    with running(write(tmp_path), database, tmp_path) as made:
        made.decide_by_policy("001")
        scripts = made.change.scripts
        kept = archive.texts(made.control, [script.sha256 for script in scripts])
        assert kept == {script.sha256: script.text for script in scripts}
        assert len(kept) == 12


def test_a_file_that_was_edited_is_kept_beside_what_it_was(
    conn: Connection, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    name, edited = "migrate/001_add_note.sql", "ALTER TABLE things ADD COLUMN note varchar;\n"
    heads = "-- Add the note\n-- lock: AccessExclusive on things\n\n"
    for files in (throwaway.FILES, throwaway.changed({name: heads + edited})):
        with running(write(tmp_path, files), database, tmp_path) as made:
            made.decide_by_policy("001")
    assert session.value(conn, "SELECT count(*) FROM pgrunbook.script") == 13


def test_who_could_read_the_events_can_read_the_scripts_after_the_upgrade(
    ledger: Ledger, database: str, conn: Connection
) -> None:
    archive.keep(ledger.conn, {SHA256: TEXT})
    grants = ("GRANT USAGE ON SCHEMA pgrunbook TO {}", "GRANT SELECT ON pgrunbook.event TO {}")
    with throwaway.role(conn, *grants) as auditor, throwaway.role(conn, grants[0]) as visitor:
        conn.execute("DROP TABLE pgrunbook.script; DELETE FROM pgrunbook.version WHERE version = 5")
        ledger.install()
        archive.keep(ledger.conn, {SHA256: TEXT})
        for user, may in ((auditor, True), (visitor, False)):
            bound = Target(Kind.LIVE, make_conninfo(database, user=user))
            with contextlib.closing(session.connect(bound, purpose="record")) as theirs:
                if may:
                    assert archive.texts(theirs, [SHA256]) == {SHA256: TEXT}
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        archive.keep(theirs, {evidence.sha256_of("x"): "x"})
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        archive.texts(theirs, [SHA256])


@pytest.mark.parametrize("grant", ["GRANT {} TO {{}}", "GRANT {} TO {{}} WITH INHERIT TRUE, SET FALSE", ""])
def test_whoever_upgrades_the_owner_of_the_ledger_can_keep_scripts(
    grant: str, database: str, conn: Connection
) -> None:
    def of(user: str) -> contextlib.closing[Connection]:
        bound = Target(Kind.LIVE, make_conninfo(database, user=user))
        return contextlib.closing(session.connect(bound, purpose="control r1"))

    where = session.value(conn, "SELECT format('GRANT CREATE ON DATABASE %I TO {}', current_database())")
    with throwaway.role(conn, where) as keeper, throwaway.role(conn) as guest:
        if grant:
            conn.execute(grant.format(keeper).format(guest))
        else:
            conn.execute(f"ALTER ROLE {guest} SUPERUSER")
        with of(keeper) as theirs:
            ledger = Ledger(theirs, target.rehearsal(database))
            ledger.install()
            conn.execute("DROP TABLE pgrunbook.script; DELETE FROM pgrunbook.version WHERE version = 5")
            with of(guest) as upgrading:
                Ledger(upgrading, target.rehearsal(database)).install()
            ledger.keep({SHA256: TEXT})
            assert archive.texts(theirs, [SHA256]) == {SHA256: TEXT}
        owner = session.value(conn, "SELECT tableowner::text FROM pg_tables WHERE tablename = 'script'")
        assert owner == (guest if "SET FALSE" in grant else keeper)
