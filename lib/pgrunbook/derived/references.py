"""References: rows without the row that a foreign key asks for, the key they need, and the table that they lock."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook import session
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, quoted, shown
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree
from pgrunbook.session import Connection

__all__ = ["of_constraint", "orphans", "orphans_by"]

_ORPHANS = Header(
    "Rows that refer to nothing",
    effect="the statement fails with 23503",
    remedy="remove these rows, correct them, or set the reference to NULL before the step",
)
_NO_KEY = Header(
    "Nothing makes the referenced columns unique",
    effect="the statement fails with 42830",
    remedy="add a unique index on exactly these columns of the referenced table first; a partial one does not do",
)
_LOCKS = Header(
    "Tables whose writers wait while a foreign key is added",
    effect="SHARE ROW EXCLUSIVE on both tables, the referenced one too: readers pass, writers wait",
    remedy="look at how busy the referenced table is; NOT VALID keeps the lock short",
    severity=Severity.INFO,
)


def of_constraint(
    conn: Connection, table: Table, constraint: Tree, course: Course, site: Site, *, fresh: bool = False
) -> Iterator[Check]:
    """Yield the questions about an ADD FOREIGN KEY: orphans, the key they need, whom it locks.

    `fresh` says that its column is added with it, so that there is nothing in it yet.
    """
    if not constraint.skip_validation and not fresh:
        yield from orphans(conn, table, constraint, course, site)
    parent = site.table(conn, constraint.pktable, course)
    if parent is None:
        return
    columns, about = _parent_columns(constraint, parent), f"{table.written} to {parent.written}"
    asked = {"table": parent.written, "columns": columns or None}
    if not course.has_unique(parent.written):
        yield Check(
            site.step,
            f"key for the reference of {about}",
            _NO_KEY,
            look=lambda conn: session.rows(conn, "derived_missing_key", asked),
            path=site.path,
            sure=not course.names,
        )
    yield Check(
        site.step,
        f"locks for the reference of {about}",
        _LOCKS,
        look=lambda conn: session.rows(
            conn, "derived_traffic", {"tables": list(dict.fromkeys([parent.written, table.written]))}
        ),
        path=site.path,
    )


def orphans(
    conn: Connection,
    table: Table,
    constraint: Tree,
    course: Course,
    site: Site,
    *,
    column: str = "",
    rows: str = "",
) -> Iterator[Check]:
    """Yield the question for rows whose reference would find nothing.

    `column` is the one that a constraint of a new column belongs to, `rows` are those of the table with it.
    """
    columns = [node.string.sval for node in constraint.fk_attrs] or [column]
    parent = site.table(conn, constraint.pktable, course)
    if parent is None or any(course.touches(table.written, column) for column in columns):
        return
    wanted = _parent_columns(constraint, parent)
    if any(course.touches(parent.written, column) for column in wanted):
        return
    if len(wanted) == len(columns):
        about = constraint.conname or f"({', '.join(columns)})"
        yield orphans_by(
            table, columns, parent.written, wanted, course, site,
            full=constraint.fk_matchtype == "f", about=about, parent_only=parent.kind != "p", rows=rows,
        )  # fmt: skip


def orphans_by(
    table: Table,
    columns: Sequence[str],
    parent: str,
    wanted: Sequence[str],
    course: Course,
    site: Site,
    *,
    full: bool,
    about: str,
    parent_only: bool = False,
    rows: str = "",
    parent_rows: str = "",
) -> Check:
    """Return the question for rows of a table whose columns are found in no row of another.

    A row with a NULL refers to nothing; under MATCH FULL all of its columns have to be NULL for that. `rows` and
    `parent_rows` are those of the tables as a command will have made them, to read FROM.
    """
    given = [f"c.{quoted(column)}" for column in columns]
    pairs = [f"p.{quoted(one)} = {other}" for one, other in zip(wanted, given, strict=True)]
    # As the server's own check does: rows of tables that inherit do not count.
    source = parent_rows or (f"ONLY {parent}" if parent_only else parent)
    all_given = " AND ".join(f"{one} IS NOT NULL" for one in given)
    missing = f"{all_given} AND NOT EXISTS (SELECT FROM {source} AS p WHERE {' AND '.join(pairs)})"
    if full and len(given) > 1:
        missing = f"({missing}) OR num_nulls({', '.join(given)}) BETWEEN 1 AND {len(given) - 1}"
    known = [c for c in dict.fromkeys([*table.key, *columns]) if rows or c in table.columns]
    doubt = course.changes_rows(table.written) or course.changes_rows(parent)
    return Check(
        site.step,
        f"orphans of {about} in {table.written}",
        _ORPHANS,
        text=f"SELECT {shown(known, 'c.')} FROM {rows or table.alone} AS c WHERE {missing}",
        ordered=len(table.key),
        path=site.path,
        doubt=doubt,
        sure=not course.names,
    )


def _parent_columns(constraint: Tree, parent: Table) -> list[str]:
    return [node.string.sval for node in constraint.pk_attrs] or list(parent.key)
