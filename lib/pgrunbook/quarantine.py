"""What a remedy replaced: kept as the server wrote it, to the last digit, and given back set by set."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.string import TextLoader

from pgrunbook.session import Connection

__all__ = ["Repair", "keep", "kept", "mark_undone", "read", "restore", "rounds", "touched_by_delete", "whole"]


@dataclass(frozen=True, slots=True)
class Repair:
    """One row that a remedy changed: which, what it held, what it holds (None where it was deleted).

    Numbers that a Python float would round are shown as texts. `texts` are key, before and after as the
    server wrote them; what is kept and given back is made of these.
    """

    key: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None
    texts: tuple[str, str, str | None] = field(default=("", "", None), repr=False, compare=False)


def read(conn: Connection, remedy: str) -> list[Repair]:
    """Run a remedy's statement and return what it repaired.

    Raises ValueError when it returns something that no undo could be made of.
    """
    with conn.cursor() as cursor:
        cursor.adapters.register_loader("jsonb", TextLoader)
        found = cursor.execute(remedy.encode()).fetchall()
    return [_repair(row["key"], row["before"], row["after"]) for row in found]


def _repair(key: str | None, before: str | None, after: str | None) -> Repair:
    values: dict[str, Any] = {}
    for name, text in (("key", key), ("before", before), ("after", after)):
        values[name] = value = (
            json.loads(text, parse_float=str, parse_int=_integer) if text is not None else None
        )
        missing = value is None and name != "after"
        if missing or (value is not None and (not isinstance(value, dict) or not value)):
            raise ValueError(f"it returns {text or 'NULL'} as {name}, which names no column")
    assert key is not None
    assert before is not None
    if any(value is None for value in values["key"].values()):
        raise ValueError(f"it returns the key {key}, and NULL finds no row")
    if after is not None and values["after"].keys() != values["before"].keys():
        raise ValueError(f"it returns {before} as before and {after} as after: different columns")
    return Repair(values["key"], values["before"], values["after"], (key, before, after))


def keep(
    conn: Connection, repairs: Sequence[Repair], *, run_id: str, change: str, remedy: str, table: str
) -> None:
    """Write repairs to quarantine, in the transaction that is open."""
    if repairs:
        keys, befores, afters = zip(*(repair.texts for repair in repairs), strict=True)
        conn.execute(
            "INSERT INTO pgrunbook.quarantine (run_id, change, remedy, table_name, key, before, after)"
            " SELECT %s, %s, %s, %s, kept.*"
            " FROM unnest(%s::text[]::jsonb[], %s::text[]::jsonb[], %s::text[]::jsonb[]) AS kept",
            (run_id, change, remedy, table, list(keys), list(befores), list(afters)),
        )


def kept(conn: Connection, *, change: str, remedy: str, below: int | None, limit: int) -> dict[int, Repair]:
    """Return what a remedy replaced and nobody gave back yet, by number, newest first, locked."""
    found = conn.execute(
        "SELECT id, key::text, before::text, after::text FROM pgrunbook.quarantine"
        " WHERE change = %s AND remedy = %s AND undone_at IS NULL AND (%s::bigint IS NULL OR id < %s)"
        " ORDER BY id DESC LIMIT %s FOR UPDATE",
        (change, remedy, below, below, limit),
    ).fetchall()
    return {row["id"]: _repair(row["key"], row["before"], row["after"]) for row in found}


def rounds(repairs: Mapping[int, Repair]) -> Iterator[dict[int, Repair]]:
    """Yield repairs so that no row is in one part twice, and what was done last comes first.

    >>> once, again = Repair({"id": 1}, {}, {}, ("1", "", "")), Repair({"id": 1}, {}, {}, ("1", "", ""))
    >>> [list(part) for part in rounds({7: once, 9: again})]
    [[9], [7]]
    """
    left = dict(sorted(repairs.items(), reverse=True))
    while left:
        part: dict[str, int] = {}
        for number, repair in left.items():
            part.setdefault(repair.texts[0], number)
        yield {number: left.pop(number) for number in part.values()}


def mark_undone(conn: Connection, numbers: Iterable[int]) -> None:
    """Write which rows of the quarantine were given back."""
    conn.execute(
        "UPDATE pgrunbook.quarantine SET undone_at = clock_timestamp() WHERE id = ANY(%s)", (sorted(numbers),)
    )


def restore(conn: Connection, table: Sequence[str], repairs: Sequence[Repair]) -> set[int]:
    """Give back what repairs replaced where the row is as the repair left it; return their positions.

    A key that finds several rows gives nothing back.
    """
    restored: set[int] = set()
    for positions in _alike(repairs):
        part = [repairs[position] for position in positions]
        give_back = _insert if part[0].after is None else _update
        restored |= {positions[number] for number in give_back(conn, table, part)}
    return restored


def whole(conn: Connection, table: Sequence[str], repairs: Sequence[Repair]) -> set[tuple[int, str]]:
    """Return the text of every row that a repair's key finds, with the repair's position."""
    found: set[tuple[int, str]] = set()
    for positions in _alike(repairs):
        part = [repairs[position] for position in positions]
        statement = sql.SQL(
            "SELECT kept.number, (t.*)::text AS row FROM {kept} JOIN {table} AS t ON {is_key}"
        )
        rows = conn.execute(_filled(statement, table, part), _values(part)).fetchall()
        found |= {(positions[row["number"] - 1], row["row"]) for row in rows}
    return found


def touched_by_delete(conn: Connection, table: Sequence[str]) -> list[str]:
    """Return the tables whose rows a foreign key would delete or change with rows of this table."""
    found = conn.execute(
        "SELECT DISTINCT conrelid::regclass::text AS other FROM pg_constraint"
        " WHERE contype = 'f' AND confrelid = to_regclass(%s) AND confdeltype IN ('c', 'n', 'd') ORDER BY 1",
        (sql.Identifier(*table).as_string(conn),),
    ).fetchall()
    return [row["other"] for row in found]


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
        " FROM {kept} CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, kept.after) AS a"
        " WHERE {is_key} AND {as_left} AND {alone} RETURNING kept.number"
    )
    filled = _filled(
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
    found = conn.execute(_filled(there, table, repairs), _values(repairs)).fetchall()
    taken = {row["number"] - 1 for row in found}
    gone = [number for number in range(len(repairs)) if number not in taken]
    columns = [_name(name) for name in _writable(conn, table, identity=True)]
    statement = sql.SQL("INSERT INTO {table} ({columns}) OVERRIDING SYSTEM VALUE SELECT {values} FROM {kept}")
    if gone:
        part = [repairs[number] for number in gone]
        values = sql.SQL(", ").join(sql.SQL("b.{}").format(column) for column in columns)
        filled = _filled(statement, table, part, columns=sql.SQL(", ").join(columns), values=values)
        conn.execute(filled, _values(part))
    return gone


# Rows of the quarantine, and for each what its key and its old values are in the table's own types.
_KEPT = sql.SQL(
    "unnest(%(keys)s::text[]::jsonb[], %(befores)s::text[]::jsonb[], %(afters)s::text[]::jsonb[])"
    " WITH ORDINALITY AS kept (key, before, after, number)"
    " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, kept.key) AS k"
    " CROSS JOIN LATERAL jsonb_populate_record(NULL::{table}, kept.before) AS b"
)


def _values(repairs: Sequence[Repair]) -> dict[str, list[str | None]]:
    keys, befores, afters = zip(*(repair.texts for repair in repairs), strict=True)
    return {"keys": list(keys), "befores": list(befores), "afters": list(afters)}


def _filled(
    statement: sql.SQL, table: Sequence[str], repairs: Sequence[Repair], **parts: sql.Composable
) -> sql.Composed:
    name = _name(*table)
    return statement.format(table=name, kept=_KEPT.format(table=name), is_key=_is_key(repairs, "t"), **parts)


def _is_key(repairs: Sequence[Repair], row: LiteralString) -> sql.Composed:
    """Return the condition that a row is a key's, in the columns' own types, so that an index serves it."""
    equal = sql.SQL("{row}.{column} = k.{column}")
    return sql.SQL(" AND ").join(equal.format(row=sql.SQL(row), column=_name(key)) for key in repairs[0].key)


def _alike(repairs: Sequence[Repair]) -> list[list[int]]:
    """Return the positions of repairs, those of the same columns together."""
    alike: dict[tuple[object, ...], list[int]] = {}
    for position, repair in enumerate(repairs):
        shape = (tuple(repair.key), tuple(repair.before), repair.after is None)
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


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 19 else text
