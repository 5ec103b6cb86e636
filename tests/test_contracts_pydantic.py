"""Pydantic models, as text; that they validate is shown in test_contracts."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from contract_ground import module

from pgrunbook.contracts import pydantic
from pgrunbook.contracts.model import Column, Contract, Enumeration, Kind, Table, Type

pytestmark = pytest.mark.static

NAMES = ("class", "schema", "odd name", "_hidden", "model_x", "2nd", "list", "id", "date", "\u00e9")
CONTRACT = Contract(
    "040_x",
    (
        Table(
            "t",
            tuple(Column(name, Type(Kind.TEXT), nullable=True) for name in NAMES),
            'A """quoted\\ comment"',
        ),
    ),
    (Enumeration("mood", ("it's", 'so "so"')),),
)


def test_every_column_has_a_field_whatever_its_name(tmp_path: Path) -> None:
    file = tmp_path / "db.py"
    file.write_text(pydantic.render(CONTRACT))
    models = module(file)
    row = dict.fromkeys(NAMES, "x")
    for model in (models.TRow, models.TInsert, models.TUpdate):
        assert model.model_validate(row).model_dump() == row
    assert models.TUpdate(class_="x").model_dump(exclude_unset=True) == {"class": "x"}
    assert sorted(tmp_path.iterdir()) == [file]


def test_comments_cannot_end_the_text_they_stand_in() -> None:
    tree = ast.parse(pydantic.render(CONTRACT))
    classes = {node.name: ast.get_docstring(node) for node in tree.body if isinstance(node, ast.ClassDef)}
    assert classes["TRow"] == "A row of t: A '''quoted\\ comment\" "
