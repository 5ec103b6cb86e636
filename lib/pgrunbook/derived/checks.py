"""All checks that the open steps of a change ask for by themselves, in the order of their statements."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import postgast
import psycopg
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as grammar

from pgrunbook.change import Script, Step
from pgrunbook.derived import (
    builds,
    dependents,
    partitions,
    presence,
    references,
    remade,
    rewrites,
    rights,
    rules,
    security,
    sequences,
    unique,
    written,
)
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course, commands, default_of, is_serial, sets_values
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table, statement_of
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree, name, quote_name
from pgrunbook.session import Connection

__all__ = ["derive"]

_NOT_READ = Header(
    "A statement whose checks could not be derived",
    effect="what it would meet is not known",
    remedy="let the role read the catalog, or look at the statement by hand",
)
_WHICH = Header(
    "A table whose name a statement before makes, too",
    effect="it is made in a new schema, or by another search_path: which of the two is meant is known only then",
    remedy="write the schema of both",
    severity=Severity.WARN,
)


@dataclass(frozen=True, slots=True)
class _Statement:
    site: Site
    tree: Tree


def derive(conn: Connection, steps: Sequence[Step], *, by_hand: Sequence[Script] = ()) -> tuple[Check, ...]:
    """Return the checks that the statements of these steps ask for, each question once.

    What a statement before makes is not there yet and is not asked about; rows that a statement before changes
    only warn. A question that a check of the change asks for certain is left to that check (`by_hand`). The
    connection must be outside a transaction; only the catalog is read.
    """
    statements = list(_statements(steps))
    covered, course = written.covered(by_hand), Course()
    names = {step.number: step.name for step in steps}
    kept: dict[tuple[object, ...], Check] = {}
    for number, one in enumerate(statements):
        following = [later.tree for later in statements[number:]]
        try:
            with one.site.reading(conn):
                found = list(_checks(conn, one, course, following))
                new = _new(conn, one, course)
        except (psycopg.Error, postgast.PgQueryError, DecodeError) as error:
            found, new = [_unread(one.site, rights.reason(conn, error, one.tree))], one.tree
        if new is not None:
            course.note(new, one.site.where)
        for check in found:
            if check.covers in covered and covered[check.covers] <= names[check.step]:
                continue
            asks: tuple[object, ...] = (check.path, check.text) if check.text else (check.label,)
            kept.setdefault(asks, check)
    return tuple(kept.values())


def _unread(site: Site, reason: str) -> Check:
    def fail(_conn: Connection) -> list[dict[str, object]]:
        raise psycopg.Error(reason)

    return Check(site.step, f"checks of {site.where}", _NOT_READ, look=fail, sure=False)


def _statements(steps: Sequence[Step]) -> Iterator[_Statement]:
    for step in steps:
        path = ""
        for statement in step.migrate.statements:
            tree = statement_of(statement.text)
            where = f"{step.migrate.label} line {statement.line}"
            yield _Statement(Site(step.number, where, path), tree)
            if tree.DESCRIPTOR.name == "VariableSetStmt" and tree.name.lower() == "search_path":
                path = _locally(tree)


def _new(conn: Connection, one: _Statement, course: Course) -> Tree | None:
    """Return what a statement does that is not done: IF NOT EXISTS takes what is there, and makes nothing."""
    tree = one.tree
    if tree.DESCRIPTOR.name == "CreateStmt" and tree.if_not_exists:
        return None if one.site.table(conn, tree.relation, course) else tree
    if (
        tree.DESCRIPTOR.name != "AlterTableStmt"
        or (table := one.site.table(conn, tree.relation, course)) is None
    ):
        return tree
    kept = [node for node in tree.cmds if not _is_there(node.alter_table_cmd, table)]
    new = type(tree).FromString(tree.SerializeToString())
    del new.cmds[:]
    new.cmds.extend(kept)
    return new


def _is_there(command: Tree, table: Table) -> bool:
    column = getattr(command, "def").column_def.colname
    return bool(command.subtype == grammar.AT_AddColumn and command.missing_ok and column in table.columns)


def _locally(tree: Tree) -> str:
    """Return a SET of search_path as it holds for the audit's own transaction."""
    whole = postgast.parse("SET search_path TO x")
    local = whole.stmts[0].stmt.variable_set_stmt
    local.CopyFrom(tree)
    local.is_local = True
    return str(postgast.deparse(whole))


