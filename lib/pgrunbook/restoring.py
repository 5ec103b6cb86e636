"""Giving back what quarantine holds, set by set, where the rows are as the repair left them."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, LiteralString

from psycopg import sql

from pgrunbook.quarantine import Repair, Table, parse
from pgrunbook.session import Connection

__all__ = ["changed", "columns", "followed", "now", "restore", "touched_by_delete", "whole"]


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
    return {(position, row) for position, row in _found(conn, repairs, "(t.*)::text")}


def now(conn: Connection, repairs: Sequence[Repair]) -> dict[int, Any]:
    """Return what the rows hold now in the columns of the repair, by position; a row that is gone is left out."""
    found: dict[int, Any] = {}
    for position, row in _found(conn, repairs, "to_jsonb(t.*)::text"):
        # Where a key finds several rows, one of them is shown.
        found[position] = {
            name: value for name, value in parse(row).items() if name in repairs[position].before
        }
    return found


def _found(conn: Connection, repairs: Sequence[Repair], row: LiteralString) -> list[tuple[int, str]]:
    found: list[tuple[int, str]] = []
    for positions in _alike(repairs):
        part = [repairs[position] for position in positions]
        statement = sql.SQL("SELECT kept.number, {row} AS row FROM {kept} JOIN {table} AS t ON {is_key}")
        filled = _filled(conn, statement, part[0].table, part, row=sql.SQL(row))
        rows = conn.execute(filled, _values(part)).fetchall()
        found += [(positions[one["number"] - 1], one["row"]) for one in rows]
    return found


def touched_by_delete(
    conn: Connection, table: Sequence[str], *, besides: Sequence[Sequence[str]] = ()
) -> list[str]:
    """Return the tables, but for some, whose rows a foreign key would delete or change with rows of this table."""
    found = conn.execute(
        "SELECT DISTINCT conrelid::regclass::text AS other FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confdeltype IN ('c', 'n', 'd')"
        " AND conrelid <> ALL (SELECT coalesce(to_regclass(name), 0) FROM unnest(%s::text[]) AS name) ORDER BY 1",
        (sql.Identifier(*table).as_string(conn), [sql.Identifier(*one).as_string(conn) for one in besides]),
    ).fetchall()
    return [row["other"] for row in found]


def followed(conn: Connection, table: Sequence[str]) -> list[tuple[str, str]]:
    """Return the columns that rows of other tables, or of this one, follow when they change, with that table."""
    found = conn.execute(
        "SELECT DISTINCT attname::text AS name, conrelid::regclass::text AS other FROM pg_constraint"
        " JOIN pg_attribute ON attrelid = confrelid AND attnum = ANY (confkey)"
        " WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confupdtype IN ('c', 'n', 'd') ORDER BY 1, 2",
        (sql.Identifier(*table).as_string(conn),),
    ).fetchall()
    return [(row["name"], row["other"]) for row in found]


def columns(conn: Connection, table: Sequence[str]) -> list[str]:
    """Return the columns without which a row cannot be given back whole."""
    return _writable(conn, table, identity=True)


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
        sql.SQL("to_jsonb(t.{0}) IS NOT DISTINCT FROM to_jsonb(a.{0})").format(_name(name))
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
        assignments=sql.SQL(", ").join(sql.SQL("{0} = b.{0}").format(_name(name)) for name in columns),
        as_left=sql.SQL(" AND ").join(as_left),
        alone=sql.SQL(
            "NOT EXISTS (SELECT FROM {table} AS o"
            " WHERE {is_key} AND (o.tableoid, o.ctid) <> (t.tableoid, t.ctid))"
        ).format(table=_name(*table), is_key=_is_key(repairs, "o")),
    )
    return [row["number"] - 1 for row in conn.execute(filled, _values(repairs)).fetchall()]


def _insert(conn: Connection, table: Sequence[str], repairs: Sequence[Repair]) -> list[int]:
    there = sql.SQL("SELECT DISTINCT kept.number FROM {kept} JOIN {table} AS t ON {is_key}")
    found = conn.execute(_filled(conn, there, table, repairs), _values(repairs)).fetchall()
    taken = {row["number"] - 1 for row in found}
    gone = [number for number in range(len(repairs)) if number not in taken]
    # A column that is newer than the repair gets its default.
    columns = [_name(name) for name in _writable(conn, table, identity=True) if name in repairs[0].before]
    statement = sql.SQL("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {kept}")
    if gone:
        part = [repairs[number] for number in gone]
        values = sql.SQL(", ").join(sql.SQL("b.{}").format(column) for column in columns)
        filled = _filled(conn, statement, table, part, columns=sql.SQL(", ").join(columns), values=values)
        conn.execute(filled, _values(part))
        # A trigger may have kept a row out.
        found = conn.execute(_filled(conn, there, table, part), _values(part)).fetchall()
        gone = [gone[row["number"] - 1] for row in found]
    return gone


# Rows of the quarantine, and for each what its key and its old values are in the table's own types. No whole row of
# the table: a column that is left out may have a domain that takes no NULL.
_KEPT = sql.SQL(
    "unnest(%(keys)s::text[]::jsonb[], %(befores)s::text[]::jsonb[], %(afters)s::text[]::jsonb[])"
    " WITH ORDINALITY AS kept (key, before, after, number)"
    " CROSS JOIN LATERAL jsonb_to_record(kept.key) AS k ({key})"
    " CROSS JOIN LATERAL jsonb_to_record(kept.before) AS b ({before})"
)


def _values(repairs: Sequence[Repair]) -> dict[str, list[str | None]]:
    keys, befores, afters = zip(*(repair.texts for repair in repairs), strict=True)
    return {"keys": list(keys), "befores": list(befores), "afters": list(afters)}


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
        table=_name(*table), kept=kept, before=before, is_key=_is_key(repairs, "t"), **parts
    )


def _typed(types: Mapping[str, str], names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(
        sql.SQL("{} {}").format(_name(name), sql.SQL(types[name].replace("%", "%%")))
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
    return sql.SQL(" AND ").join(equal.format(row=sql.SQL(row), column=_name(key)) for key in repairs[0].key)


def _alike(repairs: Sequence[Repair]) -> list[list[int]]:
    """Return the positions of repairs, those of the same table and columns together."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for position, repair in enumerate(repairs):
        shape = (repair.table, tuple(repair.key), tuple(repair.before), repair.after is None)
        alike.setdefault(shape, []).append(position)
    return list(alike.values())


def _name(*parts: str) -> sql.SQL:
    """Return a quoted name for a statement with parameters, where a percent sign has to be doubled."""
    return sql.SQL(sql.Identifier(*parts).as_string().replace("%", "%%"))


def _writable(conn: Connection, table: Sequence[str], *, identity: bool) -> list[str]:
    """Return the columns that a value may be written to, in order; `identity` with those GENERATED ALWAYS."""
    found = conn.execute(
        "SELECT attname::text AS name FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0"
        " AND NOT attisdropped AND attgenerated = '' AND (%s OR attidentity <> 'a') ORDER BY attnum",
        (sql.Identifier(*table).as_string(conn), identity),
    ).fetchall()
    return [row["name"] for row in found]
