"""Strategies: after each no duplicate is left, nobody's change is lost, and undo gives back every byte."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import postgast
import psycopg
import pytest
from doubled import MESSAGES, Bench, bench
from psycopg.types.string import TextLoader

from pgrunbook import duplicates, relation, uniquekey
from pgrunbook.duplicates import extract
from pgrunbook.errors import BadKey, BadStrategy
from pgrunbook.naming import walk
from pgrunbook.server import Server
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

if TYPE_CHECKING:
    from conftest import Elsewhere

SEQUENCE = UniqueKey("messages", ("channel", "sequence"))
CODE = UniqueKey("messages", ("channel", "code"))
RENUMBER = (Strategy.RESEQUENCE, Strategy.RESEQUENCE_GAPS)
EACH = [
    (Strategy.RESEQUENCE, SEQUENCE, {"order": ["at"]}),
    (Strategy.RESEQUENCE_GAPS, SEQUENCE, {"order": ["at"]}),
    (Strategy.MOVE, SEQUENCE, {"order": ["at"], "newest": True}),
    (Strategy.MOVE, CODE, {}),
    (Strategy.SET_NULL, CODE, {"newest": True}),
    (Strategy.SET_NULL, SEQUENCE, {"column": "channel"}),
    (Strategy.MERGE, SEQUENCE, {"order": ["at"]}),
]
NAMES = [f"{strategy.value} by {key.parts[-1]}" for strategy, key, _ in EACH]


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


def refused(hands: Bench, key: UniqueKey, strategy: Strategy, **options: Any) -> str:
    with pytest.raises(BadStrategy) as caught:
        hands.propose(key, strategy, **options)
    return str(caught.value).removeprefix(f"{strategy.value} cannot repair {key}: ")


@pytest.mark.parametrize(("strategy", "key", "options"), EACH, ids=NAMES)
def test_no_duplicate_is_left_what_was_told_is_done_and_undo_gives_back_every_byte(
    strategy: Strategy, key: UniqueKey, options: dict[str, Any], hands: Bench
) -> None:
    order, draft = hands.order(), hands.propose(key, strategy, **options)
    told = {row["key"]["id"]: row["fate"] for row in hands.look.execute(draft.outlook.encode())}
    done = hands.proved(draft, key, "messages")
    assert hands.value("SELECT count(*) FROM messages") == 90 - (
        done.repairs if strategy is Strategy.MERGE else 0
    )
    if strategy in RENUMBER:
        assert hands.order() == order == hands.order("channel, sequence")
    else:
        assert done.repairs == 60
    kept = "SELECT key->'id' AS id, before, after FROM pgrunbook.quarantine WHERE undone_at IS NULL"
    rows = hands.look.execute(kept.encode()).fetchall()
    assert len(rows) == len(told) == done.repairs
    for row in rows:
        if row["after"] is None:
            assert told[row["id"]].startswith('deleted, merged into {"id": ')
        else:
            [old], [new] = row["before"].values(), row["after"].values()
            assert told[row["id"]] == f"{old} → {'NULL' if new is None else new}"


@pytest.mark.parametrize(("strategy", "key", "options"), EACH, ids=NAMES)
def test_a_change_that_somebody_makes_meanwhile_is_never_overwritten(
    strategy: Strategy,
    key: UniqueKey,
    options: dict[str, Any],
    hands: Bench,
    elsewhere: Elsewhere,
    eventually: Callable[..., Any],
) -> None:
    draft = hands.propose(key, strategy, **options)
    [first] = hands.look.execute(
        f"SELECT key->>'id' AS id FROM ({draft.outlook}) AS one ORDER BY 1 LIMIT 1".encode()
    )
    theirs = f"UPDATE messages SET sequence = 5000, code = 'theirs' WHERE id = {first['id']}"
    repaired = hands.amid(draft, elsewhere, theirs, eventually)
    [row] = hands.look.execute(f"SELECT * FROM messages WHERE id = {first['id']}".encode())
    assert (row["code"], row["channel"] is None) == ("theirs", False)
    assert row["sequence"] == 5000
    hands.builds(key)
    assert not [
        one for one in repaired if 5000 in one["before"].values() or "theirs" in one["before"].values()
    ]


def test_names_that_are_sql_themselves_do_no_harm(hands: Bench) -> None:
    table = '"a b"."odd; {0} %s ""t"" -- \\"'
    hands.look.execute(
        f"""CREATE SCHEMA "a b"; CREATE TABLE {table} ("select" int PRIMARY KEY, "it's" int, "x
y\\" int, t int, batch text);
        INSERT INTO {table} SELECT i, i % 2, i / 6, i, 'b' FROM generate_series(1, 60) AS i;
        CREATE TABLE "a b"."{{}}" ("key" int PRIMARY KEY, "%(x)s" int REFERENCES {table});
        INSERT INTO "a b"."{{}}" SELECT i, i FROM generate_series(1, 60) AS i""".encode()
    )
    key = uniquekey.parse(table, '"it\'s", "x\ny\\"', where="batch = 'b' and t > 0")
    for strategy in Strategy:
        draft = hands.propose(key, strategy)
        hands.proved(draft, key, table, '"a b"."{}"')
        hands.undo(draft)


@pytest.mark.parametrize("table", ["top", "grouped", "batch", "gone", "numbered", "child_1"])
def test_a_table_may_be_called_what_our_queries_are_called(table: str, hands: Bench, tmp_path: Path) -> None:
    child = "held" if table == "child_1" else "child_1"
    hands.look.execute(
        f"""ALTER TABLE messages RENAME TO {table};
        CREATE TABLE {child} (id int PRIMARY KEY, one int REFERENCES {table}, UNIQUE (id, one));
        INSERT INTO {child} SELECT i, i FROM generate_series(0, 89) AS i""".encode()
    )
    key = UniqueKey(table, ("channel", "sequence"))
    for strategy in Strategy:
        used = (
            dataclasses.replace(key, parts=("sequence", "channel")) if strategy is Strategy.SET_NULL else key
        )
        draft = hands.propose(used, strategy)
        found = duplicates.find(hands.look, used, draft=draft)
        assert (found.groups, found.shown[0].members[0].fate) == (30, "stays")
        assert extract.write(hands.look, used, tmp_path / "all.csv", draft=draft).rows == 90
        hands.proved(draft, used, table, child)
        hands.undo(draft)


def test_no_query_of_ours_has_another_name(hands: Bench, tmp_path: Path) -> None:
    hands.look.execute(
        "ALTER TABLE messages ADD FOREIGN KEY (parent) REFERENCES messages, ADD UNIQUE (id, parent);"
        "CREATE INDEX ON messages (channel, sequence)"
    )
    said: list[str] = []
    with mock.patch.object(psycopg.Connection, "execute", autospec=True) as execute:
        real = psycopg.Cursor.execute

        def heard(conn: psycopg.Connection[Any], query: Any, *rest: Any, **options: Any) -> Any:
            said.append(query.decode().replace("%s", "NULL") if isinstance(query, bytes) else "")
            return real(conn.cursor(), query, *rest, **options)

        execute.side_effect = heard
        for strategy, key, options in EACH:
            draft = hands.propose(key, strategy, **options)
            said += [draft.statement, draft.outlook]
            duplicates.find(hands.look, key, draft=draft)
            extract.write(hands.look, key, tmp_path / "all.csv", draft=draft)
    names = {
        node.ctename
        for text in said
        for node in walk(postgast.parse(text))
        if node.DESCRIPTOR.name == "CommonTableExpr"
    }
    assert {"top", "grouped", "batch", "afterwards", "child_1", "taken", "held"} <= names
    assert [name for name in names if not relation.WITH_NAMES.fullmatch(name)] == []


def call_cases_equal(hands: Bench) -> None:
    try:
        hands.look.execute(
            "CREATE COLLATION loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server is built without ICU")
    hands.look.execute("ALTER TABLE messages ALTER code TYPE varchar(40) COLLATE loose")


@pytest.mark.parametrize("strategy", [Strategy.MOVE, Strategy.MERGE], ids=lambda one: one.value)
def test_a_collation_that_calls_more_values_equal_is_honoured(strategy: Strategy, hands: Bench) -> None:
    call_cases_equal(hands)
    hands.look.execute("UPDATE messages SET code = upper(code) WHERE id % 2 = 0")
    assert hands.proved(hands.propose(CODE, strategy), CODE, "messages").repairs == 60
    assert extract.write(hands.look, UniqueKey("messages", ("channel",)), hands.folder / "all.csv").rows > 0


def test_a_value_that_is_equal_but_not_the_same_is_somebodys_change_too(
    hands: Bench, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    hands.look.execute("ALTER TABLE messages ALTER code TYPE numeric USING substr(code, 6)::numeric")
    draft = hands.propose(CODE, Strategy.SET_NULL)
    hands.work.adapters.register_loader("jsonb", TextLoader)
    repaired = hands.amid(draft, elsewhere, "UPDATE messages SET code = 0.00 WHERE id = 3", eventually)
    assert [one["before"] for one in repaired if one["key"] == '{"id": 3}'] == ['{"code": 0.00}']


def test_rows_outside_the_predicate_and_rows_with_null_are_left_alone(hands: Bench) -> None:
    hands.look.execute(
        "UPDATE messages SET channel = NULL WHERE id < 9; UPDATE messages SET note = 'old' WHERE id > 80"
    )
    key = UniqueKey("messages", ("channel", "sequence"), where="note <> 'old'")
    for strategy in (Strategy.RESEQUENCE, Strategy.RESEQUENCE_GAPS, Strategy.MOVE, Strategy.MERGE):
        draft = hands.propose(key, strategy)
        told = [row["key"]["id"] for row in hands.look.execute(draft.outlook.encode())]
        assert told
        assert all(9 <= one <= 80 for one in told), strategy


def test_under_nulls_not_distinct_null_is_a_value_like_others(hands: Bench) -> None:
    hands.look.execute("UPDATE messages SET channel = NULL WHERE channel = 2")
    key = UniqueKey("messages", ("channel", "sequence"), nulls_not_distinct=True)
    for strategy in (*RENUMBER, Strategy.MOVE):
        hands.proved(hands.propose(key, strategy), key, "messages")
        hands.undo(hands.propose(key, strategy))


def test_an_expression_in_the_key_can_be_read_but_not_changed(hands: Bench) -> None:
    hands.look.execute("UPDATE messages SET code = upper(code) WHERE id % 2 = 0")
    key = uniquekey.parse("messages", "lower(code), channel")
    for strategy in (Strategy.MOVE, Strategy.SET_NULL):
        assert refused(hands, uniquekey.parse("messages", "channel, lower(code)"), strategy) == (
            "lower(code) is an expression, so no value can be found that changes it\n"
            "  next: name a plain column of the key, or merge"
        )
    assert hands.proved(hands.propose(key, Strategy.SET_NULL), key, "messages").repairs == 60
    hands.undo(hands.propose(key, Strategy.SET_NULL))
    assert hands.proved(hands.propose(key, Strategy.MERGE), key, "messages").repairs == 60


def test_a_partitioned_table_with_a_key_of_several_columns_is_repaired_like_others(hands: Bench) -> None:
    hands.look.execute(
        "CREATE TABLE parted (part int, id uuid, channel int, sequence int, at timestamptz, PRIMARY KEY (part, id))"
        " PARTITION BY RANGE (part);"
        "CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (2);"
        "CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (2) TO (9);"
        "INSERT INTO parted SELECT i % 3, gen_random_uuid(), i % 2, i / 6, '2026-01-01'"
        " FROM generate_series(1, 60) AS i"
    )
    key = UniqueKey("parted", ("channel", "sequence"))
    before = hands.hash("parted")
    for strategy in Strategy:
        draft = hands.propose(key, strategy, order=["at"])
        assert hands.preview(draft).undo_proved
        hands.apply(draft)
        groups = (
            "SELECT FROM parted WHERE sequence IS NOT NULL GROUP BY channel, sequence HAVING count(*) > 1"
        )
        assert hands.value(f"SELECT count(*) FROM ({groups}) AS one") == 0
        hands.undo(draft)
        assert hands.hash("parted") == before
    assert refused(
        hands, UniqueKey("parted", ("part", "sequence")), Strategy.MOVE, order=["at"], column="part"
    ) == (
        "part is part of the primary key, by which undo finds a row again\n"
        "  next: name another column of the key, or choose another strategy"
    )


def test_what_cannot_be_repaired_is_refused_with_the_reason(hands: Bench) -> None:
    hands.look.execute(
        """CREATE TABLE keyless (a int, b int);
        CREATE TABLE parent (a int UNIQUE, b int, id int PRIMARY KEY);
        CREATE TABLE heir () INHERITS (parent);
        CREATE TABLE odd (id int PRIMARY KEY, a int, twice int GENERATED ALWAYS AS (a * 2) STORED,
            own int GENERATED ALWAYS AS IDENTITY, short varchar(19), day date, needed date NOT NULL,
            up int REFERENCES messages, UNIQUE (a));
        CREATE TABLE below (id int PRIMARY KEY, a int REFERENCES odd (a));
        CREATE TABLE by_word (id text PRIMARY KEY, a int);
        """
    )
    other = "\n  next: name another column of the key, or choose another strategy"
    move, null, merge = Strategy.MOVE, Strategy.SET_NULL, Strategy.MERGE
    cases: list[tuple[str, str, Strategy, dict[str, Any], str]] = [
        ("keyless", "a", merge, {}, "keyless has no primary key, so nothing could say which row an old value goes back"
         " to\n  next: add a primary key first, or repair these rows by hand"),
        ("parent", "b", move, {}, "other tables inherit from parent, and no index makes a value unique in all of them"
         "\n  next: repair each table alone, or make it a partitioned table"),
        ("odd", "a, twice", move, {}, "twice is generated: PostgreSQL alone writes it" + other),
        ("odd", "own", null, {}, "own is GENERATED ALWAYS AS IDENTITY: an UPDATE may not set it" + other),
        ("odd", "id", null, {}, "id is part of the primary key, by which undo finds a row again" + other),
        ("odd", "a", move, {}, "below refers to a: its rows would change too, or stop the remedy" + other),
        ("odd", "up", move, {}, "up is a reference (odd_up_fkey): no new value would be found there" + other),
        ("odd", "day", move, {}, "day is date, it has to be one of int2, int4, int8, text, varchar, bpchar, citext"
         + other),
        ("odd", "day", Strategy.RESEQUENCE, {}, "day is date, it has to be one of int2, int4, int8" + other),
        ("odd", "needed", null, {}, "needed is NOT NULL\n  next: choose move, or merge"),
        ("odd", "short", move, {}, "short holds 19 characters, a mark that is unique needs 20\n"
         "  next: choose set-null or merge, or make the column longer first"),
        ("odd", "short", move, {"column": "day"}, "day is none of its columns, so no value can be found that changes it"
         "\n  next: name a plain column of the key, or merge"),
        ("odd", "up", merge, {"order": ["gone"]}, "odd has no column gone to order by\n"
         "  next: choose of id, a, twice, own, short, day, needed, up"),
        ("odd", "day", Strategy.RESEQUENCE_GAPS, {"newest": True}, "it keeps every row, so there is no newest to keep\n"
         "  next: leave that out, or choose move"),
        ("by_word", "a", move, {}, "the primary key (id) does not say which row came first\n"
         "  next: say by which columns to order, e.g. --order created_at"),
    ]  # fmt: skip
    for table, parts, strategy, options, expected in cases:
        assert refused(hands, uniquekey.parse(table, parts), strategy, **options) == expected
    nulls = UniqueKey("messages", ("channel",), nulls_not_distinct=True)
    assert refused(hands, nulls, null) == (
        "under NULLS NOT DISTINCT the NULLs would be duplicates again\n  next: choose move, or merge"
    )
    assert refused(hands, nulls, Strategy.RESEQUENCE) == (
        "under NULLS NOT DISTINCT rows without channel are duplicates too, and have no value to start from\n"
        "  next: fill it in these rows and make it NOT NULL first"
    )


def test_a_key_that_the_table_has_not_is_refused_with_the_servers_words(hands: Bench) -> None:
    with pytest.raises(BadKey) as caught:
        hands.propose(UniqueKey("messages", ("channel", "nothing")), Strategy.MOVE)
    assert str(caught.value) == (
        "the key of the duplicates: messages (channel, nothing): column t.nothing does not exist\n"
        "  next: write it as CREATE UNIQUE INDEX would have it"
    )


def test_every_file_runs_with_psql(hands: Bench, database: str, server: Server) -> None:
    psql = [str(server.bin / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-d", database, "-f"]
    for strategy in Strategy:
        key = CODE if strategy is Strategy.SET_NULL else SEQUENCE
        draft = hands.propose(key, strategy)
        command = [*psql, hands.script(draft).path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert hands.look.execute(draft.statement.encode()).fetchall() == []
        hands.builds(key)
        hands.look.execute(f"DROP TABLE messages; {MESSAGES}".encode())


def test_triggers_and_other_unique_indexes_are_named_in_the_file(hands: Bench) -> None:
    hands.look.execute(
        "CREATE UNIQUE INDEX also ON messages (id, sequence);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';"
        "CREATE TRIGGER stamp BEFORE UPDATE ON messages FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE TRIGGER born BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION f()"
    )
    draft = hands.propose(SEQUENCE, Strategy.RESEQUENCE_GAPS)
    assert draft.warnings == (
        "each UPDATE of messages fires stamp; what they do is not undone.",
        "also is unique over sequence too: a batch that would break it is refused.",
    )
    assert "\n-- Mind: each UPDATE of messages fires stamp; what they do is not undone.\n" in draft.text


def test_what_the_server_would_refuse_is_refused_before_it_is_written(
    hands: Bench, elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    with pytest.raises(BadKey, match="canceling statement due to lock timeout"):
        hands.propose(SEQUENCE, Strategy.MOVE)
    elsewhere.release()
