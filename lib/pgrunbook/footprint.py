"""What has to be known of the tables of a remedy before it locks a row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from psycopg import sql

from pgrunbook.quarantine import Table
from pgrunbook.session import Connection

__all__ = ["Footprint", "footprints"]

_COLUMNS = """
WITH RECURSIVE mine AS (
    SELECT number, to_regclass(name)::oid AS oid FROM unnest(%s::text[]) WITH ORDINALITY AS one (name, number)
), kind AS (
    SELECT attrelid, attnum, atttypid AS type
    FROM mine JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT attrelid, attnum, typbasetype FROM kind JOIN pg_type ON oid = type WHERE typtype = 'd'
), follower AS MATERIALIZED (
    SELECT confrelid, unnest(confkey) AS attnum, conrelid::regclass::text AS other
    FROM pg_constraint
    WHERE contype = 'f' AND confrelid IN (SELECT oid FROM mine) AND confupdtype IN ('c', 'n', 'd')
)
SELECT
    mine.number,
    a.attname::text AS name,
    a.attgenerated = '' AS kept,
    bool_or(kind.type IN ('json'::regtype, 'jsonb'::regtype)) AS is_document,
    ARRAY(
        SELECT DISTINCT other FROM follower WHERE confrelid = a.attrelid AND attnum = a.attnum ORDER BY 1
    ) AS followers
FROM mine
JOIN kind ON kind.attrelid = mine.oid
JOIN pg_attribute AS a ON a.attrelid = kind.attrelid AND a.attnum = kind.attnum
GROUP BY mine.number, a.attrelid, a.attnum, a.attname, a.attgenerated
ORDER BY mine.number, a.attnum
"""


@dataclass(slots=True)
class Footprint:
    """A table: the columns without which a row cannot be given back whole, and what is special about some.

    `documents` may hold the null of JSON, by themselves or through a domain; `followers` are the tables whose rows
    follow a column when it changes, this one among them.
    """

    columns: list[str] = field(default_factory=list)
    documents: set[str] = field(default_factory=set)
    followers: dict[str, list[str]] = field(default_factory=dict)


def footprints(conn: Connection, tables: Iterable[Table]) -> dict[Table, Footprint]:
    """Return the footprint of each table; one that is not there has no columns."""
    ordered = list(tables)
    found = {table: Footprint() for table in ordered}
    names = [sql.Identifier(*table).as_string(conn) for table in ordered]
    for row in conn.execute(_COLUMNS, (names,)).fetchall():
        shape = found[ordered[row["number"] - 1]]
        if row["kept"]:
            shape.columns.append(row["name"])
        if row["is_document"]:
            shape.documents.add(row["name"])
        if row["followers"]:
            shape.followers[row["name"]] = row["followers"]
    return found
