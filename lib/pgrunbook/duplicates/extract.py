"""An extract: every row of every group of duplicates as a CSV file, streamed, safe to open in a spreadsheet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgrunbook import relation
from pgrunbook.duplicates.grouping import asked, by, grouped, of, of_group, reading, require_order
from pgrunbook.naming import quote_name
from pgrunbook.relation import Column, Relation
from pgrunbook.session import Connection
from pgrunbook.strategies import Draft
from pgrunbook.strategies.case import json_of
from pgrunbook.uniquekey import UniqueKey

__all__ = ["STAYS", "Extract", "write"]

STAYS = "stays"
# What a spreadsheet takes for a formula, full width signs too; and our own mark, so that it can be taken off again.
_FORMULA = r"^[-=+@''\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]"


@dataclass(frozen=True, slots=True)
class Extract:
    """The file with every duplicate."""

    file: Path
    rows: int
    bytes: int


def write(
    conn: Connection, key: UniqueKey, file: Path, *, order: Sequence[str] = (), draft: Draft | None = None
) -> Extract:
    """Write every row of every group to a CSV file and return what was written; memory stays flat.

    Largest groups first, with all columns of the table, and what a draft would do to each row. NULL is an empty
    field and the empty text is `""`. A value that a spreadsheet would take for a formula (it begins with = + - @, a
    tab or a line end) gets an apostrophe in front, and so does one that begins with an apostrophe: taking one off
    gives every value back. Numbers and booleans stay as they are. The file appears when it is whole. Raises BadKey,
    OSError.
    """
    fresh = file.with_name(f".{file.name}.part")
    with reading(conn):
        table = relation.find(conn, key.table)
        require_order(table, order)
        query = _every_row(of(key, table), table, order, draft)
        asked(conn, key, f"EXPLAIN {query}")
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            with relation.refusing(key), conn.cursor() as cursor, fresh.open("wb") as out:
                with cursor.copy(f"COPY (\n{query}\n) TO STDOUT (FORMAT csv, HEADER)".encode()) as blocks:
                    for block in blocks:
                        out.write(block)
                written = Extract(file, cursor.rowcount, out.tell())
            os.replace(fresh, file)
        finally:
            fresh.unlink(missing_ok=True)
    return written


def _every_row(key: UniqueKey, table: Relation, order: Sequence[str], draft: Draft | None) -> str:
    number = f", row_number() OVER (ORDER BY count(*) DESC, {', '.join(key.of('t'))}) AS place"
    read = ["grouped.place AS duplicate_group", "grouped.members AS duplicate_rows"]
    read += [_safe(one) for one in table.columns.values()]
    joined = ""
    if draft is not None:
        identity = json_of(table.primary_key, [f"t.{quote_name(name)}" for name in table.primary_key])
        read += [f"coalesce({_guarded('fates.fate')}, '{STAYS}') AS remedy"]
        joined = f"\nLEFT JOIN (\n{draft.outlook}\n) AS fates ON fates.key = {identity}"
    return f"""{grouped(key, number)}
SELECT {", ".join(read)}
FROM grouped
JOIN {key.table} AS t ON {of_group(key, "grouped")}{joined}
ORDER BY grouped.place, {by(table, order)}"""


def _safe(column: Column) -> str:
    value = f"t.{quote_name(column.name)}"
    heading = f"'{column.name}" if column.name[0] in "=+-@'\t\r\n" else column.name
    text = value if column.category in ("N", "B") else _guarded(f"{value}::text")
    return f"{text} AS {quote_name(heading)}"


def _guarded(text: str) -> str:
    # A collation that calls different texts equal takes no patterns.
    return f"CASE WHEN {text} COLLATE \"C\" ~ '{_FORMULA}' THEN '''' || {text} ELSE {text} END"
