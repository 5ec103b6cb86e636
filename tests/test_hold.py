"""Limits of time: what runs when one is used up is cancelled, what ended before is left alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
import throwaway

from pgrunbook import session
from pgrunbook.hold import Hold
from pgrunbook.session import Connection


@pytest.fixture
def work(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


def test_what_runs_past_the_budget_is_cancelled(work: Connection) -> None:
    began = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled), Hold(work, 30) as hold:
        work.execute("SELECT pg_sleep(60)")
    assert hold.ended()
    assert 0.03 <= time.monotonic() - began < 30
    assert session.value(work, "SELECT 1") == 1


def test_what_ends_before_the_budget_is_left_alone(work: Connection) -> None:
    with Hold(work, 60_000) as hold:
        work.execute("SELECT 1")
        assert not hold.ended()
    work.execute("SELECT pg_sleep(0.01)")
    assert not hold.ended()
    assert "pgrunbook-hold" not in [one.name for one in threading.enumerate()]


def test_what_begins_just_after_the_request_is_cancelled_too(work: Connection) -> None:
    with Hold(work, 1) as hold:
        while not hold.over:
            time.sleep(0.001)
        with pytest.raises(psycopg.errors.QueryCanceled):
            work.execute("SELECT pg_sleep(60)")


def test_nobody_waits_so_nothing_counts(work: Connection) -> None:
    with Hold(work, None) as hold:
        work.execute("SELECT pg_sleep(0.01)")
    assert not hold.ended()


def test_a_budget_that_is_used_up_between_two_statements_counts(work: Connection) -> None:
    with Hold(work, 1) as hold:
        while not hold.over:
            time.sleep(0.001)
        work.execute("SELECT 1")
        assert hold.ended()


def test_a_connection_that_is_gone_is_no_error(work: Connection) -> None:
    work.close()
    with Hold(work, 1) as hold:
        while not hold.over:
            time.sleep(0.001)
    assert hold.ended()
