"""The course of a change: what statements before make, drop and write, told from the grammar alone."""

from __future__ import annotations

import pytest

from pgrunbook import statement
from pgrunbook.derived.course import Course, commands, default_of, is_serial
from pgrunbook.derived.tables import statement_of

pytestmark = pytest.mark.static


def after(*texts: str) -> Course:
    course = Course()
    for text in texts:
        for one in statement.parse(text, file="x.sql"):
            course.note(statement_of(one.text), "there")
    return course


def test_what_is_made_is_known_with_and_without_its_schema() -> None:
    course = after("CREATE TABLE app.t (a int); CREATE SEQUENCE s; CREATE VIEW v AS SELECT 1")
    # Where one of two names has no schema, the last part decides.
    assert [course.makes(name) for name in ("t", "app.t", "s", "b.s", "v")] == [True] * 5
    assert [course.makes(name) for name in ("other.t", "u")] == [False] * 2
    assert after("ALTER TABLE t RENAME TO u").makes("u")


@pytest.mark.parametrize(
    "text", ["ALTER TABLE t ADD a int", "ALTER TABLE t ALTER a TYPE text", "ALTER TABLE t RENAME a TO b"]
)
def test_a_column_that_is_made_or_changed_is_touched(text: str) -> None:
    assert after(text).touches("app.t", "a")
    assert not after(text).touches("t", "c")


def test_what_is_dropped_is_gone() -> None:
    course = after("DROP TABLE app.t; ALTER TABLE u DROP COLUMN a, DROP CONSTRAINT c")
    assert course.drops("t")
    assert course.drops("u", "a")
    assert course.drops("u", "c")
    assert not course.drops("u")


def test_statements_that_change_rows_are_named() -> None:
    assert after("UPDATE t SET a = 1").changes_rows("app.t") == "UPDATE of there"
    assert (
        after("WITH x AS (INSERT INTO t VALUES (1) RETURNING a) SELECT 1").changes_rows("t")
        == "INSERT of there"
    )
    assert after("TRUNCATE u, t").changes_rows("t") == "TRUNCATE of there"
    assert after("CALL f()").changes_rows("anything") == "CALL of there"
    assert after("SELECT f()").changes_rows("t") == ""


def test_constraints_and_indexes_are_kept_for_those_that_use_them() -> None:
    course = after(
        "ALTER TABLE app.t ADD CONSTRAINT c CHECK (a > 0) NOT VALID; CREATE UNIQUE INDEX i ON u (a)"
    )
    assert course.added("t", "c") is not None
    assert course.built("i") is not None
    assert (course.has_unique("u"), course.has_unique("t")) == (True, False)


@pytest.mark.parametrize(
    "text", ["CREATE FUNCTION f() RETURNS int RETURN 1", "CREATE TYPE e AS ENUM ()", "DO ''"]
)
def test_new_names_make_every_missing_name_uncertain(text: str) -> None:
    assert after(text).names
    assert not after("ALTER TABLE t ADD a int").names


def test_a_copy_goes_on_by_itself() -> None:
    course = after("CREATE TABLE t ()")
    course.copied().note(statement_of("CREATE TABLE u ()"), "there")
    assert not course.makes("u")


def test_commands_come_in_the_order_of_the_server() -> None:
    tree = statement_of("ALTER TABLE t ADD CHECK (a > 0), ADD a int, DROP b")
    assert [getattr(one, "def").column_def.colname or one.name for one in commands(tree)] == ["b", "a", ""]


@pytest.mark.parametrize(
    ("column", "given"),
    [
        ("int", False),
        ("int DEFAULT NULL", False),
        ("int DEFAULT 1", True),
        ("int GENERATED ALWAYS AS IDENTITY", True),
    ],
)
def test_what_a_new_column_begins_with(column: str, given: bool) -> None:
    tree = getattr(commands(statement_of(f"ALTER TABLE t ADD a {column}"))[0], "def").column_def
    assert (default_of(tree) is not None) is given


def test_serial_columns_are_told_by_their_type() -> None:
    for word, expected in (("serial", True), ("bigserial", True), ("serial8", True), ("int8", False)):
        tree = getattr(commands(statement_of(f"ALTER TABLE t ADD a {word}"))[0], "def").column_def
        assert is_serial(tree) is expected


def test_sequences_and_numbers_that_are_set_are_taken_down() -> None:
    course = Course()
    assert (course.sequence("s"), course.sets_numbers, course.sets_path) == (None, False, False)
    for text in ("CREATE SEQUENCE app.s START 5", "SELECT setval('app.s', 7)", "SET search_path TO app"):
        course.note(statement_of(text), "before")
    assert course.sequence("s") is course.sequence("app.s") is not None
    assert course.sequence("other.s") is None
    assert (course.sets_numbers, course.sets_path) == (True, True)
    assert course.made_as("s") == [("app", "s")]
