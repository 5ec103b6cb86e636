"""What a query costs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import throwaway
from throwaway import TABLE, changed, write

from pgrunbook import explain, session
from pgrunbook.change import Script
from pgrunbook.errors import CheckFailed
from pgrunbook.session import Connection
from pgrunbook.timing import misses


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(TABLE)
        yield conn


def timing(folder: Path, sql: str) -> Script:
    return write(folder, changed({"timing/10_lookup.sql": f"-- Look up\n\n{sql};\n"})).timings[0]


def test_a_query_is_measured_many_times_with_its_plan(look: Connection, tmp_path: Path) -> None:
    look.execute("INSERT INTO things SELECT i, 'c' || i FROM generate_series(11, 5000) AS i; ANALYZE things")
    script = timing(tmp_path, "SELECT code AS code FROM things WHERE id IN (1, 5, 99999) ORDER BY code")
    measured = explain.measure(look, script)
    assert (measured.name, measured.title, measured.rows) == ("10_lookup", "Look up", 2)
    assert len(measured.runs_ms) == explain.RUNS
    assert measured.indexes == ("things_pkey",)
    assert measured.nodes[0] == "Sort"
    assert any("using things_pkey" in node for node in measured.nodes)
    assert 0 < measured.median_ms <= max(measured.runs_ms)
    assert measured.shared_hit + measured.shared_read > 0
    assert misses(measured, script.header.expect) == []


def test_a_slow_query_is_not_repeated_longer_than_the_limit(look: Connection, tmp_path: Path) -> None:
    measured = explain.measure(look, timing(tmp_path, "SELECT pg_sleep(0.4) AS slept"), timeout_ms=1_200)
    assert 1 <= len(measured.runs_ms) <= 3
    assert measured.median_ms >= 400


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT pg_sleep(60) AS slept", "canceling statement due to statement timeout"),
        ("SELECT nothing AS x FROM things", 'column "nothing" does not exist LINE'),
        ("SELECT nextval('counter') AS x", "cannot execute nextval() in a read-only transaction"),
    ],
)
def test_a_query_that_cannot_be_measured_gives_the_reason(
    sql: str, reason: str, look: Connection, tmp_path: Path
) -> None:
    look.execute("CREATE SEQUENCE counter")
    with pytest.raises(CheckFailed) as caught:
        explain.measure(look, timing(tmp_path, sql), timeout_ms=300)
    assert str(caught.value).startswith(f"timing/10_lookup.sql could not be run: {reason}")
    assert str(caught.value).endswith("\n  next: mend the query or the privilege, run again")
    assert session.value(look, "SELECT 1") == 1


@pytest.mark.parametrize("sql", [
    "SELECT n FROM made_by_the_change", "SELECT made_by_the_change(1) AS n",
    "SELECT made_by_the_change FROM things", "SELECT 1::made_by_the_change AS n",
])  # fmt: skip
def test_a_query_about_what_the_change_makes_is_left_out_before_it(
    look: Connection, tmp_path: Path, sql: str
) -> None:
    script = timing(tmp_path, sql)
    assert explain.measure_before(look, [script]) == ()
    with pytest.raises(CheckFailed):
        explain.measure(look, script)


def test_a_query_that_fails_for_another_reason_is_not_left_out(look: Connection, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="division by zero"):
        explain.measure_before(look, [timing(tmp_path, "SELECT 1 / (n - n) AS n FROM (VALUES (1)) AS v (n)")])
