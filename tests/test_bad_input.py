"""Hostile names and values, everywhere that one can enter: they stay names and values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg import sql
from throwaway import apply, roll_back, running, statuses, step, write

from pgrunbook import catalog, preflight, session
from pgrunbook import server as embedded
from pgrunbook.errors import LockNotTaken, StepFailed
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
NAMES = [
    'x"; DROP TABLE y',
    "<script>alert(1)</script>",
    "'; SELECT 1; --",
    "100% %s {0} $1",
    "📚 één",
    "a.b on c",
    "Upper Case",
    "select",
]
VALUES = [*NAMES, "two\nlines", "\\", "\t", "", "&amp;", "=1+1", "\x7f", "\u202egnp.exe"]


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE TABLE y (id int)")
        yield conn


def quoted(name: str, conn: Conn) -> str:
    return sql.Identifier(name).as_string(conn)


def change_of(table: str, index: str) -> dict[str, str | None]:
    """Return a change on a table of that name, quoted: a step with its lock, and a build."""
    there = f"SELECT 1 AS missing WHERE to_regclass({sql.Literal(index).as_string()}) IS NULL;"
    build = f"-- Build\n-- transaction: none\n-- lock: ShareUpdateExclusive on {table}\n\n"
    return {
        **step(f"ALTER TABLE {table} ADD COLUMN note text;", rollback=f"ALTER TABLE {table} DROP COLUMN note;",
               lock=f"AccessExclusive on {table}"),
        "migrate/002_build.sql": f"{build}CREATE INDEX CONCURRENTLY {index} ON {table} (id);\n",
        "verify/002_build.sql": f"-- Built\n\n{there}\n",
        "rollback/002_build.sql": f"{build}DROP INDEX CONCURRENTLY IF EXISTS {index};\n",
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_table_may_have_any_name(
    name: str, look: Connection, database: str, tmp_path: Path, server: embedded.Server
) -> None:
    table, index = quoted(name, look), quoted(f"i {name}", look)
    look.execute(f"CREATE TABLE {table} (id int)")
    with running(write(tmp_path, change_of(table, index)), database, tmp_path) as made:
        assert made.board is not None
        assert [(f.label, f.problem) for f in made.board.failed] == []
        assert made.change.tables == (table,)
        rehearsed = made.rehearse(server)
        assert [(f.declared, f.observed) for f in rehearsed.differing] == []
        before = catalog.snapshot(look)
        assert apply(made) == ["apply", "apply"]
        assert roll_back(made) == ["002_build", "001_only"]
        assert catalog.differences(before, catalog.snapshot(look)) == []
    assert session.value(look, "SELECT to_regclass('y')::text") == "y"


@pytest.mark.parametrize("name", NAMES[:4])
def test_who_holds_a_table_of_any_name_is_told(
    name: str, look: Connection, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    table = quoted(name, look)
    look.execute(f"CREATE TABLE {table} (id int)")
    with running(write(tmp_path, change_of(table, "i")), database, tmp_path) as made:
        made.decide_by_policy("001")
        elsewhere.begin_and_hold(f"SELECT * FROM {table}")
        with pytest.raises(LockNotTaken) as caught:
            made.apply("001")
        assert str(caught.value).startswith(f"could not take AccessExclusive on {table} in ")
        assert f"holds AccessShareLock on {table} for" in str(caught.value)


@pytest.mark.parametrize("name", NAMES[:4])
def test_an_invalid_index_of_any_name_in_any_schema_is_cleared_away(
    name: str, look: Connection, database: str, tmp_path: Path
) -> None:
    schema, table = quoted(f"s {name}", look), f"{quoted(f's {name}', look)}.{quoted(name, look)}"
    look.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {table} (id int); INSERT INTO {table} VALUES (1)")
    index = quoted(f"i {name}", look)
    files = change_of(table, index)
    # No check foresees it: the build fails on the way.
    files["migrate/002_build.sql"] = str(files["migrate/002_build.sql"]).replace("(id)", "((1 / (id - 1)))")
    files["verify/002_build.sql"] = str(files["verify/002_build.sql"]).replace(
        sql.Literal(index).as_string(look), sql.Literal(f"{schema}.{index}").as_string(look)
    )
    with running(write(tmp_path, files), database, tmp_path) as made:
        apply(made, "001")
        made.decide_by_policy("002")
        with pytest.raises(StepFailed) as caught:
            made.apply("002")
        assert f"the invalid index {schema}.{index} was dropped" in str(caught.value)
        look.execute(f"TRUNCATE {table}")
        assert apply(made, "002") == ["apply"]


def test_rows_of_a_check_are_values(look: Connection, database: str, tmp_path: Path) -> None:
    look.execute("CREATE TABLE things (id serial, code text)")
    for value in VALUES:
        look.execute("INSERT INTO things (code) VALUES (%s)", (value,))
    files = throwaway.changed({
        "preflight/10_doubled_codes.sql": (
            "-- All of them\n-- severity: warn\n\n"
            'SELECT code AS "x""; DROP TABLE y", code AS "100%s" FROM things ORDER BY id;\n'
        )
    })  # fmt: skip
    with running(write(tmp_path, files), database, tmp_path) as made:
        assert made.board is not None
        finding = made.board.findings[-1]
        assert finding.columns == ('x"; DROP TABLE y', "100%s")
        assert [row["100%s"] for row in finding.rows] == VALUES
        made.decide_by_policy("001")
        event = next(e for e in made.ledger.events(run_id=made.run_id) if e["kind"] == "preflight")
        kept = [check for check in event["detail"]["checks"] if check["rows"] == len(VALUES)]
        assert [row[1] for row in kept[0]["found"]] == VALUES
        assert made.check_chain()


def test_what_an_operator_types_reaches_the_ledger_and_the_journal_as_text(
    look: Connection, database: str, tmp_path: Path
) -> None:
    look.execute(throwaway.TABLE)
    chosen = write(tmp_path)
    for value in [*VALUES, "nul\x00byte", "half \ud83d pair"]:
        with running(chosen, database, tmp_path, operator=f"o {value}") as made:
            made.decide("001", go=True, who=f"w {value}", reason=f"r {value}", how="typed")
            assert made.apply("001").note in ("apply", "already done")
            gate = next(e for e in made.ledger.events(run_id=made.run_id) if e["kind"] == "gate")
            clean = "\x00" not in value and "\ud83d" not in value
            assert (gate["actor"] == f"o {value}") is clean, value
            assert (gate["detail"]["reason"] == f"r {value}") is clean, value
            assert made.check_chain()
            lines = made.binding.journal.path.read_bytes().decode().removesuffix("\n").split("\n")
            assert [json.loads(line)["kind"] for line in lines][:2] == ["run opened", "preflight"]
    assert session.value(look, "SELECT count(*) FROM y") == 0


def test_what_a_server_says_is_quoted_whole(look: Connection, database: str, tmp_path: Path) -> None:
    look.execute(throwaway.TABLE)
    for value in VALUES:
        literal = sql.Literal(value).as_string(look)
        raising = f"DO $do$ BEGIN RAISE EXCEPTION USING MESSAGE = {literal}, DETAIL = {literal}; END $do$;"
        with running(write(tmp_path, step(raising)), database, tmp_path) as made:
            made.decide_by_policy("001")
            with pytest.raises(StepFailed) as caught:
                made.apply("001")
            first = next((line.strip() for line in value.splitlines() if line.strip()), "")
            assert str(caught.value).startswith(f"001_only failed: migrate/001_only.sql: {first}")
            assert "\n  the transaction was rolled back: nothing was left behind\n  next: " in str(
                caught.value
            )
            assert statuses(made) == ["failed"]
            event = throwaway.told(made)[-1]
            assert event["detail"]["reason"] == str(caught.value)


@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_a_files_text_is_utf8_whatever_the_database_is_in(
    encoding: str, server: embedded.Server, tmp_path: Path, look: Connection
) -> None:
    name = f"enc_{encoding.lower()}"
    look.execute(
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    try:
        with throwaway.looking(server.conninfo_for(name)) as inside:
            inside.execute(throwaway.TABLE)
            note = "é"
            there = f"SELECT 1 AS x WHERE obj_description('things'::regclass) IS DISTINCT FROM '{note}';"
            files = step(
                f"COMMENT ON TABLE things IS '{note}';", there, lock="ShareUpdateExclusive on things"
            )
            with running(write(tmp_path, files), server.conninfo_for(name), tmp_path) as made:
                assert apply(made) == ["apply"]
                assert made.check_chain()
            assert session.value(inside, "SELECT obj_description('things'::regclass)") == note
    finally:
        embedded.drop_database(server, name)


def test_a_session_name_and_query_of_somebody_else_are_values(
    look: Connection, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    look.execute(throwaway.TABLE)
    elsewhere.execute("SET application_name = '<b>x\"; DROP TABLE y'")
    with running(write(tmp_path), database, tmp_path) as made:
        made.decide_by_policy("001")
        elsewhere.begin_and_hold("SELECT '</script>' FROM things")
        with pytest.raises(LockNotTaken) as caught:
            made.apply("001")
        assert f"""in the way: pid {elsewhere.pid} '<b>x"; DROP TABLE y' holds""" in str(caught.value)
    board = preflight.audit(look, write(tmp_path))
    assert board.go
