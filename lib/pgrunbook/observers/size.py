"""Watches how tables and indexes grow over a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Size", "SizeChange"]


@dataclass(frozen=True, slots=True)
class SizeChange:
    """Bytes of one table, or of its indexes, before and after a step."""

    name: str
    before_bytes: int
    after_bytes: int


class Size:
    """Compares sizes before and after a step; takes no samples in between."""

    def __init__(self, tables: Sequence[str]) -> None:
        """Watch these tables and their indexes."""
        self.tables = list(tables)
        self._before: dict[str, int] = {}
        self.changes: list[SizeChange] = []

    def before(self, conn: Connection) -> None:
        """Note the sizes before the step."""
        self._before = self._sizes(conn)

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Do nothing: sizes are compared once."""

    def after(self, conn: Connection) -> None:
        """Note the sizes after the step."""
        after = self._sizes(conn)
        self.changes = [SizeChange(name, self._before.get(name, 0), size) for name, size in after.items()]

    def _sizes(self, conn: Connection) -> dict[str, int]:
        sizes: dict[str, int] = {}
        for row in session.rows(conn, "relation_sizes", {"tables": self.tables}):
            sizes[row["name"]] = row["table_bytes"]
            sizes[f"{row['name']}, indexes"] = row["index_bytes"]
        return sizes
