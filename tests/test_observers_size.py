"""Sizes before and after a step: what grew, what came and what went."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgrunbook import session, target
from pgrunbook.observers.size import Size, SizeChange
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def look(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) AS i")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="watch")) as made:
        yield made


def changes(size: Size) -> dict[str, SizeChange]:
    return {change.name: change for change in size.changes}


def test_a_new_index_shows_in_the_size_of_the_indexes_alone(look: Connection, conn: Conn) -> None:
    size = Size(["t"])
    size.before(look)
    conn.execute("CREATE INDEX i ON t (a)")
    size.sample(look, 1.0)
    assert size.changes == []
    size.after(look)
    found = changes(size)
    assert set(found) == {"t", "t, indexes"}
    assert found["t"].before_bytes == found["t"].after_bytes > 0
    indexes = session.value(conn, "SELECT pg_indexes_size('t')")
    assert found["t, indexes"] == SizeChange("t, indexes", 0, indexes)


def test_a_table_that_grew_came_or_went_is_told(look: Connection, conn: Conn) -> None:
    conn.execute('CREATE TABLE gone AS SELECT 1 AS a; CREATE SCHEMA "S.1"')
    size = Size(["t", "gone", '"S.1"."New"'])
    size.before(look)
    conn.execute('INSERT INTO t SELECT * FROM t; DROP TABLE gone; CREATE TABLE "S.1"."New" AS SELECT 1 AS a')
    size.after(look)
    found = changes(size)
    assert found["t"].after_bytes > found["t"].before_bytes > 0
    assert (found["gone"].before_bytes > 0, found["gone"].after_bytes) == (True, 0)
    new = found['"S.1"."New"']
    assert (new.before_bytes, new.after_bytes > 0) == (0, True)


def test_no_table_is_no_change(look: Connection) -> None:
    size = Size([])
    size.before(look)
    size.after(look)
    assert size.changes == []


@pytest.mark.parametrize("held", ["before", "after"])
def test_a_table_that_somebody_holds_is_not_waited_for(
    look: Connection, elsewhere: Elsewhere, held: str
) -> None:
    size = Size(["t"])
    began = time.monotonic()
    for moment in ("before", "after"):
        if moment == held:
            elsewhere.begin_and_hold("LOCK TABLE t")
        getattr(size, moment)(look)
        if moment == held:
            elsewhere.release()
    assert time.monotonic() - began < 30
    assert size.changes == []
    assert look.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
