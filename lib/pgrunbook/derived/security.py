"""Row security: tables that get it without a policy, and roles that it does not hold for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree
from pgrunbook.session import Connection

__all__ = ["of_command"]

_NO_POLICY = Header(
    "Row security without a policy",
    effect="every role that it holds for sees no row and writes none",
    remedy="create the policies in the same step, before it is enabled",
)
_NOT_HELD = Header(
    "Roles that row security does not hold for",
    effect="they see and write every row; FORCE holds the owner too, nothing holds superusers and BYPASSRLS",
    remedy="let the application connect as a role that is not in this list",
    severity=Severity.INFO,
)


def of_command(
    command: Tree, table: Table, course: Course, site: Site, *, forced: bool, later: set[str]
) -> Iterator[Check]:
    """Yield the questions about an ENABLE or FORCE ROW LEVEL SECURITY.

    `forced` says that the change forces it, `later` are the tables that get a policy somewhere in the change.
    """
    enables = command.subtype == grammar.AT_EnableRowSecurity
    bare = table.written.rpartition(".")[2]
    if bare not in course.policies | later:

        def without(conn: Connection) -> Sequence[Mapping[str, Any]]:
            found = session.rows(conn, "derived_policies", {"table": table.written})
            return [{"table": table.written, "policies": 0}] if not found else []

        word = "enabled" if enables else "forced"
        yield Check(
            site.step, f"policies of {table.written} ({word})", _NO_POLICY, look=without, path=site.path
        )
    asked = {"table": table.written, "forced": forced}
    yield Check(
        site.step,
        f"roles beside the policies of {table.written}",
        _NOT_HELD,
        look=lambda conn: session.rows(conn, "derived_unheld_roles", asked),
        path=site.path,
    )
