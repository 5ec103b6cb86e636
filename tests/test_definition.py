"""Definitions of indexes: the server says whether one is the one, whatever the texts look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import definition, session, statement
from pgrunbook.definition import Likeness
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
BUILD = (
    "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a, lower(b) text_pattern_ops DESC) INCLUDE (c)"
    " WITH (fillfactor = 70) WHERE t.a > 1"
)


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute('CREATE TABLE t (a int, b text, c text COLLATE "C", d int); CREATE SCHEMA other')
        yield conn


def like(conn: Connection, sql: str) -> Likeness | None:
    return definition.likeness(conn, statement.parse(sql, file="x.sql")[0])


def same(conn: Connection, sql: str) -> bool | None:
    found = like(conn, sql)
    assert found is not None
    assert bool(found.why) == (found.same is None)
    return found.same


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ("CONCURRENTLY", ""),
        ("CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"),
        ("ON t (", "ON public.t USING btree ("),
        ("(a,", "(a ASC NULLS LAST,"),
        ("t.a > 1", "(a > 1)"),
        ("fillfactor = 70", "fillfactor='70'"),
        ("lower(b)", "(pg_catalog.lower(b))"),
    ],
)
def test_another_spelling_is_the_same_index(old: str, new: str, look: Connection) -> None:
    look.execute(BUILD.encode())
    assert old in BUILD
    assert same(look, BUILD.replace(old, new)) is True


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UNIQUE ", ""),
        ("(a, lower(b) text_pattern_ops DESC)", "(lower(b) text_pattern_ops DESC, a)"),
        (" DESC", ""),
        ("(a,", "(a NULLS FIRST,"),
        (" text_pattern_ops", ""),
        ("lower(b)", 'lower(b COLLATE "C")'),
        ("lower(b)", "upper(b)"),
        ("(a,", "(d,"),
        (" INCLUDE (c)", ""),
        ("INCLUDE (c)", "INCLUDE (d)"),
        (" WITH", " NULLS NOT DISTINCT WITH"),
        ("70", "80"),
        ("WITH (fillfactor = 70) ", ""),
        ("t.a > 1", "t.a > 2"),
        (" WHERE t.a > 1", ""),
    ],
)
def test_another_index_is_told_from_the_one(old: str, new: str, look: Connection) -> None:
    look.execute(BUILD.encode())
    assert old in BUILD
    other = BUILD.replace(old, new)
    found = like(look, other)
    assert found is not None
    assert found.same is False
    # What it expects is what the server makes of that statement.
    look.execute("DROP INDEX i")
    look.execute(other.encode())
    assert found.expected == session.value(look, "SELECT pg_get_indexdef('i'::regclass)")
    assert same(look, other) is True


def test_another_kind_of_index_is_another(look: Connection) -> None:
    look.execute("CREATE INDEX i ON t USING hash (a)")
    assert same(look, "CREATE INDEX i ON t (a)") is False
    assert same(look, "CREATE INDEX i ON t USING hash (a)") is True


def test_the_index_of_a_deferrable_constraint_is_another(look: Connection) -> None:
    look.execute("ALTER TABLE t ADD CONSTRAINT i UNIQUE (a) DEFERRABLE")
    assert same(look, "CREATE UNIQUE INDEX i ON t (a)") is False


def test_no_index_has_no_likeness(look: Connection) -> None:
    assert like(look, BUILD) is None
    assert like(look, "CREATE INDEX CONCURRENTLY i ON missing (a)") is None
    assert like(look, "DROP INDEX i") is None
    look.execute("CREATE TABLE other.t (a int); CREATE INDEX i ON other.t (a)")
    look.execute("SET search_path TO other, public")
    # There is an index of that name first in search_path, but not in the schema of the table.
    assert like(look, "CREATE INDEX i ON public.t (a)") is None
    assert same(look, "CREATE INDEX i ON t (a)") is True


def test_the_index_of_another_table_is_another(look: Connection) -> None:
    look.execute("CREATE TABLE u (a int); CREATE INDEX i ON u (a)")
    found = like(look, "CREATE INDEX IF NOT EXISTS i ON t (a)")
    assert found is not None
    assert found.same is False
    assert found.details == [
        "found:    CREATE INDEX i ON public.u USING btree (a)",
        "expected: CREATE INDEX i ON t USING btree (a)",
    ]


def test_odd_names_are_compared_too(look: Connection) -> None:
    look.execute('CREATE SCHEMA "S x"; CREATE TABLE "S x"."T ""y" ("A b" int, PRIMARY KEY ("A b"))')
    text = 'CREATE UNIQUE INDEX "i USING j" ON "S x"."T ""y" ("A b")'
    look.execute(text.encode())
    assert same(look, text) is True
    assert same(look, text.replace("UNIQUE ", "")) is False


def test_an_invalid_index_is_compared_too(look: Connection) -> None:
    look.execute("INSERT INTO t (a) VALUES (1), (1)")
    with pytest.raises(psycopg.errors.UniqueViolation):
        look.execute("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    found = like(look, "CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    assert found is not None
    assert (found.same, found.is_valid) == (True, False)


def test_asking_leaves_nothing_behind(look: Connection, conn: Conn) -> None:
    look.execute(BUILD.encode())
    before = session.value(conn, "SELECT count(*) FROM pg_class")
    assert same(look, BUILD) is True
    assert session.value(conn, "SELECT count(*) FROM pg_class") == before
    assert look.info.transaction_status is psycopg.pq.TransactionStatus.IDLE


def test_a_role_that_may_make_no_temporary_table_cannot_compare(look: Connection, database: str) -> None:
    look.execute("CREATE INDEX i ON t (a)")
    name = look.info.dbname
    look.execute(f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    with (
        throwaway.role(look, "GRANT SELECT ON t TO {}") as role,
        throwaway.looking(make_conninfo(database, user=role)) as small,
    ):
        found = like(small, "CREATE INDEX  i ON t (b)")
    assert found is not None
    assert (found.same, found.expected) == (None, "CREATE INDEX i ON t (b)")
    assert found.why == f'permission denied to create temporary tables in database "{name}"'


def test_a_table_that_somebody_holds_is_not_waited_for(
    look: Connection, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(definition, "LOCK_TIMEOUT_MS", 50)
    look.execute("CREATE INDEX i ON t (a)")
    elsewhere.begin_and_hold("LOCK TABLE t")
    found = like(look, "CREATE INDEX i ON t (b)")
    assert found is not None
    assert (found.same, found.why) == (None, "canceling statement due to lock timeout")
