"""Single comparisons: constants on either side, their opposites, and what must be there to be sure."""

from __future__ import annotations

from decimal import Decimal

import postgast
import pytest

from pgrunbook.contracts import comparisons
from pgrunbook.contracts.model import Kind, Type
from pgrunbook.contracts.operands import Unexpressed
from pgrunbook.contracts.rules import All, Compare, HasKeys, Leaf, NoneOf, Null, OneOf, Range, Rule

pytestmark = pytest.mark.static

TYPES = {
    name: Type(kind)
    for name, kind in {
        "i": Kind.INTEGER, "g": Kind.BIGINT, "n": Kind.NUMERIC, "d": Kind.DATE, "e": Kind.DATE, "m": Kind.ENUM,
        "z": Kind.TIMESTAMPTZ, "y": Kind.TIMESTAMPTZ, "j": Kind.JSON, "h": Kind.BIGINT,
    }.items()
}  # fmt: skip


def rule(expression: str, *, negated: bool = False, sure: bool = False) -> Rule:
    tree = (
        postgast.parse(f"SELECT {expression}").stmts[0].stmt.select_stmt.target_list[0].res_target.val.a_expr
    )
    return comparisons.rule(tree, TYPES, negated=negated, sure=sure)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("i > 0", Leaf("i", Range(1))),
        ("0 < i", Leaf("i", Range(1))),
        ("g <= 5", Leaf("g", Range(None, 5))),
        ("n > 0.5", Leaf("n", Range(Decimal("0.5"), low_open=True))),
        ("d >= '2024-01-01'::date", Leaf("d", Range("2024-01-01"))),
        ("m = 'a'::mood", Leaf("m", OneOf(("a",)))),
        ("m <> ALL (ARRAY['a'::mood])", Leaf("m", NoneOf(("a",)))),
        ("d >= e", Compare("d", ">=", "e")),
        ("d = e - 7", Compare("d", "=", "e", -7)),
        ("((j ->> 'k'::text))::numeric <= 9.5", Leaf("j", Range(None, Decimal("9.5")), ("k",))),
    ],
)
def test_a_comparison_is_a_test_of_its_column(expression: str, expected: Rule) -> None:
    assert rule(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("i > 0", Leaf("i", Range(None, 0))),
        ("m = 'a'", Leaf("m", NoneOf(("a",)))),
        ("m = ANY (ARRAY['a'])", Leaf("m", NoneOf(("a",)))),
        ("d < e", Compare("d", ">=", "e")),
    ],
)
def test_the_opposite_turns_the_operator(expression: str, expected: Rule) -> None:
    assert rule(expression, negated=True) == expected


def test_to_be_sure_a_value_must_be_there() -> None:
    assert rule("i > 0", sure=True) == All((Leaf("i", Null(False)), Leaf("i", Range(1))))
    found = rule("(j ->> 'k'::text) = 'x'::text", sure=True)
    assert found == All(
        (Leaf("j", Null(False)), Leaf("j", HasKeys(("k",))), Leaf("j", OneOf(("x",)), ("k",)))
    )


@pytest.mark.parametrize(
    "expression",
    ["z > y", "z > '2024-01-01'", "d > 'infinity'::date", "g = h + 1", "g IN (1, 2)", "g <> 1", "i = NULL",
    "d = i", "i < 0.5",
     "m > 'a'", "n = ANY (ARRAY[1, 2])", "i = ALL (ARRAY[1])", "d >= e * 2"],
)  # fmt: skip
def test_what_has_no_words_is_refused(expression: str) -> None:
    with pytest.raises(Unexpressed):
        rule(expression)
