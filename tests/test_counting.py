"""Rows counted on the server: the first ones come here, the rest never do."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
import throwaway

from pgrunbook import counting, session
from pgrunbook.counting import SAMPLE, TOTAL
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


@pytest.mark.parametrize("rows", [0, 1, SAMPLE - 1, SAMPLE, SAMPLE + 1, 12_345])
def test_a_cursor_brings_the_first_rows_and_counts_all(rows: int, look: Connection) -> None:
    with session.reading(look, timeout_ms=60_000):
        found = counting.through_cursor(look, f"SELECT i AS number FROM generate_series(1, {rows}) AS i;")
    assert (found.columns, found.total) == (("number",), rows)
    assert [row["number"] for row in found.rows] == list(range(1, min(rows, SAMPLE) + 1))


def test_a_query_may_tell_its_own_total(look: Connection) -> None:
    text = f"SELECT 'infinity'::date AS day, 7::bigint AS {TOTAL}"
    found = counting.with_total(look, text)
    assert (found.columns, found.total, [dict(row) for row in found.rows]) == (
        ("day",),
        7,
        [{"day": "infinity"}],
    )
    assert counting.with_total(look, f"{text} WHERE false").total == 0


def test_what_takes_too_long_is_ended(look: Connection) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled), session.reading(look, timeout_ms=20):
        counting.through_cursor(look, "SELECT pg_sleep(60)")


@pytest.mark.parametrize("rows", [7, SAMPLE, 1_000])
def test_the_rows_that_come_here_are_the_first_by_their_key_however_they_lie(
    rows: int, look: Connection
) -> None:
    look.execute(f"CREATE TABLE t AS SELECT i % 7 AS a, {rows} - i AS b FROM generate_series(1, {rows}) AS i")
    with session.reading(look, timeout_ms=60_000):
        found = counting.in_order(look, "SELECT a AS a, b AS b FROM t", 2)
        as_it_lies = counting.in_order(look, "SELECT a AS a, b AS b FROM t", 0)
    pairs = sorted((i % 7, rows - i) for i in range(1, rows + 1))
    assert [(row["a"], row["b"]) for row in found.rows] == pairs[:SAMPLE]
    assert (found.total, found.columns) == (rows, ("a", "b"))
    assert [row["b"] for row in as_it_lies.rows] == [rows - i for i in range(1, min(rows, SAMPLE) + 1)]


def test_what_cannot_be_compared_or_ordered_in_time_is_shown_as_it_lies(look: Connection) -> None:
    with session.reading(look, timeout_ms=60_000):
        found = counting.in_order(look, """SELECT '{"a": 1}'::jsonb AS j FROM generate_series(1, 3)""", 1)
    assert len(found.rows) == 3
    # Slow from its 101st row on, so when it is asked once more.
    look.execute(
        "CREATE FUNCTION slow_later() RETURNS int LANGUAGE plpgsql AS $$DECLARE met int ="
        " coalesce(nullif(current_setting('my.met', true), ''), '0')::int + 1; BEGIN"
        " IF met > 100 THEN PERFORM pg_sleep(60); END IF;"
        " PERFORM set_config('my.met', met::text, true); RETURN met; END$$"
    )
    with session.reading(look, timeout_ms=500):
        found = counting.in_order(look, "SELECT slow_later() AS n FROM generate_series(1, 100)", 1)
        assert (found.total, found.rows[0]["n"], len(found.rows)) == (100, 1, SAMPLE)
        assert session.value(look, "SELECT 1") == 1
