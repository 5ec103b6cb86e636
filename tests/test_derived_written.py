"""Checks written by hand: which ask what a derived one would ask, told for certain or not at all."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import pytest
import throwaway

from pgrunbook.derived import checks, written
from pgrunbook.header import Kind, Severity
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
        yield conn


BUILD = "CREATE UNIQUE INDEX u ON t (a, b)"
TWIN = "SELECT a, b, count(*) AS n FROM t GROUP BY b, a HAVING count(*) > 1 ORDER BY n DESC"


def labels(look: Connection, text: str, by_hand: str) -> list[str]:
    found = deriving.derived(look, text, by_hand=by_hand)
    return [one.label for one in found if one.text]


@pytest.mark.parametrize(
    "by_hand", [TWIN, TWIN.replace("FROM t", "FROM t WHERE a IS NOT NULL AND b IS NOT NULL")]
)
def test_the_same_question_is_not_asked_twice(by_hand: str, look: Connection) -> None:
    assert labels(look, BUILD, by_hand) == []
    assert labels(look, "ALTER TABLE t ADD UNIQUE (b, a)", by_hand) == []


@pytest.mark.parametrize(
    "by_hand",
    [
        TWIN.replace("FROM t", "FROM t WHERE a > 0"),
        TWIN.replace("> 1", "> 2"),
        TWIN.replace("count(*) > 1", "count(a) > 1"),
        TWIN.replace("count(*) > 1", "count(*) FILTER (WHERE id > 1) > 1"),
        TWIN + " LIMIT 1",
        TWIN.replace("GROUP BY b, a", "GROUP BY a, b, id"),
        TWIN.replace("FROM t", "FROM s.t"),
        TWIN.replace("FROM t", "FROM ONLY t"),
        TWIN.replace("FROM t", "FROM t JOIN t AS u USING (a, b)"),
        TWIN.replace("count(*) AS n", "unnest('{}'::int[]) AS n"),
        f"WITH t AS (SELECT 1 AS a, 2 AS b) {TWIN}",
        f"SELECT * FROM ({TWIN}) AS x",
    ],
)
def test_in_doubt_both_are_asked(by_hand: str, look: Connection) -> None:
    assert labels(look, BUILD, by_hand) == ["derived: 001 duplicates of t (a, b)"]


@pytest.mark.parametrize(
    "build",
    [
        BUILD + " WHERE a > 1",
        BUILD + " NULLS NOT DISTINCT",
        "CREATE UNIQUE INDEX u ON t (a, abs(b))",
        'CREATE UNIQUE INDEX u ON t (a, (b::text) COLLATE "C")',
    ],
)
def test_an_index_with_more_to_it_is_asked_about(build: str, look: Connection) -> None:
    assert len(labels(look, build, TWIN)) == 1


def test_a_predicate_that_only_leaves_out_nulls_of_the_keys_adds_nothing(look: Connection) -> None:
    for where in ("a IS NOT NULL", "b IS NOT NULL AND a IS NOT NULL"):
        assert (
            labels(look, f"{BUILD} WHERE {where}", TWIN.replace("FROM t", "FROM t WHERE a IS NOT NULL")) == []
        )
    for where in ("id IS NOT NULL", "a IS NULL", "a IS NOT NULL OR b IS NOT NULL"):
        assert len(labels(look, f"{BUILD} WHERE {where}", TWIN)) == 1


def test_nulls_are_asked_once_too(look: Connection) -> None:
    asked = "SELECT id AS id FROM t WHERE a IS NULL ORDER BY id"
    for text in ("ALTER TABLE t ALTER a SET NOT NULL", "ALTER TABLE t ADD CHECK (a IS NOT NULL)"):
        assert labels(look, text, asked) == []
        assert labels(look, text, asked.replace("a IS NULL", "b IS NULL")) == ["derived: 001 nulls in t (a)"]
        assert labels(look, text, asked.replace("ORDER", "AND id > 1 ORDER")) == [
            "derived: 001 nulls in t (a)"
        ]


def test_a_warning_stands_for_nothing() -> None:
    warns = deriving.script(TWIN, "10_twice", Kind.PREFLIGHT, severity=Severity.WARN)
    assert written.covered([warns]) == {}


def test_a_check_that_guards_a_later_step_does_not_stand_for_an_earlier_one(look: Connection) -> None:
    def asked(before: str) -> list[str]:
        by_hand = deriving.script(TWIN, "10_twice", Kind.PREFLIGHT, before=before)
        found = checks.derive(look, deriving.steps("SELECT 1", BUILD, "SELECT 1"), by_hand=[by_hand])
        return [one.label for one in found if one.text]

    assert asked("") == asked("001_made_up") == asked("002_made_up") == []
    assert asked("003_made_up") == ["derived: 002 duplicates of t (a, b)"]
