"""The data model as the catalog of a real server tells it."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import throwaway

from pgrunbook.session import Connection
from pgrunbook.shape import catalog
from pgrunbook.shape.model import Check, Column, Enum, ForeignKey, Index, Key, Other, Policy, Schema, Trigger

MADE = """
CREATE SCHEMA side;
CREATE TYPE mood AS ENUM ('zest', 'calm');
COMMENT ON TYPE mood IS 'How it goes.';
CREATE DOMAIN word AS varchar(30) NOT NULL CHECK (VALUE <> '');
CREATE TABLE parent (id bigint GENERATED ALWAYS AS IDENTITY, owner uuid, PRIMARY KEY (id), UNIQUE (id, owner));
CREATE TABLE side."Odd one" (
    "Key" word PRIMARY KEY,
    mood mood DEFAULT 'calm',
    parent bigint, owner uuid, gone int,
    twice text GENERATED ALWAYS AS ("Key" || 'x') STORED,
    code char(7)[],
    CONSTRAINT up FOREIGN KEY (parent, owner) REFERENCES parent (id, owner) ON DELETE CASCADE,
    CONSTRAINT both_or_none CHECK (num_nonnulls(parent, owner) <> 1)
);
ALTER TABLE side."Odd one" DROP gone, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
COMMENT ON TABLE side."Odd one" IS 'Odd.';
COMMENT ON COLUMN side."Odd one".mood IS 'How.';
COMMENT ON CONSTRAINT up ON side."Odd one" IS 'Up.';
CREATE INDEX partly ON side."Odd one" (lower("Key"), parent DESC) INCLUDE (owner) WHERE owner IS NOT NULL;
CREATE POLICY mine ON side."Odd one" FOR UPDATE USING (owner IS NULL) WITH CHECK (true);
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN
    RAISE EXCEPTION USING ERRCODE = 'P7013'; EXCEPTION WHEN SQLSTATE '23505' THEN RAISE; END$$;
CREATE TRIGGER "Stop it" BEFORE DELETE OR UPDATE OF mood ON side."Odd one" FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE VIEW seen AS SELECT 1 AS one;
CREATE SEQUENCE counter;
GRANT SELECT, INSERT, UPDATE (owner, id) ON parent TO PUBLIC;
REVOKE EXECUTE ON FUNCTION refuse() FROM PUBLIC;
CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1';
"""


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(MADE)
        yield conn


def test_an_empty_database_has_an_empty_model(database: str) -> None:
    with throwaway.looking(database) as conn:
        assert catalog.read(conn) == Schema()


def test_columns_are_read_with_type_default_comment_and_what_fills_them(look: Connection) -> None:
    found = catalog.read(look)
    assert [table.name for table in found.tables] == ["parent", 'side."Odd one"']
    assert found.table("parent").columns == (
        Column("id", "bigint", "int8", False, identity="always"),
        Column("owner", "uuid", "uuid", True),
    )
    assert found.table('side."Odd one"').columns == (
        Column('"Key"', "word", "varchar", False, length=30, domain="word"),
        Column("mood", "mood", "mood", True, "'calm'::mood", "How.", enum="mood"),
        Column("parent", "bigint", "int8", True),
        Column("owner", "uuid", "uuid", True),
        Column("twice", "text", "text", True, "((\"Key\")::text || 'x'::text)", generated="stored"),
        Column("code", "character(7)[]", "_bpchar", True),
    )


def test_keys_and_rules_are_read_in_the_words_of_the_server(look: Connection) -> None:
    parent = catalog.read(look).table("parent")
    odd = catalog.read(look).table('side."Odd one"')
    assert parent.primary_key == Key("parent_pkey", ("id",), "PRIMARY KEY (id)")
    assert parent.uniques == (Key("parent_id_owner_key", ("id", "owner"), "UNIQUE (id, owner)"),)
    assert parent.grants == ("public: INSERT, SELECT, UPDATE (id, owner)",)
    assert odd.foreign_keys == (
        ForeignKey(
            "up", ("parent", "owner"), "parent", ("id", "owner"), "CASCADE", "NO ACTION",
            "FOREIGN KEY (parent, owner) REFERENCES parent(id, owner) ON DELETE CASCADE", "Up.",
        ),
    )  # fmt: skip
    assert odd.checks == (
        Check("both_or_none", ("parent", "owner"), "CHECK ((num_nonnulls(parent, owner) <> 1))"),
    )
    assert (odd.schema, odd.comment, odd.row_security, odd.forced) == ("side", "Odd.", True, True)
    assert odd.policies == (Policy("mine", "UPDATE", True, ("public",), "(owner IS NULL)", "true"),)


def test_indexes_and_triggers_are_read_in_the_words_of_the_server(look: Connection) -> None:
    odd = catalog.read(look).table('side."Odd one"')
    assert odd.indexes[1] == Index(
        "partly", ('lower("Key"::text)', "parent"), ("parent",), False,
        'CREATE INDEX partly ON side."Odd one" USING btree (lower(("Key")::text), parent DESC)'
        " INCLUDE (owner) WHERE (owner IS NOT NULL)",
        "(owner IS NOT NULL)",
    )  # fmt: skip
    assert (odd.indexes[0].constraint, odd.indexes[0].unique) == ('"Odd one_pkey"', True)
    [trigger] = odd.triggers
    assert (trigger.name, trigger.fires, trigger.function) == (
        '"Stop it"', "BEFORE DELETE OR UPDATE OF mood", "refuse",
    )  # fmt: skip
    assert isinstance(trigger, Trigger)
    assert trigger.enabled


def test_enums_keep_their_order_and_functions_tell_the_codes_they_name(look: Connection) -> None:
    found = catalog.read(look)
    assert found.enums == (Enum("mood", ("zest", "calm"), "How it goes."),)
    one, function = found.functions
    assert (one.executors, function.executors) == (("public",), ())
    assert (function.signature, function.returns, function.definer) == ("refuse()", "trigger", False)
    assert function.sqlstates == ("23505", "P7013")


def test_what_has_no_room_of_its_own_is_listed_all_the_same(look: Connection) -> None:
    assert catalog.read(look).others == (
        Other("domain", "word", "character varying(30) NOT NULL CHECK (((VALUE)::text <> ''::text))"),
        Other("schema", "side", ""),
        Other("sequence", "counter", ""),
        Other("view", "seen", " SELECT 1 AS one;"),
    )


def test_partitions_are_one_table_and_their_copies_of_keys_are_left_out(
    look: Connection, conn: psycopg.Connection[object]
) -> None:
    conn.execute(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY HASH (id);"
        "CREATE TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "CREATE TABLE child (up int REFERENCES parted)"
    )
    found = catalog.read(look)
    assert [table.name for table in found.tables] == ["child", "parent", "parted", 'side."Odd one"']
    assert [key.name for key in found.table("child").foreign_keys] == ["child_up_fkey"]
