"""Rewrites: the server itself says on an empty copy whether a command would write the table anew."""

from __future__ import annotations

from collections.abc import Iterator

import deriving
import pytest
import throwaway

from pgrunbook import catalog, session
from pgrunbook.derived import rewrites
from pgrunbook.header import Severity
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(rewrites, "MATTERS_BYTES", 0)
    with throwaway.looking(database) as conn:
        conn.execute(
            "CREATE TABLE t (id int PRIMARY KEY, v varchar(20) DEFAULT 'x', n numeric(8, 2), CHECK (id > 0))"
        )
        conn.execute("INSERT INTO t SELECT i, 'v', 1 FROM generate_series(1, 20) AS i")
        yield conn


COMMANDS = {
    "ALTER v TYPE varchar(40)": False,
    "ALTER v TYPE text": False,
    "ALTER v TYPE varchar(10)": True,
    "ALTER n TYPE numeric(10, 2)": False,
    "ALTER n TYPE numeric(10, 3)": True,
    "ALTER id TYPE bigint": True,
    "ALTER id TYPE bigint USING id + 1": True,
    "ADD COLUMN x timestamptz DEFAULT now()": False,
    "ADD COLUMN x timestamptz DEFAULT clock_timestamp()": True,
    "ADD COLUMN x bigserial": True,
    "ADD COLUMN x int GENERATED ALWAYS AS (id + 1) STORED": True,
    "ADD COLUMN x int GENERATED ALWAYS AS IDENTITY": True,
}


@pytest.mark.parametrize("command", COMMANDS)
def test_what_is_said_of_a_rewrite_is_what_happens(command: str, look: Connection) -> None:
    text = f"ALTER TABLE t {command}"
    before = catalog.snapshot(look)
    [(name, answer)] = [(n, a) for n, a in deriving.answers(look, text).items() if "rewrite of" in n]
    assert catalog.differences(before, catalog.snapshot(look)) == []
    assert not answer.problem + answer.unproved
    said = answer.found.total > 0
    file = session.value(look, "SELECT pg_relation_filenode('t')")
    look.execute(text.encode())
    assert (file != session.value(look, "SELECT pg_relation_filenode('t')")) is said is COMMANDS[command], (
        name
    )


def test_a_rewrite_warns_and_that_of_a_small_table_does_not(
    look: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "ALTER TABLE t ALTER id TYPE bigint"
    [one] = [one for one in deriving.derived(look, text) if "rewrite" in one.label]
    assert one.severity is Severity.WARN
    monkeypatch.setattr(rewrites, "MATTERS_BYTES", 10_000_000)
    assert deriving.rows(look, text, "rewrite of t (id)") == []


def test_values_that_the_new_type_refuses_are_listed_where_the_server_can_tell(
    look: Connection, major: int
) -> None:
    look.execute("UPDATE t SET v = id; UPDATE t SET v = 'no' WHERE id IN (3, 4)")
    found = deriving.stopping(look, "ALTER TABLE t ALTER v DROP DEFAULT, ALTER v TYPE int USING v::int")
    shown = found["001 values of t (v)"]
    if major >= 16:
        assert shown == [{"id": 3, "v": "no"}, {"id": 4, "v": "no"}]
    else:
        assert shown.startswith("the statement would fail: invalid input syntax for type integer")


def test_a_default_that_cannot_become_the_new_type_is_found_on_the_copy(look: Connection) -> None:
    found = deriving.stopping(look, "ALTER TABLE t ALTER v TYPE int USING 1")
    assert "default for column" in found["001 rewrite of t (v)"]
