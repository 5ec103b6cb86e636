"""CHECK constraints as rules: what the server calls not false passes, and nothing else does."""

from __future__ import annotations

import json
import random
from typing import Any

import psycopg
import pytest

from pgrunbook.contracts import python
from pgrunbook.contracts.checks import rules_of
from pgrunbook.contracts.model import Kind, Type
from pgrunbook.contracts.rules import All, Leaf, Null

TYPES = {
    "a": Type(Kind.INTEGER),
    "b": Type(Kind.INTEGER),
    "t": Type(Kind.TEXT),
    "u": Type(Kind.TEXT),
    "f": Type(Kind.BOOLEAN),
    "j": Type(Kind.JSON),
    "s": Type(Kind.ARRAY, element=Type(Kind.TEXT)),
}
VALUES: dict[str, list[Any]] = {
    "a": [None, -1, 0, 1, 5],
    "b": [None, 0, 1, 6],
    "t": [None, "", " ", "a", "ab", "Ab\n", " a b ", "a_b"],
    "u": [None, "x", "y"],
    "f": [None, True, False],
    "j": [
        None, {}, [], "k", 1, {"k": None}, {"k": "x"}, {"k": 1}, {"k": []}, {"k": [1, 2]}, {"k": "x", "z": 1},
        {"k": {"z": "y"}}, {"k": {"z": None}}, {"k": {}}, {"z": 1},
    ],
    "s": [None, [], ["x"], ["x", None], ["x", "y", "x"]],
}  # fmt: skip
HELD = [
    "a > 0", "0 < a", "a BETWEEN 0 AND 4", "NOT (a BETWEEN 0 AND 4)", "a <> 1", "a IN (0, 5)", "a NOT IN (0, 5)",
    "a <= b", "a < b + 1", "NOT (a < b)", "a = b - 1", "a IS NULL", "NOT (a IS NULL)", "a IS DISTINCT FROM 1",
    "a IS NOT DISTINCT FROM 1", "a > 0 OR t IS NOT NULL", "NOT (a > 0 OR t IS NOT NULL)", "a > 0 AND (f OR t = 'a')",
    "f", "NOT f", "f IS TRUE", "f IS NOT TRUE", "f IS FALSE", "f IS NOT FALSE", "(a > 0) IS TRUE",
    "(a > 0) IS NOT TRUE",
    "NOT ((a > 0) IS TRUE)", "f = true", "f <> true", "coalesce(f, false)", "coalesce(a > 0, false)",
    "NOT coalesce(a > 0, false)", "coalesce(a > 0, true)", "NOT coalesce(a > 0, true)", "(a > 0) = (b > 0)",
    "(a > 0) <> (t IS NULL)", "NOT ((a > 0) = (t IS NULL))", "(f IS TRUE) = (a IS NOT NULL)",
    "CASE WHEN a > 0 THEN b > 0 WHEN f THEN t IS NULL ELSE u = 'x' END",
    "NOT (CASE WHEN a > 0 THEN b > 0 ELSE u = 'x' END)", "num_nonnulls(a, b, t) = 1", "num_nulls(a, b) <= 1",
    "NOT (num_nonnulls(a, b) = 2)", "num_nonnulls(a, b) <> 1", "isfinite(date '2024-01-01') OR a > 0",
    "char_length(t) BETWEEN 1 AND 2", "length(t) > 1", "length(btrim(t)) > 0", "char_length(btrim(t)) BETWEEN 1 AND 2",
    "length(trim(both from t)) <= 1",
    "length(btrim(t)) = 1", "length(btrim(t)) = 0", "length(btrim(t)) >= 2",
    "btrim(t) <> ''", "t <> ''", "t = btrim(t)", "t = 'a'", "t IN ('a', 'ab')",
    "t NOT IN ('a', 'ab')", "t = ANY ('{a,ab}'::text[])",
    "t ~ '^[a-z]+$'", "t ~ 'b$'", "t !~ 'b'", "NOT (t ~ 'b')", "t ~ '^.$'",
    "t LIKE 'a%'", "t NOT LIKE '%b'", r"t LIKE 'a\_b'", "t LIKE 'a_b'", "jsonb_typeof(j) = 'object'",
    "jsonb_typeof(j) IN ('object', 'array')", "jsonb_typeof(j -> 'k') = 'string'", "NOT (jsonb_typeof(j) <> 'object')",
    "jsonb_typeof(j -> 'k' -> 'z') = 'string'", "jsonb_typeof(j #> '{k,z}') = 'string'",
    "coalesce(jsonb_typeof(j -> 'k') = 'string', false)", "(j -> 'k') IS NOT NULL", "(j ->> 'k') IS NOT NULL",
    "jsonb_typeof(j) = 'object' AND j ? 'k'", "jsonb_typeof(j) = 'object' AND j ?& ARRAY['k', 'z']",
    "jsonb_typeof(j) = 'object' AND (j ?| ARRAY['k', 'z'])", "jsonb_typeof(j) = 'object' AND j - 'k' = '{}'",
    "jsonb_typeof(j) = 'object' AND j - ARRAY['k', 'z'] = '{}'", "j ->> 'k' = 'x'", "j ->> 'k' IN ('x', 'y')",
    "j -> 'k' ->> 'z' = 'y'", "array_position(s, NULL) IS NULL", "cardinality(s) <= 1", "cardinality(s) > 0",
    "array_length(s, 1) <= 1", "array_length(s, 1) >= 1", "s <@ ARRAY['x', 'z']",
]  # fmt: skip
NOT_HELD = [
    "t = upper(t)", "t < 'b'", "octet_length(t) > 1", r"t ~ '\w'", "t ~* 'a'", "a + b > 1", "a > b * 2", "j @> '{}'",
    "(j -> 'k') IS NULL", "a % 2 = 0", "(j ->> 'k') = '1'", "length(t) > a", "t = u || 'x'", "f IS UNKNOWN",
    "coalesce(a, 0) > 1", "CASE a WHEN 1 THEN f ELSE true END", "jsonb_typeof(j) <> 'null'", "array_length(s, 1) >= 2",
    "s @> ARRAY['x']", "s[1] = 'x'", "j = '{}'", "t = ANY (s)", "t IS NOT DISTINCT FROM u", "a > 0.5",
    "num_nonnulls(a, b) = length(t)", "array_position(s, NULL) IS NOT NULL", "jsonb_typeof(j #> '{k,0}') = 'string'",
]  # fmt: skip


