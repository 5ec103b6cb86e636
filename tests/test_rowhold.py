"""How long rows are held, against real sessions: the search before the first row lock does not count."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import psycopg
import pytest
import throwaway

from pgrunbook.rowhold import Overheld, RowHold
from pgrunbook.session import Connection


@pytest.fixture
def work(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


SEARCH_THEN_LOCK = """
WITH found AS MATERIALIZED (SELECT id, pg_sleep({0}) FROM things WHERE id = 1)
UPDATE things AS t SET code = 'x' FROM found WHERE t.id = found.id"""


def test_the_search_before_the_first_row_does_not_count(work: Connection, look: Connection) -> None:
    began = time.perf_counter()
    with RowHold(work, look, 900) as hold:
        work.execute(SEARCH_THEN_LOCK.format(1))
    assert time.perf_counter() - began > 1
    assert not hold.over
    assert hold.ms < 900


def test_without_somebody_who_looks_all_of_the_time_counts(work: Connection) -> None:
    with RowHold(work, None, 60_000) as hold:
        work.execute("SELECT pg_sleep(0.1)")
    assert 100 <= hold.ms < 60_000


def test_a_short_batch_counts_whole_and_costs_no_look(work: Connection, look: Connection) -> None:
    look.close()
    with RowHold(work, look, 60_000) as hold:
        work.execute("UPDATE things SET code = 'x'")
    assert 0 < hold.ms < 30_000


def test_what_holds_rows_for_too_long_is_cancelled_in_time(work: Connection, look: Connection) -> None:
    began = time.perf_counter()
    hold = RowHold(work, look, 200)
    with pytest.raises(psycopg.errors.QueryCanceled), hold:
        work.execute("BEGIN; UPDATE things SET code = 'x' WHERE id = 1; SELECT pg_sleep(30)")
    assert hold.over
    assert 0.2 <= time.perf_counter() - began < 30
    work.execute("ROLLBACK")
    with pytest.raises(Overheld):
        hold.check()


def test_rows_that_were_locked_late_are_held_for_the_whole_limit(work: Connection, look: Connection) -> None:
    began = time.perf_counter()
    hold = RowHold(work, look, 200)
    late = "SELECT pg_sleep(2); UPDATE things SET code = 'x' WHERE id = 1; SELECT pg_sleep(30)"
    with pytest.raises(psycopg.errors.QueryCanceled), hold:
        work.execute(late)
    whole_ms = (time.perf_counter() - began) * 1000
    assert whole_ms >= 2000
    # Without the 2 s before, but for the time since the last look, which may come late.
    assert 200 <= hold.ms < whole_ms - 500


def test_nothing_is_cancelled_after_the_end(work: Connection, look: Connection) -> None:
    with contextlib.suppress(psycopg.errors.QueryCanceled), RowHold(work, look, 1):
        work.execute("SELECT pg_sleep(0.2)")
    work.execute("SELECT pg_sleep(0.1)")


def test_a_row_lock_alone_begins_the_hold(work: Connection, look: Connection) -> None:
    began = time.perf_counter()
    with pytest.raises(psycopg.errors.QueryCanceled), RowHold(work, look, 300) as hold:
        work.execute("SELECT pg_sleep(2); SELECT FROM things WHERE id = 1 FOR UPDATE; SELECT pg_sleep(30)")
    assert 300 <= hold.ms < (time.perf_counter() - began) * 1000 - 500
