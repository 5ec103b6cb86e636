"""Derived checks on small migrations: what is NO-GO fails on the server in just that way, what is GO succeeds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import deriving
import psycopg
import pytest
import throwaway

from pgrunbook.derived import rules
from pgrunbook.session import Connection

SHOP = """\
CREATE TABLE channels (id int PRIMARY KEY, name text NOT NULL);
CREATE TABLE messages (
    id int PRIMARY KEY, channel_id int, conversation_id int, sequence int NOT NULL, author text, note varchar(20)
);
CREATE TABLE hundred (id serial PRIMARY KEY);
INSERT INTO channels VALUES (1, 'one'), (2, 'two');
INSERT INTO messages VALUES
    (1, 1, NULL, 1, 'ann', 'a'), (2, 1, NULL, 2, 'Ann', NULL), (3, 2, NULL, 1, 'bob', 'c'),
    (4, NULL, 7, 1, NULL, 'd'), (5, NULL, 7, 2, 'eve', 'e');
INSERT INTO hundred SELECT FROM generate_series(1, 100);
"""
TWICE = "UPDATE messages SET sequence = 1 WHERE id = 2"


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(SHOP)
        yield conn


# Each: what is wrong with the data or the schema, the migration, what the check of which name finds, and how the
# server refuses the migration.
BAD: dict[str, tuple[str, str, str, Any, str]] = {
    "a unique index over duplicates": (
        TWICE,
        "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)",
        "001 duplicates of messages (channel_id, sequence)",
        [{"channel_id": 1, "sequence": 1, "rows": 2, "first id": 1, "last id": 2}],
        "23505",
    ),
    "a unique index that takes NULL for a value": (
        "",
        "CREATE UNIQUE INDEX u ON messages (channel_id) NULLS NOT DISTINCT WHERE sequence = 2 OR id = 4",
        "001 duplicates of messages (channel_id) where sequence = 2 OR id = 4",
        [{"channel_id": None, "rows": 2, "first id": 4, "last id": 5}],
        "23505",
    ),
    "a unique index on an expression": (
        "",
        "CREATE UNIQUE INDEX u ON messages (lower(author))",
        "001 duplicates of messages (lower(author))",
        [{"lower(author)": "ann", "rows": 2, "first id": 1, "last id": 2}],
        "23505",
    ),
    "a unique constraint with included columns": (
        TWICE,
        "ALTER TABLE messages ADD CONSTRAINT u UNIQUE (channel_id, sequence) INCLUDE (note)",
        "001 duplicates of messages (channel_id, sequence)",
        [{"channel_id": 1, "sequence": 1, "rows": 2, "first id": 1, "last id": 2}],
        "23505",
    ),
    "a primary key over NULLs": (
        "ALTER TABLE messages DROP CONSTRAINT messages_pkey",
        "ALTER TABLE messages ADD PRIMARY KEY (note)",
        "001 nulls in messages (note)",
        [{"part": "messages", "place": "(0,2)"}],
        "23502",
    ),
    "a primary key from an index that holds NULLs": (
        "ALTER TABLE messages DROP CONSTRAINT messages_pkey; CREATE UNIQUE INDEX u ON messages (note)",
        "ALTER TABLE messages ADD PRIMARY KEY USING INDEX u",
        "001 nulls in messages (note)",
        [{"part": "messages", "place": "(0,2)"}],
        "23502",
    ),
    "NOT NULL over NULLs": (
        "",
        "ALTER TABLE messages ALTER COLUMN author SET NOT NULL",
        "001 nulls in messages (author)",
        [{"id": 4}],
        "23502",
    ),
    "a column that may not be empty and has no default": (
        "",
        "ALTER TABLE messages ADD COLUMN fresh int NOT NULL",
        "001 rows of messages without fresh",
        [{"table": "messages", "rows": "at least 1"}],
        "23502",
    ),
    "a unique column with one value for all": (
        "",
        "ALTER TABLE messages ADD COLUMN fresh int UNIQUE DEFAULT 0",
        "001 rows of messages with the same fresh",
        [{"table": "messages", "rows": "at least 2"}],
        "23505",
    ),
    "a CHECK that rows break": (
        "",
        "ALTER TABLE messages ADD CONSTRAINT short CHECK (length(author) <> 3 OR sequence = 1)",
        "001 violations of short in messages",
        [{"id": 2, "author": "Ann", "sequence": 2}, {"id": 5, "author": "eve", "sequence": 2}],
        "23514",
    ),
    "a CHECK of the catalog that is validated": (
        "ALTER TABLE messages ADD CONSTRAINT one CHECK (num_nonnulls(channel_id, conversation_id, note) = 2) NOT VALID",
        "ALTER TABLE messages VALIDATE CONSTRAINT one",
        "001 violations of one in messages",
        [{"id": 2, "channel_id": 1, "conversation_id": None, "note": None}],
        "23514",
    ),
    "a reference to what is not there": (
        "DELETE FROM channels WHERE id = 2",
        "ALTER TABLE messages ADD FOREIGN KEY (channel_id) REFERENCES channels",
        "001 orphans of (channel_id) in messages",
        [{"id": 3, "channel_id": 2}],
        "23503",
    ),
    "a reference of the catalog that is validated": (
        "DELETE FROM channels WHERE id = 2;"
        " ALTER TABLE messages ADD CONSTRAINT f FOREIGN KEY (channel_id) REFERENCES channels NOT VALID",
        "ALTER TABLE messages VALIDATE CONSTRAINT f",
        "001 orphans of f in messages",
        [{"id": 3, "channel_id": 2}],
        "23503",
    ),
    "a full reference with one NULL": (
        "CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES (1, 1), (1, 2), (2, 1)",
        "ALTER TABLE messages ADD FOREIGN KEY (channel_id, sequence) REFERENCES pairs MATCH FULL",
        "001 orphans of (channel_id, sequence) in messages",
        [{"id": 4, "channel_id": None, "sequence": 1}, {"id": 5, "channel_id": None, "sequence": 2}],
        "23503",
    ),
    "a reference to columns that nothing makes unique": (
        "",
        "ALTER TABLE messages ADD FOREIGN KEY (author) REFERENCES channels (name)",
        "001 key for the reference of messages to channels",
        [{"table": "channels", "columns": "name", "found": "no unique index"}],
        "42830",
    ),
    "a table whose name is taken": (
        "",
        "CREATE TABLE channels (id int)",
        "001 name channels",
        [{"name": "channels", "found": "a table"}],
        "42P07",
    ),
    "a column whose name is taken": (
        "",
        "ALTER TABLE messages ADD COLUMN note text",
        "001 column note of messages",
        [{"table": "messages", "column": "note"}],
        "42701",
    ),
    "a constraint whose name is taken": (
        "ALTER TABLE messages ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE messages ADD CONSTRAINT c CHECK (id > 1) NOT VALID",
        "001 name c on messages",
        [{"constraint": "c", "of": "messages", "found": "c"}],
        "42710",
    ),
    "a column that a view uses": (
        "CREATE VIEW notes AS SELECT note FROM messages",
        "ALTER TABLE messages DROP COLUMN note",
        "001 dependents of column messages.note",
        [{"object": "view notes", "why": "depends on column note of table messages"}],
        "2BP01",
    ),
    "a table that another refers to": (
        "ALTER TABLE messages ADD CONSTRAINT f FOREIGN KEY (channel_id) REFERENCES channels",
        "DROP TABLE channels",
        "001 dependents of table channels",
        [
            {
                "object": "constraint f on table messages",
                "why": "depends on column id of table channels; depends on index channels_pkey",
            }
        ],
        "2BP01",
    ),
    "an index that a constraint owns": (
        "",
        "DROP INDEX messages_pkey",
        "001 dependents of index messages_pkey",
        [{"object": "constraint messages_pkey on table messages", "why": "requires index messages_pkey"}],
        "2BP01",
    ),
    "a drop of what is not there": (
        "",
        "DROP TABLE missing",
        "001 presence of table missing",
        [{"missing": "table missing"}],
        "42P01",
    ),
    "a shorter type": (
        "",
        "ALTER TABLE messages ALTER COLUMN author TYPE varchar(2)",
        "001 values of messages (author)",
        [{"id": n, "author": who} for n, who in ((1, "ann"), (2, "Ann"), (3, "bob"), (5, "eve"))],
        "22001",
    ),
    "a narrower type": (
        "UPDATE messages SET sequence = 40000 WHERE id = 3",
        "ALTER TABLE messages ALTER COLUMN sequence TYPE smallint",
        "001 values of messages (sequence)",
        [{"id": 3, "sequence": 40000}],
        "22003",
    ),
    "another type that the server does not cast to": (
        "",
        "ALTER TABLE messages ALTER COLUMN author TYPE int",
        "001 rewrite of messages (author)",
        'the statement would fail: column "author" cannot be cast automatically to type integer',
        "42804",
    ),
    "a type of a column that a view uses": (
        "CREATE VIEW notes AS SELECT note FROM messages",
        "ALTER TABLE messages ALTER COLUMN note TYPE text",
        "001 users of messages (note)",
        [{"object": "view notes"}],
        "0A000",
    ),
    "an expression that a row makes fail": (
        "",
        "CREATE UNIQUE INDEX u ON messages ((1 / (id - 3)))",
        "001 duplicates of messages (1 / (id - 3))",
        "the statement would fail: division by zero",
        "22012",
    ),
    "a column that is not there": (
        "",
        "ALTER TABLE messages ALTER COLUMN nothing SET NOT NULL",
        "001 nulls in messages (nothing)",
        'the statement would fail: column "nothing" does not exist',
        "42703",
    ),
    "a constraint that is not there": (
        "",
        "ALTER TABLE messages VALIDATE CONSTRAINT nothing",
        "001 constraint nothing of messages",
        [{"constraint": "nothing", "table": "messages"}],
        "42704",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_go_fails_on_the_server(name: str, look: Connection) -> None:
    setup, migration, label, expected, state = BAD[name]
    look.execute(setup.encode())
    found = deriving.stopping(look, migration)
    shown = found[label] if isinstance(expected, list) else found[label].splitlines()[0]
    assert shown == expected
    with pytest.raises(psycopg.Error) as refused, look.transaction(force_rollback=True):
        look.execute(migration.encode())
    assert refused.value.sqlstate == state


# What a review found: each once passed for right. Setup, migration, and how the server refuses it.
PASSED_ONCE: dict[str, tuple[str, str, str]] = {
    "a column that was there under IF NOT EXISTS": (
        "",
        "ALTER TABLE messages ADD COLUMN IF NOT EXISTS author text; ALTER TABLE messages ALTER author SET NOT NULL",
        "23502",
    ),
    "a table of the same name in another schema": (
        f"{TWICE}; CREATE SCHEMA x",
        "CREATE TABLE x.messages (a int); CREATE UNIQUE INDEX u ON public.messages (channel_id, sequence)",
        "23505",
    ),
    "a trigger that has the table's name": (
        TWICE,
        "DROP TRIGGER IF EXISTS messages ON messages; CREATE UNIQUE INDEX u ON messages (channel_id, sequence)",
        "23505",
    ),
    "a text that an assignment would not cut": (
        "UPDATE messages SET author = 'annabella' WHERE id = 1",
        "ALTER TABLE messages ALTER author TYPE varchar(5) USING trim(author)",
        "22001",
    ),
    "a number too large for an integer": (
        "ALTER TABLE messages ADD r real DEFAULT 2147483647",
        "ALTER TABLE messages ALTER r TYPE int",
        "22003",
    ),
    "a default that breaks the column's own check": (
        "", "ALTER TABLE messages ADD COLUMN x int DEFAULT 0 CHECK (x > 0)", "23514",
    ),
    "one computed default for a unique column": (
        "", "ALTER TABLE messages ADD COLUMN x text UNIQUE DEFAULT 'a'::text", "23505",
    ),
    "a new column that nothing fills": (
        "", "ALTER TABLE messages ADD COLUMN x int; ALTER TABLE messages ALTER x SET NOT NULL", "23502",
    ),
    "a text in an array that an assignment would not cut": (
        "ALTER TABLE messages ADD l text[]; UPDATE messages SET l = ARRAY['a', 'annabella'] WHERE id = 2",
        "ALTER TABLE messages ALTER l TYPE varchar(5)[]",
        "22001",
    ),
    "a text split into pieces that are too long": (
        "", "ALTER TABLE messages ALTER author TYPE char(2)[] USING string_to_array(author, ',')", "22001",
    ),
    "bits in an array that are too few": (
        "ALTER TABLE messages ADD l varbit[]; UPDATE messages SET l = '{101,1}' WHERE id = 2",
        "ALTER TABLE messages ALTER l TYPE bit(3)[]", "22026",
    ),
    "a domain that has the name of a type": (
        """CREATE SCHEMA x; CREATE DOMAIN x."varchar" AS text CHECK (VALUE <> 'ann')""",
        """ALTER TABLE messages ALTER author TYPE x."varchar" """, "23514",
    ),
    "a whole row with a NULL in it": ("", "ALTER TABLE messages ADD CHECK (messages IS NOT NULL)", "23514"),
}  # fmt: skip


@pytest.mark.parametrize("name", PASSED_ONCE)
def test_what_once_passed_is_no_go_and_fails_on_the_server(name: str, look: Connection) -> None:
    setup, migration, state = PASSED_ONCE[name]
    look.execute(setup.encode())
    assert deriving.stopping(look, migration) != {}
    with pytest.raises(psycopg.Error) as refused, look.transaction(force_rollback=True):
        look.execute(migration.encode())
    assert refused.value.sqlstate == state


# The same things done right, and things that only look like it.
GOOD: dict[str, tuple[str, str]] = {
    "an expression that its predicate guards": (
        "CREATE FUNCTION is_number(t text) RETURNS bool LANGUAGE plpgsql IMMUTABLE COST 9000"
        " AS $$BEGIN RETURN t ~ '^[0-9]+$'; END$$",
        "CREATE UNIQUE INDEX u ON messages ((author::int)) WHERE is_number(author)",
    ),
    "a key of a partitioned table only": (
        "CREATE TABLE parts (a int, b int) PARTITION BY LIST (a);"
        " CREATE TABLE parts_1 PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, 1), (1, 1)",
        "ALTER TABLE ONLY parts ADD UNIQUE (a, b)",
    ),
    "a reference that is written before the key that it needs": (
        "CREATE TABLE kids (id int NOT NULL, p int); INSERT INTO kids VALUES (1, 1)",
        "ALTER TABLE kids ADD FOREIGN KEY (p) REFERENCES kids (id), ADD PRIMARY KEY (id)",
    ),
    "a cast that goes": (
        "CREATE TYPE e AS ENUM ('a'); CREATE CAST (e AS int) WITH INOUT", "DROP CAST (e AS int)",
    ),
    "statistics that go": ("CREATE STATISTICS st ON author, note FROM messages", "DROP STATISTICS st"),
    "an index that the step makes and drops": (
        "", "CREATE INDEX i ON messages (note); DROP INDEX i",
    ),
    "keys that differ": ("", "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)"),
    "NULLs differ from each other": ("", "CREATE UNIQUE INDEX u ON messages (conversation_id, id)"),
    "NULL in one key": (TWICE, "CREATE UNIQUE INDEX u ON messages (conversation_id, channel_id)"),
    "duplicates outside of the predicate": (
        TWICE, "CREATE UNIQUE INDEX u ON messages (channel_id, sequence) WHERE id <> 2",
    ),
    "duplicates by lower case only": ("", "CREATE UNIQUE INDEX u ON messages (author text_pattern_ops)"),
    "an index of the parent alone": (
        "CREATE TABLE child () INHERITS (messages); INSERT INTO child SELECT * FROM messages",
        "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)",
    ),
    "an index on a partitioned table only": (
        "CREATE TABLE parts (a int, b int) PARTITION BY LIST (a);"
        " CREATE TABLE parts_1 PARTITION OF parts DEFAULT; INSERT INTO parts VALUES (1, 1), (1, 1)",
        "CREATE UNIQUE INDEX u ON ONLY parts (a, b)",
    ),
    "a constraint from an index": (
        "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)",
        "ALTER TABLE messages ADD CONSTRAINT c UNIQUE USING INDEX u",
    ),
    "no NULLs": ("DELETE FROM messages WHERE id = 4", "ALTER TABLE messages ALTER COLUMN author SET NOT NULL"),
    "NULLs ruled out already": ("", "ALTER TABLE messages ALTER COLUMN sequence SET NOT NULL"),
    "a row of NULLs is not NULL": (
        "CREATE TYPE pair AS (a int, b int); ALTER TABLE messages ADD p pair; UPDATE messages SET p = ROW(NULL, NULL)",
        "ALTER TABLE messages ALTER COLUMN p SET NOT NULL",
    ),
    "a default for all rows": ("", "ALTER TABLE messages ADD COLUMN fresh int NOT NULL DEFAULT 0"),
    "numbers for all rows": ("", "ALTER TABLE messages ADD COLUMN fresh bigserial UNIQUE"),
    "a column for an empty table": ("TRUNCATE messages", "ALTER TABLE messages ADD COLUMN fresh int NOT NULL"),
    "a unique column of NULLs": ("", "ALTER TABLE messages ADD COLUMN fresh int UNIQUE"),
    "a CHECK that says neither yes nor no": ("", "ALTER TABLE messages ADD CHECK (channel_id < 9)"),
    "a CHECK that is not asked yet": ("", "ALTER TABLE messages ADD CHECK (author <> 'ann') NOT VALID"),
    "a CHECK dropped and added again": (
        "ALTER TABLE messages ADD CONSTRAINT c CHECK (id > 0)",
        "ALTER TABLE messages DROP CONSTRAINT IF EXISTS c, ADD CONSTRAINT c CHECK (id > 0) NOT VALID",
    ),
    "references that are there": ("", "ALTER TABLE messages ADD FOREIGN KEY (channel_id) REFERENCES channels"),
    "half a reference": (
        "CREATE TABLE pairs (a int, b int, PRIMARY KEY (a, b)); INSERT INTO pairs VALUES (1, 1), (1, 2), (2, 1)",
        "ALTER TABLE messages ADD FOREIGN KEY (channel_id, sequence) REFERENCES pairs",
    ),
    "a self reference": (
        "UPDATE messages SET conversation_id = 1",
        "ALTER TABLE messages ADD FOREIGN KEY (conversation_id) REFERENCES messages (id)",
    ),
    "a table of another name": ("", "CREATE TABLE fresh (id int REFERENCES channels)"),
    "a column that nothing uses": ("", "ALTER TABLE messages DROP COLUMN note"),
    "a table with all that is its own": (
        "CREATE TABLE own (id serial PRIMARY KEY, a int GENERATED ALWAYS AS (1) STORED, UNIQUE (a)); "
        "CREATE TYPE mood AS ENUM ('x')",
        "DROP TABLE own",
    ),
    "a view dropped with its table": (
        "CREATE VIEW notes AS SELECT note FROM messages", "DROP VIEW notes; DROP TABLE messages",
    ),
    "texts in an array that are short enough": (
        "ALTER TABLE messages ADD l text[]; UPDATE messages SET l = ARRAY['a', NULL, 'ann   '] WHERE id = 2;"
        " UPDATE messages SET l = '{}' WHERE id = 1; UPDATE messages SET l = '{{ab,c},{d,e}}' WHERE id = 3",
        "ALTER TABLE messages ALTER l TYPE varchar(3)[]",
    ),
    "a longer type": ("", "ALTER TABLE messages ALTER COLUMN note TYPE varchar(40)"),
    "blanks that a shorter type cuts": (
        "UPDATE messages SET note = 'ab   '", "ALTER TABLE messages ALTER COLUMN note TYPE varchar(2)",
    ),
    "text that is numbers": (
        "UPDATE messages SET note = id", "ALTER TABLE messages ALTER COLUMN note TYPE int USING note::int",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_what_is_go_succeeds_on_the_server(name: str, look: Connection) -> None:
    setup, migration = GOOD[name]
    look.execute(setup.encode())
    found = deriving.answers(look, migration)
    assert {label: one.unproved for label, one in found.items() if one.unproved} == {}
    assert deriving.stopping(look, migration) == {}
    look.execute(migration.encode())


def test_there_are_enough_of_both() -> None:
    assert min(len(BAD), len(GOOD)) >= 20


def test_a_statement_that_cannot_be_read_is_not_proved_and_the_others_are(
    look: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any, **_options: Any) -> Any:
        raise psycopg.errors.InsufficientPrivilege("not yours\nDETAIL: none")

    look.execute(TWICE)
    texts = [
        "ALTER TABLE messages ADD CHECK (id < 9)",
        "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)",
    ]
    monkeypatch.setattr(rules, "violations", refuse)
    found = deriving.answers(look, *texts)
    assert found["001 checks of migrate/001_made_up.sql line 1"].unproved == "could not be asked: not yours"
    assert list(deriving.stopping(look, *texts)) == ["002 duplicates of messages (channel_id, sequence)"]


def test_a_step_of_nothing_that_is_known_asks_nothing(look: Connection) -> None:
    texts = ["COMMENT ON TABLE messages IS 'x'", "GRANT SELECT ON messages TO PUBLIC", "ANALYZE messages",
             "ALTER TABLE missing ADD CHECK (id > 0)", "ALTER VIEW v RENAME TO w", "SET work_mem = 64"]  # fmt: skip
    assert deriving.derived(look, *texts) == []


def test_a_table_that_may_be_another_one_is_in_doubt_and_says_so(look: Connection) -> None:
    look.execute(TWICE)
    text = "CREATE SCHEMA x; CREATE TABLE x.messages (a int); CREATE UNIQUE INDEX u ON messages (channel_id, sequence)"
    found = deriving.answers(look, text)
    assert "which of the two is meant" in found["001 which table messages is"].unproved
    assert deriving.stopping(look, text) == {}
    there = "CREATE TABLE messages_old (a int); CREATE UNIQUE INDEX u ON messages (channel_id, sequence)"
    assert list(deriving.stopping(look, there)) == ["001 duplicates of messages (channel_id, sequence)"]


def test_rows_that_a_policy_hides_are_not_taken_for_right(look: Connection) -> None:
    look.execute(
        f"{TWICE}; CREATE ROLE hidden_from; ALTER TABLE messages OWNER TO hidden_from;"
        " ALTER TABLE messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        " CREATE POLICY few ON messages USING (id = 1)"
    )
    try:
        look.execute("SET ROLE hidden_from")
        found = deriving.answers(look, "CREATE UNIQUE INDEX u ON messages (channel_id, sequence)")
        look.execute("RESET ROLE")
        why = found["001 duplicates of messages (channel_id, sequence)"].unproved
        assert "row-level security policy" in why
    finally:
        look.execute("RESET ROLE; DROP OWNED BY hidden_from CASCADE; DROP ROLE hidden_from")
