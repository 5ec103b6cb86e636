"""What a remedy replaced: kept as the server wrote it, to the last digit, until it is given back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, LiteralString

from psycopg import sql
from psycopg.types.string import TextLoader

from pgrunbook import whereabouts
from pgrunbook.session import Connection

__all__ = [
    "Repair", "Table", "again", "count", "exists", "is_current", "keep", "kept", "last", "mark_undone", "parse",
    "read", "repaired_since", "rounds",
]  # fmt: skip

BEYOND = 300
"""Rows read beyond the limit where batches of a remedy are given back whole: the end of one has to be seen."""
Table = tuple[str, ...]
"""The parts of a table's name."""


@dataclass(frozen=True, slots=True)
class Repair:
    """One row that a remedy changed: which, what it held, what it holds (None where it was deleted).

    Numbers that a Python float would round are shown as texts. `texts` are key, before and after as the
    server wrote them; what is kept and given back is made of these. `json_nulls` is a jsonb's text, too: the columns
    of before and of after that hold the null of JSON, which these three do not tell from NULL.
    """

    key: Mapping[str, Any]
    before: Mapping[str, Any]
    after: Mapping[str, Any] | None
    texts: tuple[str, str, str | None] = field(default=("", "", None), repr=False, compare=False)
    table: Table = ()
    json_nulls: str | None = None


def read(conn: Connection, remedy: str, tables: Mapping[str, Table]) -> list[Repair]:
    """Run a remedy's statement and return what it repaired, of one of the tables by what they may be called.

    Raises ValueError when it returns something that no undo could be made of.
    """
    with conn.cursor() as cursor:
        cursor.adapters.register_loader("jsonb", TextLoader)
        found = cursor.execute(remedy.encode()).fetchall()
    only = next(iter(tables.values()), ())
    returns = "it returns {} as table_name, and changes {}"
    return _repairs(found, [_table(row, tables, returns) if "table_name" in row else only for row in found])


def _table(row: Mapping[str, Any], tables: Mapping[str, Table], words: str) -> Table:
    name = row["table_name"]
    if name not in tables:
        raise ValueError(words.format(name or "NULL", ", ".join(tables)))
    return tables[name]


def _repairs(rows: Sequence[Mapping[str, Any]], tables: Sequence[Table]) -> list[Repair]:
    for row in rows:
        for name in ("key", "before", "after"):
            if row[name] is not None and not isinstance(row[name], str):
                raise ValueError(f"it returns {name} as {type(row[name]).__name__}, which is no jsonb")
    # All of them at once, because rows are held meanwhile.
    texts = [(row["key"], row["before"], row["after"]) for row in rows]
    values = iter(parse(f"[{','.join(text or 'null' for three in texts for text in three)}]"))
    return [
        _repair(three, table, *held)
        for three, table, held in zip(texts, tables, zip(values, values, values, strict=True), strict=True)
    ]


def _repair(texts: tuple[str, str, str | None], table: Table, key: Any, before: Any, after: Any) -> Repair:
    for name, text, value in zip(("key", "before", "after"), texts, (key, before, after), strict=True):
        if not (value and isinstance(value, dict)) and (text is not None or name != "after"):
            raise ValueError(f"it returns {text or 'NULL'} as {name}, which names no column")
    if None in key.values():
        raise ValueError(f"it returns the key {texts[0]}, and NULL finds no row")
    if after is not None and after.keys() != before.keys():
        raise ValueError(f"it returns {texts[1]} as before and {texts[2]} as after: different columns")
    return Repair(key, before, after, texts, table)


def parse(text: str | None) -> Any:
    """Return the value of a jsonb's text, numbers that a float would round as texts.

    >>> parse('{"a": 1.10, "b": 2}')
    {'a': '1.10', 'b': 2}
    """
    if text is None:
        return None
    # Most texts have no such number.
    if not _ROUNDED.search(text):
        return json.loads(text)
    return json.loads(text, parse_float=str, parse_int=_integer)


