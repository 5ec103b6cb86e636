"""The reading of the model from the catalog: three questions, the same answer on every supported major."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.shape.model import (
    Check,
    Column,
    Enum,
    ForeignKey,
    Function,
    Index,
    Key,
    Other,
    Policy,
    Schema,
    Table,
    Trigger,
)

__all__ = ["read"]

_PARTS: Mapping[str, Any] = {
    "columns": Column,
    "uniques": Key,
    "foreign_keys": ForeignKey,
    "checks": Check,
    "exclusions": Check,
    "indexes": Index,
    "triggers": Trigger,
    "policies": Policy,
}


def read(conn: Connection) -> Schema:
    """Return the model of a database: every schema but the system's and the ledger's.

    Names are spelled for the session's search_path. An index that another one is a part of, a constraint that
    is only NOT NULL and a trigger of the server's own are left out.
    """
    return Schema(
        tables=tuple(_table(row) for row in session.rows(conn, "shape_tables")),
        enums=tuple(Enum(**_frozen(row)) for row in session.rows(conn, "shape_enums")),
        functions=tuple(Function(**_frozen(row)) for row in session.rows(conn, "shape_functions")),
        others=tuple(
            sorted(
                (Other(**row) for row in session.rows(conn, "shape_others")),
                key=lambda one: (one.kind, one.name),
            )
        ),
    )


def _table(row: dict[str, Any]) -> Table:
    for name, made in _PARTS.items():
        row[name] = tuple(made(**_frozen(one)) for one in row[name])
    if row["primary_key"] is not None:
        row["primary_key"] = Key(**_frozen(row["primary_key"]))
    return Table(**_frozen(row))


def _frozen(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the row with its lists as tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
