"""What may stand in a script of each kind."""

from __future__ import annotations

import dataclasses
import hashlib
from pathlib import Path

import pytest

from pgrunbook import header, statement
from pgrunbook.errors import BadStatement
from pgrunbook.header import Kind
from pgrunbook.script import Script, check_statements

pytestmark = pytest.mark.static

HEADERS = {
    Kind.PREFLIGHT: "-- title\n",
    Kind.REMEDY: "-- title\n",
    Kind.MIGRATE: "-- title\n-- lock: none\n",
    Kind.TIMING: "-- title\n",
}
SEVERAL = (
    "WITH moved AS (UPDATE a SET x = 1 RETURNING id), gone AS (DELETE FROM app.b RETURNING id)"
    " SELECT 'a' AS table_name, id AS key, 1 AS before, 2 AS after FROM moved"
    " UNION ALL SELECT 'app.b', 1, 2, 3 FROM gone"
)
RETURNING = "RETURNING jsonb_build_object() AS key, jsonb_build_object() AS before, NULL::jsonb AS after"


def script(kind: Kind, sql: str) -> Script:
    text = HEADERS[kind] + "\n" + sql
    return Script(
        path=Path(kind.value) / "001_x.sql",
        kind=kind,
        name="001_x",
        text=text,
        sha256=hashlib.sha256(text.encode()).hexdigest(),
        header=header.parse(text, kind=kind, file="x.sql"),
        statements=statement.parse(text, file="x.sql"),
    )


@pytest.mark.parametrize(
    ("kind", "sql"),
    [
        (Kind.PREFLIGHT, "SELECT 1 AS problem"),
        (Kind.REMEDY, f"UPDATE t SET a = 1 {RETURNING}"),
        (Kind.REMEDY, f"WITH b AS (SELECT 1) DELETE FROM t USING b {RETURNING}"),
        (Kind.REMEDY, SEVERAL),
        (Kind.MIGRATE, "CREATE TABLE a (); CREATE TABLE b ()"),
        (Kind.TIMING, "SELECT 1"),
    ],
)
def test_what_fits_is_accepted(kind: Kind, sql: str) -> None:
    assert script(kind, sql).label == f"{kind.value}/001_x.sql"
    check_statements(script(kind, sql), file="x.sql")


@pytest.mark.parametrize(
    ("kind", "sql", "found"),
    [
        (Kind.PREFLIGHT, "DELETE FROM t", "a preflight file is one SELECT that only reads, this is DELETE"),
        (
            Kind.PREFLIGHT,
            "SELECT 1; SELECT 2",
            "2 statements in a preflight file, where exactly one may stand",
        ),
        (
            Kind.REMEDY,
            "SELECT 1",
            "a remedy is one UPDATE or DELETE, or one SELECT over WITH queries that are, this is SELECT",
        ),
        (
            Kind.REMEDY,
            f"WITH b AS (DELETE FROM c) UPDATE t SET a = 1 {RETURNING}",
            "WITH b changes rows, too, and quarantine would not keep them",
        ),
        (
            Kind.REMEDY,
            SEVERAL.replace("DELETE FROM app.b", "INSERT INTO app.b VALUES (1)"),
            "WITH gone is INSERT: a remedy repairs by UPDATE or DELETE",
        ),
        (
            Kind.REMEDY,
            # A table of the same name is another thing.
            SEVERAL.replace("FROM gone", "FROM app.gone").replace("app.b RET", "gone RET"),
            "nothing reads what WITH gone changed: quarantine would not keep it",
        ),
        (
            Kind.REMEDY,
            SEVERAL.replace(" RETURNING id)", ")", 1),
            "nothing reads what WITH moved changed: quarantine would not keep it",
        ),
        (
            Kind.REMEDY,
            SEVERAL.replace("'a' AS table_name, ", ""),
            "a remedy returns table_name, key, before, after, this returns key, before, after",
        ),
        (Kind.REMEDY, "DELETE FROM t RETURNING id", "a remedy returns key, before, after, this returns id"),
        (Kind.MIGRATE, "", "there is no statement in the file"),
        (Kind.MIGRATE, "BEGIN", "BEGIN is the runner's to say"),
        (Kind.MIGRATE, "VACUUM t", "VACUUM cannot run in a transaction"),
        (
            Kind.TIMING,
            "SELECT 1 FROM t FOR UPDATE",
            "a timing file is one SELECT that only reads, this is SELECT",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(kind: Kind, sql: str, found: str) -> None:
    with pytest.raises(BadStatement) as caught:
        check_statements(script(kind, sql), file="x.sql")
    assert caught.value.found.partition(": ")[2] == found


def test_the_tables_that_a_remedy_repairs_are_known() -> None:
    assert script(Kind.REMEDY, SEVERAL).repairs == {"a": "UPDATE", "app.b": "DELETE"}
    twice = SEVERAL.replace("app.b RET", "a RET")
    assert script(Kind.REMEDY, twice).repairs == {"a": "DELETE"}
    assert script(Kind.REMEDY, f"UPDATE app.t SET a = 1 {RETURNING}").repairs == {"app.t": "UPDATE"}


def test_an_index_that_is_built_beside_traffic_needs_a_name() -> None:
    nameless = dataclasses.replace(
        script(Kind.MIGRATE, "CREATE INDEX CONCURRENTLY ON t (a)"),
        header=header.parse("-- t\n-- lock: none\n-- transaction: none\n", kind=Kind.MIGRATE, file="x.sql"),
    )
    with pytest.raises(BadStatement, match="an index without a name"):
        check_statements(nameless, file="x.sql")
    check_statements(script(Kind.MIGRATE, "CREATE INDEX ON t (a)"), file="x.sql")


def test_the_pieces_of_a_script_are_its_bytes_one_statement_each() -> None:
    sql = (
        "-- sécond; not the end\nSELECT ';' AS a /* ; */ ;\n\n"
        "DO $$ BEGIN PERFORM 1; END $$;;\n-- ünd\nSELECT 'ß' AS b -- ;\n;SELECT 3 AS c\n-- the end\n"
    )
    whole = script(Kind.MIGRATE, sql)
    pieces = whole.pieces
    assert b"".join(data for _, data in pieces) == whole.text.encode()
    assert [one.verb for one, _ in pieces] == ["SELECT", "DO", "SELECT", "SELECT"]
    for one, data in pieces:
        (again,) = statement.parse(data.decode(), file="piece.sql")
        assert again.text == one.text


def test_a_table_that_a_script_makes_is_watched_beside_those_that_it_locks() -> None:
    made = script(
        Kind.MIGRATE, "CREATE TABLE notes (id int); CREATE INDEX i ON notes (id); CREATE TABLE app.b ()"
    )
    assert made.sized == ["notes", "app.b"]
    claims = header.parse("-- t\n-- lock: ShareRowExclusive on users\n", kind=Kind.MIGRATE, file="x.sql")
    assert dataclasses.replace(made, header=claims).sized == ["users", "notes", "app.b"]
