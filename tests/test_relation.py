"""Tables as a repair has to know them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import throwaway

from pgrunbook import relation
from pgrunbook.errors import BadKey
from pgrunbook.relation import Column, Reference, Unique
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def test_columns_are_known_below_their_domains(look: Connection) -> None:
    look.execute(
        "CREATE DOMAIN word AS varchar(30) NOT NULL;"
        "CREATE TABLE odd (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, w word, gone int, c char(7),"
        " up int REFERENCES things, twice text GENERATED ALWAYS AS (c || 'x') STORED);"
        "ALTER TABLE odd DROP gone; CREATE TABLE below (odd bigint REFERENCES odd)"
    )
    found = relation.find(look, "odd")
    assert (found.name, found.kind, found.primary_key, found.has_heirs) == ("odd", "r", ("id",), False)
    assert list(found.columns.values()) == [
        Column("id", "int8", "N", None, True, "", True, "", "below"),
        Column("w", "varchar", "S", 30, True, "", False, "", ""),
        Column("c", "bpchar", "S", 7, False, "", False, "", ""),
        Column("up", "int4", "N", None, False, "", False, "odd_up_fkey", ""),
        Column("twice", "text", "S", None, False, "((c)::text || 'x'::text)", False, "", ""),
    ]


def test_references_are_found_with_their_columns_once_each(look: Connection) -> None:
    look.execute(
        "ALTER TABLE things ADD UNIQUE (code, id), ADD up int REFERENCES things;"
        'CREATE TABLE "on delete" (a int, b text, FOREIGN KEY (b, a) REFERENCES things (code, id) ON DELETE CASCADE);'
        "CREATE TABLE parted (id int REFERENCES things) PARTITION BY HASH (id);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
        'CREATE INDEX ON "on delete" (a)'
    )
    found = relation.references_to(look, relation.find(look, "things"))
    assert [(one.child, one.on_delete, one.columns, one.referred, one.indexed) for one in found] == [
        ('"on delete"', "c", ("b", "a"), ("code", "id"), True),
        ("parted", "a", ("id",), ("id",), False),
        ("things", "a", ("up",), ("id",), False),
    ]
    assert isinstance(found[0], Reference)


def test_unique_indexes_are_told_as_expressions(look: Connection) -> None:
    look.execute("CREATE UNIQUE INDEX odd ON things (lower(code), id) INCLUDE (code) WHERE code <> 'x'")
    assert relation.uniques(look, relation.find(look, "things")) == (
        Unique("things_pkey", ("id",), ("id",), (), "", False),
        Unique(
            "odd", ("id", "code"), ('lower(code) COLLATE "default"', "id"), (), "(code <> 'x'::text)", False
        ),
    )


def test_a_rule_names_all_that_it_reads_and_the_operators_by_which_it_excludes(look: Connection) -> None:
    look.execute(
        "ALTER TABLE things ADD a int, ADD b int, ADD c int, ADD twice int GENERATED ALWAYS AS (a * 2 + b) STORED;"
        "ALTER TABLE things ADD CONSTRAINT apart EXCLUDE USING gist (int4range(c, c) WITH &&) WHERE (c > 0);"
        "CREATE UNIQUE INDEX even ON things (twice) WHERE code > ''"
    )
    found = {
        one.name: (one.columns, one.excludes) for one in relation.uniques(look, relation.find(look, "things"))
    }
    assert found == {
        "things_pkey": (("id",), ()),
        "apart": (("c",), ("OPERATOR(pg_catalog.&&)",)),
        "even": (("code", "a", "b", "twice"), ()),
    }


def test_a_name_that_our_queries_use_is_spelled_with_its_schema(look: Connection) -> None:
    look.execute('CREATE SCHEMA "a b"; CREATE TABLE "a b".batch (); SET search_path = "a b", public')
    assert [relation.find(look, name).name for name in ("batch", "things")] == ['"a b".batch', "things"]
    look.execute("CREATE TABLE child_12 ()")
    assert relation.find(look, '"child_12"').name == '"a b".child_12'


def test_an_index_serves_when_it_is_whole_and_begins_with_the_columns(look: Connection) -> None:
    things = relation.find(look, "things")
    assert relation.serving(look, things, ["id"])
    assert not relation.serving(look, things, ["code", "id"])
    look.execute("CREATE INDEX ON things (code, id) WHERE id > 0; CREATE INDEX ON things (id, code)")
    assert not relation.serving(look, things, ["code", "id"])
    assert not relation.serving(look, things, [None, "id"])
    look.execute("CREATE INDEX ON things (code, id, (id + 1))")
    assert relation.serving(look, things, ["code", "id"])


def test_what_is_no_table_is_refused(look: Connection) -> None:
    look.execute("CREATE VIEW seen AS SELECT 1 AS one; CREATE TEMP TABLE mine ()")
    for name, found in (
        ("gone", "there is no table gone"),
        ("seen", "seen is a view"),
        ("mine", "mine is a temporary table, of which only its own session sees the rows"),
    ):
        with pytest.raises(BadKey) as caught:
            relation.find(look, name)
        assert caught.value.found == f"the key of the duplicates: {found}"
