"""Presence: what is there already is told from what a CREATE would make, whatever the texts look like."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import deriving
import pytest
import throwaway

from pgrunbook import catalog
from pgrunbook.session import Connection

TABLE = """CREATE TABLE IF NOT EXISTS t (
    id int PRIMARY KEY, a varchar(20) NOT NULL DEFAULT 'x', b numeric(8, 2) CHECK (b > 0), s bigserial, UNIQUE (a, b)
)"""
SEQUENCE = "CREATE SEQUENCE IF NOT EXISTS s START 5 INCREMENT BY 2 CACHE 3"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


def shape(conn: Connection, text: str) -> list[dict[str, Any]]:
    [name] = [name for name in deriving.answers(conn, text) if "shape of" in name]
    answer = deriving.answers(conn, text)[name]
    assert not answer.problem + answer.unproved
    return [dict(row) for row in answer.found.rows]


@pytest.mark.parametrize("text", [TABLE, SEQUENCE])
def test_what_is_not_there_or_is_the_same_is_no_finding(text: str, look: Connection) -> None:
    assert shape(look, text) == []
    look.execute(text.encode())
    before = catalog.snapshot(look)
    assert shape(look, text) == []
    assert catalog.differences(before, catalog.snapshot(look)) == []


@pytest.mark.parametrize(
    ("change", "of"),
    [
        ("ALTER TABLE t ALTER a TYPE text", ["column a"]),
        ("ALTER TABLE t ALTER a DROP NOT NULL", ["column a"]),
        ("ALTER TABLE t ALTER a SET DEFAULT 'y'", ["column a"]),
        ("ALTER TABLE t DROP COLUMN b", ["column b", "constraint t_a_b_key", "constraint t_b_check"]),
        ("ALTER TABLE t ADD more int", ["column more"]),
        (
            "ALTER TABLE t DROP CONSTRAINT t_b_check, ADD CONSTRAINT t_b_check CHECK (b > 1)",
            ["constraint t_b_check"],
        ),
        ("ALTER TABLE t DROP CONSTRAINT t_pkey", ["constraint t_pkey"]),
    ],
)
def test_a_table_of_another_shape_is_told_apart(change: str, of: list[str], look: Connection) -> None:
    look.execute(TABLE.encode())
    look.execute(change.encode())
    # A primary key takes NOT NULL along.
    assert [row["of"] for row in shape(look, TABLE) if row["of"] != "column id"] == of


def test_a_sequence_of_another_shape_is_told_apart(look: Connection) -> None:
    look.execute("CREATE SEQUENCE s AS int START 7 INCREMENT BY 2 CACHE 3")
    assert [(row["of"], row["expected"], row["found"]) for row in shape(look, SEQUENCE)] == [
        ("type", "bigint", "integer"),
        ("start", "5", "7"),
        ("maximum", "9223372036854775807", "2147483647"),
    ]


def test_another_kind_of_thing_is_told_apart(look: Connection) -> None:
    look.execute("CREATE VIEW t AS SELECT 1 AS id; CREATE TABLE s ()")
    assert shape(look, TABLE) == [{"of": "t", "expected": "a table", "found": "a view"}]
    assert shape(look, SEQUENCE) == [{"of": "s", "expected": "a sequence", "found": "a table"}]


def test_the_schema_where_it_would_be_made_is_looked_at(look: Connection) -> None:
    look.execute("CREATE SCHEMA other; CREATE TABLE t (); SET search_path TO other, public")
    assert shape(look, TABLE) == []
    assert deriving.stopping(look, "CREATE TABLE t ()") == {}
    assert list(deriving.stopping(look, "SET search_path TO public; CREATE TABLE t ()")) == ["001 name t"]
    assert list(deriving.stopping(look, "CREATE TABLE public.t ()")) == ["001 name public.t"]


def test_a_foreign_key_is_left_out_of_the_comparison_and_locks_nothing(look: Connection) -> None:
    text = "CREATE TABLE IF NOT EXISTS c (id int REFERENCES p, FOREIGN KEY (id) REFERENCES p)"
    look.execute("CREATE TABLE p (id int PRIMARY KEY)")
    look.execute(text.encode())
    assert shape(look, text) == []


def test_a_column_that_is_there_is_compared(look: Connection) -> None:
    look.execute("CREATE TABLE t (a varchar(20) DEFAULT 'x')")
    add = "ALTER TABLE t ADD COLUMN IF NOT EXISTS a {}"
    assert shape(look, add.format("varchar(20) DEFAULT 'x'")) == []
    assert shape(look, add.format("text NOT NULL")) == [
        {
            "of": "column a",
            "expected": "text NOT NULL",
            "found": "character varying(20) default 'x'::character varying",
        }
    ]


def test_what_is_dropped_before_is_not_in_the_way(look: Connection) -> None:
    look.execute("CREATE TABLE t (a int); CREATE VIEW v AS SELECT 1 AS x")
    assert deriving.stopping(look, "DROP TABLE t; CREATE TABLE t (b int)") == {}
    assert deriving.stopping(look, "ALTER TABLE t DROP COLUMN a, ADD COLUMN a text") == {}
    assert list(deriving.stopping(look, "CREATE VIEW v AS SELECT 2 AS x")) == ["001 name v"]
    assert deriving.stopping(look, "CREATE OR REPLACE VIEW v AS SELECT 2 AS x") == {}
    assert deriving.stopping(look, "CREATE TEMP TABLE t (b int)") == {}
