"""A table as a repair has to know it: kind, key, columns, triggers, and who refers to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pgrunbook import session
from pgrunbook.errors import BadKey
from pgrunbook.session import Connection

__all__ = ["Column", "Reference", "Relation", "Unique", "find", "references_to", "serving", "uniques"]

_KINDS = {
    "v": "a view",
    "m": "a materialized view",
    "f": "a foreign table",
    "S": "a sequence",
    "i": "an index",
    "I": "an index",
    "c": "a type",
}


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` and `category` are pg_type's, below a domain; `longest` is in characters.

    `identity` is GENERATED ALWAYS AS IDENTITY. `refers` names the foreign key that it belongs to, `referred`
    the table whose foreign key points at it.
    """

    name: str
    type: str
    category: str
    longest: int | None
    not_null: bool
    generated: bool
    identity: bool
    refers: str
    referred: str


@dataclass(frozen=True, slots=True)
class Relation:
    """A table; `name` is how SQL spells it, the triggers are those that fire for an UPDATE or a DELETE."""

    name: str
    oid: int
    kind: str
    has_heirs: bool
    primary_key: tuple[str, ...]
    on_update: tuple[str, ...]
    on_delete: tuple[str, ...]
    columns: Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key that points at a table; `on_delete` is the letter of pg_constraint.confdeltype."""

    name: str
    child_oid: int
    child: str
    on_delete: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    indexed: bool


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index that is there; `columns` are the plain ones of its key, `parts` are all as SQL."""

    name: str
    columns: tuple[str, ...]
    parts: tuple[str, ...]
    has_expressions: bool
    predicate: str
    nulls_not_distinct: bool


def find(conn: Connection, name: str) -> Relation:
    """Return a table by its name as SQL spells it; raises BadKey where there is none, or something else."""
    rows = session.rows(conn, "relation", {"table": name})
    if not rows:
        raise BadKey(
            found=f"there is no table {name}",
            next_step="check the spelling and the search_path of this role; say the schema if need be",
        )
    row = rows[0]
    if row["kind"] not in ("r", "p"):
        raise BadKey(
            found=f"{name} is {_KINDS.get(row['kind'], 'no table')}",
            next_step="name the table that holds the rows",
        )
    columns = {one["name"]: Column(**one) for one in row.pop("columns")}
    lists = {field: tuple(row[field]) for field in ("primary_key", "on_update", "on_delete")}
    return Relation(**{**row, **lists, "name": name, "columns": columns})


def references_to(conn: Connection, relation: Relation) -> tuple[Reference, ...]:
    """Return the foreign keys that point at a table, its own included."""
    found = session.rows(conn, "references_to", {"oid": relation.oid})
    return tuple(
        Reference(**{**row, "columns": tuple(row["columns"]), "referred": tuple(row["referred"])})
        for row in found
    )


def uniques(conn: Connection, relation: Relation) -> tuple[Unique, ...]:
    """Return the unique indexes of a table."""
    found = session.rows(conn, "unique_keys", {"oid": relation.oid})
    return tuple(
        Unique(**{**row, "columns": tuple(row["columns"]), "parts": tuple(row["parts"])}) for row in found
    )


def serving(conn: Connection, relation: Relation, columns: Sequence[str | None]) -> bool:
    """Return whether an index leads to the groups of these columns, the last of them in order."""
    return bool(session.rows(conn, "serving_indexes", {"oid": relation.oid, "columns": list(columns)}))
