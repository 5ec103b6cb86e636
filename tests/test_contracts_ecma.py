"""Expressions of TypeScript: quoted where they must be, with no function that is not called."""

from __future__ import annotations

import pytest

from pgrunbook.contracts import ecma
from pgrunbook.contracts.model import Kind
from pgrunbook.contracts.rules import (
    Compare,
    HasKeys,
    Leaf,
    Length,
    Match,
    Null,
    OneOf,
    Range,
    Rule,
    Some,
    Test,
)

pytestmark = pytest.mark.static

KINDS = {"a": Kind.INTEGER, "odd name": Kind.TEXT, "g": Kind.BIGINT, "j": Kind.JSON, "d": Kind.DATE}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Leaf("odd name", Null(False)), 'row["odd name"] !== null'),
        (Some(()), "false"),
        (Leaf("a", Range(1, 9)), "ok(row.a, (v) => v >= 1 && v <= 9)"),
        (Leaf("g", Range(0, low_open=True)), 'ok(row.g, (v) => compare(v, "0") > 0)'),
        (Compare("d", "<=", "d", 83), "both(row.d, row.d, (a, b) => days(a) <= days(b) + 83)"),
        (Leaf("j", HasKeys(('"',)), ("k",)), 'ok(row.j, (v) => there(at(v, "k"), (v) => has(v, "\\"")))'),
    ],
)
def test_a_rule_is_one_expression(rule: Rule, said: str) -> None:
    assert ecma.rule(rule, KINDS) == said


@pytest.mark.parametrize(
    ("test", "said"),
    [
        (Length(1, 9), "chars(v) >= 1 && chars(v) <= 9"),
        (Match("a/b\n"), r"/a\/b\n/u.test(v)"),
        (OneOf(("a",)), 'v === "a"'),
        (OneOf(("a\u2028", "b")), '(["a\\u2028", "b"] as unknown[]).includes(v)'),
    ],
)
def test_a_test_is_quoted_where_it_must_be(test: Test, said: str) -> None:
    assert ecma.test(test, "v", Kind.TEXT) == said


def test_only_functions_that_are_called_are_there_and_those_that_they_call() -> None:
    names = [line.split()[1] for line in ecma.helpers('has(v, "k")')]
    assert names == ["has", "isObject", "jsonType"]
    assert ecma.helpers("row.has(v)") == []
