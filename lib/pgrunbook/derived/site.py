"""Where in a change a check is derived: the step, its file, and the search_path that the step has set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from pgrunbook import counting
from pgrunbook.definition import LOCK_TIMEOUT_MS, TIMEOUT_MS
from pgrunbook.derived import tables
from pgrunbook.derived.course import Course
from pgrunbook.derived.tables import Table
from pgrunbook.naming import Tree, name
from pgrunbook.session import Connection

__all__ = ["Site"]


@dataclass(frozen=True, slots=True)
class Site:
    """One statement's place: the step's number, what it is called in words, and a SET of search_path."""

    step: str
    where: str
    path: str = ""

    def table(self, conn: Connection, relation: Tree, course: Course) -> Table | None:
        """Return a table that is there now and will be the same one; None where a step makes or drops it."""
        written = name(relation)
        if course.makes(written) or course.drops(written):
            return None
        found = tables.find(conn, relation)
        return found if found is not None and found.has_rows else None

    @contextlib.contextmanager
    def reading(self, conn: Connection) -> Iterator[None]:
        """Open a read-only transaction in which names mean what they mean to the statement."""
        with counting.reading(conn, timeout_ms=TIMEOUT_MS):
            conn.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
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
