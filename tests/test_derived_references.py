"""References: orphans, the key they need, and the tables that they lock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import deriving
import psycopg
import pytest
import throwaway

from pgrunbook.header import Severity
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

ADD = "ALTER TABLE child ADD CONSTRAINT f FOREIGN KEY (a) REFERENCES parent"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(
            "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child (id int PRIMARY KEY, a int)"
        )
        conn.execute("INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1), (2, NULL)")
        yield conn


def test_rows_of_tables_that_inherit_are_nobodys_parents(look: Connection) -> None:
    look.execute(
        "CREATE TABLE heir () INHERITS (parent); INSERT INTO heir VALUES (7); INSERT INTO child VALUES (3, 7)"
    )
    assert deriving.stopping(look, ADD) == {"001 orphans of f in child": [{"id": 3, "a": 7}]}
    look.execute(f"{ADD} NOT VALID")
    again = deriving.stopping(look, "ALTER TABLE child VALIDATE CONSTRAINT f")
    assert again == {"001 orphans of f in child": [{"id": 3, "a": 7}]}
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        look.execute("ALTER TABLE child VALIDATE CONSTRAINT f")


def test_a_partitioned_parent_is_all_of_its_partitions(look: Connection) -> None:
    look.execute(
        "CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE p PARTITION OF parts DEFAULT"
    )
    look.execute("INSERT INTO parts VALUES (1)")
    text = ADD.replace("parent", "parts")
    assert deriving.stopping(look, text) == {}
    look.execute(text)


def test_the_locks_are_told_and_they_are_the_servers(look: Connection, elsewhere: Elsewhere) -> None:
    answer = deriving.answers(look, f"{ADD} NOT VALID")["001 locks for the reference of child to parent"]
    assert [(row["table"], row["lock"]) for row in answer.found.rows] == [
        ("parent", "ShareRowExclusive"), ("child", "ShareRowExclusive"),
    ]  # fmt: skip
    elsewhere.begin_and_hold(f"{ADD} NOT VALID")
    held = look.execute(
        "SELECT DISTINCT relation::regclass::text AS name FROM pg_locks"
        " WHERE mode = 'ShareRowExclusiveLock' AND pid = %s ORDER BY 1",
        (elsewhere.pid,),
    ).fetchall()
    assert [row["name"] for row in held] == ["child", "parent"]
    elsewhere.release()
    again = ADD.replace("f FOREIGN", "g FOREIGN")
    [told] = [one for one in deriving.derived(look, again) if "locks" in one.label]
    assert told.header.severity is Severity.INFO


def test_a_key_that_the_change_makes_is_no_missing_key(look: Connection) -> None:
    look.execute("ALTER TABLE parent ADD code int; UPDATE parent SET code = 1")
    text = "ALTER TABLE child ADD FOREIGN KEY (a) REFERENCES parent (code)"
    assert list(deriving.stopping(look, text)) == ["001 key for the reference of child to parent"]
    assert deriving.stopping(look, "CREATE UNIQUE INDEX u ON parent (code)", text) == {}
    look.execute("CREATE UNIQUE INDEX partial ON parent (code) WHERE code > 0")
    assert list(deriving.stopping(look, text)) == ["001 key for the reference of child to parent"]


def test_a_parent_that_the_change_makes_is_not_asked_for(look: Connection) -> None:
    found = deriving.derived(look, "CREATE TABLE fresh (id int PRIMARY KEY)", ADD.replace("parent", "fresh"))
    assert [one.label for one in found if "orphans" in one.label or "key for" in one.label] == []


def test_rows_of_the_parent_that_are_changed_before_leave_it_open(look: Connection) -> None:
    look.execute("INSERT INTO child VALUES (3, 7)")
    assert list(deriving.stopping(look, ADD)) == ["001 orphans of f in child"]
    assert deriving.stopping(look, "INSERT INTO parent VALUES (7)", ADD) == {}