_ROUNDED = re.compile(r"[0-9]\.[0-9]|[0-9]{16}")


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 19 else text


def keep(conn: Connection, repairs: Sequence[Repair], *, run_id: str, change: str, remedy: str) -> None:
    """Write repairs to quarantine, in the transaction that is open."""
    if repairs:
        tables = {".".join(one): sql.Identifier(*one).as_string(conn) for one in {r.table for r in repairs}}
        conn.execute(
            "INSERT INTO pgrunbook.quarantine"
            " (run_id, change, remedy, table_name, key, before, after, json_nulls, table_schema, table_oid)"
            " SELECT %s, %s, %s, kept.*, n.nspname, c.oid"
            " FROM unnest(%s::text[], %s::text[]::jsonb[], %s::text[]::jsonb[], %s::text[]::jsonb[],"
            " %s::text[]::jsonb[]) AS kept (table_name)"
            " JOIN unnest(%s::text[], %s::text[]) AS one (name, spelt) ON one.name = kept.table_name"
            " LEFT JOIN pg_class AS c ON c.oid = to_regclass(one.spelt)"
            " LEFT JOIN pg_namespace AS n ON n.oid = c.relnamespace",
            (run_id, change, remedy, *_columns(repairs), list(tables), list(tables.values())),
        )


def exists(conn: Connection) -> bool:
    """Return whether there is a quarantine here, whatever version of the library made it."""
    return _has(conn, "table_name")


def is_current(conn: Connection) -> bool:
    """Return whether the quarantine here has all that this version of the library asks of it."""
    return _has(conn, "table_oid")


def _has(conn: Connection, column: str) -> bool:
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n"
        " ON n.oid = c.relnamespace WHERE n.nspname = 'pgrunbook' AND c.relname = 'quarantine'"
        " AND a.attname = %s) AS there",
        (column,),
    ).fetchone()
    return bool(row and row["there"])


def last(conn: Connection) -> int:
    """Return the number of the newest row of the quarantine, 0 where there is none."""
    row = conn.execute("SELECT coalesce(max(id), 0) AS newest FROM pgrunbook.quarantine").fetchone()
    return row["newest"] if row else 0


def again(conn: Connection, repairs: Sequence[Repair], *, change: str, remedy: str, since: int) -> bool:
    """Return whether one of these rows is in quarantine already with a number above `since`."""
    names, keys, *_ = _columns(repairs)
    found = conn.execute(
        f"SELECT 1 AS found FROM unnest(%s::text[], %s::text[]::jsonb[]) AS one (table_name, key)"
        f" CROSS JOIN LATERAL ({_SAME_KEY}) AS q"
        " WHERE q.table_name = one.table_name AND q.change = %s AND q.remedy = %s AND q.id > %s LIMIT 1",
        (names, keys, change, remedy, since),
    ).fetchone()
    return found is not None


# OFFSET lets no other condition in, so that it is the key that is looked up, whatever is known of the table.
_SAME_KEY: LiteralString = (
    "SELECT * FROM pgrunbook.quarantine AS q WHERE q.key = one.key AND q.undone_at IS NULL OFFSET 0"
)


