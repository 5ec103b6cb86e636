"""Duplicates: the groups of rows that a unique index or constraint would refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.counting import SAMPLE, TOTAL
from pgrunbook.derived import written
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.rules import nulls
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, expression, labels, quoted
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree
from pgrunbook.session import Connection

__all__ = ["Key", "duplicates", "of_constraint", "of_index", "of_kept"]

_DUPLICATES = Header(
    "Rows that a unique index would refuse",
    effect="the build fails with 23505; one outside a transaction leaves an invalid index behind",
    remedy="decide which row of each group keeps its key, and change or remove the others",
)
_UNLIKE = Header(
    "Duplicates by an operator class of its own",
    effect="the class calls other values equal than GROUP BY does: only the build finds them",
    severity=Severity.WARN,
)
_OVERLAPS = Header(
    "Rows that exclude each other",
    effect="every pair of rows would have to be compared: only the build finds them",
    severity=Severity.INFO,
)


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an index: its expression, the name of its plain column, and how it is headed."""

    text: str
    column: str | None
    label: str


def of_index(conn: Connection, tree: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the question for the duplicates that a CREATE UNIQUE INDEX would meet."""
    # Built on a partitioned table only, an index is built on none of its rows.
    if not tree.unique or (table := site.table(conn, tree.relation, course)) is None:
        return
    if table.kind == "p" and not tree.relation.inh:
        return
    keys = []
    for element in (node.index_elem for node in tree.index_params):
        text = quoted(element.name) if element.name else expression(element.expr)
        if element.collation:
            text += " COLLATE " + quoted(*(part.string.sval for part in element.collation))
        keys.append(Key(text, element.name or None, element.name or text[1:-1]))
        if element.opclass:
            opclass = element.opclass[-1].string.sval
            if session.rows(conn, "derived_operator_class", {"name": opclass}):
                yield Check(site.step, f"duplicates of {table.written} by {opclass}", _UNLIKE)
                return
    where = expression(tree.where_clause) if tree.HasField("where_clause") else ""
    # Rows that have NULL in a key collide with nothing: to leave them out is to say it twice.
    kept = written.not_null_columns(tree.where_clause)
    given = bool(kept) and kept <= {key.column for key in keys}
    distinct = not tree.nulls_not_distinct
    yield from duplicates(table, keys, where, course, site, distinct=distinct, given=given)


def of_constraint(
    conn: Connection, constraint: Tree, table: Table, course: Course, site: Site
) -> Iterator[Check]:
    """Yield the questions about an ADD UNIQUE, ADD PRIMARY KEY or ADD EXCLUDE."""
    if constraint.contype == grammar.CONSTR_EXCLUSION:
        yield Check(site.step, f"overlaps in {table.written}", _OVERLAPS)
        return
    columns = [node.string.sval for node in constraint.keys]
    if constraint.indexname:
        # The index proves that there are no duplicates, NULLs it may hold.
        built = course.built(constraint.indexname)
        columns = (
            [node.index_elem.name for node in built.index_params]
            if built is not None
            else [
                row["column"]
                for row in session.rows(
                    conn, "derived_index_columns", {"index": constraint.indexname, "table": table.written}
                )
            ]
        )
    else:
        keys = [Key(quoted(column), column, column) for column in columns]
        distinct = not constraint.nulls_not_distinct
        yield from duplicates(table, keys, "", course, site, distinct=distinct)
    if constraint.contype == grammar.CONSTR_PRIMARY:
        for column in columns:
            yield from nulls(table, column, course, site)


def of_kept(
    conn: Connection,
    oid: int,
    table: Table,
    course: Course,
    site: Site,
    *,
    by: str,
    rows: str = "",
    column: str = "",
) -> Iterator[Check]:
    """Yield the questions for the duplicates that unique indexes of a relation that are there would meet in a table.

    `column` limits them to those that read it; `rows` and `by` are as for `duplicates`.
    """
    for index in session.rows(conn, "unique_keys", {"oid": oid}):
        gone = course.drops(index["name"]) or course.drops(table.written, index["name"].rpartition(".")[2])
        if gone or index["excludes"] or (column and column not in index["columns"]):
            continue
        keys = [Key(part, None, part.removesuffix(' COLLATE "default"')) for part in index["parts"]]
        where = f"({index['predicate']})" if index["predicate"] else ""
        distinct = not index["nulls_not_distinct"]
        yield from duplicates(table, keys, where, course, site, distinct=distinct, rows=rows, by=f" {by}")


def duplicates(
    table: Table,
    keys: Sequence[Key],
    where: str,
    course: Course,
    site: Site,
    *,
    distinct: bool,
    given: bool = False,
    rows: str = "",
    by: str = "",
) -> Iterator[Check]:
    """Yield the question for the duplicates of a key.

    `given` says that the predicate only leaves out rows that have NULL in a key. `rows` are those of the table as
    a command will have made them, to read FROM; `by` says which command in words.
    """
    if any(key.column and course.touches(table.written, key.column) for key in keys):
        return
    listed = ", ".join(key.label for key in keys)
    conditions = [where] if where else []
    if distinct:
        # A row that has NULL in a key collides with no other.
        optional = [key for key in keys if not (key.column and _required(table, key.column))]
        # An expression may fail for rows that the predicate leaves out, and conditions have no order.
        conditions += [
            f"CASE WHEN {where} THEN {_not_null(table, key)} ELSE false END"
            if where and not key.column
            else _not_null(table, key)
            for key in optional
        ]
    yield Check(
        site.step,
        f"duplicates of {table.written} ({listed})" + (f" where {where[1:-1]}" if where else "") + by,
        _DUPLICATES,
        text=_text(table, keys, conditions, rows=rows),
        by_index="" if rows else _text(table, keys, conditions, by_index=True),
        counted=True,
        path=site.path,
        doubt=course.changes_rows(table.written),
        sure=not course.names,
        covers=_covers(table, keys) if distinct and not rows and (given or not where) else (),
    )


def _covers(table: Table, keys: Sequence[Key]) -> tuple[str, ...]:
    columns = sorted(key.column for key in keys if key.column and key.text == quoted(key.column))
    return ("duplicates", table.written, *columns) if len(columns) == len(keys) else ()


def _required(table: Table, column: str) -> bool:
    return column in table.columns and table.columns[column].required


def _not_null(table: Table, key: Key) -> str:
    known = table.columns.get(key.column or "")
    # An expression may give a row value, and a row of NULLs is not NULL to an index.
    return f"{key.text} IS NOT NULL" if known and not known.composite else f"{key.text} IS DISTINCT FROM NULL"


def _text(
    table: Table, keys: Sequence[Key], conditions: Sequence[str], *, by_index: bool = False, rows: str = ""
) -> str:
    """Return the query: every group once, the largest first, then by key, with the keys of their first and last row.

    The rows are found again by their place, which costs nothing, but is nowhere in an index: where an index
    answers alone, it also finds the rows again.
    """
    shown, count = [f"k{number}" for number in range(1, len(keys) + 1)], len(keys)
    members = table.key if table.kind in "rm" and not by_index and not rows else ()
    headings = labels(
        [*(key.label for key in keys), "rows", *(f"{end} {c}" for c in members for end in ("first", "last"))]
    )
    source = f"{rows} AS {table.bare}" if rows else table.alone
    places = ", min(ctid) AS first, max(ctid) AS last" if members else ""
    groups = (
        f"SELECT {', '.join(f'{key.text} AS {short}' for key, short in zip(keys, shown, strict=True))},"
        f" count(*) AS n{places} FROM {source}"
        + (f" WHERE {' AND '.join(conditions)}" if conditions else "")
        + f" GROUP BY {', '.join(str(number) for number in range(1, count + 1))} HAVING count(*) > 1"
    )
    order = f"n DESC, {', '.join(shown)}"
    columns = [f"s.{short} AS {quoted(head)}" for short, head in zip([*shown, "n"], headings, strict=False)]
    more = iter(headings[count + 1 :])
    columns += [
        f"(SELECT m.{quoted(column)} FROM {table.alone} AS m WHERE m.ctid = s.{end}) AS {quoted(next(more))}"
        for column in members
        for end in ("first", "last")
    ]
    return (
        f"WITH pgrunbook_groups AS MATERIALIZED ({groups}),"
        f" pgrunbook_chosen AS (SELECT * FROM pgrunbook_groups ORDER BY {order} LIMIT {SAMPLE})"
        f" SELECT {', '.join(columns)}, (SELECT count(*) FROM pgrunbook_groups) AS {TOTAL}"
        f" FROM pgrunbook_chosen AS s ORDER BY {order}"
    )
