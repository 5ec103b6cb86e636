"""Expressions of Python: constants of the right type, and no import that is not needed."""

from __future__ import annotations

from decimal import Decimal

import pytest

from pgrunbook.contracts import python
from pgrunbook.contracts.model import Kind
from pgrunbook.contracts.rules import Compare, Leaf, Length, Match, Null, Range, Rule, Test

pytestmark = pytest.mark.static

KINDS = {"a": Kind.INTEGER, "n": Kind.NUMERIC, "d": Kind.DATE, "e": Kind.DATE}


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (Leaf("a", Null(True)), "row.get('a', ...) in (None, ...)"),
        (Leaf("n", Range(Decimal("0.5"))), "ok(row.get('n', ...), lambda v: Decimal('0.5') <= v)"),
        (
            Compare("d", "=", "e", 7),
            "both(row.get('d', ...), row.get('e', ...), lambda a, b: a == b + datetime.timedelta(days=7))",
        ),
    ],
)
def test_a_rule_is_one_expression(rule: Rule, said: str) -> None:
    assert python.rule(rule, KINDS) == said


@pytest.mark.parametrize(
    ("test", "kind", "said"),
    [
        (Length(1), Kind.TEXT, "1 <= len(v)"),
        (Length(None, 9), Kind.JSON, "not isinstance(v, str) or len(v) <= 9"),
        (Match("it's"), Kind.TEXT, 're.search("it\'s", v) is not None'),
        (Range("2024-01-01", high_open=True), Kind.DATE, "datetime.date.fromisoformat('2024-01-01') <= v"),
    ],
)
def test_a_test_is_one_expression(test: Test, kind: Kind, said: str) -> None:
    assert python.test(test, "v", kind) == said


def test_only_what_is_used_is_imported() -> None:
    lines = python.imports("Annotated[Decimal, re.compile]")
    assert [line for line in lines if "import" in line] == [
        "from __future__ import annotations", "import re", "from decimal import Decimal",
        "from typing import Annotated",
    ]  # fmt: skip
