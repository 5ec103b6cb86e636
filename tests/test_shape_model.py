"""The data model as values."""

from __future__ import annotations

from pgrunbook.shape.model import Column, Enum, ForeignKey, Index, Schema, Table

ID = Column("id", "bigint", "int8", False)


def index(
    *columns: str, unique: bool = True, parts: int = 0, predicate: str = "", valid: bool = True
) -> Index:
    named = columns + ("lower(name)",) * parts
    return Index("i", named, columns, unique, "CREATE INDEX", predicate=predicate, valid=valid)


def test_columns_are_unique_where_an_index_holds_some_of_them_unique() -> None:
    table = Table("t", "public", indexes=(index("a", "b"),))
    assert table.is_unique(["b", "a"])
    assert table.is_unique(["a", "b", "c"])
    assert not table.is_unique(["a"])


def test_an_index_of_some_rows_of_an_expression_or_unfinished_makes_nothing_unique() -> None:
    for one in (
        index("a", unique=False),
        index("a", predicate="b IS NULL"),
        index("a", parts=1),
        index("a", valid=False),
    ):
        assert not Table("t", "public", indexes=(one,)).is_unique(["a"])


def test_what_a_change_made_is_what_was_not_there_or_was_different() -> None:
    old, kept = Table("old", "public", columns=(ID,)), Table("kept", "public", columns=(ID,))
    before = Schema((kept, old), (Enum("mood", ("good",)),))
    altered, new = Table("old", "public", comment="now told", columns=(ID,)), Table("new", "public")
    after = Schema((kept, new, altered), (Enum("mood", ("good", "bad")),))
    assert after.since(before) == Schema((new, altered), (Enum("mood", ("good", "bad")),))
    assert after.since(after) == Schema()


def test_tables_and_columns_are_found_by_name() -> None:
    table = Table("t", "public", columns=(ID,))
    assert Schema((table,)).table("t").column("id") is ID


def test_a_summary_counts_what_there_is() -> None:
    key = ForeignKey("k", ("id",), "t", ("id",), "", "", "")
    assert Schema().summary == "0 tables"
    made = Schema((Table("t", "public", foreign_keys=(key, key)),), (Enum("mood", ()),))
    assert made.summary == "1 table, 2 foreign keys, 1 enum"


def test_tables_come_after_those_they_refer_to_and_a_circle_ends_no_order() -> None:
    def table(name: str, *up: str) -> Table:
        keys = tuple(ForeignKey(f"{name}_{one}", ("x",), one, ("id",), "", "", "") for one in up)
        return Table(name, "public", foreign_keys=keys)

    tables = (
        table("a", "z", "a"),
        table("b", "c", "elsewhere"),
        table("c", "b"),
        table("d", "b"),
        table("z"),
    )
    assert [one.name for one in Schema(tables).in_order] == ["z", "a", "b", "c", "d"]
    assert [one.name for one in Schema((table("alone"), *tables)).in_order][-1] == "alone"
