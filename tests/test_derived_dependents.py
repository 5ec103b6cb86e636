"""Dependents: what stands against a DROP is what the server itself would name."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import psycopg
import pytest
import throwaway

from pgrunbook.header import Severity
from pgrunbook.session import Connection

SCHEMA = """\
CREATE TABLE t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (id + 1) STORED,
    n int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE c (id int REFERENCES t, d int); CREATE INDEX c_d ON c (d);
CREATE VIEW v AS SELECT a FROM t; CREATE VIEW w AS SELECT a FROM v;
CREATE SEQUENCE s; CREATE TABLE u (id int DEFAULT nextval('s'));
CREATE TYPE mood AS ENUM ('x'); CREATE TABLE m (mood mood);
CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM c; END;
CREATE TABLE parts (k int) PARTITION BY LIST (k); CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE INDEX ON parts (k);
"""


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(SCHEMA)
        yield conn


@pytest.mark.parametrize(
    ("text", "objects"),
    [
        ("DROP TABLE c", {"function f()"}),
        ("DROP TABLE t", {"constraint c_id_fkey on table c", "view v"}),
        ("DROP TABLE t, c", {"function f()", "view v"}),
        ("DROP VIEW v", {"view w"}),
        ("DROP SEQUENCE s", {"default value for column id of table u"}),
        ("DROP SEQUENCE t_n_seq", {"column n of table t"}),
        ("DROP TYPE mood", {"column mood of table m"}),
        ("DROP INDEX part_k_idx", {"index parts_k_idx"}),
        ("ALTER TABLE t DROP COLUMN a", {"view v"}),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey", {"constraint c_id_fkey on table c"}),
    ],
)
def test_what_the_server_would_name_is_found_before(text: str, objects: set[str], look: Connection) -> None:
    [rows] = deriving.stopping(look, text).values()
    assert {row["object"] for row in rows} == objects
    with pytest.raises(psycopg.errors.DependentObjectsStillExist):
        look.execute(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        "DROP VIEW v, w",
        "DROP VIEW w; DROP VIEW v; ALTER TABLE t DROP COLUMN a",
        "DROP TABLE parts",
        "DROP TABLE part",
        "DROP TABLE u; DROP SEQUENCE s",
        "DROP INDEX c_d",
        "DROP INDEX IF EXISTS missing",
        "ALTER TABLE t DROP COLUMN IF EXISTS missing",
        "ALTER TABLE c DROP CONSTRAINT c_id_fkey; DROP VIEW w, v; DROP TABLE t",
        "DROP FUNCTION f(); DROP TABLE c",
        "ALTER TABLE c DROP COLUMN id; DROP VIEW w, v; DROP TABLE t",
        "ALTER TABLE u ALTER id DROP DEFAULT; DROP SEQUENCE s",
        "ALTER TABLE m ALTER mood TYPE text; DROP TYPE mood",
        "CREATE OR REPLACE VIEW v AS SELECT 1 AS a; ALTER TABLE t DROP COLUMN a",
    ],
)
def test_what_the_server_drops_is_go(text: str, look: Connection) -> None:
    assert deriving.stopping(look, text) == {}
    look.execute(text.encode())


@pytest.mark.parametrize("before", ["DO $$BEGIN DROP VIEW w, v; END$$", "DROP VIEW v CASCADE"])
def test_what_may_be_gone_by_then_only_warns(before: str, look: Connection) -> None:
    [one] = [
        one
        for one in deriving.derived(look, f"{before}; ALTER TABLE t DROP COLUMN a")
        if one.label.endswith("dependents of column t.a")
    ]
    assert one.severity is Severity.WARN
    assert one.doubt == "statement of migrate/001_made_up.sql line 1"
    assert one.look is not None


def test_cascade_warns_of_all_that_goes_with_it(look: Connection) -> None:
    [one] = [one for one in deriving.derived(look, "DROP TABLE t CASCADE") if "dependents" in one.label]
    assert one.severity is Severity.WARN
    assert one.look is not None
    assert {row["object"] for row in one.look(look)} >= {"view v", "constraint c_id_fkey on table c"}


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("DROP INDEX gone", "index gone"),
        ("ALTER TABLE t DROP COLUMN gone", "column t.gone"),
        ("ALTER TABLE t DROP CONSTRAINT gone", "constraint t.gone"),
        ("DROP TYPE gone", "type gone"),
    ],
)
def test_what_is_not_there_cannot_be_dropped(text: str, missing: str, look: Connection) -> None:
    assert [row["missing"] for rows in deriving.stopping(look, text).values() for row in rows] == [missing]
    with pytest.raises(psycopg.Error):
        look.execute(text.encode())


def test_what_the_change_makes_itself_may_be_dropped(look: Connection) -> None:
    assert deriving.stopping(look, "CREATE TABLE fresh (id int)", "DROP TABLE fresh") == {}
    assert deriving.stopping(look, "ALTER TABLE t ADD x int", "ALTER TABLE t DROP COLUMN x") == {}