def _checks(conn: Connection, one: _Statement, course: Course, following: Sequence[Tree]) -> Iterator[Check]:
    tree, site = one.tree, one.site
    relation = tree.relation if tree.DESCRIPTOR.name in ("IndexStmt", "AlterTableStmt") else None
    if relation is not None and site.is_made(conn, relation, course) is None:
        yield Check(site.step, f"which table {name(relation)} is", _WHICH)
    match tree.DESCRIPTOR.name:
        case "IndexStmt":
            yield from unique.of_index(conn, tree, course, site)
            if table := site.table(conn, tree.relation, course):
                yield from builds.of_index(tree, table, site)
        case "CreateStmt" | "ViewStmt" | "CreateTableAsStmt":
            yield from presence.of_relation(tree, course, site)
            if tree.DESCRIPTOR.name == "CreateStmt":
                yield from partitions.of_create(conn, tree, course, site)
        case "CreateSeqStmt":
            yield from presence.of_relation(tree, course, site)
            later = sets_values(following)
            yield from sequences.of_sequence(conn, tree, course, site, later=later)
        case "AlterSeqStmt":
            later = sets_values(following[1:])
            yield from sequences.of_sequence(conn, tree, course, site, later=later)
        case "DropStmt":
            yield from dependents.of_drop(tree, course, site)
        case "AlterTableStmt" if tree.objtype == grammar.OBJECT_TABLE:
            if table := site.table(conn, tree.relation, course):
                # What the statement itself drops or adds first counts for its later commands.
                within = course.copied()
                for command in commands(tree):
                    yield from _of_command(conn, tree, command, table, within, one, following)
                    if not _is_there(command, table):
                        within.note_command(name(tree.relation), tree.relation, command)


def _of_command(
    conn: Connection,
    tree: Tree,
    command: Tree,
    table: Table,
    course: Course,
    one: _Statement,
    following: Sequence[Tree],
) -> Iterator[Check]:
    site, made = one.site, getattr(command, "def")
    match command.subtype:
        case grammar.AT_SetNotNull:
            yield from rules.nulls(table, command.name, course, site, only=not tree.relation.inh)
        case grammar.AT_AddConstraint:
            yield from _of_constraint(conn, tree, made.constraint, table, course, site)
        case grammar.AT_ValidateConstraint:
            yield from rules.validation(conn, table, command.name, course, site)
        case grammar.AT_AddColumn:
            yield from presence.of_column(table, command, course, site)
            if made.column_def.colname in table.columns:
                return
            yield from remade.new_column(conn, table, made.column_def, course, site)
            given = default_of(made.column_def)
            if is_serial(made.column_def) or (given is not None and not given.raw_expr.HasField("a_const")):
                yield from rewrites.of_command(conn, tree, command, table, course, site)
            for constraint in (node.constraint for node in made.column_def.constraints):
                if constraint.contype == grammar.CONSTR_FOREIGN:
                    yield from references.of_constraint(conn, table, constraint, course, site, fresh=True)
        case grammar.AT_AlterColumnType:
            yield from rewrites.of_command(conn, tree, command, table, course, site)
            if not course.touches(table.written, command.name):
                yield from remade.new_values(conn, table, command.name, made.column_def, course, site)
        case grammar.AT_AttachPartition:
            yield from partitions.of_attach(conn, command, table, course, site)
        case grammar.AT_DropColumn | grammar.AT_DropConstraint:
            yield from dependents.of_command(tree, command, course, site)
        case grammar.AT_AddIdentity | grammar.AT_ColumnDefault:
            later = sets_values(following[1:])
            yield from sequences.of_command(conn, command, table, course, site, later=later)
        case grammar.AT_EnableRowSecurity | grammar.AT_ForceRowSecurity:
            yield from security.of_command(
                command,
                table,
                course,
                site,
                forced=_forces(following, table),
                later=_given_policies(following),
            )


def _of_constraint(
    conn: Connection, tree: Tree, constraint: Tree, table: Table, course: Course, site: Site
) -> Iterator[Check]:
    yield from presence.of_constraint(table, constraint, course, site)
    match constraint.contype:
        case grammar.CONSTR_UNIQUE | grammar.CONSTR_PRIMARY | grammar.CONSTR_EXCLUSION:
            # On a partitioned table only, it is built on none of its rows.
            if table.kind != "p" or tree.relation.inh:
                yield from unique.of_constraint(conn, constraint, table, course, site)
            yield from builds.of_constraint(constraint, table, site)
        case grammar.CONSTR_CHECK if not constraint.skip_validation:
            yield from rules.violations(table, constraint, course, site, only=not tree.relation.inh)
        case grammar.CONSTR_NOTNULL if not constraint.skip_validation:
            yield from rules.nulls(table, constraint.keys[0].string.sval, course, site)
        case grammar.CONSTR_FOREIGN:
            yield from references.of_constraint(conn, table, constraint, course, site)


def _forces(trees: Sequence[Tree], table: Table) -> bool:
    return any(
        command.subtype == grammar.AT_ForceRowSecurity
        for tree in trees
        if tree.DESCRIPTOR.name == "AlterTableStmt" and name(tree.relation) == table.written
        for command in commands(tree)
    )


def _given_policies(trees: Sequence[Tree]) -> set[str]:
    return {quote_name(tree.table.relname) for tree in trees if tree.DESCRIPTOR.name == "CreatePolicyStmt"}
