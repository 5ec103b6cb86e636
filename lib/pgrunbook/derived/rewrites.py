"""Rewrites: commands that write a table anew, and values that another type would not take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import postgast
from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, expression, literal, quoted, shown, type_name
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = ["of_command"]

MATTERS_BYTES = 10_000_000
"""A smaller table is written anew before anybody notices."""
_REWRITE = Header(
    "The whole table is written anew",
    effect="nobody reads or writes it meanwhile, and the disk needs room for a second copy with its indexes",
    remedy="add a new column, fill it in batches and swap the two, or plan the time",
    severity=Severity.WARN,
)
_USED = Header(
    "Objects that use a column whose type changes",
    effect="the statement fails with 0A000",
    remedy="drop them in a step before, and make them again after",
)
_VALUES = Header(
    "Values that the new type does not take",
    effect="the statement fails with 22001, 22003 or 22P02",
    remedy="correct these rows before the step",
)
_INTEGERS = {"int2": 15, "int4": 31, "int8": 63}
_NUMBERS = ("smallint", "integer", "bigint", "numeric", "real", "double precision")
_SIZED = ("varchar", "bpchar", "bit", "varbit")
_TEXTS = ("text", "character varying", "character")


def of_command(
    conn: Connection, tree: Tree, command: Tree, table: Table, course: Course, site: Site
) -> Iterator[Check]:
    """Yield the questions about an ALTER COLUMN TYPE, or an ADD COLUMN that may rewrite the table."""
    column = getattr(command, "def").column_def
    name = command.name or column.colname
    about = f"{table.written} ({name})"

    def written_anew(conn: Connection) -> Sequence[Mapping[str, Any]]:
        with site.trying(conn):
            if not _rewrites(conn, table, command):
                return []
            found = session.rows(conn, "relation_sizes", {"tables": [table.name]})
        large = [row for row in found if row["table_bytes"] >= MATTERS_BYTES]
        return [{"table": row["name"], "bytes": row["table_bytes"] + row["index_bytes"]} for row in large]

    def uses(conn: Connection) -> Sequence[Mapping[str, Any]]:
        return session.rows(conn, "derived_column_users", {"table": table.written, "column": name})

    fresh = course.touches(table.written, name)
    if not fresh:
        yield Check(
            site.step, f"rewrite of {about}", _REWRITE, look=written_anew, copies=True, sure=not course.names
        )
    if command.subtype != grammar.AT_AlterColumnType or fresh:
        return
    yield Check(site.step, f"users of {about}", _USED, look=uses, path=site.path)
    text = _values(conn, table, name, column)
    if text:
        yield Check(
            site.step, f"values of {about}", _VALUES, text=text, ordered=len(table.key), path=site.path,
            doubt=course.changes_rows(table.written), sure=not course.names,
        )  # fmt: skip


def _rewrites(conn: Connection, table: Table, command: Tree) -> bool:
    """Return whether the server gives an empty copy of the table a new file when it runs the command."""
    bare = split_name(table.written)[-1]
    copy = quoted("pg_temp", bare)
    parts = "INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS"
    conn.execute(f"CREATE TABLE {copy} (LIKE {table.name} {parts})".encode())
    whole = postgast.parse("ALTER TABLE pg_temp.x ADD y int")
    alter = whole.stmts[0].stmt.alter_table_stmt
    alter.relation.relname = bare
    own = alter.cmds[0].alter_table_cmd
    own.CopyFrom(command)
    constraints = getattr(own, "def").column_def.constraints
    kept = [node for node in constraints if node.constraint.contype != grammar.CONSTR_FOREIGN]
    kept = [type(node).FromString(node.SerializeToString()) for node in kept]
    if getattr(own, "def").HasField("column_def"):
        del constraints[:]
        constraints.extend(kept)
    before = session.value(conn, "SELECT pg_relation_filenode(%s::regclass)", (copy,))
    conn.execute(postgast.deparse(whole).encode())
    return bool(before != session.value(conn, "SELECT pg_relation_filenode(%s::regclass)", (copy,)))


def _values(conn: Connection, table: Table, name: str, column: Tree) -> str:
    """Return the query for values that cannot be converted; empty where all can.

    Without a way to list them it is one that meets the first of them, as the statement would.
    """
    known = table.columns.get(name)
    if known is None:
        return ""
    source, target = known.type.partition("(")[0], column.type_name.names[-1].string.sval
    sizes = [node.a_const.ival.ival for node in column.type_name.typmods]
    type_ = type_name(column.type_name)
    using: Tree = column.raw_default if column.HasField("raw_default") else None
    plain = using is not None and using.type_cast.arg.column_ref.fields and using.type_cast.arg
    own = quoted(name)
    broken = ""
    whole = expression(using) if using is not None else own
    array = bool(column.type_name.array_bounds)
    builtin = [part.string.sval for part in column.type_name.names[:-1]] in ([], ["pg_catalog"])
    integer = builtin and not array and target in _INTEGERS
    if builtin and target in _SIZED and sizes:
        # A cast would cut without a word what an assignment refuses; blanks at the end it cuts, too.
        value = "e" if array else whole
        if target in ("varchar", "bpchar"):
            broken = f"char_length(rtrim({value}::text, ' ')) > {sizes[0]}"
        else:
            broken = f"length({value}) {'<>' if target == 'bit' else '>'} {sizes[0]}"
        if array:
            broken = f"EXISTS (SELECT FROM unnest({whole}) AS e WHERE {broken})"
    elif integer and source in ("real", "double precision") and using is None:
        last = 2 ** _INTEGERS[target]
        number = f"round({own}::double precision)"
        broken = f"NOT ({number} >= {-last} AND {number} < {last})"
    elif integer and source in _NUMBERS and using is None:
        last = 2 ** _INTEGERS[target]
        broken = f"round({own}::numeric) NOT BETWEEN {-last} AND {last - 1}"
    elif (
        plain
        and plain.column_ref.fields[-1].string.sval == name
        and source in _TEXTS
        and type_ == type_name(using.type_cast.type_name)
        and conn.info.server_version >= 160000
    ):
        broken = f"NOT pg_input_is_valid({own}::text, {literal(type_)})"
    if broken:
        keys = shown(list(dict.fromkeys([*table.key, name])))
        return f"SELECT {keys} FROM {table.written} WHERE {broken}"
    if builtin and target in ("text", "varchar") and not sizes and using is None:
        return ""
    value = f"({expression(using) if using is not None else own}::{type_})"
    return f"SELECT count({value}) AS values FROM {table.written} HAVING count({value}) < 0"
