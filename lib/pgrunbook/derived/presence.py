"""Presence: objects that a CREATE finds there already, the same or of another shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import postgast
from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, constraints, quoted
from pgrunbook.header import Header
from pgrunbook.naming import Tree, name
from pgrunbook.session import Connection

__all__ = ["of_column", "of_constraint", "of_relation"]

_TAKEN = Header(
    "The name is taken",
    effect="the statement fails with 42P07, a column with 42701, a constraint or policy with 42710",
    remedy="find out who uses the object that is there, then rename or drop it, or choose another name",
)
_SHAPE = Header(
    "An object is there already, and is another one",
    effect="IF NOT EXISTS would take it as it is, without a word",
    remedy="find out who uses it, then rename or drop it, or change it to what the step means",
)


_NAMED = {"CreateStmt": "relation", "CreateSeqStmt": "sequence", "ViewStmt": "view"}


def of_relation(tree: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question whether the relation that a CREATE makes is there, and how it differs."""
    kind = tree.DESCRIPTOR.name
    relation = getattr(tree, _NAMED.get(kind, "into"))
    relation = relation.rel if kind == "CreateTableAsStmt" else relation
    written = name(relation)
    if course.makes(written) or course.drops(written) or relation.relpersistence == "t":
        return
    if kind == "ViewStmt" and tree.replace:
        return
    asked = {"schema": relation.schemaname or None, "name": relation.relname}
    if kind in ("ViewStmt", "CreateTableAsStmt") or not tree.if_not_exists:
        if kind != "CreateTableAsStmt" or not tree.if_not_exists:
            yield _taken(f"name {written}", asked, site)
        return

    def differences(conn: Connection) -> Sequence[Mapping[str, Any]]:
        with site.trying(conn):
            found = session.rows(conn, "derived_relation", asked)
            if not found:
                return []
            wanted = "S" if kind == "CreateSeqStmt" else "p" if tree.HasField("partspec") else "r"
            if found[0]["kind"] != wanted:
                return [
                    {
                        "of": written,
                        "expected": _KINDS[wanted],
                        "found": _KINDS.get(found[0]["kind"], "other"),
                    }
                ]
            if wanted != "S" and tree.HasField("partbound"):
                # A temporary partition of it would be no copy: it is one, or it is not.
                whole = name(tree.inh_relations[0].range_var)
                inside = (
                    "SELECT inhparent FROM pg_inherits WHERE inhrelid = %s AND inhparent = to_regclass(%s)"
                )
                if session.value(conn, inside, (found[0]["oid"], whole)) is not None:
                    return []
                return [{"of": written, "expected": f"a partition of {whole}", "found": "another table"}]
            copied = postgast.parse(postgast.deparse(_wrapped(tree)))
            copy = getattr(copied.stmts[0].stmt, "create_seq_stmt" if wanted == "S" else "create_stmt")
            _make_copy(conn, copied, copy, copy.sequence if wanted == "S" else copy.relation)
            query = "derived_sequence_shape" if wanted == "S" else "derived_table_shape"
            return session.rows(
                conn, query, {"found": found[0]["oid"], "expected": f"pg_temp.{quoted(relation.relname)}"}
            )

    yield Check(site.step, f"shape of {written}", _SHAPE, look=differences, copies=True)


def of_column(table: Table, command: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question whether a column that is added is there, and how it differs."""
    column = getattr(command, "def").column_def
    if course.touches(table.written, column.colname) or course.drops(table.written, column.colname):
        return
    about = f"column {column.colname} of {table.written}"
    if not command.missing_ok:
        taken = [{"table": table.written, "column": column.colname}] * (column.colname in table.columns)
        yield Check(site.step, about, _TAKEN, look=lambda _conn: taken)
    elif column.colname in table.columns:

        def differences(conn: Connection) -> Sequence[Mapping[str, Any]]:
            with site.trying(conn):
                copied = postgast.parse("CREATE TEMP TABLE pgrunbook_column (x int)")
                copy = copied.stmts[0].stmt.create_stmt
                copy.table_elts[0].column_def.CopyFrom(column)
                _without_references(copy)
                conn.execute(postgast.deparse(copied).encode())
                rows = session.rows(
                    conn, "derived_table_shape", {"found": table.oid, "expected": "pg_temp.pgrunbook_column"}
                )
                return [row for row in rows if row["of"] == f"column {column.colname}"]

        yield Check(site.step, f"shape of {about}", _SHAPE, look=differences, copies=True)


def of_constraint(table: Table, constraint: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question whether the name of a constraint that is added is taken."""
    given = constraint.conname
    if not given or course.drops(table.written, given) or course.added(table.written, given):
        return
    yield Check(
        site.step,
        f"name {given} on {table.written}",
        _TAKEN,
        look=lambda conn: [
            {"constraint": given, "of": table.written, "found": row["type"]}
            for row in constraints(conn, table.written, constraint=given)
        ],
        path=site.path,
    )


_KINDS = {"r": "a table", "p": "a partitioned table", "S": "a sequence", "v": "a view", "i": "an index"}
_KINDS |= {"m": "a materialized view", "f": "a foreign table", "c": "a composite type"}


def _taken(about: str, asked: Mapping[str, object], site: Site) -> Check:
    def look(conn: Connection) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": row["name"], "found": _KINDS.get(row["kind"], "another relation")}
            for row in session.rows(conn, "derived_relation", asked)
        ]

    return Check(site.step, about, _TAKEN, look=look, path=site.path)


def _wrapped(tree: Tree) -> Tree:
    """Return a whole text of one statement, whose copy may be changed."""
    whole = postgast.parse("SELECT 1")
    field = {"CreateStmt": "create_stmt", "CreateSeqStmt": "create_seq_stmt"}[tree.DESCRIPTOR.name]
    getattr(whole.stmts[0].stmt, field).CopyFrom(tree)
    return whole


def _make_copy(conn: Connection, whole: Tree, copy: Tree, relation: Tree) -> None:
    """Make the relation among the temporary ones; a reference to another table would lock that one."""
    relation.schemaname, relation.relpersistence = "", "t"
    copy.if_not_exists = False
    if copy.DESCRIPTOR.name == "CreateSeqStmt":
        kept = [node for node in copy.options if node.def_elem.defname != "owned_by"]
        del copy.options[:]
        copy.options.extend(kept)
    else:
        copy.tablespacename = ""
        _without_references(copy)
    conn.execute(postgast.deparse(whole).encode())


def _without_references(copy: Tree) -> None:
    foreign = grammar.CONSTR_FOREIGN
    kept = [node for node in copy.table_elts if node.constraint.contype != foreign]
    for node in kept:
        own = [one for one in node.column_def.constraints if one.constraint.contype != foreign]
        if node.HasField("column_def"):
            del node.column_def.constraints[:]
            node.column_def.constraints.extend(own)
    kept = [type(node).FromString(node.SerializeToString()) for node in kept]
    del copy.table_elts[:]
    copy.table_elts.extend(kept)
