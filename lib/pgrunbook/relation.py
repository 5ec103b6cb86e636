"""A table as a repair has to know it: kind, key, columns, triggers, and who refers to it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from pgrunbook import session
from pgrunbook.errors import BadKey
from pgrunbook.session import Connection

__all__ = [
    "REFUSED", "WITH_NAMES", "Column", "Reference", "Relation", "Unique", "find", "reason", "references_to",
    "refusing", "serving", "uniques", "way_out",
]  # fmt: skip

WITH_NAMES = re.compile(
    r"afterwards|batch|begun|changed|doubled|duplicate|gone|grouped|held|member|moved|numbered|renumbered|taken|top"
    r"|(child|moved)_[0-9]+"
)
"""What our WITH queries are called: a table of such a name is spelled with its schema, which no WITH query has."""

REFUSED = (
    psycopg.ProgrammingError,
    psycopg.DataError,
    psycopg.NotSupportedError,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.QueryCanceled,
)
"""What the server says of a statement that is at fault, or of a table that cannot be read."""
_WAYS_OUT = (
    (
        psycopg.errors.InsufficientPrivilege,
        "use a role that may read all of it (SELECT), and change it (UPDATE, DELETE) where a remedy is to be written",
    ),
    (psycopg.errors.LockNotAvailable, "somebody has locked it: try again when he is done"),
    (psycopg.errors.QueryCanceled, "try again when the server has less to do"),
    (psycopg.DataError, "mend the value that it fails for, or leave its row out by a predicate"),
)
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

    `generated` is the expression that it is generated from, empty for others. `identity` is GENERATED ALWAYS AS
    IDENTITY. `refers` names the foreign key that it belongs to, `referred` the table whose foreign key points at it.
    """

    name: str
    type: str
    category: str
    longest: int | None
    not_null: bool
    generated: str
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
    """A foreign key that points at a table; `on_delete` is the letter of pg_constraint.confdeltype.

    With a `period` it asks for a time within another, not for equal values.
    """

    name: str
    child_oid: int
    child: str
    on_delete: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    indexed: bool
    period: bool = False


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index or exclusion constraint; `columns` are all that it reads, `parts` what it compares, as SQL.

    `excludes` are the operators by which it compares, empty where it is for equality.
    """

    name: str
    columns: tuple[str, ...]
    parts: tuple[str, ...]
    excludes: tuple[str, ...]
    predicate: str
    nulls_not_distinct: bool


def find(conn: Connection, name: str) -> Relation:
    """Return a table by its name as SQL spells it.

    Raises BadKey where there is none, or something else, or where not all of its rows can be seen.
    """
    with refusing(name):
        rows = session.rows(conn, "relation", {"table": name})
    if not rows:
        raise BadKey(
            found=f"there is no table {name}",
            next_step="check the spelling and the search_path of this role; say the schema if need be",
        )
    row = rows[0]
    taken = ("temporary", "hides_rows", "bare_name", "full_name")
    temporary, hides_rows, bare_name, full_name = (row.pop(field) for field in taken)
    if temporary:
        raise BadKey(
            found=f"{name} is a temporary table, of which only its own session sees the rows",
            next_step="name a table that is there for all",
        )
    if row["kind"] not in ("r", "p"):
        raise BadKey(
            found=f"{name} is {_KINDS.get(row['kind'], 'no table')}",
            next_step="name the table that holds the rows",
        )
    if hides_rows:
        raise BadKey(
            found=f"a row-level security policy may hide rows of {name} from this role",
            next_step="use a role with BYPASSRLS, or its owner where the policies are not forced",
        )
    columns = {one["name"]: Column(**one) for one in row.pop("columns")}
    lists = {field: tuple(row[field]) for field in ("primary_key", "on_update", "on_delete")}
    spelled = full_name if WITH_NAMES.fullmatch(bare_name) else name
    return Relation(**{**row, **lists, "name": spelled, "columns": columns})


@contextlib.contextmanager
def refusing(what: object) -> Iterator[None]:
    """Raise BadKey for what the server refuses of a query about a table or a key."""
    try:
        yield
    except REFUSED as error:
        otherwise = "write it as CREATE UNIQUE INDEX would have it"
        raise BadKey(found=f"{what}: {reason(error)}", next_step=way_out(error, otherwise)) from None


def reason(error: psycopg.Error) -> str:
    """Return the server's own words, the first line of them."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def way_out(error: psycopg.Error, otherwise: str) -> str:
    """Return what to do about what the server refused; `otherwise` where what was asked is at fault."""
    return next((step for kind, step in _WAYS_OUT if isinstance(error, kind)), otherwise)


def references_to(conn: Connection, relation: Relation) -> tuple[Reference, ...]:
    """Return the foreign keys that point at a table, its own included."""
    found = session.rows(conn, "references_to", {"oid": relation.oid})
    return tuple(
        Reference(**{**row, "columns": tuple(row["columns"]), "referred": tuple(row["referred"])})
        for row in found
    )


def uniques(conn: Connection, relation: Relation) -> tuple[Unique, ...]:
    """Return the unique indexes and exclusion constraints of a table."""
    found = session.rows(conn, "unique_keys", {"oid": relation.oid})
    lists = ("columns", "parts", "excludes")
    return tuple(Unique(**{**row, **{field: tuple(row[field]) for field in lists}}) for row in found)


def serving(conn: Connection, relation: Relation, columns: Sequence[str | None]) -> bool:
    """Return whether an index leads to the groups of these columns, the last of them in order."""
    return bool(session.rows(conn, "serving_indexes", {"oid": relation.oid, "columns": list(columns)}))
