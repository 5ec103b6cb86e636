"""Watches how tables and indexes grow over a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Size", "SizeChange"]

LOCK_TIMEOUT_MS = 100


@dataclass(frozen=True, slots=True)
class SizeChange:
    """Bytes of one table, or of its indexes, before and after a step."""

    name: str
    before_bytes: int
    after_bytes: int


class Size:
    """Compares sizes before and after a step; takes no samples in between.

    Nothing is compared where somebody held a table so long that its size could not be read.
    """

    def __init__(self, tables: Sequence[str]) -> None:
        """Watch these tables and their indexes."""
        self.tables = list(tables)
        self._before: dict[str, int] | None = None
        self.changes: list[SizeChange] = []

    def before(self, conn: Connection) -> None:
        """Note the sizes before the step."""
        self._before = self._sizes(conn)

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Do nothing: sizes are compared once."""

    def after(self, conn: Connection) -> None:
        """Note the sizes after the step."""
        after = self._sizes(conn)
        if self._before is None or after is None:
            return
        self.changes = [
            SizeChange(name, self._before.get(name, 0), after.get(name, 0))
            for name in {**self._before, **after}
        ]

    def _sizes(self, conn: Connection) -> dict[str, int] | None:
        try:
            with conn.transaction():
                # Reading a size takes a lock on the table: a step must not hang because it is watched.
                conn.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
                found = session.rows(conn, "relation_sizes", {"tables": self.tables})
        except psycopg.errors.LockNotAvailable:
            return None
        sizes: dict[str, int] = {}
        for row in found:
            sizes[row["name"]] = row["table_bytes"]
            sizes[f"{row['name']}, indexes"] = row["index_bytes"]
        return sizes
