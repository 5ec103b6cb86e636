"""Giving back what quarantine holds, set by set, where the rows are as the repair left them."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from pgrunbook.quarantine import Repair, Table, parse
from pgrunbook.session import Connection

__all__ = [
    "changed",
    "found",
    "now",
    "quoted",
    "quoted_text",
    "restore",
    "touched_by_delete",
    "whole",
]


def restore(conn: Connection, repairs: Sequence[Repair]) -> set[int]:
    """Give back what repairs replaced where the row is as the repair left it; return their positions.

    Deleted rows come first, then changed ones, each with the tables that others refer to first. A key that
    finds several rows gives nothing back.
    """
    restored: set[int] = set()
    rank = {table: number for number, table in enumerate(_referred_first(conn, repairs))}
    groups = _alike(repairs)
    groups.sort(key=lambda group: (repairs[group[0]].after is not None, rank[repairs[group[0]].table]))
    for positions in groups:
        part = [repairs[position] for position in positions]
        give_back = _insert if part[0].after is None else _update
        restored |= {positions[number] for number in give_back(conn, part[0].table, part)}
    return restored


def whole(conn: Connection, repairs: Sequence[Repair]) -> set[tuple[int, str]]:
    """Return the text of every row that a repair's key finds, with the repair's position."""
    return set(found(conn, repairs, sql.SQL("(t.*)::text")))


def now(conn: Connection, repairs: Sequence[Repair]) -> dict[int, Any]:
    """Return what the rows hold now in the columns of the repair, by position; a row that is gone is left out."""
    # Where a key finds several rows, one of them is shown.
    return {
        position: {name: value for name, value in parse(row).items() if name in repairs[position].before}
        for position, row in found(conn, repairs, sql.SQL("to_jsonb(t.*)::text"))
    }


def found(conn: Connection, repairs: Sequence[Repair], row: sql.Composable) -> list[tuple[int, str]]:
    """Return an expression over each row `t` that a repair's key finds, with the repair's position."""
    rows_found: list[tuple[int, str]] = []
    for positions in _alike(repairs):
        part = [repairs[position] for position in positions]
        statement = sql.SQL("SELECT kept.number, {row} AS row FROM {kept} JOIN {table} AS t ON {is_key}")
        filled = _filled(conn, statement, part[0].table, part, row=row)
        rows = conn.execute(filled, _values(part)).fetchall()
        rows_found += [(positions[one["number"] - 1], one["row"]) for one in rows]
    return rows_found


def touched_by_delete(
    conn: Connection, table: Sequence[str], *, besides: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Return the tables, but for some, whose rows a foreign key would delete or change with rows of this table."""
    found = conn.execute(
        "SELECT DISTINCT conrelid::regclass::text AS other FROM pg_constraint AS r"
        " WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confdeltype IN ('c', 'n', 'd')"
        # What a partition inherits is its table's.
        " AND NOT EXISTS (SELECT FROM pg_constraint AS above"
        " WHERE above.oid = r.conparentid AND above.confrelid = r.confrelid)"
        " AND conrelid <> ALL (SELECT coalesce(to_regclass(name), 0) FROM unnest(%s::text[]) AS name) ORDER BY 1",
        (sql.Identifier(*table).as_string(conn), [sql.Identifier(*one).as_string(conn) for one in besides]),
    ).fetchall()
    return [row["other"] for row in found]


def changed(conn: Connection, tables: Sequence[Sequence[str]]) -> int | None:
    """Return how many rows of these tables this session has changed or deleted, or None where nobody counts.

    Only the difference of two answers in one transaction means anything (PostgreSQL manual, 27.2).
    """
    row = conn.execute(
        "WITH RECURSIVE part AS (SELECT to_regclass(name)::oid AS oid FROM unnest(%s::text[]) AS name"
        " UNION SELECT inhrelid FROM pg_inherits JOIN part ON inhparent = part.oid)"
        " SELECT sum(pg_stat_get_xact_tuples_updated(oid) + pg_stat_get_xact_tuples_deleted(oid))::bigint AS rows,"
        " current_setting('track_counts')::bool AS counts FROM part",
        ([sql.Identifier(*one).as_string(conn) for one in tables],),
    ).fetchone()
    return row["rows"] if row and row["counts"] else None