def definition(conn: psycopg.Connection[dict[str, Any]], expression: str) -> str:
    """Return a CHECK as the server writes it."""
    conn.execute("DROP TABLE IF EXISTS x")
    conn.execute(
        "CREATE TABLE x (a int, b int, t text, u text, f boolean, j jsonb, s text[],"
        f" CONSTRAINT c CHECK ({expression}))".encode()
    )
    [row] = conn.execute(
        "SELECT pg_get_constraintdef(oid) AS def FROM pg_constraint WHERE conname = 'c'"
    ).fetchall()
    return str(row["def"])


def test_a_rule_holds_exactly_where_the_server_finds_its_check_not_false(
    conn: psycopg.Connection[dict[str, Any]],
) -> None:
    chosen = random.Random(1)
    rows = [{name: chosen.choice(values) for name, values in VALUES.items()} for _ in range(150)]
    rows += [{**rows[0], name: value} for name, values in VALUES.items() for value in values]
    conn.execute(
        "CREATE TABLE r AS SELECT row_number() OVER () AS n, v.*"
        " FROM jsonb_to_recordset(%s) AS v (a int, b int, t text, u text, f boolean, j jsonb, s text[])",
        (json.dumps(rows),),
    )
    space: dict[str, Any] = {}
    exec("\n".join(python.imports(everything := "\n".join(python.helpers(" ".join(python._HELPERS))))), space)
    exec("from typing import *\nfrom pydantic import *\nimport re, datetime\n" + everything, space)
    kinds = {name: type_.kind for name, type_ in TYPES.items()}
    differing = []
    for expression in HELD:
        rules, complete = rules_of(definition(conn, expression), TYPES)
        assert complete, expression
        holds = eval(
            "lambda row: " + (" and ".join(python.rule(one, kinds) for one in rules) or "True"), space
        )
        # A row that the expression has no answer for, by an error, no row can be: `jsonb_array_length` of an object.
        found = conn.execute(
            f"SELECT ({expression}) IS NOT FALSE AS passes FROM r ORDER BY n".encode()
        ).fetchall()
        differing += [
            (expression, row, one["passes"])
            for row, one in zip(rows, found, strict=True)
            if holds(row) != one["passes"]
        ]
    assert differing == []


@pytest.mark.parametrize("expression", NOT_HELD)
def test_what_has_no_words_is_said_to_have_none(
    expression: str, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    assert rules_of(definition(conn, expression), TYPES) == ((), False)


def test_of_several_parts_those_with_words_are_kept(conn: psycopg.Connection[dict[str, Any]]) -> None:
    rules, complete = rules_of(definition(conn, "a IS NOT NULL AND t = upper(t)"), TYPES)
    assert (rules, complete) == ((Leaf("a", Null(False)),), False)


def test_a_check_that_is_not_validated_or_not_inherited_is_read_too() -> None:
    for tail in ("", " NOT VALID", " NO INHERIT"):
        rules, complete = rules_of(f"CHECK ((true)){tail}", TYPES)
        assert (rules, complete) == ((), True)
    assert rules_of("CHECK ((false OR (a IS NULL)))", TYPES)[0] != (All(()),)
