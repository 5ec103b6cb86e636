"""Where in a change a check is derived: the step, its file, and the search_path that the step has set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from pgrunbook import session
from pgrunbook.definition import LOCK_TIMEOUT_MS, TIMEOUT_MS
from pgrunbook.derived import tables
from pgrunbook.derived.course import Course
from pgrunbook.derived.tables import Table
from pgrunbook.naming import Tree, name
from pgrunbook.session import Connection

__all__ = ["Site"]

_SCHEMA_OF = (
    "SELECT n.nspname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.oid = to_regclass(%s)"
)


@dataclass(frozen=True, slots=True)
class Site:
    """One statement's place: the step's number, what it is called in words, and a SET of search_path."""

    step: str
    where: str
    path: str = ""

    def table(self, conn: Connection, relation: Tree, course: Course) -> Table | None:
        """Return a table that is there now and will be the same one; None where a step makes or drops it."""
        written = name(relation)
        if self.is_made(conn, relation, course) is not False or course.drops(written):
            return None
        found = tables.find(conn, relation)
        return found if found is not None and found.has_rows else None

    def is_made(self, conn: Connection, relation: Tree, course: Course) -> bool | None:
        """Return whether a step makes this table, by the search_path of now; None where that cannot be told."""
        schema, verdict = relation.schemaname, cast("bool | None", False)
        for made in course.made_as(name(relation)):
            now = session.value(conn, _SCHEMA_OF, (name(relation),))
            if now is None or len(made) == len([part for part in (schema, relation.relname) if part]):
                return True
            path = session.value(conn, "SELECT current_schemas(true)::text[]")
            if schema:
                # Made without its schema, it comes into the first one of the path that the maker had.
                here = session.value(conn, "SELECT current_schema()::text")
                if here == schema:
                    return True
                verdict = None if course.names or course.sets_path else verdict
            elif course.names:
                verdict = None
            elif made[0] in path and path.index(made[0]) <= path.index(now):
                return True
        return verdict

    @contextlib.contextmanager
    def reading(self, conn: Connection) -> Iterator[None]:
        """Open a read-only transaction in which names mean what they mean to the statement."""
        with session.reading(conn, timeout_ms=TIMEOUT_MS, lock_timeout_ms=LOCK_TIMEOUT_MS):
            self._look_up_names(conn)
            yield

    @contextlib.contextmanager
    def trying(self, conn: Connection) -> Iterator[None]:
        """Open a transaction that is rolled back, in which something may be made among the temporary objects."""
        with conn.transaction(force_rollback=True):
            conn.execute(
                f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}; SET LOCAL statement_timeout = {TIMEOUT_MS}"
            )
            self._look_up_names(conn)
            yield

    def _look_up_names(self, conn: Connection) -> None:
        if self.path:
            conn.execute(self.path.encode())
