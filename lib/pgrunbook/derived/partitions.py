"""Partitions: rows outside the bound of a new one, rows that a default holds for it, and keys across all."""

from __future__ import annotations

from collections.abc import Iterator

import postgast

from pgrunbook import session
from pgrunbook.derived import references, tables, unique
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, shown
from pgrunbook.header import Header
from pgrunbook.naming import Tree
from pgrunbook.session import Connection

__all__ = ["of_attach", "of_create"]

_OUTSIDE = Header(
    "Rows outside the bound of a partition",
    effect="the statement fails with 23514",
    remedy="move these rows elsewhere before the step, or attach the table with a bound that holds them",
)
_IN_DEFAULT = Header(
    "Rows of a new partition that the default partition holds",
    effect="the statement fails with 23514",
    remedy="detach the default partition, move these rows to a table of their own, and attach that",
)


def of_attach(conn: Connection, command: Tree, parent: Table, course: Course, site: Site) -> Iterator[Check]:
    """Yield the questions about an ATTACH PARTITION: its rows, the default's, and the keys and references of all."""
    made = getattr(command, "def").partition_cmd
    if parent.kind != "p":
        return
    yield from _in_default(conn, parent, made.bound, course, site)
    child = site.table(conn, made.name, course)
    if child is None:
        return
    about = f"rows of {child.written} outside its bound in {parent.written}"
    yield _rows(child, parent, made.bound, about, _OUTSIDE, course, site, within=False)
    by = f"as a partition of {parent.written}"
    yield from unique.of_kept(conn, parent.oid, child, course, site, by=by)
    for rule in tables.constraints(conn, parent.written):
        if rule["type"] == "f":
            yield references.orphans_by(
                child, rule["columns"], rule["parent"], rule["parent_columns"], course, site,
                full=rule["match_full"], about=rule["name"], parent_only=rule["parent_only"],
            )  # fmt: skip


def of_create(conn: Connection, tree: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question about a CREATE TABLE ... PARTITION OF: whether the default holds rows of its bound."""
    if not tree.HasField("partbound") or (tree.if_not_exists and tables.find(conn, tree.relation)):
        return
    parent = site.table(conn, tree.inh_relations[0].range_var, course)
    if parent is not None:
        yield from _in_default(conn, parent, tree.partbound, course, site)


def _in_default(conn: Connection, parent: Table, bound: Tree, course: Course, site: Site) -> Iterator[Check]:
    written = session.value(
        conn,
        "SELECT partdefid::regclass::text FROM pg_partitioned_table WHERE partrelid = %s AND partdefid <> 0",
        (parent.oid,),
    )
    default = tables.find(conn, written) if written else None
    if default is not None and not bound.is_default and not course.drops(default.written):
        about = f"rows of {default.written} for the new partition of {parent.written}"
        yield _rows(default, parent, bound, about, _IN_DEFAULT, course, site, within=True)


def _rows(
    table: Table,
    parent: Table,
    bound: Tree,
    about: str,
    header: Header,
    course: Course,
    site: Site,
    *,
    within: bool,
) -> Check:
    def text(conn: Connection) -> str:
        condition = _condition(conn, parent, bound, site)
        broken = condition if within else f"NOT coalesce({condition}, true)"
        return f"SELECT {shown(table.key)} FROM {table.written} WHERE {broken}"

    return Check(
        site.step, about, header, draft=text, ordered=len(table.key), path=site.path, sure=not course.names,
        doubt=course.changes_rows(table.written) or course.changes_rows(parent.written),
    )  # fmt: skip


def _condition(conn: Connection, parent: Table, bound: Tree, site: Site) -> str:
    """Return what every row of a partition with this bound must be, as the server says it of an empty copy."""
    with site.trying(conn):
        said = [_said(conn, parent.oid)]
        if bound.is_default:
            siblings = conn.execute(
                "SELECT inhrelid AS oid FROM pg_inherits WHERE inhparent = %s", (parent.oid,)
            )
            said += [f"NOT coalesce({_said(conn, one['oid'])}, false)" for one in siblings.fetchall()]
            return " AND ".join(f"({one})" for one in said)
        by = session.value(conn, "SELECT pg_get_partkeydef(%s)", (parent.oid,))
        conn.execute(f"CREATE TEMP TABLE pgrunbook_whole (LIKE {parent.written}) PARTITION BY {by}".encode())
        whole = postgast.parse(
            "CREATE TEMP TABLE pgrunbook_part PARTITION OF pg_temp.pgrunbook_whole DEFAULT"
        )
        whole.stmts[0].stmt.create_stmt.partbound.CopyFrom(bound)
        conn.execute(postgast.deparse(whole).encode())
        copy, part = (
            session.value(conn, "SELECT to_regclass(%s)::oid", (f"pg_temp.pgrunbook_{name}",))
            for name in ("whole", "part")
        )
        # A hash is that of the table's own.
        said.append(_said(conn, part).replace(f"'{copy}'::oid", f"'{parent.oid}'::oid"))
        return " AND ".join(f"({one})" for one in said)


def _said(conn: Connection, oid: int) -> str:
    return session.value(conn, "SELECT pg_get_partition_constraintdef(%s)", (oid,)) or "true"
