"""Sequences: numbers that would be given out again, and types that are nearly used up."""

from __future__ import annotations

from collections.abc import Iterator

from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived import tables
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, literal, quoted
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree, name, quote_name
from pgrunbook.session import Connection

__all__ = ["of_command", "of_sequence"]

_BEHIND = Header(
    "A sequence that begins below what its column holds",
    effect="the next rows get numbers that are taken: 23505 where the column is unique, doubles where it is not",
    remedy="begin above the column's maximum: START or RESTART WITH, or setval() in the same step",
)
_FULL = Header(
    "A type that is nearly used up",
    effect="with the last number every further row fails with 2200H or 22003",
    remedy="plan the change to bigint before that; the numbers left are in the table",
    severity=Severity.WARN,
)
_LAST = {"smallint": 32_767, "integer": 2_147_483_647, "bigint": 9_223_372_036_854_775_807}
FULL = 0.8
"""The part of a type's numbers from which on it is said to be nearly used up."""


def of_sequence(conn: Connection, tree: Tree, course: Course, site: Site, *, later: bool) -> Iterator[Check]:
    """Yield the questions about a CREATE or ALTER SEQUENCE that has to do with a column.

    `later` says that a statement of the change sets the number itself.
    """
    options = {node.def_elem.defname: node.def_elem.arg for node in tree.options}
    sequence, fresh = name(tree.sequence), tree.DESCRIPTOR.name == "CreateSeqStmt"
    if fresh or course.makes(sequence):
        begins = _begins(options)
    elif "restart" in options:
        begins = str(_number(options["restart"], 0) or _start_of(sequence))
    else:
        begins = _next_of(sequence)
    if "owned_by" in options:
        parts = [item.string.sval for item in options["owned_by"].list.items]
        users = [(".".join(map(quote_name, parts[:-1])), parts[-1])] if len(parts) > 1 else []
    elif "restart" in options and not course.makes(sequence):
        found = session.rows(conn, "derived_sequence_users", {"sequence": sequence})
        users = [(row["table"], row["column"]) for row in found]
    else:
        users = []
    for written, column in users:
        table = tables.find(conn, written)
        if table is not None and not course.makes(written) and not course.touches(written, column):
            yield from _checks(table, column, begins, course, site, later=later)


def of_command(
    conn: Connection, command: Tree, table: Table, course: Course, site: Site, *, later: bool
) -> Iterator[Check]:
    """Yield the questions about an ADD GENERATED AS IDENTITY, or a DEFAULT that takes numbers of a sequence."""
    if course.touches(table.written, command.name):
        return
    made = getattr(command, "def")
    if command.subtype == grammar.AT_AddIdentity:
        options = {node.def_elem.defname: node.def_elem.arg for node in made.constraint.options}
        yield from _checks(table, command.name, _begins(options), course, site, later=later)
        return
    call = made.func_call
    if made.HasField("func_call") and call.funcname[-1].string.sval == "nextval" and len(call.args) == 1:
        argument = call.args[0]
        constant = argument.type_cast.arg if argument.HasField("type_cast") else argument
        sequence = constant.a_const.sval.sval
        later = later or course.sets_numbers
        if sequence and (made_before := course.sequence(sequence)) is not None:
            options = {node.def_elem.defname: node.def_elem.arg for node in made_before.options}
            yield from _checks(table, command.name, _begins(options), course, site, later=later)
        elif sequence and not course.makes(sequence):
            found = session.value(conn, "SELECT to_regclass(%s)::text", (sequence,))
            if found is not None:
                yield from _checks(table, command.name, _next_of(found), course, site, later=later)


def _checks(
    table: Table, column: str, begins: str, course: Course, site: Site, *, later: bool
) -> Iterator[Check]:
    known = table.columns.get(column)
    if known is None or known.type not in _LAST:
        return
    highest = f"(SELECT max({quoted(column)}) FROM {table.written})"
    where = f"{literal(f'{table.written}.{column}')}::text"
    doubt = course.changes_rows(table.written)
    if not later and begins:
        yield Check(
            site.step, f"numbers of {table.written} ({column})", _BEHIND,
            text=f'SELECT {where} AS "column", highest AS highest, next AS next_number'
            f" FROM (SELECT {highest}::numeric AS highest, ({begins})::numeric AS next) AS found WHERE highest >= next",
            path=site.path, doubt=doubt, sure=not course.names,
        )  # fmt: skip
    last = _LAST[known.type]
    yield Check(
        site.step, f"room in the type of {table.written} ({column})", _FULL,
        text=f"SELECT {where} AS \"column\", {literal(known.type)}::text AS type, highest AS highest,"
        f" {last} - highest AS numbers_left"
        f" FROM (SELECT {highest}::numeric AS highest) AS found WHERE highest >= {FULL} * {last}",
        path=site.path, doubt=doubt, sure=not course.names,
    )  # fmt: skip


def _begins(options: dict[str, Tree]) -> str:
    """Return the first number of a new sequence; empty where it counts down."""
    if _number(options.get("increment"), 1) < 0:
        return ""
    least = _number(options.get("minvalue"), 1)
    return str(_number(options.get("start"), least))


def _number(node: Tree | None, otherwise: int) -> int:
    if node is None:
        return otherwise
    if node.HasField("float"):
        return int(node.float.fval)
    if node.HasField("a_const"):
        return int(node.a_const.fval.fval or node.a_const.ival.ival)
    return int(node.integer.ival) if node.HasField("integer") else otherwise


def _start_of(sequence: str) -> str:
    return f"SELECT seqstart FROM pg_catalog.pg_sequence WHERE seqrelid = {literal(sequence)}::regclass"


def _next_of(sequence: str) -> str:
    """Return a query for the next number of a sequence that is there; NULL where it counts down."""
    return (
        "SELECT CASE WHEN q.seqincrement > 0"
        " THEN s.last_value + CASE WHEN s.is_called THEN q.seqincrement ELSE 0 END END"
        f" FROM {sequence} AS s JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = {literal(sequence)}::regclass"
    )
