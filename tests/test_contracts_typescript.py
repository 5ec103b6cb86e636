"""TypeScript with Zod, as text; that it compiles and parses is shown in test_contracts."""

from __future__ import annotations

import pytest

from pgrunbook.contracts import typescript
from pgrunbook.contracts.model import Check, Column, Contract, Enumeration, Kind, Named, Table, Type
from pgrunbook.contracts.rules import Leaf, Length, Null, Some

pytestmark = pytest.mark.static

CONTRACT = Contract(
    "040_x",
    (
        Table(
            "goal",
            (
                Column("id", Type(Kind.BIGINT), automatic=True),
                Column(
                    "title",
                    Type(Kind.TEXT),
                    comment="A */ title",
                    tests=(Named("c", Leaf("title", Length(1))),),
                ),
                Column("mood", Type(Kind.ENUM, enum="mood"), nullable=True),
            ),
            checks=(
                Check("one", "CHECK (...)", (Some((Leaf("mood", Null(True)), Leaf("title", Null(True)))),)),
            ),
        ),
    ),
    (Enumeration("mood", ("sad", 'so "so"')),),
)


def test_each_variant_has_its_schema_and_its_type() -> None:
    text = typescript.render(CONTRACT)
    for name in ("Mood", "GoalRow", "GoalInsert", "GoalUpdate"):
        assert f"export const {name} = z." in text
        assert f"export type {name} = z.infer<typeof {name}>;" in text
    assert 'z.enum(["sad", "so \\"so\\""])' in text
    assert "/** A * / title */" in text
    insert = text[text.index("export const GoalInsert") : text.index("export type GoalInsert")]
    assert "id:" not in insert
    assert "title: goalColumns.title,\n  mood: goalColumns.mood.optional()," in insert
    assert '.refine((row) => checkGoal1({ mood: null, ...row }), "one")' in insert


def test_nothing_is_defined_that_is_not_used() -> None:
    text = typescript.render(CONTRACT)
    assert [kind.value for kind in Kind if f"const {kind.value} =" in text] == ["Text", "BigInteger"]
