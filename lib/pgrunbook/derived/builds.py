"""Index builds: how large they get, and about how long they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pgrunbook import forecast, session
from pgrunbook.derived.check import Check
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import Table
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree
from pgrunbook.session import Connection

__all__ = ["of_constraint", "of_index"]

# As the headers' rule has it: two reads and a sort of what was read.
READS = 12
_BUILDS = Header(
    "Index builds",
    effect="the size is room that the disk must have, and about as much again while it is sorted;"
    " the server cannot tell what is free",
    remedy="look at the disk, and let a large build begin early in the window",
    severity=Severity.INFO,
)


def of_index(tree: Tree, table: Table, site: Site) -> Iterator[Check]:
    """Yield what a CREATE INDEX costs; nothing is known of others than btree but the reading."""
    plain = [node.index_elem.name for node in (*tree.index_params, *tree.index_including_params)]
    names = [name for name in plain if name]
    yield _check(tree.idxname or "an index", table, names, len(plain) - len(names), site)


def of_constraint(constraint: Tree, table: Table, site: Site) -> Iterator[Check]:
    """Yield what the index of an ADD UNIQUE or ADD PRIMARY KEY costs."""
    names = [node.string.sval for node in (*constraint.keys, *constraint.including)]
    if names and not constraint.indexname:
        yield _check(constraint.conname or f"({', '.join(names)})", table, names, 0, site)


def _check(index: str, table: Table, columns: list[str], expressions: int, site: Site) -> Check:
    def look(conn: Connection) -> Sequence[Mapping[str, Any]]:
        asked = {"table": table.written, "columns": columns, "expressions": expressions}
        found = session.rows(conn, "derived_index_size", asked)
        rate = forecast.rate_of(conn, table.written)
        about = forecast.Forecast(max(READS * rate.seconds, forecast.LEAST_S), str(rate))
        return [{"index": index, **row, "time": str(about)} for row in found]

    return Check(site.step, f"build of {index} on {table.written}", _BUILDS, look=look, path=site.path)
