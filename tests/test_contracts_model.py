"""The model of a contract: which variant has which columns, and a hash of all of it."""

from __future__ import annotations

import dataclasses

import pytest

from pgrunbook.contracts.model import Column, Contract, Kind, Table, Type, Variant

pytestmark = pytest.mark.static

TEXT = Type(Kind.TEXT)
TABLE = Table(
    "app.weekly_plan",
    (
        Column("id", TEXT, nullable=True, automatic=True),
        Column("needed", TEXT),
        Column("given", TEXT, defaulted=True),
        Column("free", TEXT, nullable=True),
        Column("both", TEXT, nullable=True, defaulted=True),
    ),
)


def optional(variant: Variant) -> dict[str, bool]:
    return {column.name: column.optional(variant) for column in TABLE.of(variant)}


def test_a_row_has_all_columns_and_needs_each() -> None:
    assert optional(Variant.ROW) == dict.fromkeys(("id", "needed", "given", "free", "both"), False)


def test_what_is_written_never_has_what_the_server_makes() -> None:
    assert optional(Variant.INSERT) == {"needed": False, "given": True, "free": True, "both": True}
    assert optional(Variant.UPDATE) == {"needed": True, "given": True, "free": True, "both": True}


def test_only_what_has_no_default_is_left_null() -> None:
    assert [column.name for column in TABLE.columns if column.left_null()] == ["free"]


def test_the_name_of_a_model_has_no_dots_and_no_underscores() -> None:
    assert TABLE.title == "AppWeeklyPlan"


def test_the_hash_is_of_everything() -> None:
    contract = Contract("040_x", (TABLE,))
    assert contract.sha256 == Contract("040_x", (dataclasses.replace(TABLE),)).sha256
    other = dataclasses.replace(TABLE, comment="other")
    assert contract.sha256 != Contract("040_x", (other,)).sha256