def _referred_first(conn: Connection, repairs: Sequence[Repair]) -> list[Table]:
    """Return the tables of repairs, those that foreign keys of the others refer to first."""
    tables = list(dict.fromkeys(repair.table for repair in repairs))
    if len(tables) < 2:
        return tables
    names = [sql.Identifier(*table).as_string(conn) for table in tables]
    found = conn.execute(
        "WITH mine AS (SELECT number, to_regclass(name)::oid AS oid"
        " FROM unnest(%s::text[]) WITH ORDINALITY AS one (name, number))"
        " SELECT child.number AS child, parent.number AS parent FROM pg_constraint AS c"
        " JOIN mine AS child ON child.oid = c.conrelid JOIN mine AS parent ON parent.oid = c.confrelid"
        " WHERE c.contype = 'f' AND child.number <> parent.number",
        (names,),
    ).fetchall()
    graph: graphlib.TopologicalSorter[int] = graphlib.TopologicalSorter(dict.fromkeys(range(len(tables)), ()))
    for row in found:
        graph.add(row["child"] - 1, row["parent"] - 1)
    try:
        return [tables[number] for number in graph.static_order()]
    except graphlib.CycleError:
        return tables


def _update(conn: Connection, table: Sequence[str], repairs: Sequence[Repair]) -> list[int]:
    writable = set(_writable(conn, table, identity=False))
    columns = [name for name in repairs[0].before if name in writable]
    if not columns:
        return []
    # As jsonb, because json, xml and point have no equality of their own.
    as_left = [
        sql.SQL("to_jsonb(t.{}) IS NOT DISTINCT FROM to_jsonb({})").format(
            quoted(name), _value(name, repairs, after=True)
        )
        for name in repairs[0].before
    ]
    statement = sql.SQL(
        "UPDATE {table} AS t SET {assignments}"
        " FROM {kept} CROSS JOIN LATERAL jsonb_to_record(kept.after) AS a ({before})"
        " WHERE {is_key} AND {as_left} AND {alone} RETURNING kept.number"
    )
    filled = _filled(
        conn,
        statement,
        table,
        repairs,
        assignments=sql.SQL(", ").join(
            sql.SQL("{} = {}").format(quoted(name), _value(name, repairs)) for name in columns
        ),
        as_left=sql.SQL(" AND ").join(as_left),
        alone=sql.SQL(
            "NOT EXISTS (SELECT FROM {table} AS o"
            " WHERE {is_key} AND (o.tableoid, o.ctid) <> (t.tableoid, t.ctid))"
        ).format(table=quoted(*table), is_key=_is_key(repairs, "o")),
    )
    return [row["number"] - 1 for row in conn.execute(filled, _values(repairs)).fetchall()]


def _insert(conn: Connection, table: Sequence[str], repairs: Sequence[Repair]) -> list[int]:
    there = sql.SQL("SELECT DISTINCT kept.number FROM {kept} JOIN {table} AS t ON {is_key}")
    found = conn.execute(_filled(conn, there, table, repairs), _values(repairs)).fetchall()
    taken = {row["number"] - 1 for row in found}
    gone = [number for number in range(len(repairs)) if number not in taken]
    # A column that is newer than the repair gets its default.
    names = [name for name in _writable(conn, table, identity=True) if name in repairs[0].before]
    statement = sql.SQL("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {kept}")
    if gone:
        part = [repairs[number] for number in gone]
        columns = sql.SQL(", ").join(map(quoted, names))
        values = sql.SQL(", ").join(_value(name, part) for name in names)
        filled = _filled(conn, statement, table, part, columns=columns, values=values)
        conn.execute(filled, _values(part))
        # A trigger may have kept a row out.
        found = conn.execute(_filled(conn, there, table, part), _values(part)).fetchall()
        gone = [gone[row["number"] - 1] for row in found]
    return gone


