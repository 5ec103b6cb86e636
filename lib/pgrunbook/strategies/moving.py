"""Moving: one row of each group keeps the value, every other gets one of its own, or NULL."""

from __future__ import annotations

from pgrunbook.naming import quote_name
from pgrunbook.strategies.case import BATCH, Case, listed
from pgrunbook.strategies.draft import Draft

__all__ = ["SHORTEST", "draft_null", "draft_number", "draft_text"]

MARK = "-DUP-"
# Room for the mark, eight characters of a hash, two digits more, and something of the value itself.
SHORTEST = 20


def draft_text(case: Case, *, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy that marks every text but the one that stays."""
    column, longest = case.target, case.target.longest
    number = [case.table.columns[name] for name in case.table.primary_key]
    plain = len(number) == 1 and number[0].category == "N"
    # A long key would leave no room for the value.
    names = ", ".join(f"duplicate.{one}" for one in case.names)
    own = names if plain else f"left(md5(concat_ws('-', {names})), 8)"
    old = "duplicate.old::text"
    marked = (
        f"left({old}, {longest} - length(mark.suffix)) || mark.suffix" if longest else f"{old} || mark.suffix"
    )
    name = quote_name(case.column)

    def queries(limit: str) -> str:
        return f"""WITH taken AS MATERIALIZED (
    SELECT t.{name} AS value
    FROM {case.table.name} AS t
    WHERE t.{name}::text COLLATE "C" ILIKE '%{MARK}%'
), {_numbered(case)}, duplicate AS (
    SELECT *
    FROM numbered
    WHERE use > 1
    ORDER BY {", ".join(case.names)}{limit}
), batch AS (
    SELECT duplicate.*, marked.value AS new
    FROM duplicate
    CROSS JOIN LATERAL (
        SELECT {marked} AS value
        FROM generate_series(0, 99) AS attempt (number)
        CROSS JOIN LATERAL (
            SELECT '{MARK}' || {own} || CASE WHEN attempt.number > 0 THEN '-' || attempt.number ELSE '' END AS suffix
        ) AS mark
        WHERE {marked} NOT IN (SELECT taken.value FROM taken)
        ORDER BY attempt.number
        LIMIT 1
    ) AS marked
)"""

    cut = f", cut to {longest} characters" if longest else ""
    mark = f"{MARK}<{case.table.primary_key[0]}>" if plain else f"{MARK}<hash of its key>"
    return Draft(
        strategy=case.strategy,
        title=f"Mark every duplicate of {case.table.name} ({column.name}) but the {_kept(case)}",
        effect=f"The {_kept(case)} row of each group, by {_order(case)}, keeps its {column.name}; every other gets"
        f" {mark} at its end{cut}. What it had stays in quarantine.",
        warnings=warnings,
        statement=_update(case, queries(f"\n    LIMIT {BATCH}"), "batch.new"),
        outlook=case.outlook(queries(""), "batch", "concat(old, ' → ', new)"),
    )


def draft_number(case: Case, *, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy that gives every number but the one that stays the next free one of its group."""
    column = f"t.{quote_name(case.column)}"
    names = [f"part_{place}" for place in case.group]
    last = f"max({column}) OVER ({case.partition(case.group).strip()}) AS last"
    queries = f"""WITH {_numbered(case, last)}, moved AS (
    SELECT *, last + row_number() OVER ({case.partition(case.group, of="batch")}ORDER BY old, use) AS new
    FROM numbered
    WHERE use > 1
)"""
    batch = f"""{queries}, batch AS (
    SELECT *
    FROM moved
    ORDER BY {", ".join([*names, "new"])}
    LIMIT {BATCH}
)"""
    return Draft(
        strategy=case.strategy,
        title=f"Move every duplicate of {case.table.name} ({case.column}) but the {_kept(case)} to the end",
        effect=f"The {_kept(case)} row of each group, by {_order(case)}, keeps its {case.column}; every other gets the"
        " next free number after the highest. The number that it had stays in quarantine.",
        warnings=warnings,
        statement=_update(case, batch, "batch.new"),
        outlook=case.outlook(queries, "moved", "concat(old, ' → ', new)"),
    )


def draft_null(case: Case, *, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy that empties the column of every row but the one that stays."""
    queries = f"""WITH {_numbered(case)}, duplicate AS (
    SELECT *
    FROM numbered
    WHERE use > 1
)"""
    batch = f"""{queries}, batch AS (
    SELECT *
    FROM duplicate
    ORDER BY {", ".join(case.names)}
    LIMIT {BATCH}
)"""
    return Draft(
        strategy=case.strategy,
        title=f"Set {case.table.name} ({case.column}) to NULL for every duplicate but the {_kept(case)}",
        effect=f"The {_kept(case)} row of each group, by {_order(case)}, keeps its {case.column}; every other has none"
        " afterwards. What it had stays in quarantine.",
        warnings=warnings,
        statement=_update(case, batch, "NULL"),
        outlook=case.outlook(queries, "duplicate", "concat(old, ' → NULL')"),
    )


def _numbered(case: Case, *more: str) -> str:
    everything = case.partition(range(1, len(case.key.parts) + 1))
    read = [
        *case.read,
        f"t.{quote_name(case.column)} AS old",
        f"row_number() OVER ({everything}ORDER BY {case.by()}) AS use",
        *more,
    ]
    return f"numbered AS (\n    SELECT\n{listed(read)}\n    FROM {case.table.name} AS t{case.condition}\n)"


def _update(case: Case, queries: str, new: str) -> str:
    return f"""{queries}
UPDATE {case.table.name} AS t
SET {quote_name(case.column)} = {new}
FROM batch
WHERE {case.unchanged("batch")}
{case.returning("batch")}"""


def _kept(case: Case) -> str:
    return "newest" if case.newest else "first"


def _order(case: Case) -> str:
    return ", ".join(dict.fromkeys([*case.order, *case.table.primary_key]))
