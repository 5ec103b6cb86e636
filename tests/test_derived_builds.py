"""Index builds: their size is foretold from statistics, and it is about the one that they get."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import pytest
import throwaway

from pgrunbook import session
from pgrunbook.header import Severity
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE TABLE t (id int, a text, b bigint)")
        conn.execute(
            "INSERT INTO t SELECT i, 'text number ' || i, i FROM generate_series(1, 30000) AS i; ANALYZE t"
        )
        yield conn


@pytest.mark.parametrize(
    "text",
    [
        "CREATE INDEX i ON t (id)",
        "CREATE INDEX CONCURRENTLY i ON t (a, b)",
        "CREATE INDEX i ON t (b) INCLUDE (a)",
        "ALTER TABLE t ADD CONSTRAINT i UNIQUE (a)",
    ],
)
def test_the_size_is_about_the_one_that_the_index_gets(text: str, look: Connection) -> None:
    [row] = deriving.rows(look, text, "build of i on t")
    assert (row["index"], row["table"], row["rows_about"]) == ("i", "t", 30_000)
    assert row["time"].startswith("about ")
    look.execute(text.encode())
    real, foretold = (
        session.value(look, query, (value,))
        for query, value in (
            ("SELECT pg_relation_size(%s)", "i"),
            ("SELECT pg_size_bytes(%s)", row["index_size_about"]),
        )
    )
    assert 0.7 < foretold / real < 1.4


def test_it_only_informs(look: Connection) -> None:
    [one] = [one for one in deriving.derived(look, "CREATE INDEX i ON t (a)") if "build" in one.label]
    assert one.severity is Severity.INFO


def test_a_constraint_from_an_index_builds_nothing(look: Connection) -> None:
    look.execute("CREATE UNIQUE INDEX i ON t (id)")
    found = deriving.derived(look, "ALTER TABLE t ADD UNIQUE USING INDEX i")
    assert [one.label for one in found if "build" in one.label] == []
