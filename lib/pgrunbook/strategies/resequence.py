"""Resequencing: numbers in their old order, each once, with or without the gaps that were there."""

from __future__ import annotations

from pgrunbook.naming import quote_name
from pgrunbook.strategies.case import BATCH, Case, listed
from pgrunbook.strategies.draft import Draft

__all__ = ["draft"]


def draft(case: Case, *, gaps: bool, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy that numbers the rows of each group anew, keeping their order.

    With gaps a number only grows: new = place + running max(number - place). A part of that, from the end of a
    group, leaves the order as it was and the rest to do the same, so batches may cut a group in two. Without
    gaps numbers may shrink too, and only whole groups keep their order.
    """
    column = f"t.{quote_name(case.column)}"
    window = f"OVER ({case.partition(case.group)}ORDER BY {case.by([column])})"
    read = [*case.read, f"{column} AS old", f"row_number() {window} AS place"]
    within = case.partition(case.group, of="batch")
    names = ", ".join(f"part_{place}" for place in case.group)
    if gaps:
        queries = f"""{_numbered(case, read)}, renumbered AS (
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
        outlook = case.outlook(f"{queries}", "renumbered\nWHERE new <> old", _fate(case))
        what = "keeping gaps"
        how = "A number grows only where the one before it reaches it; gaps take up the shift."
    else:
        read += [f"first_value({column}) {window} AS start", f"lag({column}) {window} AS again"]
        ahead = f"count(*) OVER (ORDER BY {names}) - count(*) OVER ({within.strip()})" if names else "0"
        queries = f"""{_numbered(case, read)}, renumbered AS (
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
        outlook = case.outlook(queries, "changed", _fate(case))
        what = "without gaps"
        how = "A group with duplicates is numbered from its lowest number on, whole groups in a batch."
    ties = ", ".join([*case.order, *case.table.primary_key])
    return Draft(
        strategy=case.strategy,
        title=f"Resequence {case.table.name} ({case.column}), {what}",
        effect=f"Rows keep their order by {case.column}, then {ties}, and none has the number of another. {how}"
        " The number that each row had stays in quarantine.",
        warnings=warnings,
        statement=f"""{queries}, {batch}
UPDATE {case.table.name} AS t
SET {quote_name(case.column)} = batch.new
FROM batch
WHERE {case.unchanged("batch")}
{case.returning("batch")}""",
        outlook=outlook,
    )


def _numbered(case: Case, read: list[str]) -> str:
    return (
        f"WITH numbered AS (\n    SELECT\n{listed(read)}\n    FROM {case.table.name} AS t{case.condition}\n)"
    )


def _fate(case: Case) -> str:
    return "concat(old, ' → ', new)"
