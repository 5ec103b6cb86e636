"""The rehearsal: a wrong declaration is found, and a way back that restores not everything; the target is as it was."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from throwaway import FILES, TABLE, changed, step, write

from pgrunbook import catalog, rehearsal, session, target
from pgrunbook import server as embedded
from pgrunbook.errors import RehearsalFailed
from pgrunbook.rehearsal import Rehearsal

Conn = psycopg.Connection[dict[str, Any]]
Rehearse = Callable[..., Rehearsal]


@pytest.fixture
def rehearse(conn: Conn, database: str, server: embedded.Server, tmp_path: Path) -> Rehearse:
    """Rehearse a change of these files on a clone that must be gone afterwards."""
    conn.execute(TABLE)

    def go(files: Mapping[str, str | None] = FILES, **options: Any) -> Rehearsal:
        chosen = write(tmp_path, files)
        name = f"clone_{uuid.uuid4().hex[:12]}"
        try:
            return rehearsal.rehearse(chosen, target.rehearsal(database), server, name=name, **options)
        finally:
            assert session.value(conn, "SELECT count(*) FROM pg_database WHERE datname = %s", (name,)) == 0

    return go


def refused(rehearse: Rehearse, files: Mapping[str, str | None]) -> str:
    with pytest.raises(RehearsalFailed) as caught:
        rehearse(files)
    return str(caught.value)


def locks(done: Rehearsal) -> dict[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {file.file: (file.declared, file.observed) for file in done.differing}


def test_every_file_is_run_forwards_and_backwards_and_its_locks_are_seen(rehearse: Rehearse) -> None:
    labels = list[str]()
    done = rehearse(on_file=labels.append)
    assert done.holds
    assert (done.differing, done.not_restored, done.change) == ((), (), throwaway.NAME)
    assert labels == [file.file for file in done.files]
    assert labels == [
        "migrate/001_add_note.sql", "migrate/002_build_index.sql", "migrate/003_require_code.sql",
        "rollback/003_require_code.sql", "rollback/002_build_index.sql", "rollback/001_add_note.sql",
    ]  # fmt: skip
    assert [file.observed for file in done.files] == [
        ("AccessExclusive on things",), ("ShareUpdateExclusive on things",), ("AccessExclusive on things",),
        ("AccessExclusive on things",), ("ShareUpdateExclusive on things",), ("AccessExclusive on things",),
    ]  # fmt: skip
    assert [file.statements[0].verb for file in done.files[:2]] == ["ALTER TABLE", "CREATE INDEX"]


def test_each_statement_tells_what_it_took_how_long_and_what_was_held_before(rehearse: Rehearse) -> None:
    # The second one takes nothing and lasts: the lock of the first is kept so much longer.
    migrate = "COMMENT ON TABLE things IS 'x'; SELECT pg_sleep(1); ALTER TABLE things ADD COLUMN note text;"
    done = rehearse(
        step(migrate, rollback="ALTER TABLE things DROP COLUMN note; COMMENT ON TABLE things IS NULL;")
    )
    comment, sleep, alter = done.files[0].statements
    assert [str(lock) for lock in comment.took] == ["ShareUpdateExclusive on things"]
    assert (sleep.took, [str(lock) for lock in sleep.held_before]) == ((), ["ShareUpdateExclusive on things"])
    assert [str(lock) for lock in alter.took] == ["AccessExclusive on things"]
    assert [str(lock) for lock in alter.held_before] == ["ShareUpdateExclusive on things"]
    assert (alter.took[0].schema, alter.took[0].kind_word) == ("public", "table")
    assert comment.took[0].held_ms > sleep.milliseconds >= 1000 > alter.took[0].held_ms > 0
    assert done.holds


def test_the_target_is_not_touched(rehearse: Rehearse, conn: Conn) -> None:
    before = catalog.snapshot(conn)
    rehearse()
    assert catalog.differences(before, catalog.snapshot(conn)) == []
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None
    assert session.value(conn, "SELECT count(*) FROM things") == 10


@pytest.mark.parametrize("file", ["migrate/001_add_note.sql", "rollback/003_require_code.sql"])
@pytest.mark.parametrize(
    ("claim", "declared"),
    [
        ("ShareUpdateExclusive on things", ("ShareUpdateExclusive on things",)),
        ("none", ()),
        ("AccessExclusive on others", ("AccessExclusive on others",)),
        (
            "AccessExclusive on things; ShareRowExclusive on others",
            ("AccessExclusive on things", "ShareRowExclusive on others"),
        ),
    ],
)
def test_a_wrong_declaration_is_found(
    file: str, claim: str, declared: tuple[str, ...], rehearse: Rehearse, conn: Conn
) -> None:
    conn.execute("CREATE TABLE others (id int)")
    done = rehearse(changed({file: FILES[file].replace("AccessExclusive on things", claim)}))
    assert locks(done) == {file: (declared, ("AccessExclusive on things",))}
    assert not done.holds


@pytest.mark.parametrize("file", ["migrate/002_build_index.sql", "rollback/002_build_index.sql"])
@pytest.mark.parametrize(
    ("claim", "declared"),
    [("none", ()), ("Share on things", ("Share on things",)), ("Share on others", ("Share on others",))],
)
def test_a_wrong_declaration_outside_a_transaction_is_found(
    file: str, claim: str, declared: tuple[str, ...], rehearse: Rehearse, conn: Conn
) -> None:
    conn.execute("CREATE TABLE others (id int)")
    done = rehearse(changed({file: FILES[file].replace("ShareUpdateExclusive on things", claim)}))
    assert locks(done) == {file: (declared, ("ShareUpdateExclusive on things",))}


def test_tables_that_are_dropped_or_renamed_are_still_known_by_name(rehearse: Rehearse, conn: Conn) -> None:
    conn.execute("CREATE SCHEMA app; CREATE TABLE app.old (id int)")
    files = {
        **step("ALTER TABLE app.old RENAME TO older;", "SELECT 1 AS x WHERE to_regclass('app.older') IS NULL;",
               "ALTER TABLE app.older RENAME TO old;", lock="AccessExclusive on app.old"),
        "rollback/001_only.sql": (
            "-- Back\n-- lock: AccessExclusive on app.older\n\nALTER TABLE app.older RENAME TO old;\n"
        ),
        **step("DROP TABLE public.things;", "SELECT 1 AS x WHERE to_regclass('things') IS NOT NULL;",
               TABLE.splitlines()[0], name="002_drop", lock="AccessExclusive on public.things"),
        "rollback/002_drop.sql": f"-- Back\n-- lock: none\n\n{TABLE.splitlines()[0]}\n",
    }  # fmt: skip
    assert rehearse(files).holds


def test_a_grant_declares_no_lock_on_any_major(rehearse: Rehearse) -> None:
    proof = """SELECT 'grant' AS missing WHERE NOT EXISTS (SELECT FROM pg_class, aclexplode(relacl) AS acl
        WHERE relname = 'things' AND acl.grantee = 0);"""
    files = step("GRANT SELECT ON things TO PUBLIC;", proof, "REVOKE ALL ON things FROM PUBLIC;", lock="none")
    assert rehearse(files).holds


def test_a_way_back_that_restores_not_everything_is_found(rehearse: Rehearse) -> None:
    done = rehearse(changed({"rollback/003_require_code.sql": FILES["rollback/001_add_note.sql"]}))
    gone = "- column public.things.note text"
    left = "+ constraint public.things things_code_present CHECK ((code IS NOT NULL)) NOT VALID not valid"
    assert done.not_restored == (
        f"003_require_code: {gone}",
        f"003_require_code: {left}",
        f"002_build_index: {gone}",
        f"002_build_index: {left}",
        f"001_add_note: {left}",
    )
    assert not done.holds


def test_a_file_that_does_not_run_is_named(rehearse: Rehearse) -> None:
    wrong = FILES["migrate/001_add_note.sql"].replace("note text", "code text")
    assert refused(rehearse, changed({"migrate/001_add_note.sql": wrong})) == (
        'rehearsal: migrate/001_add_note.sql: column "code" of relation "things" already exists\n'
        "  next: mend the file, or the clone's cause; the target was not touched"
    )
    wrong = FILES["migrate/002_build_index.sql"].replace("(code)", "(nothing)")
    assert refused(rehearse, changed({"migrate/002_build_index.sql": wrong})) == (
        'rehearsal: migrate/002_build_index.sql: column "nothing" does not exist\n'
        "  next: mend the file, or the clone's cause; the target was not touched"
    )


def test_a_step_that_is_not_proved_is_named(rehearse: Rehearse) -> None:
    files = changed({"verify/001_add_note.sql": "-- Never\n\nSELECT 1 AS x;\n"})
    assert "rehearsal: verify/001_add_note.sql: still finds 1 row" in refused(rehearse, files)
    files = changed({"verify/001_add_note.sql": "-- Broken\n\nSELECT 1 / 0 AS x;\n"})
    assert "rehearsal: verify/001_add_note.sql: could not be run: division by zero" in refused(
        rehearse, files
    )


@pytest.mark.parametrize(
    ("there", "missing"),
    [
        ("CREATE EXTENSION nowhere;", 'ERROR: extension "nowhere" is not available'),
        ("GRANT SELECT ON public.things TO nobody_here;", 'ERROR: role "nobody_here" does not exist'),
    ],
)
def test_what_the_embedded_server_does_not_have_is_named(
    there: str, missing: str, rehearse: Rehearse, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = subprocess.run

    def dumping(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        done = run(command, **options)
        if command[0].endswith("pg_dump"):
            done.stdout += there.encode()
        return done

    monkeypatch.setattr(subprocess, "run", dumping)
    said = refused(rehearse, FILES)
    assert said.startswith("rehearsal: psql: ")
    assert missing in " ".join(said.split())
    assert said.endswith("\n  next: mend the file, or the clone's cause; the target was not touched")


def test_a_search_path_of_the_target_is_the_clones(rehearse: Rehearse, conn: Conn) -> None:
    conn.execute('CREATE SCHEMA "od,d"; ALTER TABLE things SET SCHEMA "od,d"')
    assert rehearse(FILES, search_path='"od,d"').holds
    with pytest.raises(RehearsalFailed, match='relation "things" does not exist'):
        rehearse(FILES)
