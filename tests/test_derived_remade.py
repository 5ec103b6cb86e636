"""Rows as a command leaves them: rules that a new column or new values break, as the server says it too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import deriving
import pytest
import throwaway

from pgrunbook.session import Connection

SHOP = """\
CREATE TABLE kinds (id int PRIMARY KEY);
CREATE TABLE things (id int PRIMARY KEY, a int CONSTRAINT above CHECK (a > 0), n numeric UNIQUE, w varchar(9));
INSERT INTO kinds VALUES (1);
INSERT INTO things VALUES (1, 1, 1.1, 'one'), (2, 9, 1.2, 'two');
CREATE DOMAIN given AS int NOT NULL;
CREATE DOMAIN small AS int DEFAULT 7 CHECK (VALUE < 5);
CREATE DOMAIN filled AS int DEFAULT 3;
CREATE DOMAIN below AS small;
"""


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(SHOP)
        yield conn


ADD = "ALTER TABLE things ADD COLUMN x"
ALTER = "ALTER TABLE things ALTER"

# Each: more setup, the command, what finds what, and how the server refuses it.
BAD: dict[str, tuple[str, str, str, Any, str]] = {
    "a default that refers to nothing": (
        "", f"{ADD} int DEFAULT 7 REFERENCES kinds", "orphans of (x) in things",
        [{"id": 1, "x": 7}, {"id": 2, "x": 7}], "23503",
    ),
    "a domain that forbids NULL": (
        "", f"{ADD} given", "values of the new things (x)",
        "the statement would fail: domain given does not allow null values", "23502",
    ),
    "a domain whose own default breaks it": (
        "", f"{ADD} small", "values of the new things (x)",
        'the statement would fail: value for domain small violates check constraint "small_check"', "23514",
    ),
    "a domain over a domain": (
        "", f"{ADD} below DEFAULT 8", "values of the new things (x)",
        'the statement would fail: value for domain below violates check constraint "small_check"', "23514",
    ),
    "a domain's default in a unique column": (
        "", f"{ADD} filled UNIQUE", "rows of things with the same x",
        [{"table": "things", "rows": "at least 2"}], "23505",
    ),
    "a domain's default that is taken away": (
        "", f"{ADD} filled DEFAULT NULL NOT NULL", "rows of things without x",
        [{"table": "things", "rows": "at least 1"}], "23502",
    ),
    "a generated value that a row makes fail": (
        "", f"{ADD} int GENERATED ALWAYS AS (1 / (id - 2)) STORED", "values of the new things (x)",
        "the statement would fail: division by zero", "22012",
    ),
    "a generated value that is none": (
        "UPDATE things SET w = NULL WHERE id = 2",
        f"{ADD} text NOT NULL GENERATED ALWAYS AS (w || 's') STORED", "rows of things without x",
        [{"id": 2, "x": None}], "23502",
    ),
    "generated values that are the same": (
        "", f"{ADD} int GENERATED ALWAYS AS (id / 4) STORED UNIQUE", "duplicates of things (x)",
        [{"x": 0, "rows": 2}], "23505",
    ),
    "generated values that refer to nothing, in a table without key": (
        "ALTER TABLE things DROP CONSTRAINT things_pkey",
        f"{ADD} int GENERATED ALWAYS AS (id) STORED REFERENCES kinds", "orphans of (x) in things",
        [{"x": 2}], "23503",
    ),
    "a CHECK of a new column, in a table without key": (
        "ALTER TABLE things DROP CONSTRAINT things_pkey",
        f"{ADD} int DEFAULT 0 CHECK (x > 0 OR id = 1)", "violations of x > 0 OR id = 1 in things",
        [{"x": 0}], "23514",
    ),
    "new values that break a CHECK": (
        "", f"{ALTER} a TYPE int USING a - 5", "violations of above in things by the new a",
        [{"id": 1, "a": -4}], "23514",
    ),
    "new values that are the same": (
        "", f"{ALTER} n TYPE int", "duplicates of things (n) by the new n", [{"n": 1, "rows": 2}], "23505",
    ),
    "new values of a smaller scale that are the same": (
        "", f"{ALTER} n TYPE numeric(4, 0)", "duplicates of things (n) by the new n",
        [{"n": 1, "rows": 2}], "23505",
    ),
    "new values that are the same in an expression": (
        "CREATE UNIQUE INDEX u ON things (lower(w)); UPDATE things SET w = 'One ' WHERE id = 2",
        f"{ALTER} w TYPE text USING trim(w)", "duplicates of things (lower((w)::text)) by the new w",
        [{"lower((w)::text)": "one", "rows": 2}], "23505",
    ),
    "new values that are the same for a partial index": (
        "CREATE UNIQUE INDEX u ON things ((1)) WHERE a > 5",
        f"{ALTER} a TYPE int USING a + 5", "duplicates of things ((1)) where (a > 5) by the new a",
        [{"(1)": 1, "rows": 2}], "23505",
    ),
    "new values that are none": (
        "ALTER TABLE things ALTER w SET NOT NULL",
        f"{ALTER} w TYPE text USING nullif(w, 'two')", "nulls in things by the new w",
        [{"id": 2, "w": None}], "23502",
    ),
    "new values that refer to nothing": (
        "UPDATE things SET a = 1; ALTER TABLE things ADD CONSTRAINT kind FOREIGN KEY (a) REFERENCES kinds",
        f"{ALTER} a TYPE bigint USING a * id", "orphans of kind by the new a in things",
        [{"id": 2, "a": 2}], "23503",
    ),
    "new values that nothing refers to any more": (
        "UPDATE things SET a = 1; ALTER TABLE things ADD CONSTRAINT kind FOREIGN KEY (a) REFERENCES kinds",
        "ALTER TABLE kinds ALTER id TYPE int USING id + 1", "orphans of kind by the new id in things",
        [{"id": 1, "a": 1}, {"id": 2, "a": 1}], "23503",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_rules_that_a_command_breaks_are_no_go_and_fail_on_the_server(name: str, look: Connection) -> None:
    setup, command, about, expected, state = BAD[name]
    look.execute(setup.encode())
    found = deriving.refused(look, command, state)[about]
    assert (found if isinstance(expected, list) else found.splitlines()[0]) == expected


GOOD: dict[str, tuple[str, str]] = {
    "a default that is there": ("INSERT INTO kinds VALUES (7)", f"{ADD} int DEFAULT 7 REFERENCES kinds"),
    "a reference that begins as NULL": ("", f"{ADD} int REFERENCES kinds"),
    "a reference in an empty table": ("TRUNCATE things", f"{ADD} int DEFAULT 7 REFERENCES kinds"),
    "a domain in an empty table": ("TRUNCATE things", f"{ADD} given"),
    "a domain that is given a value": ("", f"{ADD} given DEFAULT 4"),
    "a domain with a default": ("", f"{ADD} filled NOT NULL"),
    "a domain whose default is not taken": ("", f"{ADD} small DEFAULT 2"),
    "a default of NULL in a unique column": ("", f"{ADD} text UNIQUE DEFAULT NULL::text"),
    "a default of its own for each row": ("", f"{ADD} uuid UNIQUE NOT NULL DEFAULT gen_random_uuid()"),
    "an identity": ("", f"{ADD} int GENERATED ALWAYS AS IDENTITY UNIQUE CHECK (x > 0)"),
    "generated values that keep every rule": (
        "", f"{ADD} int GENERATED ALWAYS AS (id + 1) STORED UNIQUE NOT NULL CHECK (x > id)",
    ),
    "new values that keep a CHECK": ("", f"{ALTER} a TYPE int USING a + 5"),
    "new values that break a CHECK dropped with it": (
        "", "ALTER TABLE things DROP CONSTRAINT above, ALTER a TYPE int USING a - 5",
    ),
    "new values that are the same after the constraint was dropped": (
        "", f"ALTER TABLE things DROP CONSTRAINT things_n_key; {ALTER} n TYPE int",
    ),
    "new values that are the same where the index is only partial": (
        "CREATE UNIQUE INDEX u ON things ((1)) WHERE a > 50", f"{ALTER} a TYPE int USING a + 5",
    ),
    "values that stay what they are": (
        "ALTER TABLE things ADD CONSTRAINT kind FOREIGN KEY (a) REFERENCES kinds NOT VALID",
        f"{ALTER} a TYPE bigint",
    ),
    "values of a longer text": ("CREATE UNIQUE INDEX u ON things (w)", f"{ALTER} w TYPE text"),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_rules_that_a_command_keeps_are_go_and_succeed_on_the_server(name: str, look: Connection) -> None:
    setup, command = GOOD[name]
    look.execute(setup.encode())
    deriving.passes(look, command)


def test_values_that_stay_what_they_are_are_not_read_again(look: Connection) -> None:
    look.execute("CREATE UNIQUE INDEX u ON things (a)")
    for command in (f"{ALTER} a TYPE bigint", f"{ALTER} w TYPE text"):
        assert [one.label for one in deriving.derived(look, command) if "by the new" in one.label] == []


@pytest.mark.parametrize("rule", ["REFERENCES kinds", "CHECK (x > 2)", "UNIQUE"])
def test_a_volatile_default_is_in_doubt_and_says_so(rule: str, look: Connection) -> None:
    found = deriving.answers(look, f"{ADD} int DEFAULT (random() * 9)::int {rule}")
    assert "volatile function" in found["001 rules of the new things (x)"].unproved
