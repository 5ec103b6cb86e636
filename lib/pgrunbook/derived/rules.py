"""Rules for rows: those that hold NULL where none may be, and those that break a CHECK."""

from __future__ import annotations

from collections.abc import Iterator

from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived import references
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course, default_of, is_serial
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, expression, labels, literal, quoted, type_name
from pgrunbook.header import Header
from pgrunbook.naming import Tree, quote_name, walk
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = ["new_column", "nulls", "validation", "violations"]

_NULLS = Header(
    "Rows that hold NULL where none may be",
    effect="the statement fails with 23502, or 23514 where a CHECK is validated",
    remedy="fill the column in these rows before the step",
)
_VIOLATIONS = Header(
    "Rows that break the rule",
    effect="the statement fails with 23514",
    remedy="correct these rows before the step",
)
_NEW_COLUMN = Header(
    "A table with rows gets a column that may not be empty",
    effect="the statement fails with 23502: the rows that are there would hold NULL",
    remedy="give the column a DEFAULT, or add it first, fill it, and forbid NULL last",
)
_SAME_VALUE = Header(
    "A table with several rows gets a unique column with one value for all",
    effect="the statement fails with 23505",
    remedy="add the column first, give each row its value, and make it unique last",
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
        yield _few(table, 1, f"rows of {table.written} without {column}", _NEW_COLUMN, course, site)
    if course.touches(table.written, column) or (known is not None and known.required):
        return
    about = f"nulls in {table.written} ({column})"
    yield _rows(
        table,
        table.is_null(column),
        about,
        _NULLS,
        course,
        site,
        only,
        covers=("nulls", table.written, column),
    )


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
        broken, header = f"{quoted(columns[0])} IS NULL", _NULLS
        about = f"nulls in {table.written} ({columns[0]})"
        covers = ("nulls", table.written, columns[0])
        # The same question as for SET NOT NULL, word for word.
        columns = []
    else:
        broken, header = f"NOT coalesce({expression(rule)}, true)", _VIOLATIONS
        about = f"violations of {constraint.conname or expression(rule)[1:-1]} in {table.written}"
    only = only or constraint.is_no_inherit
    yield _rows(table, broken, about, header, course, site, only, columns, covers)


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
    found = session.rows(conn, "derived_constraint", {"table": table.written, "name": constraint})
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
            yield _rows(table, broken, about, _VIOLATIONS, course, site, kept["no_inherit"], kept["columns"])
        elif kept["type"] == "n":
            yield from nulls(table, kept["columns"][0], course, site)
        elif kept["type"] == "f":
            yield references.orphans_by(
                table, kept["columns"], kept["parent"], kept["parent_columns"], course, site,
                full=kept["match_full"], about=constraint, parent_only=kept["parent_only"],
            )  # fmt: skip


def new_column(table: Table, column: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question whether a table has rows that a new column could not be given to."""
    kinds = {node.constraint.contype for node in column.constraints}
    given = default_of(column)
    about = f"rows of {table.written} without {column.colname}"
    if given is None and not is_serial(column) and kinds & {grammar.CONSTR_NOTNULL, grammar.CONSTR_PRIMARY}:
        yield _few(table, 1, about, _NEW_COLUMN, course, site)
    fixed = _value(column, given)
    if fixed and not is_serial(column):
        bare = quote_name(split_name(table.written)[-1])
        value = f"({fixed})::{type_name(column.type_name)} AS {quoted(column.colname)}"
        source = f"(SELECT *, {value} FROM {table.written}) AS {bare}"
        for one in (node.constraint for node in column.constraints):
            if one.contype == grammar.CONSTR_CHECK and not one.skip_validation:
                rule = expression(one.raw_expr)
                text = f"SELECT * FROM {source} WHERE NOT coalesce({rule}, true)"
                yield _check(
                    text,
                    f"violations of {one.conname or rule[1:-1]} in {table.written}",
                    _VIOLATIONS,
                    table,
                    course,
                    site,
                )
            if one.contype == grammar.CONSTR_NOTNULL and given is not None:
                text = f"SELECT * FROM {source} WHERE {quoted(column.colname)} IS NULL"
                yield _check(text, about, _NEW_COLUMN, table, course, site)
            if one.contype in (grammar.CONSTR_UNIQUE, grammar.CONSTR_PRIMARY) and (
                given is not None or one.nulls_not_distinct
            ):
                value = quoted(column.colname)
                null = "" if one.nulls_not_distinct else f" WHERE {value} IS NOT NULL"
                text = f"SELECT {value}, count(*) AS rows FROM {source}{null} GROUP BY 1 HAVING count(*) > 1"
                yield _check(
                    text,
                    f"duplicates of {table.written} ({column.colname})",
                    _SAME_VALUE,
                    table,
                    course,
                    site,
                )
    constant = (
        given is not None and given.contype == grammar.CONSTR_DEFAULT and given.raw_expr.HasField("a_const")
    )
    if constant and kinds & {grammar.CONSTR_UNIQUE, grammar.CONSTR_PRIMARY}:
        yield _few(table, 2, about.replace("without", "with the same"), _SAME_VALUE, course, site)


def _value(column: Tree, given: Tree | None) -> str:
    """Return what a new column holds in the rows that are there; empty where that cannot be told."""
    if given is None:
        return "NULL"
    if given.contype == grammar.CONSTR_IDENTITY:
        return ""
    calls = {
        node.funcname[-1].string.sval for node in walk(given.raw_expr) if node.DESCRIPTOR.name == "FuncCall"
    }
    # Other functions may give each row its own value.
    known = given.contype == grammar.CONSTR_GENERATED or calls <= {"now", "lower", "upper", "coalesce"}
    return expression(given.raw_expr) if known else ""


def _few(table: Table, rows: int, about: str, header: Header, course: Course, site: Site) -> Check:
    # Whether there are any is all that matters: nobody has to count them.
    text = (
        f"SELECT {literal(table.written)}::text AS \"table\", 'at least {rows}' AS rows"
        f" WHERE (SELECT count(*) FROM (SELECT FROM {table.written} LIMIT {rows}) AS few) = {rows}"
    )
    return _check(text, about, header, table, course, site)


def _rows(
    table: Table,
    broken: str,
    about: str,
    header: Header,
    course: Course,
    site: Site,
    only: bool,
    columns: list[str] | None = None,
    covers: tuple[str, ...] = (),
) -> Check:
    shown = [c for c in dict.fromkeys([*table.key, *(columns or [])]) if c in table.columns]
    heads = labels(shown)
    listed = ", ".join(f"{quoted(c)} AS {quoted(h)}" for c, h in zip(shown, heads, strict=True))
    listed = listed or ("tableoid::regclass::text AS part, ctid::text AS place")
    source = table.alone if only else table.written
    text = f"SELECT {listed} FROM {source} WHERE {broken}"
    return _check(text, about, header, table, course, site, covers)


def _check(
    text: str,
    about: str,
    header: Header,
    table: Table,
    course: Course,
    site: Site,
    covers: tuple[str, ...] = (),
) -> Check:
    return Check(
        site.step, about, header, text=text, path=site.path,
        doubt=course.changes_rows(table.written), sure=not course.names, covers=covers,
    )  # fmt: skip
