"""The contract of a change made: read where the change is applied, written in three languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pgrunbook.change import Change
from pgrunbook.contracts import jsonschema, pydantic, reading, typescript
from pgrunbook.contracts.model import Contract
from pgrunbook.scratch import Scratch

__all__ = ["FOLDER", "RENDERINGS", "contract", "rendered"]

FOLDER = "contracts"
RENDERINGS: Mapping[str, Callable[[Contract], str]] = {
    "db.ts": typescript.render,
    "db.schema.json": jsonschema.render,
    "db.py": pydantic.render,
}


def contract(change: Change, scratch: Scratch) -> Contract:
    """Return the contract of the tables that were not there before the change; raises NoContract."""
    there = {table.name for table in scratch.before.tables}
    made = [table for table in scratch.after.tables if table.name not in there]
    return reading.contract(scratch.conn, change.name, made, scratch.after.enums)


def rendered(found: Contract) -> dict[str, str]:
    """Return the text of each file."""
    return {name: render(found) for name, render in RENDERINGS.items()}
