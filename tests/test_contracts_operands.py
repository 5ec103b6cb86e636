"""What a comparison is about, read from the grammar."""

from __future__ import annotations

from decimal import Decimal

import postgast
import pytest

from pgrunbook.contracts.operands import Asked, Subject, Unexpressed, constant, constants, subject, texts
from pgrunbook.naming import Tree

pytestmark = pytest.mark.static


def node(expression: str) -> Tree:
    return postgast.parse(f"SELECT {expression}").stmts[0].stmt.select_stmt.target_list[0].res_target.val


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("1", 1), ("'-5'::integer", -5), ("('-5'::integer)::numeric", -5), ("0.50", Decimal("0.50")),
        ("'a'::text", "a"),
        ("true", True), ("NULL::text", None), ("'2024-01-01'::date", "2024-01-01"), ("9223372036854775807",
        2**63 - 1),
    ],
)  # fmt: skip
def test_constants_are_read_through_their_casts(expression: str, value: object) -> None:
    assert constant(node(expression)) == value


@pytest.mark.parametrize("expression", ["a", "now()", "'NaN'::numeric", "1 + 1", "ARRAY[1]"])
def test_what_is_no_constant_is_refused(expression: str) -> None:
    with pytest.raises(Unexpressed):
        constant(node(expression))


def test_arrays_are_read_in_both_spellings() -> None:
    assert constants(node("(ARRAY['a'::varchar, 'b'::varchar])::text[]")) == ("a", "b")
    assert constants(node("'{a,b}'::text[]")) == ("a", "b")
    assert constants(node("'{}'::text[]")) == ()
    with pytest.raises(Unexpressed):
        constants(node("""'{"a b"}'::text[]"""))
    assert texts(node("'a'::text")) == ("a",)
    with pytest.raises(Unexpressed):
        texts(node("ARRAY[1]"))


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("a", Subject("a")),
        ("(a)::text", Subject("a")),
        ("char_length((a)::text)", Subject("a", asked=Asked.LENGTH)),
        ("length(btrim(a))", Subject("a", asked=Asked.TRIMMED_LENGTH)),
        ("jsonb_typeof(((a -> 'b'::text) -> 'c'::text))", Subject("a", ("b", "c"), Asked.JSON_TYPE)),
        ("(a ->> 'b'::text)", Subject("a", ("b",), as_text=True)),
        ("((a ->> 'b'::text))::integer", Subject("a", ("b",), as_number=True)),
        ("(a #>> '{b,c}'::text[])", Subject("a", ("b", "c"), as_text=True)),
        ("((a - 'b'::text) - ARRAY['c'::text])", Subject("a", asked=Asked.OTHER_KEYS, keys=("b", "c"))),
        ("array_length(a, 1)", Subject("a", asked=Asked.ARRAY_LENGTH)),
    ],
)  # fmt: skip
def test_what_is_asked_of_a_column_is_found(expression: str, found: Subject) -> None:
    assert subject(node(expression)) == found


@pytest.mark.parametrize(
    "expression",
    [
        "t.a", "lower(a)", "app.length(a)", "length(lower(a))", "array_length(a, 2)", "a[1]",
        "(a ->> 'b') -> 'c'", "(a)::bytea",
        "length(a -> 'b')", "a || 'x'", "(a #> '{0}'::text[])", "jsonb_typeof(a ->> 'b')",
        "(length(a))::text", "length(a, 'utf8')",
    ],
)  # fmt: skip
def test_what_has_no_words_is_refused(expression: str) -> None:
    with pytest.raises(Unexpressed):
        subject(node(expression))
