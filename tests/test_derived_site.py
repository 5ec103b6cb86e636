"""A statement's place: names mean there what they mean to the step, and nothing is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import throwaway

from pgrunbook import session
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import statement_of
from pgrunbook.session import Connection

SITE = Site("001", "there", "SET LOCAL search_path TO other")


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(
            "CREATE SCHEMA other; CREATE TABLE other.t (id int); CREATE VIEW other.v AS SELECT 1 AS a"
        )
        yield conn


def test_names_are_looked_up_where_the_step_looks(look: Connection) -> None:
    relation = statement_of("ALTER TABLE t ADD a int").relation
    with SITE.reading(look):
        found = SITE.table(look, relation, Course())
    assert found is not None
    assert found.written == "t"
    assert SITE.table(look, relation, Course()) is None
    assert session.value(look, "SHOW search_path") != "other"


def test_what_the_change_makes_or_drops_and_what_holds_no_rows_is_no_table(look: Connection) -> None:
    relation = statement_of("ALTER TABLE other.t ADD a int").relation
    assert SITE.table(look, relation, Course()) is not None
    for text in ("DROP TABLE t", "CREATE TABLE t ()"):
        course = Course()
        course.note(statement_of(text), "before")
        with SITE.reading(look):
            assert SITE.table(look, relation, course) is None
    assert SITE.table(look, statement_of("ALTER TABLE other.v ADD a int").relation, Course()) is None


def test_reading_cannot_write_and_trying_leaves_nothing(look: Connection) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), SITE.reading(look):
        look.execute("CREATE TABLE x ()")
    with SITE.trying(look):
        look.execute("CREATE TABLE pg_temp.x ()")
    assert session.value(look, "SELECT to_regclass('pg_temp.x')") is None


@pytest.mark.parametrize(
    ("before", "asked", "is_made"),
    [
        ("CREATE TABLE other.u ()", "u", False),
        ("CREATE TABLE other.u ()", "public.u", False),
        ("CREATE TABLE other.u ()", "other.u", True),
        ("CREATE TABLE public.u ()", "u", True),
        ("CREATE TABLE public.fresh ()", "fresh", True),
        ("CREATE TABLE u ()", "public.u", True),
        ("CREATE TABLE t ()", "other.t", False),
        ("SET search_path TO other; CREATE TABLE t ()", "other.t", None),
        ("CREATE SCHEMA third; CREATE TABLE third.u ()", "u", None),
    ],
)
def test_a_table_of_the_same_name_elsewhere_is_another_one(
    before: str, asked: str, is_made: bool | None, look: Connection
) -> None:
    look.execute("CREATE TABLE u (id int)")
    course = Course()
    for text in before.split("; "):
        course.note(statement_of(text), "before")
    relation = statement_of(f"ALTER TABLE {asked} ADD a int").relation
    site = Site("001", "there")
    assert site.is_made(look, relation, course) is is_made
    assert (site.table(look, relation, course) is None) is (is_made is not False)


def test_a_schema_before_that_of_the_table_hides_it(look: Connection) -> None:
    look.execute("CREATE TABLE u (id int)")
    course = Course()
    course.note(statement_of("CREATE TABLE other.u ()"), "before")
    relation = statement_of("ALTER TABLE u ADD a int").relation
    both = Site("001", "there", "SET LOCAL search_path TO other, public")
    with both.reading(look):
        assert both.is_made(look, relation, course) is True
