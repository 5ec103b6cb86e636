"""What stands against a way back: objects of others that depend on what it would drop, asked before it begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from postgast import pg_query_pb2 as grammar

from pgrunbook.change import Step
from pgrunbook.derived import dependents
from pgrunbook.derived.check import Check, ask
from pgrunbook.derived.course import Course, commands
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import statement_of
from pgrunbook.naming import Tree, name
from pgrunbook.session import Connection

__all__ = ["standing_against"]

TIMEOUT_MS = 5_000


def standing_against(conn: Connection, steps: Iterable[Step]) -> list[Mapping[str, Any]]:
    """Return step, object and why, of each object that makes undoing these steps, in this order, fail with 2BP01.

    What cannot be asked, or may be gone by then, is left to the server. The connection must be outside a transaction;
    only the catalog is read.
    """
    course = Course()
    found: list[Mapping[str, Any]] = []
    for step in steps:
        for script in step.rollback:
            for statement in script.statements:
                tree = statement_of(statement.text)
                for check in _checks(tree, course, Site(step.number, script.label)):
                    answer = ask(conn, check, timeout_ms=TIMEOUT_MS)
                    found += [{"step": step.name, **row} for row in answer.found.rows]
                course.note(tree, script.label)
                if course.sets_path:
                    # Names may mean something else from here on.
                    return found
    return found


def _checks(tree: Tree, course: Course, site: Site) -> Iterator[Check]:
    found: list[Check] = []
    match tree.DESCRIPTOR.name:
        case "DropStmt":
            found += dependents.of_drop(tree, course, site)
        case "AlterTableStmt":
            within = course.copied()
            for command in commands(tree):
                if command.subtype in (grammar.AT_DropColumn, grammar.AT_DropConstraint):
                    found += dependents.of_command(tree, command, within, site)
                within.note_command(name(tree.relation), tree.relation, command)
    yield from (one for one in found if one.header is dependents.STANDING and not one.doubt)
