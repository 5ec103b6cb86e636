"""Rows as a command leaves them: with a column that is new or has other values, and the rules that these break."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import postgast
from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived import references, rules, tables, unique
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course, default_of, is_serial
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, expression, quoted, type_name
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree, walk
from pgrunbook.session import Connection

__all__ = ["new_column", "new_values"]

_SAME_VALUE = Header(
    "A table with several rows gets a unique column with one value for all",
    effect="the statement fails with 23505",
    remedy="add the column first, give each row its value, and make it unique last",
)
_VALUES = Header(
    "Values that a new column cannot hold",
    effect="the statement fails with what its type or its expression says, 23502 or 23514 for a domain",
    remedy="give the column another default, or correct the rows that its expression fails for",
)
_NOT_KNOWN = Header(
    "A new column whose values only the statement makes",
    effect="its default calls a volatile function: whether its rules hold is not known before",
    remedy="add the column first, fill it, and add the rule last",
    severity=Severity.WARN,
)
_NEVER_TWICE = {"gen_random_uuid", "nextval", "uuidv4", "uuidv7"}
# From left to right every value stays what it was.
_WIDER = (("smallint", "integer", "bigint", "numeric"), ("character varying", "text"))


@dataclass(frozen=True, slots=True)
class _Remade:
    """A table whose column has another value, or is new, in all of its rows."""

    table: Table
    column: str
    value: str

    @property
    def rows(self) -> str:
        """Return its rows as something to read FROM."""
        others = [quoted(column) for column in self.table.columns if column != self.column]
        listed = ", ".join([*others, f"{self.value} AS {quoted(self.column)}"])
        return f"(SELECT {listed} FROM {self.table.written})"


def new_column(conn: Connection, table: Table, column: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the questions whether the rows that are there can be given a new column, by its own rules."""
    given, domain = (
        default_of(column),
        session.rows(conn, "derived_domain", {"type": type_name(column.type_name)}),
    )
    rules_given = [node.constraint for node in column.constraints]
    generated = given is not None and given.contype == grammar.CONSTR_GENERATED
    if is_serial(column) or (given is not None and given.contype == grammar.CONSTR_IDENTITY):
        return
    text = expression(given.raw_expr) if given is not None else ""
    if domain and not any(one.contype == grammar.CONSTR_DEFAULT for one in rules_given):
        text = text or domain[0]["default"]
    about = f"the new {table.written} ({column.colname})"
    if text and not generated and (calls := _volatile(conn, text)):
        kinds = {one.contype for one in rules_given}
        same = kinds & {grammar.CONSTR_UNIQUE, grammar.CONSTR_PRIMARY} and not calls <= _NEVER_TWICE
        if domain or same or kinds & {grammar.CONSTR_CHECK, grammar.CONSTR_FOREIGN}:
            yield Check(site.step, f"rules of {about}", _NOT_KNOWN)
        return
    new = _Remade(table, column.colname, f"({text or 'NULL'})::{type_name(column.type_name)}")
    if domain or generated:
        # One value is the same for all rows; a generated one is each row's own.
        rows = f"(SELECT * FROM {new.rows} AS new{'' if generated else ' LIMIT 1'}) AS new"
        values = f"count({quoted(new.column)})"
        query = f"SELECT {values} AS values FROM {rows} HAVING {values} < 0"
        yield rules.asked(query, f"values of {about}", _VALUES, table, course, site)
    for one in rules_given:
        yield from _own_rule(conn, new, one, course, site, empty=not text, generated=generated)


