"""Duplicates: the groups that a unique index would refuse, however keys, names and tables are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import deriving
import psycopg
import pytest
import throwaway
from psycopg import sql

from pgrunbook.derived import check
from pgrunbook.session import Connection

# The specification's own query for channels; it had none for conversations.
SPECIFIED = """\
SELECT channel_id, sequence, count(*) FROM messages WHERE channel_id IS NOT NULL
GROUP BY channel_id, sequence HAVING count(*) > 1
"""
MESSAGES = """\
CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), channel_id int, conversation_id int, sequence int
);
INSERT INTO messages (channel_id, conversation_id, sequence)
    SELECT CASE WHEN i % 2 = 0 THEN i % 20 END, CASE WHEN i % 2 = 1 THEN i % 30 END,
           i / CASE WHEN i % 5 = 0 THEN 40 ELSE 20 END
      FROM generate_series(1, 5000) AS i;
INSERT INTO messages (sequence) VALUES (1), (1);
"""


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


def groups(conn: Connection, build: str) -> check.Answer:
    [name] = [name for name in deriving.answers(conn, build) if "duplicates" in name]
    return deriving.answers(conn, build)[name]


def rows(conn: Connection, build: str) -> list[dict[str, Any]]:
    answer = groups(conn, build)
    assert not answer.problem + answer.unproved
    return [dict(row) for row in answer.found.rows]


@pytest.mark.parametrize("column", ["channel_id", "conversation_id"])
def test_the_specifications_own_query_is_derived_for_channels_and_conversations(
    column: str, look: Connection
) -> None:
    look.execute(MESSAGES)
    by_hand = look.execute(SPECIFIED.replace("channel_id", column).encode()).fetchall()
    answer = groups(look, f"CREATE UNIQUE INDEX u ON messages ({column}, sequence)")
    assert answer.found.total == len(by_hand) > 50
    expected = sorted((-row["count"], row[column], row["sequence"]) for row in by_hand)[:50]
    assert [(-row["rows"], row[column], row["sequence"]) for row in answer.found.rows] == expected
    # Every group is found when the largest are repaired one after the other.
    seen = set()
    while (answer := groups(look, f"CREATE UNIQUE INDEX u ON messages ({column}, sequence)")).found.total:
        for row in answer.found.rows:
            seen.add((row[column], row["sequence"]))
            look.execute(
                sql.SQL("DELETE FROM messages WHERE {} = %s AND sequence = %s").format(
                    sql.Identifier(column)
                ),
                (row[column], row["sequence"]),
            )
    assert seen == {(row[column], row["sequence"]) for row in by_hand}


def test_an_index_that_is_there_is_used_alone(look: Connection) -> None:
    look.execute("CREATE TABLE t (id int PRIMARY KEY, k int NOT NULL, filler text)")
    look.execute("INSERT INTO t SELECT i, i, repeat('x', 200) FROM generate_series(1, 50000) AS i")
    look.execute("CREATE INDEX t_k ON t (k); UPDATE t SET k = 7 WHERE id = 9")
    assert "Seq Scan" in groups(look, "CREATE UNIQUE INDEX u ON t (filler)").cost
    look.execute("VACUUM ANALYZE t")
    answer = groups(look, "CREATE UNIQUE INDEX u ON t (k)")
    assert "Index Only Scan on t by t_k" in answer.cost
    # The rows themselves are in no index.
    assert [dict(row) for row in answer.found.rows] == [{"k": 7, "rows": 2}]


def test_odd_names_and_hostile_values_are_only_names_and_values(look: Connection) -> None:
    look.execute(
        'CREATE SCHEMA "S x"; CREATE TABLE "S x"."T ""; DROP TABLE y" ("A b" text, "rows" int, "k;" text)'
    )
    look.execute(
        'INSERT INTO "S x"."T ""; DROP TABLE y" VALUES (%s, 1, %s), (%s, 1, %s)',
        ("'; DROP TABLE x; --", "%s", "'; DROP TABLE x; --", "%s"),
    )
    build = """CREATE UNIQUE INDEX u ON "S x"."T ""; DROP TABLE y" ("A b", "rows", "k;") WHERE "A b" <> 'a''b%s\\'"""
    assert rows(look, build) == [{"A b": "'; DROP TABLE x; --", "rows": 1, "k;": "%s", "rows (2)": 2}]
    with pytest.raises(psycopg.errors.UniqueViolation):
        look.execute(build.encode())


def test_an_expression_may_say_the_name_of_the_table(look: Connection) -> None:
    look.execute("CREATE TABLE t (a int, b text); INSERT INTO t VALUES (1, 'x'), (1, 'X'), (2, 'x')")
    found = rows(look, "CREATE UNIQUE INDEX u ON t (a, lower(t.b)) WHERE t.a > 0")
    assert [(row["a"], row["rows"]) for row in found] == [(1, 2)]


def test_a_step_that_sets_search_path_means_another_table(look: Connection) -> None:
    look.execute("CREATE SCHEMA other; CREATE TABLE t (a int); CREATE TABLE other.t (a int)")
    look.execute("INSERT INTO other.t VALUES (1), (1)")
    build = "CREATE UNIQUE INDEX u ON t (a)"
    assert rows(look, build) == []
    for words in ("SET search_path = other, public", "SET LOCAL search_path TO other"):
        assert rows(look, f"{words}; {build}") == [{"a": 1, "rows": 2}]


def test_partitions_are_one_table_and_children_are_not(look: Connection) -> None:
    look.execute(
        "CREATE TABLE p (a int, b int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    look.execute("CREATE TABLE p2 PARTITION OF p DEFAULT; INSERT INTO p VALUES (1, 1), (2, 2), (2, 2)")
    look.execute("CREATE TABLE base (a int); CREATE TABLE child () INHERITS (base)")
    look.execute("INSERT INTO base VALUES (1); INSERT INTO child VALUES (1), (1)")
    assert rows(look, "CREATE UNIQUE INDEX u ON p (a, b)") == [{"a": 2, "b": 2, "rows": 2}]
    assert rows(look, "ALTER TABLE p ADD PRIMARY KEY (a, b)") == [{"a": 2, "b": 2, "rows": 2}]
    assert rows(look, "CREATE UNIQUE INDEX u ON base (a)") == []


def test_a_materialized_view_has_duplicates_too(look: Connection) -> None:
    look.execute("CREATE MATERIALIZED VIEW m AS SELECT i % 2 AS a FROM generate_series(1, 3) AS i")
    assert rows(look, "CREATE UNIQUE INDEX u ON m (a)") == [{"a": 1, "rows": 2}]


def test_a_row_of_nulls_is_a_value_to_an_index(look: Connection) -> None:
    look.execute("CREATE TYPE pair AS (a int, b int); CREATE TABLE t (p pair)")
    look.execute("INSERT INTO t VALUES (ROW(NULL, NULL)), (ROW(NULL, NULL)), (NULL), (NULL)")
    for key in ("p", "(ROW(1, (p).a)::pair)"):
        assert [row["rows"] for row in rows(look, f"CREATE UNIQUE INDEX u ON t ({key})")] == [
            2 if key == "p" else 4
        ]


def test_a_collation_may_take_two_spellings_for_one(look: Connection) -> None:
    try:
        look.execute(
            "CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
        )
    except psycopg.errors.FeatureNotSupported:
        pytest.skip("this server has no ICU")
    look.execute("CREATE TABLE t (a text, b text COLLATE blind); INSERT INTO t VALUES ('x', 'x'), ('X', 'X')")
    assert rows(look, "CREATE UNIQUE INDEX u ON t (a)") == []
    assert [row["rows"] for row in rows(look, "CREATE UNIQUE INDEX u ON t (a COLLATE blind)")] == [2]
    assert [row["rows"] for row in rows(look, "CREATE UNIQUE INDEX u ON t (b)")] == [2]
    assert rows(look, 'CREATE UNIQUE INDEX u ON t (b COLLATE "C")') == []


def test_an_operator_class_with_an_equality_of_its_own_is_said_not_to_be_proved(look: Connection) -> None:
    look.execute("CREATE TYPE r AS (a numeric); CREATE TABLE t (r r)")
    [answer] = [
        one
        for name, one in deriving.answers(look, "CREATE UNIQUE INDEX u ON t (r record_image_ops)").items()
        if "duplicates" in name
    ]
    assert "only the build finds" in answer.unproved


def test_what_the_change_makes_itself_is_not_asked_about(look: Connection) -> None:
    look.execute("CREATE TABLE t (a int, b int); INSERT INTO t VALUES (1, 1), (1, 1)")
    build = "CREATE UNIQUE INDEX u ON {} ({})"
    for before, table, column in (
        ("CREATE TABLE fresh (a int)", "fresh", "a"),
        ("ALTER TABLE t RENAME TO u", "u", "a"),
        ("ALTER TABLE t ADD COLUMN c int", "t", "c"),
        ("ALTER TABLE t RENAME a TO c", "t", "c"),
        ("ALTER TABLE t ALTER a TYPE text USING b", "t", "a"),
    ):
        found = deriving.derived(look, before, build.format(table, column))
        assert [one.label for one in found if "duplicates" in one.label] == [], before


def test_rows_that_a_statement_before_changes_only_warn(look: Connection) -> None:
    look.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    build = "CREATE UNIQUE INDEX u ON t (a)"
    assert list(deriving.stopping(look, build)) == ["001 duplicates of t (a)"]
    for before in ("UPDATE t SET a = 2", "WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", "TRUNCATE t",
                   "DO 'BEGIN END'"):  # fmt: skip
        assert deriving.stopping(look, before, build) == {}
        [one] = [one for one in deriving.derived(look, before, build) if "duplicates" in one.label]
        assert one.doubt.endswith("of migrate/001_made_up.sql line 1")
    assert list(deriving.stopping(look, "UPDATE other SET a = 2", build)) == ["002 duplicates of t (a)"]


def test_an_exclusion_is_left_to_the_build(look: Connection) -> None:
    look.execute("CREATE TABLE t (a int4range)")
    found = deriving.answers(look, "ALTER TABLE t ADD EXCLUDE USING gist (a WITH &&)")
    assert "only the build finds" in found["001 overlaps in t"].unproved


@pytest.mark.parametrize("name", ["groups", "chosen", "s", "m", "few", "found"])
def test_no_name_of_the_question_hides_a_table(name: str, look: Connection) -> None:
    look.execute(
        f"CREATE TABLE {name} (id int PRIMARY KEY, a int); INSERT INTO {name} VALUES (1, 1), (2, 1)".encode()
    )
    found = deriving.rows(look, f"CREATE UNIQUE INDEX u ON {name} (a)", f"duplicates of {name} (a)")
    assert found == [{"a": 1, "rows": 2, "first id": 1, "last id": 2}]
