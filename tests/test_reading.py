"""Reading: any SELECT, byte for byte, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgrunbook import reading, target
from pgrunbook.errors import QueryRefused

NEXT = "\n  next: runbook.read() takes one SELECT and only reads; mend the query and run the cell again"


def test_it_returns_a_table(database: str) -> None:
    found = reading.select(
        target.rehearsal(database), "SELECT i AS n, 'c' || i AS code FROM generate_series(1, 2) AS i"
    )
    assert found.to_dict("list") == {"n": [1, 2], "code": ["c1", "c2"]}


def test_colons_and_percent_signs_are_only_that(database: str) -> None:
    found = reading.select(
        target.rehearsal(database),
        r"SELECT 'a' LIKE 'a%' AS liked, '12:30 :x %s'::text AS said, E'\\:y' AS odd, 5 % 3 AS rest",
    )
    assert found.iloc[0].to_dict() == {"liked": True, "said": "12:30 :x %s", "odd": r"\:y", "rest": 2}


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("UPDATE things SET n = 2", "cannot execute UPDATE in a read-only transaction"),
        ("SELECT nextval('counter')", "cannot execute nextval() in a read-only transaction"),
        ("SELECT missing FROM things", 'column "missing" does not exist'),
    ],
)
def test_what_writes_or_fails_is_refused(
    conn: psycopg.Connection[Any], database: str, query: str, reason: str
) -> None:
    conn.execute("CREATE TABLE things (n int); INSERT INTO things VALUES (1); CREATE SEQUENCE counter")
    with pytest.raises(QueryRefused) as caught:
        reading.select(target.rehearsal(database), query)
    assert str(caught.value) == f"the query could not be run: {reason}{NEXT}"
    assert conn.execute("SELECT n FROM things").fetchall() == [{"n": 1}]


def test_it_leaves_no_session_behind(
    conn: psycopg.Connection[Any], database: str, eventually: Callable[..., Any]
) -> None:
    reading.select(target.rehearsal(database), "SELECT 1 AS one")
    left = "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'pgrunbook read'"
    eventually(lambda: conn.execute(left).fetchone() == {"n": 0})