def _own_rule(
    conn: Connection, new: _Remade, rule: Tree, course: Course, site: Site, *, empty: bool, generated: bool
) -> Iterator[Check]:
    """Yield the question for one constraint of a new column."""
    table, column = new.table, quoted(new.column)
    without = f"rows of {table.written} without {new.column}"
    same = without.replace("without", "with the same")
    match rule.contype:
        case grammar.CONSTR_NOTNULL | grammar.CONSTR_PRIMARY if generated:
            yield rules.rows_where(
                table,
                f"{column} IS NULL",
                without,
                rules.NEW_COLUMN,
                course,
                site,
                [new.column],
                rows=new.rows,
            )
        case grammar.CONSTR_NOTNULL | grammar.CONSTR_PRIMARY:
            where = "" if empty else f"{new.value} IS NULL"
            yield rules.few(table, 1, without, rules.NEW_COLUMN, course, site, where)
        case grammar.CONSTR_CHECK if not rule.skip_validation:
            said = expression(rule.raw_expr)
            about = f"violations of {rule.conname or said[1:-1]} in {table.written}"
            broken = f"NOT coalesce({said}, true)"
            yield rules.rows_where(
                table, broken, about, rules.VIOLATIONS, course, site, [new.column], rows=new.rows
            )
        case grammar.CONSTR_FOREIGN if not empty:
            yield from references.orphans(conn, table, rule, course, site, column=new.column, rows=new.rows)
    if rule.contype in (grammar.CONSTR_UNIQUE, grammar.CONSTR_PRIMARY):
        nulls = rule.nulls_not_distinct
        if generated:
            keys = [unique.Key(column, new.column, new.column)]
            yield from unique.duplicates(table, keys, "", course, site, distinct=not nulls, rows=new.rows)
        elif nulls or not empty:
            where = "" if nulls else f"{new.value} IS NOT NULL"
            yield rules.few(table, 2, same, _SAME_VALUE, course, site, where)


def new_values(
    conn: Connection, table: Table, column: str, made: Tree, course: Course, site: Site
) -> Iterator[Check]:
    """Yield the questions whether the values that an ALTER COLUMN TYPE makes keep the rules that are there."""
    known, type_ = table.columns.get(column), type_name(made.type_name)
    using = expression(made.raw_default) if made.HasField("raw_default") else ""
    if known is None or (not using and _keeps(known.type, conn, made)):
        return
    new = _Remade(table, column, f"({using or quoted(column)})::{type_}")
    by = f"by the new {column}"
    if known.required and using:
        about = f"nulls in {table.written} {by}"
        broken = f"{quoted(column)} IS NULL"
        yield rules.rows_where(table, broken, about, rules.NULLS, course, site, [column], rows=new.rows)
    for rule in tables.constraints(conn, table.written, column=column):
        if course.drops(table.written, rule["name"]):
            continue
        if rule["type"] == "c":
            about = f"violations of {rule['name']} in {table.written} {by}"
            broken = f"NOT coalesce(({rule['expression']}), true)"
            yield rules.rows_where(
                table, broken, about, rules.VIOLATIONS, course, site, [column], rows=new.rows
            )
        elif rule["type"] == "f" and (child := tables.find(conn, rule["child"])) is not None:
            yield references.orphans_by(
                table if rule["own"] else child, rule["columns"], rule["parent"], rule["parent_columns"], course, site,
                full=rule["match_full"], about=f"{rule['name']} {by}", parent_only=rule["parent_only"],
                rows=new.rows if rule["changed"] else "", parent_rows=new.rows if rule["parent_changed"] else "",
            )  # fmt: skip
    yield from unique.of_kept(conn, table.oid, table, course, site, by=by, rows=new.rows, column=column)


def _keeps(old: str, conn: Connection, made: Tree) -> bool:
    """Return whether a type keeps every value of another as it is, and makes no two of them one."""
    if made.type_name.typmods or made.HasField("coll_clause"):
        return False
    new = session.value(conn, "SELECT format_type(to_regtype(%s), NULL)", (type_name(made.type_name),))
    plain = old.partition("(")[0]
    return any(new in order[order.index(plain) :] for order in _WIDER if plain in order)


def _volatile(conn: Connection, text: str) -> set[str]:
    """Return the functions by which an expression may give each row its own value; in doubt all of a name."""
    nodes = walk(postgast.parse(f"SELECT {text}"))
    names = [node.funcname[-1].string.sval for node in nodes if node.DESCRIPTOR.name == "FuncCall"]
    return {row["name"] for row in session.rows(conn, "derived_volatile", {"names": names})}
