"""What a remedy replaced: kept as the server wrote it, to the last digit, until it is given back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, LiteralString

from psycopg.types.string import TextLoader

from pgrunbook.session import Connection

__all__ = [
    "Repair", "Table", "again", "count", "exists", "keep", "kept", "last", "mark_undone", "parse", "read",
    "repaired_since", "rounds",
]  # fmt: skip

PAGE = 1_000
"""Rows read at a time where batches of a remedy are given back whole: each read costs a round trip."""
Table = tuple[str, ...]
"""The parts of a table's name."""


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
    table: Table = ()


def read(conn: Connection, remedy: str, tables: Mapping[str, Table]) -> list[Repair]:
    """Run a remedy's statement and return what it repaired, of one of the tables by what they may be called.

    Raises ValueError when it returns something that no undo could be made of.
    """
    with conn.cursor() as cursor:
        cursor.adapters.register_loader("jsonb", TextLoader)
        found = cursor.execute(remedy.encode()).fetchall()
    only = next(iter(tables.values()), ())
    returns = "it returns {} as table_name, and changes {}"
    return [_repair(row, _table(row, tables, returns) if "table_name" in row else only) for row in found]


def _table(row: Mapping[str, Any], tables: Mapping[str, Table], words: str) -> Table:
    name = row["table_name"]
    if name not in tables:
        raise ValueError(words.format(name or "NULL", ", ".join(tables)))
    return tables[name]


def _repair(row: Mapping[str, Any], table: Table) -> Repair:
    key, before, after = row["key"], row["before"], row["after"]
    values: dict[str, Any] = {}
    for name, text in (("key", key), ("before", before), ("after", after)):
        if text is not None and not isinstance(text, str):
            raise ValueError(f"it returns {name} as {type(text).__name__}, which is no jsonb")
        values[name] = value = parse(text)
        missing = value is None and name != "after"
        if missing or (value is not None and (not isinstance(value, dict) or not value)):
            raise ValueError(f"it returns {text or 'NULL'} as {name}, which names no column")
    if any(value is None for value in values["key"].values()):
        raise ValueError(f"it returns the key {key}, and NULL finds no row")
    if after is not None and values["after"].keys() != values["before"].keys():
        raise ValueError(f"it returns {before} as before and {after} as after: different columns")
    return Repair(values["key"], values["before"], values["after"], (key, before, after), table)


def parse(text: str | None) -> Any:
    """Return the value of a jsonb's text, numbers that a float would round as texts.

    >>> parse('{"a": 1.10, "b": 2}')
    {'a': '1.10', 'b': 2}
    """
    if text is None:
        return None
    # Rows are held meanwhile, and most have no such number.
    if not _ROUNDED.search(text):
        return json.loads(text)
    return json.loads(text, parse_float=str, parse_int=_integer)


_ROUNDED = re.compile(r"[0-9]\.[0-9]|[0-9]{16}")


def _integer(text: str) -> int | str:
    return int(text) if len(text) < 19 else text


def keep(conn: Connection, repairs: Sequence[Repair], *, run_id: str, change: str, remedy: str) -> None:
    """Write repairs to quarantine, in the transaction that is open."""
    if repairs:
        conn.execute(
            "INSERT INTO pgrunbook.quarantine (run_id, change, remedy, table_name, key, before, after)"
            " SELECT %s, %s, %s, kept.* FROM unnest(%s::text[], %s::text[]::jsonb[], %s::text[]::jsonb[],"
            " %s::text[]::jsonb[]) AS kept",
            (run_id, change, remedy, *_columns(repairs)),
        )


def exists(conn: Connection) -> bool:
    """Return whether there is a quarantine here, of a ledger that this version of the library has made."""
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n"
        " ON n.oid = c.relnamespace WHERE n.nspname = 'pgrunbook' AND c.relname = 'quarantine'"
        " AND a.attname = 'batch') AS there"
    ).fetchone()
    return bool(row and row["there"])


def last(conn: Connection) -> int:
    """Return the number of the newest row of the quarantine, 0 where there is none."""
    row = conn.execute("SELECT coalesce(max(id), 0) AS newest FROM pgrunbook.quarantine").fetchone()
    return row["newest"] if row else 0


def again(conn: Connection, repairs: Sequence[Repair], *, change: str, remedy: str, since: int) -> bool:
    """Return whether one of these rows is in quarantine already with a number above `since`."""
    names, keys, _befores, _afters = _columns(repairs)
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
    rows of another table.
    """
    found: list[dict[str, Any]] = []
    page_size = max(limit, PAGE) if whole_batches else limit
    while True:
        page = conn.execute(
            "SELECT id, batch::text AS batch, table_name, key::text, before::text, after::text"
            " FROM pgrunbook.quarantine WHERE change = %s AND remedy = %s AND undone_at IS NULL"
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
    return {row["id"]: _repair(row, _table(row, tables, holds)) for row in found}


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
        " WHERE q.table_name = one.table_name AND q.change = %s AND q.remedy = %s AND q.id > one.id"
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


def _columns(repairs: Sequence[Repair]) -> tuple[list[str], list[str], list[str], list[str | None]]:
    keys, befores, afters = zip(*(repair.texts for repair in repairs), strict=True)
    return [".".join(repair.table) for repair in repairs], list(keys), list(befores), list(afters)
