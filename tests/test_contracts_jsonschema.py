"""JSON Schema: valid itself, and open about the checks for which it has no words."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from pgrunbook.contracts import jsonschema as rendering
from pgrunbook.contracts.model import Check, Column, Contract, Kind, Named, Table, Type
from pgrunbook.contracts.rules import Compare, Leaf, Null, Range, Rule, Some, Test

pytestmark = pytest.mark.static


def schema(kind: Kind, test: Test | None = None, rule: Rule | None = None) -> dict[str, Any]:
    tests = (Named("c", Leaf("x", test)),) if test else ()
    checks = (Check("c", "CHECK (c)", (rule,) if rule else ()),)
    columns = (Column("x", Type(kind), nullable=True, tests=tests), Column("y", Type(kind), nullable=True))
    made: dict[str, Any] = json.loads(
        rendering.render(Contract("040_x", (Table("t", columns, checks=checks),)))
    )
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def takes(made: dict[str, Any], model: str, value: object) -> bool:
    whole = {"$ref": f"#/$defs/{model}", "$defs": made["$defs"]}
    return bool(jsonschema.Draft202012Validator(whole).is_valid(value))


def test_a_range_of_numbers_that_travel_as_text_is_a_pattern() -> None:
    made = schema(Kind.BIGINT, Range(-3, 120))
    taken = [n for n in (-4, -3, 0, 120, 121) if takes(made, "TUpdate", {"x": str(n)})]
    assert taken == [-3, 0, 120]
    made = schema(Kind.NUMERIC, Range(0, low_open=True))
    assert [n for n in ("-1", "-0.0", "0", "0.00", "0.01", "5") if takes(made, "TUpdate", {"x": n})] == [
        "0.01",
        "5",
    ]


@pytest.mark.parametrize(
    ("kind", "test"),
    [(Kind.DATE, Range("2024-01-01")), (Kind.NUMERIC, Range(None, 5)), (Kind.NUMERIC, Range(1))],
)
def test_what_it_cannot_say_it_names(kind: Kind, test: Test) -> None:
    assert "  t: c: CHECK (c)" in schema(kind, test)["$comment"]
    assert "left to the database" in schema(kind, None, Compare("x", "<", "y"))["$comment"]
    assert "left to the database" not in schema(kind)["$comment"]


def test_what_an_insert_leaves_out_is_null_and_what_an_update_leaves_out_is_not_known() -> None:
    made = schema(Kind.BOOLEAN, rule=Some((Leaf("x", Null(False)), Leaf("y", Null(False)))))
    assert not takes(made, "TInsert", {})
    assert not takes(made, "TInsert", {"x": None})
    assert takes(made, "TInsert", {"y": True})
    assert takes(made, "TUpdate", {"x": None})
    assert not takes(made, "TUpdate", {"x": None, "y": None})
    assert not takes(made, "TRow", {"x": None, "y": None})
