"""What stands against a way back, asked of the catalog before the first step is undone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import throwaway

from pgrunbook.change import Change
from pgrunbook.derived.undone import standing_against
from pgrunbook.session import Connection

MADE = "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (of int REFERENCES parent)"
BACK = {"rollback/001_add_note.sql": "-- Drop both\n-- lock: none\n\n%s\n"}


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(MADE)
        yield conn


def change(folder: Path, statements: str) -> Change:
    files = {path: text % statements for path, text in BACK.items()}
    return throwaway.write(folder, {**throwaway.FILES, **files})


def against(look: Connection, made: Change) -> list[str]:
    return [f"{one['step']}: {one['object']}" for one in standing_against(look, made.steps[:1])]


def test_what_goes_before_does_not_stand_in_the_way_of_what_goes_after(
    look: Connection, tmp_path: Path
) -> None:
    assert against(look, change(tmp_path / "right", "DROP TABLE child; DROP TABLE parent;")) == []
    assert against(look, change(tmp_path / "wrong", "DROP TABLE parent; DROP TABLE child;")) == [
        "001_add_note: constraint child_of_fkey on table child"
    ]


def test_a_column_a_constraint_and_an_index_are_asked_about_too(look: Connection, tmp_path: Path) -> None:
    look.execute("ALTER TABLE parent ADD note text; CREATE VIEW notes AS SELECT note FROM parent")
    dropped = change(tmp_path / "a", "ALTER TABLE parent DROP CONSTRAINT parent_pkey, DROP COLUMN note;")
    assert sorted(against(look, dropped)) == [
        "001_add_note: constraint child_of_fkey on table child",
        "001_add_note: view notes",
    ]


def test_what_is_gone_already_or_goes_by_cascade_or_under_another_path_is_left_to_the_server(
    look: Connection, tmp_path: Path
) -> None:
    assert against(look, change(tmp_path / "a", "DROP TABLE IF EXISTS nowhere;")) == []
    assert against(look, change(tmp_path / "b", "DROP TABLE parent CASCADE;")) == []
    assert against(look, change(tmp_path / "c", "SET LOCAL search_path = x; DROP TABLE parent;")) == []
    assert look.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


# Each way back goes, or fails with 2BP01, and the answer before is the same as the server's then.
WAYS = {
    "a table after one that goes by CASCADE": (
        "CREATE VIEW v AS SELECT FROM parent; CREATE TABLE other ()",
        "DROP TABLE parent CASCADE; DROP TABLE other;",
    ),
    "a function whose default goes first": (
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER TABLE child ALTER of SET DEFAULT f()",
        "ALTER TABLE child ALTER of DROP DEFAULT; DROP FUNCTION f();",
    ),
    "a type that its column gives up first": (
        "CREATE DOMAIN d AS int; ALTER TABLE child ADD note d",
        "ALTER TABLE child ALTER note TYPE int; DROP DOMAIN d;",
    ),
    "a column that the view no longer shows": (
        "ALTER TABLE child ADD note int; CREATE VIEW v AS SELECT note FROM child",
        "CREATE OR REPLACE VIEW v AS SELECT of AS note FROM child; ALTER TABLE child DROP note;",
    ),
    "a column that another view shows still": (
        "ALTER TABLE child ADD note int; CREATE VIEW v AS SELECT 1; CREATE VIEW w AS SELECT note FROM child",
        "CREATE OR REPLACE VIEW v AS SELECT 2; ALTER TABLE child DROP note;",
    ),
    "a table that the function no longer reads": (
        "CREATE FUNCTION f(OUT a bigint, int) LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM child; END",
        "CREATE OR REPLACE FUNCTION f(OUT a bigint, int) LANGUAGE sql AS 'SELECT 1'; DROP TABLE child;",
    ),
    "a schema whose function is named without its arguments": (
        "CREATE SCHEMA s; CREATE FUNCTION s.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "DROP FUNCTION s.f; DROP SCHEMA s;",
    ),
    "a parent that its child leaves first": (
        "CREATE TABLE heir () INHERITS (parent)",
        "ALTER TABLE heir NO INHERIT parent; DROP TABLE child, parent;",
    ),
    "a parent that has a child": ("CREATE TABLE heir () INHERITS (parent)", "DROP TABLE child, parent;"),
    "a view that gets another name first": (
        "CREATE VIEW v AS SELECT of FROM child",
        "ALTER VIEW v RENAME TO w; DROP VIEW w; DROP TABLE child;",
    ),
    "a view that DO drops": (
        "CREATE VIEW v AS SELECT of FROM child",
        "DO $$ BEGIN DROP VIEW v; END $$; DROP TABLE child;",
    ),
    "columns of which one is made from the other": (
        "ALTER TABLE child ADD twice int GENERATED ALWAYS AS (of * 2) STORED",
        "ALTER TABLE child DROP twice, DROP of;",
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_only_what_the_server_would_name_stands_in_the_way(
    way: str, look: Connection, tmp_path: Path
) -> None:
    before, back = WAYS[way]
    look.execute(before.encode())
    found = against(look, change(tmp_path, back))
    try:
        look.execute(back.encode())
    except psycopg.errors.DependentObjectsStillExist:
        assert len(found) == 1
    else:
        assert found == []
