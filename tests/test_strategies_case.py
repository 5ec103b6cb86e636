"""The case of a strategy: the SQL that every remedy is made of."""

from __future__ import annotations

import dataclasses

import pytest

from pgrunbook.relation import Column, Relation
from pgrunbook.strategies.case import Case
from pgrunbook.uniquekey import UniqueKey

pytestmark = pytest.mark.static

COLUMN = Column("id", "int4", "N", None, True, "", False, "", "")
TABLE = Relation(
    "t",
    1,
    "r",
    False,
    ("id",),
    (),
    (),
    {n: dataclasses.replace(COLUMN, name=n) for n in ("id", "a", "b", "at")},
)
CASE = Case("move", UniqueKey("t", ("a", "lower(b)"), where="c > 0"), TABLE, "a", ("at",))


def test_a_row_counts_where_no_part_is_null_and_the_predicate_holds() -> None:
    # An expression may fail for rows that the predicate leaves out, and conditions have no order.
    assert " ".join(CASE.condition.split()) == (
        "WHERE t.a IS DISTINCT FROM NULL"
        " AND CASE WHEN t.c > 0 THEN (lower(t.b)) IS DISTINCT FROM NULL ELSE false END AND (t.c > 0)"
    )
    nulls = dataclasses.replace(CASE, key=UniqueKey("t", ("a",), nulls_not_distinct=True))
    assert nulls.condition == ""


def test_a_group_is_ordered_by_what_was_given_and_then_by_the_primary_key() -> None:
    assert CASE.by() == "t.at, t.id"
    assert CASE.by(["t.a"]) == "t.a, t.at, t.id"
    assert dataclasses.replace(CASE, order=("id",), newest=True).by() == "t.id DESC NULLS LAST"


def test_a_row_is_found_by_its_key_and_must_be_what_was_read() -> None:
    assert " ".join(CASE.unchanged("batch").split()) == (
        "t.id = batch.key_1 AND t.a = batch.part_1 AND (lower(t.b)) = batch.part_2 AND (t.c > 0)"
    )
    text = dataclasses.replace(COLUMN, name="a", type="text")
    table = dataclasses.replace(TABLE, columns={**TABLE.columns, "a": text})
    nulls = dataclasses.replace(CASE, table=table, key=UniqueKey("t", ("a",), nulls_not_distinct=True))
    assert " ".join(nulls.unchanged("batch").split()) == (
        "t.id = batch.key_1 AND t.a IS NOT DISTINCT FROM batch.part_1"
        ' AND t.a::text COLLATE "C" IS NOT DISTINCT FROM batch.old::text COLLATE "C"'
    )


def test_without_other_parts_there_is_one_group() -> None:
    assert CASE.partition(CASE.group) == "PARTITION BY (lower(t.b)) "
    assert CASE.partition(CASE.group, of="batch") == "PARTITION BY part_2 "
    assert CASE.partition([]) == ""
