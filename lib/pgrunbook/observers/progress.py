"""Watches how far an index build is."""

from __future__ import annotations

from dataclasses import dataclass

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["BuildSample", "Progress"]


@dataclass(frozen=True, slots=True)
class BuildSample:
    """One look at a build; `at_ms` since the step began, `waits_for` the pid it waits for."""

    at_ms: float
    phase: str
    done: int
    total: int
    waits_for: int | None


class Progress:
    """Samples `pg_stat_progress_create_index` of our session (PostgreSQL manual, 27.4.4)."""

    def __init__(self, ours: int) -> None:
        """Watch the session with this pid."""
        self.ours = ours
        self.builds: list[BuildSample] = []

    def before(self, conn: Connection) -> None:
        """Do nothing: no build of ours runs yet."""

    def sample(self, conn: Connection, at_ms: float) -> None:
        """Add a sample when our session builds an index now."""
        for row in session.rows(conn, "index_progress"):
            if row["pid"] == self.ours:
                self.builds.append(
                    BuildSample(at_ms, row["phase"], row["done"], row["total"], row["waits_for"])
                )

    def after(self, conn: Connection) -> None:
        """Do nothing: the samples are the result."""
