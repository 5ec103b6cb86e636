"""Where a repaired table is now: found again by its schema and its number in the catalog, whatever the search_path."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from pgrunbook.session import Connection

__all__ = ["Astray", "find"]

Table = tuple[str, ...]


class Astray(Exception):
    """The table of kept rows is not where it was; nothing may go back anywhere else."""

    def __init__(self, reason: str, next_step: str) -> None:
        super().__init__(reason)
        self.next_step = next_step


def find(conn: Connection, table: Table, *, schema: str | None, oid: int | None) -> Table:
    """Return the name under which a statement reaches a table now, the short one where the search_path leads there.

    Rows that an earlier version kept know no schema: the one table of that name is theirs. Raises Astray.
    """
    schema = schema or (table[0] if len(table) > 1 else None)
    if oid is not None:
        found = conn.execute(_NAMED + "WHERE c.oid = %s", (oid,)).fetchall()
    elif schema is not None:
        found = conn.execute(
            _NAMED + "WHERE n.nspname = %s AND c.relname = %s", (schema, table[-1])
        ).fetchall()
    else:
        found = conn.execute(_NAMED + _ANYWHERE, (table[-1],)).fetchall()
    places = [(row["schema"], row["name"]) for row in found]
    if len(places) > 1:
        raise Astray(
            f"an earlier version kept rows of {table[-1]} without their schema, and there are"
            f" {', '.join(map('.'.join, places))}",
            "write theirs into table_schema of pgrunbook.quarantine, then undo it; nothing was changed",
        )
    was = (schema, table[-1]) if schema else table
    if not places:
        raise _gone(conn, was, anew=oid is not None)
    if schema is not None and places[0] != was:
        raise Astray(
            f"it repaired {'.'.join(was)}, which is {'.'.join(places[0])} now",
            "give it back its name and its schema, then undo it; nothing was changed",
        )
    return table if _oid(conn, table) == found[0]["oid"] else places[0]


def _gone(conn: Connection, was: Sequence[str], *, anew: bool) -> Astray:
    name = ".".join(was)
    if anew and _oid(conn, was) is not None:
        return Astray(
            f"{name} was dropped since it was repaired, and made anew",
            "nothing was changed; where the new one holds the same rows, as after a restore of a dump,"
            " set table_oid of these rows of pgrunbook.quarantine to NULL, then undo it",
        )
    return Astray(
        f"there is no table {name} any more",
        "nothing was changed; what it held stays in pgrunbook.quarantine",
    )


def _oid(conn: Connection, table: Sequence[str]) -> int | None:
    row = conn.execute(
        "SELECT to_regclass(%s)::oid AS oid", (sql.Identifier(*table).as_string(conn),)
    ).fetchone()
    return row["oid"] if row else None


_NAMED = (
    "SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name"
    " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace "
)
_ANYWHERE = (
    "WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'f', 'v')"
    " AND n.nspname NOT LIKE 'pg\\_%%' AND n.nspname <> 'information_schema' ORDER BY 2"
)
