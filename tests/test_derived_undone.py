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
