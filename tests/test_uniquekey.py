"""Keys as three texts name them, read by PostgreSQL's own grammar."""

from __future__ import annotations

import pytest

from pgrunbook import uniquekey
from pgrunbook.errors import BadKey
from pgrunbook.uniquekey import UniqueKey

pytestmark = pytest.mark.static


def test_columns_expressions_and_a_predicate_are_read() -> None:
    key = uniquekey.parse(
        'App."Odd, table"', 'a, "B b" COLLATE "C", lower(c || \',\')', where="gone is null -- x"
    )
    assert key == UniqueKey('app."Odd, table"', ("a", '"B b" COLLATE "C"', "lower(c || ',')"), "gone IS NULL")
    assert key.columns == ("a", "B b", None)
    assert str(key) == 'app."Odd, table" (a, "B b" COLLATE "C", lower(c || \',\')) WHERE gone IS NULL'
    assert key.of("t") == ["t.a", 't."B b" COLLATE "C"', "(lower(t.c || ','))"]


def test_every_column_of_an_expression_is_the_tables_own() -> None:
    assert uniquekey.qualified("messages.a + b.c(d)", "t") == "t.a + b.c(t.d)"
    assert uniquekey.qualified("CASE WHEN a IN (b, 'a') THEN (c).d END", "t") == (
        "CASE WHEN t.a IN (t.b, 'a') THEN (t.c).d END"
    )


def test_under_nulls_not_distinct_every_row_counts() -> None:
    assert UniqueKey("t", ("a",), nulls_not_distinct=True).counts("x") == []
    assert UniqueKey("t", ("a",), "b > 0", nulls_not_distinct=True).counts("x") == ["(x.b > 0)"]
    assert UniqueKey("t", ("a", "b")).counts("x") == [
        "x.a IS DISTINCT FROM NULL",
        "x.b IS DISTINCT FROM NULL",
    ]


@pytest.mark.parametrize(
    ("table", "parts", "where"),
    [
        ("", "a", ""),
        ("t; DROP TABLE t", "a", ""),
        ("t AS u", "a", ""),
        ("ONLY t", "a", ""),
        ("t, u", "a", ""),
        ("t WHERE true", "a", ""),
        ("(SELECT 1) AS t", "a", ""),
        ("other.app.t", "a", ""),
        ("t", "", ""),
        ("t", "a FROM t", ""),
        ("t", "a; DROP TABLE t", ""),
        ("t", "a AS b", ""),
        ("t", "*", ""),
        ("t", "t.*", ""),
        ("t", "(SELECT 1)", ""),
        ("t", "a) + (b", ""),
        ("t", "$1", ""),
        ("t", "a", "b > CURRENT_DATE"),
        ("t", "a", "b > 0, c"),
        ("t", "a", "b > 0) OR (true"),
        ("t", "a", "b > 0 UNION SELECT 1"),
        ("t", "a /*", ""),
        ("t", "a\0", ""),
    ],
)
def test_what_is_more_than_a_key_is_refused(table: str, parts: str, where: str) -> None:
    with pytest.raises(BadKey):
        uniquekey.parse(table, parts, where=where)


def test_the_refusal_says_what_stands_there() -> None:
    with pytest.raises(BadKey) as caught:
        uniquekey.parse("t", "a AS b")
    assert str(caught.value) == (
        "the key of the duplicates: 'a AS b' is not columns of a unique index: it names a column AS something\n"
        "  next: write it as CREATE UNIQUE INDEX would have it, e.g. channel_id, lower(code)"
    )
