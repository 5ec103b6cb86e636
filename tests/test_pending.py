"""What updates leave for full-text indexes is merged before rows are locked, and nobody waits for that."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import psycopg
import pytest
import throwaway

from pgrunbook import pending, session
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

TABLES = """
CREATE TABLE texts (id int, content tsvector);
CREATE INDEX texts_content ON texts USING gin (content);
CREATE TABLE parts (id int, words text[]) PARTITION BY RANGE (id);
CREATE TABLE part PARTITION OF parts DEFAULT;
CREATE INDEX parts_words ON parts USING gin (words);
"""
FILL = "INSERT INTO texts SELECT i, to_tsvector('simple', 'word' || i) FROM generate_series(1, 1000) AS i"


@pytest.fixture
def conn(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as made:
        made.execute(TABLES)
        yield made


def test_what_is_left_of_every_index_is_merged_once(conn: Connection) -> None:
    conn.execute(FILL)
    assert pending.merge(conn, ["texts"], lock_ms=50) > 0
    assert pending.merge(conn, ["texts", "no.such"], lock_ms=50) == 0


def test_partitions_are_merged_with_their_table(conn: Connection) -> None:
    conn.execute("INSERT INTO parts SELECT i, ARRAY['word' || i] FROM generate_series(1, 1000) AS i")
    assert pending.merge(conn, ["parts"], lock_ms=50) > 0


def test_who_does_not_own_an_index_leaves_it_alone(conn: Connection) -> None:
    conn.execute(FILL)
    with conn.transaction(force_rollback=True):
        conn.execute("CREATE ROLE stranger; GRANT SELECT ON texts TO stranger; SET LOCAL ROLE stranger")
        assert pending.merge(conn, ["texts"], lock_ms=50) == 0


def test_writers_go_on_while_it_is_done_and_it_waits_for_none(conn: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold(FILL)
    with conn.transaction():
        assert pending.merge(conn, ["texts"], lock_ms=50) > 0
        # Others write while what it locked is locked still.
        elsewhere.execute("UPDATE texts SET content = content")
        elsewhere.release()


def test_who_has_locked_the_index_is_not_waited_for(conn: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("LOCK TABLE texts IN ACCESS EXCLUSIVE MODE; REINDEX INDEX texts_content")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        pending.merge(conn, ["texts"], lock_ms=50)
    assert session.value(conn, "SELECT 1") == 1
