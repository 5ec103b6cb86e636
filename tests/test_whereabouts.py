"""A repaired table is found again whatever the search_path, and nothing goes back into another one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import throwaway

from pgrunbook import session, whereabouts
from pgrunbook.session import Connection
from pgrunbook.whereabouts import Astray

A, B = "CREATE SCHEMA a; CREATE TABLE a.things (id int);", "CREATE SCHEMA b; CREATE TABLE b.things (id int);"
SHORT = ("things",)


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as made:
        made.execute(A + "SET search_path = a")
        yield made


def oid(conn: Connection, name: str = "a.things") -> Any:
    return session.value(conn, "SELECT %s::regclass::oid", (name,))


def refusal(conn: Connection, **known: Any) -> str:
    with pytest.raises(Astray) as caught:
        whereabouts.find(conn, SHORT, **known)
    return f"{caught.value}; {caught.value.next_step}"


def test_the_short_name_is_kept_where_it_leads_to_the_table(conn: Connection) -> None:
    known = {"schema": "a", "oid": oid(conn)}
    assert whereabouts.find(conn, SHORT, **known) == SHORT
    conn.execute(B + "SET search_path = b, a")
    assert whereabouts.find(conn, SHORT, **known) == ("a", "things")


def test_a_name_with_its_schema_is_found(conn: Connection) -> None:
    assert whereabouts.find(conn, ("a", "things"), schema=None, oid=None) == ("a", "things")
    assert whereabouts.find(conn, SHORT, schema="a", oid=None) == SHORT


def test_rows_of_earlier_versions_belong_to_the_one_table_of_their_name(conn: Connection) -> None:
    conn.execute("SET search_path = public")
    assert whereabouts.find(conn, SHORT, schema=None, oid=None) == ("a", "things")
    conn.execute(B + "SET search_path = a")
    assert refusal(conn, schema=None, oid=None) == (
        "an earlier version kept rows of things without their schema, and there are a.things, b.things;"
        " write theirs into table_schema of pgrunbook.quarantine, then undo it; nothing was changed"
    )


@pytest.mark.parametrize(
    ("moved", "now"),
    [
        ("ALTER TABLE a.things RENAME TO old; CREATE TABLE a.things (id int)", "a.old"),
        (B + "DROP TABLE b.things; ALTER TABLE a.things SET SCHEMA b", "b.things"),
    ],
)
def test_a_table_that_was_renamed_or_moved_is_named(moved: str, now: str, conn: Connection) -> None:
    known = {"schema": "a", "oid": oid(conn)}
    conn.execute(moved.encode())
    assert refusal(conn, **known) == (
        f"it repaired a.things, which is {now} now;"
        " give it back its name and its schema, then undo it; nothing was changed"
    )


def test_a_table_that_was_made_anew_is_another_one(conn: Connection) -> None:
    known = {"schema": "a", "oid": oid(conn)}
    conn.execute("DROP TABLE a.things; CREATE TABLE a.things (id int)")
    assert refusal(conn, **known).startswith(
        "a.things was dropped since it was repaired, and made anew; nothing was changed; where the new one holds"
    )
    # As that sentence says.
    assert whereabouts.find(conn, SHORT, schema="a", oid=None) == SHORT


@pytest.mark.parametrize("schema", [None, "a"])
def test_a_table_that_is_gone_is_told(schema: str | None, conn: Connection) -> None:
    known = {"schema": schema, "oid": oid(conn) if schema else None}
    conn.execute("DROP TABLE a.things")
    name = "a.things" if schema else "things"
    assert refusal(conn, **known) == (
        f"there is no table {name} any more; nothing was changed; what it held stays in pgrunbook.quarantine"
    )
