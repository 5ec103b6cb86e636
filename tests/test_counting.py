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
    with counting.reading(look, timeout_ms=60_000):
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


def test_nothing_can_be_written_and_nothing_stays(look: Connection) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), counting.reading(look, timeout_ms=60_000):
        look.execute("CREATE TABLE t ()")
    with counting.reading(look, timeout_ms=60_000):
        look.execute("SET LOCAL search_path TO nowhere")
    assert session.value(look, "SHOW search_path") != "nowhere"


def test_what_takes_too_long_is_ended(look: Connection) -> None:
    with pytest.raises(psycopg.errors.QueryCanceled), counting.reading(look, timeout_ms=20):
        counting.through_cursor(look, "SELECT pg_sleep(60)")
