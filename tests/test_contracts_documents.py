"""JSON documents: nested shapes where the checks say what things are, and single tests where they do not."""

from __future__ import annotations

import pytest

from pgrunbook.contracts.documents import Document, document
from pgrunbook.contracts.model import Named
from pgrunbook.contracts.rules import HasKeys, Items, JsonType, Leaf, Length, OnlyKeys, Test

pytestmark = pytest.mark.static


def named(test: Test, *path: str) -> Named:
    return Named("c", Leaf("j", test, path))


OBJECT = JsonType(("object",))


def test_the_order_of_the_checks_does_not_matter() -> None:
    tests = [
        named(Length(None, 9), "a", "b"),
        named(JsonType(("string",)), "a", "b"),
        named(HasKeys(("b",)), "a"),
        named(OBJECT, "a"),
        named(OBJECT),
    ]
    shape, rest = document(tests)
    assert rest == ()
    inner = shape.keys["a"]
    assert (shape.types, inner.types, inner.required, inner.keys["b"].types) == (
        ("object",), ("object",), {"b"}, ("string",),
    )  # fmt: skip
    assert [one.leaf.test for one in inner.keys["b"].tests] == [Length(None, 9)]
    assert document(tests[::-1]) == (shape, rest)


def test_only_the_keys_that_are_named_may_be_there() -> None:
    shape, rest = document([named(OBJECT), named(OnlyKeys(("a", "b")))])
    assert (shape.closed, sorted(shape.keys), shape.required, rest) == (True, ["a", "b"], set(), ())


@pytest.mark.parametrize("test", [HasKeys(("a",)), OnlyKeys(("a",)), Length(1), Items(1)])
def test_what_is_asked_of_anything_stays_a_test(test: Test) -> None:
    one = named(test)
    assert document([one]) == (Document(), (one,))
    below = named(JsonType(("string",)), "k")
    assert document([below]) == (Document(), (below,))


def test_of_two_lists_of_types_what_both_have_is_left() -> None:
    shape, rest = document([named(JsonType(("object", "array"))), named(JsonType(("array", "string")))])
    assert (shape.types, rest) == (("array",), ())
