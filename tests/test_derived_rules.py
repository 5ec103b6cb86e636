"""Rules for rows: NULLs and violations, of the table, of its children, and of constraints that are there."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import psycopg
import pytest
import throwaway

from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(
            "CREATE TABLE t (id int PRIMARY KEY, a int, b int); INSERT INTO t VALUES (1, 1, 1), (2, NULL, -1)"
        )
        yield conn


def test_rows_of_children_count_unless_the_statement_says_only(look: Connection) -> None:
    look.execute("CREATE TABLE child () INHERITS (t); INSERT INTO child VALUES (3, NULL, 1)")
    assert [
        row["id"] for row in deriving.rows(look, "ALTER TABLE t ALTER a SET NOT NULL", "nulls in t (a)")
    ] == [2, 3]
    text = "ALTER TABLE t ADD CONSTRAINT c CHECK (a > 0 AND a IS NOT NULL) NO INHERIT"
    assert [row["id"] for row in deriving.rows(look, text, "violations of c in t")] == [2]


def test_a_rule_added_in_one_step_and_validated_in_the_next_is_asked_about_once(look: Connection) -> None:
    add = "ALTER TABLE t ADD CONSTRAINT c CHECK (b > 0) NOT VALID"
    validate = "ALTER TABLE t VALIDATE CONSTRAINT c"
    assert deriving.stopping(look, add, validate) == {"002 violations of c in t": [{"id": 2, "b": -1}]}
    same = "ALTER TABLE t ADD CONSTRAINT c CHECK (a IS NOT NULL) NOT VALID"
    found = deriving.stopping(look, same, validate, "ALTER TABLE t ALTER a SET NOT NULL")
    assert found == {"002 nulls in t (a)": [{"id": 2}]}


def test_a_rule_that_is_valid_has_nothing_left_to_ask(look: Connection) -> None:
    look.execute("ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0)")
    assert deriving.derived(look, "ALTER TABLE t VALIDATE CONSTRAINT c") == []


def test_partitions_are_validated_with_their_table(look: Connection) -> None:
    look.execute(
        "CREATE TABLE p (k int, v int) PARTITION BY LIST (k); CREATE TABLE p1 PARTITION OF p DEFAULT"
    )
    look.execute("INSERT INTO p VALUES (1, -1); ALTER TABLE p ADD CONSTRAINT c CHECK (v > 0) NOT VALID")
    text = "ALTER TABLE p VALIDATE CONSTRAINT c"
    assert deriving.rows(look, text, "violations of c in p") == [{"v": -1}]
    with pytest.raises(psycopg.errors.CheckViolation):
        look.execute(text)


def test_not_null_as_a_constraint_of_its_own(look: Connection, major: int) -> None:
    if major < 18:
        pytest.skip("PostgreSQL 18 has it first")
    text = "ALTER TABLE t ADD CONSTRAINT n NOT NULL a"
    assert deriving.rows(look, text, "nulls in t (a)") == [{"id": 2}]
    with pytest.raises(psycopg.errors.NotNullViolation):
        look.execute(text)
    look.execute(f"{text} NOT VALID")
    assert deriving.rows(look, "ALTER TABLE t VALIDATE CONSTRAINT n", "nulls in t (a)") == [{"id": 2}]
    assert deriving.rows(look, "ALTER TABLE t ALTER a SET NOT NULL", "nulls in t (a)") == [{"id": 2}]
    look.execute("DELETE FROM t WHERE a IS NULL; ALTER TABLE t VALIDATE CONSTRAINT n")
    assert deriving.derived(look, "ALTER TABLE t ALTER a SET NOT NULL") == []


def test_a_table_with_no_key_shows_where_the_row_is(look: Connection) -> None:
    look.execute("CREATE TABLE bare (a int); INSERT INTO bare VALUES (1), (NULL)")
    found = deriving.rows(look, "ALTER TABLE bare ALTER a SET NOT NULL", "nulls in bare (a)")
    assert found == [{"part": "bare", "place": "(0,2)"}]
