"""Resequencing: numbers in their old order, each once, with or without the gaps that were there."""

from __future__ import annotations

from pgrunbook.naming import quote_name
from pgrunbook.strategies.case import BATCH, Case, listed
from pgrunbook.strategies.draft import Draft

__all__ = ["draft"]


def draft(case: Case, *, gaps: bool, served: bool, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy that numbers the rows of each group anew, keeping their order.

    With gaps a number only grows: new = place + running max(number - place). A part of that, from the end of a
    group, leaves the order as it was and the rest to do the same, so batches may cut a group in two. Without
    gaps numbers may shrink too, and only whole groups keep their order. Where an index serves the key, `served`, a
    batch reads the groups that it can change and no others.
    """
    column = f"t.{quote_name(case.column)}"
    window = f"OVER ({case.partition(case.group)}ORDER BY {case.by([column])})"
    read = [*case.read, f"{column} AS old", f"row_number() {window} AS place"]
    within = case.partition(case.group, of="batch")
    names = ", ".join(f"part_{place}" for place in case.group)
    if gaps:
        queries = f""", renumbered AS (
    SELECT *, place + max(old - place) OVER ({within}ORDER BY place) AS new
    FROM numbered
)"""
        batch = f"""batch AS (
    SELECT *
    FROM renumbered
    WHERE new <> old
    ORDER BY {f"{names}, " if names else ""}new DESC
    LIMIT {BATCH}
)"""
        changed = "renumbered\nWHERE new <> old"
        what = "keeping gaps"
        how = "A number grows only where the one before it reaches it; gaps take up the shift."
    else:
        read += [f"first_value({column}) {window} AS start", f"lag({column}) {window} AS again"]
        ahead = f"count(*) OVER (ORDER BY {names}) - count(*) OVER ({within.strip()})" if names else "0"
        queries = f""", renumbered AS (
    SELECT *, start + place - 1 AS new, bool_or(again = old) OVER ({within.strip()}) AS doubled
    FROM numbered
), changed AS (
    SELECT *, {ahead} AS ahead
    FROM renumbered
    WHERE doubled AND new <> old
)"""
        batch = f"""batch AS (
    SELECT *
    FROM changed
    WHERE ahead < {BATCH}
)"""
        changed = "changed"
        what = "without gaps"
        how = "A group with duplicates is numbered from its lowest number on, whole groups in a batch."
    ties = ", ".join([*case.order, *case.table.primary_key])
    return Draft(
        strategy=case.strategy,
        title=f"Resequence {case.table.name} ({case.column}), {what}",
        effect=f"Rows keep their order by {case.column}, then {ties}, and none has the number of another. {how}"
        " The number that each row had stays in quarantine.",
        warnings=warnings,
        statement=f"""{_numbered(case, read, few=served)}{queries}, {batch}
UPDATE {case.table.name} AS t
SET {quote_name(case.column)} = batch.new
FROM batch
WHERE {case.unchanged("batch")}
{case.returning("batch")}""",
        outlook=case.outlook(f"{_numbered(case, read)}{queries}", changed, "concat(old, ' → ', new)"),
    )


def _numbered(case: Case, read: list[str], *, few: bool = False) -> str:
    """Return the WITH query `numbered`, of the `few` groups that one batch can change or of all."""
    doubled, source = "", f"{case.table.name} AS t{case.condition}"
    if few and case.group and not case.key.nulls_not_distinct:
        parts = case.key.of("t")
        named = ", ".join(f"{part} AS part_{place}" for place, part in enumerate(parts, 1))
        meets = " AND ".join(f"{parts[place - 1]} = doubled.part_{place}" for place in case.group)
        # Each of these has at least one row to change.
        doubled = f"""doubled AS MATERIALIZED (
    SELECT DISTINCT {", ".join(f"part_{place}" for place in case.group)}
    FROM (
        SELECT {named}
        FROM {case.table.name} AS t{case.condition}
        GROUP BY {", ".join(parts)}
        HAVING count(*) > 1
        ORDER BY {", ".join(parts)}
        LIMIT {BATCH}
    ) AS first
), """
        # OFFSET keeps the look at one group what it is, whatever the planner believes of their number.
        source = f"""doubled
    CROSS JOIN LATERAL (
        SELECT t.*
        FROM {case.table.name} AS t{case.condition}
          AND {meets}
        OFFSET 0
    ) AS t"""
    return f"WITH {doubled}numbered AS (\n    SELECT\n{listed(read)}\n    FROM {source}\n)"