def kept(
    conn: Connection,
    tables: Mapping[str, Table],
    *,
    change: str,
    remedy: str,
    below: int | None,
    limit: int,
    whole_batches: bool,
) -> dict[int, Repair]:
    """Return what a remedy replaced and nobody gave back yet, by number, newest first.

    Not locked, so that reading is no time for which rows are held: one runner at a time undoes anything.
    With `whole_batches` it ends where the batch of the remedy ends that reaches the limit. Raises ValueError for
    rows of another table, and Astray for those of one that is not where it was.
    """
    found: list[dict[str, Any]] = []
    page_size = limit + BEYOND if whole_batches else limit
    while True:
        page = conn.execute(
            "SELECT id, batch::text AS batch, table_name, key::text, before::text, after::text,"
            " json_nulls::text, table_schema, table_oid FROM pgrunbook.quarantine"
            " WHERE change = %s AND remedy = %s AND undone_at IS NULL"
            " AND (%s::bigint IS NULL OR id < %s) ORDER BY id DESC LIMIT %s",
            (change, remedy, below, below, page_size),
        ).fetchall()
        looked, found = max(limit, len(found)), found + page
        end = next((n for n in range(looked, len(found)) if _ends(found[n - 1], found[n])), None)
        if end is not None:
            found = found[:end]
        if not whole_batches or end is not None or len(page) < page_size:
            break
        below = page[-1]["id"]
    holds = "quarantine holds rows of {}, and it changes {}"
    places: dict[tuple[Any, ...], Table] = {}
    for row in found:
        place = _place(row)
        if place not in places:
            table = _table(row, tables, holds)
            places[place] = whereabouts.find(conn, table, schema=place[1], oid=place[2])
    repairs = _repairs(found, [places[_place(row)] for row in found])
    return {
        row["id"]: replace(one, json_nulls=row["json_nulls"]) if row["json_nulls"] else one
        for row, one in zip(found, repairs, strict=True)
    }


def _place(row: Mapping[str, Any]) -> tuple[str, str | None, int | None]:
    return row["table_name"], row["table_schema"], row["table_oid"]


def _ends(newer: Mapping[str, Any], older: Mapping[str, Any]) -> bool:
    return older["batch"] is None or older["batch"] != newer["batch"]


def count(conn: Connection, *, change: str, remedy: str) -> int:
    """Return how many rows a remedy replaced and nobody gave back yet."""
    row = conn.execute(
        "SELECT count(*) AS rows FROM pgrunbook.quarantine"
        " WHERE change = %s AND remedy = %s AND undone_at IS NULL",
        (change, remedy),
    ).fetchone()
    return row["rows"] if row else 0


def repaired_since(conn: Connection, numbers: Sequence[int], *, change: str, remedy: str) -> set[int]:
    """Return those of these numbers whose row was repaired once more since, and that not given back."""
    found = conn.execute(
        f"SELECT DISTINCT one.id FROM pgrunbook.quarantine AS one CROSS JOIN LATERAL ({_SAME_KEY}) AS q"
        " WHERE q.table_name = one.table_name AND (q.table_oid = one.table_oid) IS NOT FALSE"
        " AND q.change = %s AND q.remedy = %s AND q.id > one.id"
        " AND one.id = ANY(%s)",
        (change, remedy, list(numbers)),
    ).fetchall()
    return {row["id"] for row in found}


def rounds(repairs: Mapping[int, Repair]) -> Iterator[dict[int, Repair]]:
    """Yield repairs so that no row is in one part twice, and what was done last comes first.

    >>> once, again = Repair({"id": 1}, {}, {}, ("1", "", "")), Repair({"id": 1}, {}, {}, ("1", "", ""))
    >>> [list(part) for part in rounds({7: once, 9: again})]
    [[9], [7]]
    """
    left = dict(sorted(repairs.items(), reverse=True))
    while left:
        part: dict[tuple[Table, str], int] = {}
        for number, repair in left.items():
            part.setdefault((repair.table, repair.texts[0]), number)
        yield {number: left.pop(number) for number in part.values()}


def mark_undone(conn: Connection, numbers: Iterable[int]) -> None:
    """Write which rows of the quarantine were given back."""
    given_back = sorted(numbers)
    written = conn.execute(
        "UPDATE pgrunbook.quarantine SET undone_at = clock_timestamp() WHERE id = ANY(%s) AND undone_at IS NULL",
        (given_back,),
    )
    assert written.rowcount == len(given_back), "somebody else undid the same rows"


def _columns(repairs: Sequence[Repair]) -> tuple[list[str | None], ...]:
    names = (".".join(repair.table) for repair in repairs)
    texts = zip(*(repair.texts for repair in repairs), strict=True)
    return (list(names), *map(list, texts), [repair.json_nulls for repair in repairs])
