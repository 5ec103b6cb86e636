"""The groups of a key, read without holding anybody up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest
import throwaway
from doubled import MESSAGES

from pgrunbook.duplicates import grouping
from pgrunbook.errors import BadKey
from pgrunbook.uniquekey import UniqueKey

if TYPE_CHECKING:
    from conftest import Elsewhere

KEY = UniqueKey("messages", ("channel", "sequence"))


def test_a_lock_on_the_table_is_not_waited_for(database: str, elsewhere: Elsewhere) -> None:
    elsewhere.execute(MESSAGES)
    elsewhere.begin_and_hold("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    with throwaway.looking(database) as look:
        with grouping.reading(look), pytest.raises(BadKey, match="canceling statement due to lock timeout"):
            grouping.asked(look, KEY, "SELECT count(*) FROM messages")
        elsewhere.release()
        with grouping.reading(look):
            assert grouping.asked(look, KEY, "SELECT count(*) AS n FROM messages") == [{"n": 90}]
            elsewhere.execute("DELETE FROM messages")
            assert grouping.asked(look, KEY, "SELECT count(*) AS n FROM messages") == [{"n": 90}]
            with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
                look.execute("DELETE FROM messages")


def test_under_nulls_not_distinct_a_group_is_not_looked_for_row_by_row(database: str) -> None:
    with throwaway.looking(database) as look:
        look.execute(
            MESSAGES
            + "INSERT INTO messages SELECT 100 + n, NULL, n FROM generate_series(1, 5000) AS n; ANALYZE"
        )
        key = UniqueKey("messages", ("channel", "sequence"), nulls_not_distinct=True)
        query = f"{grouping.grouped(key)} SELECT FROM grouped JOIN messages AS t ON {grouping.of_group(key, 'grouped')}"
        plan = "\n".join(row["QUERY PLAN"] for row in look.execute(f"EXPLAIN {query}".encode()))
        # Each group compared with each row would take hours.
        assert "Join" in plan
        assert "Nested Loop" not in plan


def test_a_row_with_a_null_in_it_counts_as_an_index_counts_it(database: str) -> None:
    with throwaway.looking(database) as look:
        look.execute(
            "CREATE TYPE pair AS (a int, b int); CREATE DOMAIN two AS pair; CREATE TABLE t (p pair, d two);"
            "INSERT INTO t SELECT ROW(1, NULL)::pair, ROW(1, NULL)::two FROM generate_series(1, 2);"
            "INSERT INTO t VALUES (NULL, NULL), (NULL, NULL)"
        )
        for column in ("p", "d"):
            found = grouping.asked(
                look, KEY, f"{grouping.grouped(UniqueKey('t', (column,)))} SELECT members FROM grouped"
            )
            assert found == [{"members": 2}]
            with pytest.raises(psycopg.errors.UniqueViolation):
                look.execute(f"CREATE UNIQUE INDEX ON t ({column})".encode())
        look.execute("UPDATE t SET p = NULL, d = NULL")
        for column in ("p", "d"):
            look.execute(f"CREATE UNIQUE INDEX ON t ({column})".encode())
