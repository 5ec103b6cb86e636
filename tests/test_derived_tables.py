"""Relations as a check knows them, and expressions as text that means what it meant in the statement."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import throwaway

from pgrunbook.derived import tables
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


def test_a_table_is_found_with_its_columns_and_its_key(look: Connection) -> None:
    look.execute('CREATE TABLE "T x" (b int, a text NOT NULL, p point, PRIMARY KEY (a, b))')
    found = tables.find(look, '"T x"')
    assert found is not None
    assert (found.name, found.kind, found.key, found.owner, found.has_rows) == (
        '"T x"', "r", ("a", "b"), "postgres", True,
    )  # fmt: skip
    assert [(c.type, c.required) for c in (found.columns["a"], found.columns["p"])] == [
        ("text", True), ("point", False),
    ]  # fmt: skip
    assert (found.alone, found.is_null("p")) == ('ONLY "T x"', '"p" IS NULL')
    assert tables.find(look, "missing") is None


def test_views_hold_no_rows_of_their_own(look: Connection) -> None:
    look.execute("CREATE VIEW v AS SELECT 1 AS a")
    found = tables.find(look, "v")
    assert found is not None
    assert not found.has_rows


@pytest.mark.parametrize("text", ["lower(a) || 'it''s; --'", "(a.b).c[1]::numeric(3, 1)", "CASE WHEN a THEN 1 END",
                                  "E'\\\\x' = a", "a IS DISTINCT FROM b", '"A ""b".c'])  # fmt: skip
def test_an_expression_is_read_back_as_it_was(text: str) -> None:
    index = tables.statement_of(f"CREATE INDEX ON t (({text}))")
    again = tables.expression(index.index_params[0].index_elem.expr)
    once_more = tables.statement_of(f"CREATE INDEX ON t ({again})")
    assert tables.expression(once_more.index_params[0].index_elem.expr) == again


def test_headings_differ_and_fit() -> None:
    made = tables.labels(["x" * 80, "x" * 80, "ü" * 40, "", ""])
    assert len(set(made)) == 5
    assert all(len(one.encode()) <= 63 for one in made)
