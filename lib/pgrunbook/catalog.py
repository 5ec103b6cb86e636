"""The catalog as comparable lines: what a change made, and whether a rollback took all of it away."""

from __future__ import annotations

from pgrunbook import session
from pgrunbook.session import Connection

__all__ = ["Catalog", "differences", "snapshot"]

Catalog = frozenset[tuple[str, str, str]]


def snapshot(conn: Connection) -> Catalog:
    """Return every object of the user's schemas as (kind, name, definition), without the ledger's."""
    return frozenset((row["kind"], row["name"], row["definition"]) for row in session.rows(conn, "catalog"))


def differences(before: Catalog, after: Catalog) -> list[str]:
    """Return what two snapshots do not share, one line each, sorted; empty when they are equal.

    >>> differences(frozenset({("table", "t", "")}), frozenset({("table", "u", "")}))
    ['- table t', '+ table u']
    """
    gone = [("-", *line) for line in sorted(before - after)]
    come = [("+", *line) for line in sorted(after - before)]
    return [" ".join(part for part in line if part) for line in (*gone, *come)]
