"""The clone: the target's schema and nothing else of it, and no secret on a command line."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo
from throwaway import TABLE

from pgrunbook import server as embedded
from pgrunbook import session, target
from pgrunbook.clone import clone
from pgrunbook.errors import RehearsalFailed
from pgrunbook.target import Kind, Target

Conn = psycopg.Connection[dict[str, Any]]


def test_a_source_that_cannot_be_dumped_is_named(server: embedded.Server, conn: Conn) -> None:
    with pytest.raises(RehearsalFailed) as caught:
        clone(target.rehearsal(server.conninfo_for("not_there")), server, "clone_of_nothing")
    assert str(caught.value).startswith("rehearsal: pg_dump: ")
    assert 'database "not_there" does not exist' in str(caught.value)
    assert session.value(conn, "SELECT count(*) FROM pg_database WHERE datname = 'clone_of_nothing'") == 0


def test_the_password_reaches_pg_dump_through_the_environment_only(
    conn: Conn, database: str, server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = list[tuple[list[str], dict[str, str]]]()
    run = subprocess.run

    def watched(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
        seen.append((command, options["env"]))
        return run(command, **options)

    monkeypatch.setattr(subprocess, "run", watched)
    source = Target(Kind.LIVE, make_conninfo(database, password="s3cret ' word", sslpassword="s3cret key"))
    name = f"clone_{uuid.uuid4().hex[:12]}"
    clone(source, server, name)
    embedded.drop_database(server, name)
    (dump, dumped), (psql, restored) = seen
    assert [Path(command[0]).name for command in (dump, psql)] == ["pg_dump", "psql"]
    assert "s3cret" not in " ".join([*dump, *psql, *restored.values()])
    assert dumped["PGPASSWORD"] == "s3cret ' word"
    assert not Path(dumped["PGSERVICEFILE"]).exists()


def test_the_connection_strings_of_subscriptions_stay_behind(
    conn: Conn, database: str, server: embedded.Server
) -> None:
    conn.execute(
        "CREATE SUBSCRIPTION cloned_not CONNECTION 'host=/nowhere password=s3cret' PUBLICATION p"
        " WITH (connect = false, slot_name = NONE)"
    )
    try:
        name = f"clone_{uuid.uuid4().hex[:12]}"
        with throwaway.looking(clone(target.rehearsal(database), server, name).conninfo) as look:
            found = (
                "SELECT count(*) FROM pg_subscription AS s JOIN pg_database AS d ON d.oid = s.subdbid"
                " WHERE d.datname = %s"
            )
            assert session.value(look, found, (database.rpartition("dbname=")[2],)) == 1
            assert session.value(look, found, (name,)) == 0
        embedded.drop_database(server, name)
    finally:
        conn.execute("DROP SUBSCRIPTION cloned_not")


def test_rows_owners_grants_and_the_ledger_stay_behind(
    conn: Conn, database: str, server: embedded.Server
) -> None:
    conn.execute(TABLE + "CREATE SCHEMA pgrunbook; CREATE TABLE pgrunbook.event (id int)")
    with throwaway.role(conn, "GRANT SELECT ON things TO {0}", "ALTER TABLE things OWNER TO {0}"):
        name = f"clone_{uuid.uuid4().hex[:12]}"
        cloned = clone(target.rehearsal(database), server, name)
        with throwaway.looking(cloned.conninfo) as look:
            assert session.value(look, "SELECT count(*) FROM things") == 0
            assert session.value(look, "SELECT to_regnamespace('pgrunbook')") is None
            assert session.value(look, "SELECT relowner::regrole::text || coalesce(relacl::text, '') FROM pg_class"
                                       " WHERE oid = 'things'::regclass") == "postgres"  # fmt: skip
        embedded.drop_database(server, name)
        conn.execute("ALTER TABLE things OWNER TO postgres")


def test_roles_that_policies_or_the_change_name_are_made_without_any_right(
    conn: Conn, database: str, server: embedded.Server, major: int
) -> None:
    # The target is another server than the embedded one: its roles are not there.
    folder = Path(f"/tmp/pgrunbook-clone-{uuid.uuid4().hex[:6]}")
    other = embedded.start(major, folder=folder)
    marks = [f"role_{uuid.uuid4().hex[:12]}" for _ in range(3)]
    in_policy, in_change, unnamed = marks
    source = target.rehearsal(embedded.create_database(other, "source"))
    try:
        with session.connect(source, purpose="source") as there:
            for name in marks:
                there.execute(f"CREATE ROLE {name} LOGIN SUPERUSER")
            there.execute(TABLE + f"CREATE POLICY seen ON things TO {in_policy} USING (true)")
        name = f"clone_{uuid.uuid4().hex[:12]}"
        clone(source, server, name, naming=f"GRANT SELECT ON things TO {in_change};")
        embedded.drop_database(server, name)
        query = (
            "SELECT rolname AS name, rolsuper OR rolcanlogin AS may FROM pg_roles WHERE rolname = ANY (%s)"
        )
        made = conn.execute(query, (marks,)).fetchall()
        assert {row["name"]: row["may"] for row in made} == {in_policy: False, in_change: False}
    finally:
        embedded.stop(other)
        shutil.rmtree(folder, ignore_errors=True)
        conn.execute(f"DROP ROLE IF EXISTS {in_policy}, {in_change}, {unnamed}")