# Rows of the quarantine, and for each what its key and its old values are in the table's own types. No whole row of
# the table: a column that is left out may have a domain that takes no NULL.
_KEPT = sql.SQL(
    "unnest(%(keys)s::text[]::jsonb[], %(befores)s::text[]::jsonb[], %(afters)s::text[]::jsonb[],"
    " %(nulls)s::text[]::jsonb[]) WITH ORDINALITY AS kept (key, before, after, nulls, number)"
    " CROSS JOIN LATERAL jsonb_to_record(kept.key) AS k ({key})"
    " CROSS JOIN LATERAL jsonb_to_record(kept.before) AS b ({before})"
)


def _values(repairs: Sequence[Repair]) -> dict[str, list[str | None]]:
    keys, befores, afters = zip(*(repair.texts for repair in repairs), strict=True)
    nulls = [repair.json_nulls for repair in repairs]
    return {"keys": list(keys), "befores": list(befores), "afters": list(afters), "nulls": nulls}


def _value(name: str, repairs: Sequence[Repair], *, after: bool = False) -> sql.Composed:
    """Return the expression of what a column held before or after, in its own type."""
    row, which = ("a", "after") if after else ("b", "before")
    plain = sql.SQL("{}.{}").format(sql.SQL(row), quoted(name))
    if not any(repair.json_nulls and name in parse(repair.json_nulls).get(which, ()) for repair in repairs):
        return plain
    return sql.SQL("CASE WHEN kept.nulls -> {} ? {} THEN 'null' ELSE {} END").format(
        sql.Literal(which), quoted_text(name), plain
    )


def _filled(
    conn: Connection,
    statement: sql.SQL,
    table: Sequence[str],
    repairs: Sequence[Repair],
    **parts: sql.Composable,
) -> sql.Composed:
    types = _types(conn, table)
    key, before = (_typed(types, names) for names in (repairs[0].key, repairs[0].before))
    kept = _KEPT.format(key=key, before=before)
    return statement.format(
        table=quoted(*table), kept=kept, before=before, is_key=_is_key(repairs, "t"), **parts
    )


def _typed(types: Mapping[str, str], names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(quoted(name), sql.SQL(types[name].replace("%", "%%")))
        for name in names
        if name in types
    )


def _types(conn: Connection, table: Sequence[str]) -> dict[str, str]:
    found = conn.execute(
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
        (sql.Identifier(*table).as_string(conn),),
    ).fetchall()
    return {row["name"]: row["type"] for row in found}


def _is_key(repairs: Sequence[Repair], row: LiteralString) -> sql.Composed:
    """Return the condition that a row is a key's, in the columns' own types, so that an index serves it."""
    equal = sql.SQL("{row}.{column} = k.{column}")
    return sql.SQL(" AND ").join(equal.format(row=sql.SQL(row), column=quoted(key)) for key in repairs[0].key)


def _alike(repairs: Sequence[Repair]) -> list[list[int]]:
    """Return the positions of repairs, those of the same table and columns together."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for position, repair in enumerate(repairs):
        shape = (repair.table, tuple(repair.key), tuple(repair.before), repair.after is None)
        alike.setdefault(shape, []).append(position)
    return list(alike.values())


def quoted(*parts: str) -> sql.SQL:
    """Return a quoted name for a statement with parameters, where a percent sign has to be doubled."""
    return sql.SQL(sql.Identifier(*parts).as_string().replace("%", "%%"))


def quoted_text(text: str) -> sql.SQL:
    """Return a quoted text for a statement with parameters."""
    return sql.SQL(sql.Literal(text).as_string().replace("%", "%%"))


def _writable(conn: Connection, table: Sequence[str], *, identity: bool) -> list[str]:
    """Return the columns that a value may be written to, in order; `identity` with those GENERATED ALWAYS."""
    found = conn.execute(
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' AND (%s OR attidentity <> 'a') ORDER BY attnum",
        (sql.Identifier(*table).as_string(conn), identity),
    ).fetchall()
    return [row["name"] for row in found]
