"""Rules for rows: those that hold NULL where none may be, and those that break a CHECK."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from postgast import pg_query_pb2 as grammar

from pgrunbook.derived import references
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, constraints, expression, literal, quoted, shown
from pgrunbook.header import Header
from pgrunbook.naming import Tree, walk
from pgrunbook.session import Connection

__all__ = [
    "NEW_COLUMN", "NULLS", "VIOLATIONS", "asked", "few", "nulls", "rows_where", "validation", "violations",
]  # fmt: skip

NULLS = Header(
    "Rows that hold NULL where none may be",
    effect="the statement fails with 23502, or 23514 where a CHECK is validated",
    remedy="fill the column in these rows before the step",
)
VIOLATIONS = Header(
    "Rows that break the rule",
    effect="the statement fails with 23514",
    remedy="correct these rows before the step",
)
NEW_COLUMN = Header(
    "A table with rows gets a column that may not be empty",
    effect="the statement fails with 23502: the rows that are there would hold NULL",
    remedy="give the column a DEFAULT, or add it first, fill it, and forbid NULL last",
)
_NO_CONSTRAINT = Header(
    "The constraint to validate is not there",
    effect="the statement fails with 42704",
    remedy="check the name of the constraint and of the table",
)


def nulls(table: Table, column: str, course: Course, site: Site, *, only: bool = False) -> Iterator[Check]:
    """Yield the question for rows in which a column is NULL; none where the server has it proved."""
    known = table.columns.get(column)
    if course.leaves_empty(table.written, column):
        yield few(table, 1, f"rows of {table.written} without {column}", NEW_COLUMN, course, site)
    if course.touches(table.written, column) or (known is not None and known.required):
        return
    about = f"nulls in {table.written} ({column})"
    covers = ("nulls", table.written, column)
    yield rows_where(table, table.is_null(column), about, NULLS, course, site, only=only, covers=covers)


def violations(
    table: Table, constraint: Tree, course: Course, site: Site, *, only: bool = False
) -> Iterator[Check]:
    """Yield the question for rows that break a CHECK; a rule that says neither yes nor no is kept."""
    rule, test = constraint.raw_expr, constraint.raw_expr.null_test
    covers: tuple[str, ...] = ()
    columns = [node.fields[-1].string.sval for node in walk(rule) if node.DESCRIPTOR.name == "ColumnRef"]
    if any(course.touches(table.written, column) for column in columns):
        return
    known = table.columns.get(columns[0]) if columns else None
    plain = known is not None and not known.composite
    if plain and test.nulltesttype == grammar.IS_NOT_NULL and len(test.arg.column_ref.fields) == 1:
        broken, header = f"{quoted(columns[0])} IS NULL", NULLS
        about = f"nulls in {table.written} ({columns[0]})"
        covers = ("nulls", table.written, columns[0])
        # The same question as for SET NOT NULL, word for word.
        columns = []
    else:
        broken, header = f"NOT coalesce({expression(rule)}, true)", VIOLATIONS
        about = f"violations of {constraint.conname or expression(rule)[1:-1]} in {table.written}"
    only = only or constraint.is_no_inherit
    yield rows_where(table, broken, about, header, course, site, columns, only=only, covers=covers)


def validation(
    conn: Connection, table: Table, constraint: str, course: Course, site: Site
) -> Iterator[Check]:
    """Yield the question for what a VALIDATE CONSTRAINT would find, by the catalog or by the step that adds it."""
    if added := course.added(table.written, constraint):
        made = added[0]
        match made.contype:
            case grammar.CONSTR_CHECK:
                yield from violations(table, made, course, site)
            case grammar.CONSTR_FOREIGN:
                yield from references.orphans(conn, table, made, course, site)
            case grammar.CONSTR_NOTNULL:
                yield from nulls(table, made.keys[0].string.sval, course, site)
        return
    if course.drops(table.written, constraint):
        return
    found = constraints(conn, table.written, constraint=constraint)
    if not found and course.parts_made:
        return
    if not found:
        about = f"constraint {constraint} of {table.written}"
        missing = {"constraint": constraint, "table": table.written}
        yield Check(site.step, about, _NO_CONSTRAINT, look=lambda _conn: [missing])
    elif not found[0]["validated"]:
        kept = found[0]
        if kept["type"] == "c":
            about = f"violations of {constraint} in {table.written}"
            broken = f"NOT coalesce(({kept['expression']}), true)"
            only = kept["no_inherit"]
            yield rows_where(table, broken, about, VIOLATIONS, course, site, kept["columns"], only=only)
        elif kept["type"] == "n":
            yield from nulls(table, kept["columns"][0], course, site)
        elif kept["type"] == "f":
            yield references.orphans_by(
                table, kept["columns"], kept["parent"], kept["parent_columns"], course, site,
                full=kept["match_full"], about=constraint, parent_only=kept["parent_only"],
            )  # fmt: skip


def few(
    table: Table, rows: int, about: str, header: Header, course: Course, site: Site, where: str = ""
) -> Check:
    """Return the question whether a table has so many rows; that there are any is all that matters."""
    some = f"SELECT FROM {table.written}{f' WHERE {where}' if where else ''} LIMIT {rows}"
    text = (
        f"SELECT {literal(table.written)}::text AS \"table\", 'at least {rows}' AS rows"
        f" WHERE (SELECT count(*) FROM ({some}) AS few) = {rows}"
    )
    return asked(text, about, header, table, course, site)


def rows_where(
    table: Table,
    broken: str,
    about: str,
    header: Header,
    course: Course,
    site: Site,
    columns: Sequence[str] = (),
    *,
    only: bool = False,
    rows: str = "",
    covers: tuple[str, ...] = (),
) -> Check:
    """Return the question for rows of a table by a condition, with their key and these columns.

    `rows` are the table's as a command will have made them, to read FROM.
    """
    known = [c for c in dict.fromkeys([*table.key, *columns]) if rows or c in table.columns]
    source = table.alone if only else table.written
    if rows:
        source = f"{rows} AS {table.bare}"
    text = f"SELECT {shown(known)} FROM {source} WHERE {broken}"
    return asked(text, about, header, table, course, site, covers=covers, ordered=len(table.key))


def asked(
    text: str,
    about: str,
    header: Header,
    table: Table,
    course: Course,
    site: Site,
    *,
    covers: tuple[str, ...] = (),
    ordered: int = 0,
) -> Check:
    """Return a question about rows of a table that are there now."""
    return Check(
        site.step, about, header, text=text, ordered=ordered, path=site.path,
        doubt=course.changes_rows(table.written), sure=not course.names, covers=covers,
    )  # fmt: skip
