"""Relations as the catalog has them, and expressions as SQL text: what a check's query is put together from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import postgast
from psycopg import sql

from pgrunbook import session
from pgrunbook.naming import Tree, inner, name, quote_name
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = [
    "Column",
    "Table",
    "constraints",
    "expression",
    "find",
    "labels",
    "literal",
    "quoted",
    "shown",
    "statement_of",
    "type_name",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A column: `required` where the server has proved that it holds no NULL."""

    type: str
    required: bool
    composite: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A relation by the name under which a statement knows it; `kind` is the letter of pg_class.relkind."""

    written: str
    oid: int
    name: str
    kind: str
    has_children: bool
    owner: str
    columns: dict[str, Column]
    key: tuple[str, ...]

    @property
    def alone(self) -> str:
        """Return it for a FROM, without the tables that inherit from it; partitions are the table itself."""
        return self.written if self.kind == "p" else f"ONLY {self.written}"

    @property
    def bare(self) -> str:
        """Return its name without a schema, as SQL needs it."""
        return quote_name(split_name(self.written)[-1])

    @property
    def has_rows(self) -> bool:
        """Return whether it is of a kind that holds rows."""
        return self.kind in "rpm"

    def is_null(self, column: str) -> str:
        """Return the condition under which the server takes the column for NULL, rows of NULLs not included."""
        known = self.columns.get(column)
        odd = known is not None and known.composite
        return f"{quoted(column)} {'IS NOT DISTINCT FROM NULL' if odd else 'IS NULL'}"


def find(conn: Connection, relation: Tree) -> Table | None:
    """Return the relation of a range variable as search_path finds it now, or None."""
    written = relation if isinstance(relation, str) else name(relation)
    rows = session.rows(conn, "derived_table", {"table": written})
    if not rows:
        return None
    row = rows[0]
    columns = {column: Column(**facts) for column, facts in row.pop("columns").items()}
    return Table(written=written, columns=columns, **{**row, "key": tuple(row["key"])})


def constraints(
    conn: Connection, table: str, *, constraint: str | None = None, column: str | None = None
) -> list[dict[str, Any]]:
    """Return the constraints of a table: that of a name, or the valid ones, or those that a column takes part in."""
    found = session.rows(conn, "derived_constraints", {"table": table, "name": constraint, "column": column})
    return [row for row in found if constraint is not None or row["validated"]]


def shown(columns: Sequence[str], alias: str = "") -> str:
    """Return columns for a SELECT, their headings different from each other; without any, where the row is.

    >>> shown(["a", "b b"], "c."), shown([])
    ('c."a" AS "a", c."b b" AS "b b"', 'tableoid::regclass::text AS part, ctid::text AS place')
    """
    listed = [f"{alias}{quoted(c)} AS {quoted(h)}" for c, h in zip(columns, labels(columns), strict=True)]
    return ", ".join(listed) or f"{alias}tableoid::regclass::text AS part, {alias}ctid::text AS place"


def statement_of(text: str) -> Tree:
    """Return the tree of the one statement of a text."""
    return inner(postgast.parse(text).stmts[0].stmt)


def expression(node: Tree) -> str:
    """Return an expression of a tree as SQL in parentheses.

    >>> index = statement_of('CREATE INDEX ON t (lower("A b"))')
    >>> expression(index.index_params[0].index_elem.expr)
    '(lower("A b"))'
    """
    tree = postgast.parse("SELECT 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(node)
    return f"({postgast.deparse(tree).removeprefix('SELECT ')})"


def type_name(node: Tree) -> str:
    """Return a type as SQL spells it.

    >>> alter = statement_of("ALTER TABLE t ALTER a TYPE varchar(20)[]")
    >>> type_name(getattr(alter.cmds[0].alter_table_cmd, "def").column_def.type_name)
    'varchar(20)[]'
    """
    tree = postgast.parse("SELECT NULL::int")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.type_cast.type_name.CopyFrom(node)
    return str(postgast.deparse(tree)).removeprefix("SELECT NULL::")


def quoted(*parts: str) -> str:
    """Return a name, always in quotes.

    >>> quoted("s", 'a"b')
    '"s"."a""b"'
    """
    return sql.Identifier(*parts).as_string()


def literal(text: str) -> str:
    r"""Return a text as an SQL literal, whatever standard_conforming_strings says.

    >>> literal("it's"), literal("a\\b")
    ("'it''s'", " E'a\\\\b'")
    """
    return sql.Literal(text).as_string()


def labels(wanted: Sequence[str]) -> list[str]:
    """Return column headings that differ from each other, none longer than the server keeps.

    >>> labels(["a", "rows", "rows"])
    ['a', 'rows', 'rows (2)']
    """
    found: list[str] = []
    for one in wanted:
        # Bytes, as the server counts; a cut must not part a character.
        short = one.encode()[:55].decode(errors="ignore") or "column"
        number, label = 2, short
        while label in found:
            label, number = f"{short} ({number})", number + 1
        found.append(label)
    return found
