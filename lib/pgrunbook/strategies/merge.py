"""Merging: the rows that refer to a duplicate are given to the row that stays, then the duplicate goes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgrunbook.naming import quote_name
from pgrunbook.relation import Reference, Relation
from pgrunbook.strategies.case import BATCH, Case, exact, json_of, listed, literal, same, whole
from pgrunbook.strategies.draft import Draft

__all__ = ["Child", "draft", "groups", "meets", "own_and_kept"]


@dataclass(frozen=True, slots=True)
class Child:
    """A table that refers to the one with duplicates, once or several times; it may be the same table."""

    table: Relation
    references: tuple[Reference, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that change, each once."""
        return tuple(dict.fromkeys(name for one in self.references for name in one.columns))


def draft(case: Case, children: Sequence[Child], *, warnings: tuple[str, ...]) -> Draft:
    """Return the remedy of one statement over all tables.

    The row that stays is locked and looked at again first; what refers to a duplicate moves only where the
    duplicate is deleted indeed, and foreign keys are checked when all of it is done (PostgreSQL manual, 7.8.4).
    """
    needed = _needed(case, children)
    kept = " AND ".join(f"{key} = batch.{name}_kept" for key, name in zip(case.keys, case.names, strict=True))
    stays = [
        same(part, f"batch.part_{place}", surely=not case.key.nulls_not_distinct)
        for place, part in enumerate(case.key.of("t"), 1)
    ]
    table = case.table.name
    returned = [*(f"held.{name}" for name in case.names), *(f"held.{name}_kept" for name in case.names)]
    returned += [
        f"held.{one}" for name in needed for one in own_and_kept(case, name) if one not in _keyed(case)
    ]
    recursive, closed = _closed(case, children)
    queries = f"""{groups(case, children, recursive=recursive)}, {closed}, held AS (
    SELECT batch.*
    FROM batch
    JOIN {table} AS t ON {kept}
    WHERE {f"{chr(10)}      AND ".join(stays)}
    FOR SHARE OF t
), gone AS (
    DELETE FROM {table} AS t
    USING held
    WHERE {case.unchanged("held", indent="      ")}
    RETURNING
        {whole(case.table)} AS before,
{listed(returned)}
)"""
    queries += "".join(_moved(case, child, place) for place, child in enumerate(children, 1))
    rows = [
        f"SELECT {literal(table)}::text AS table_name, {json_of(case.table.primary_key, case.names)} AS key,"
        " before, NULL::jsonb AS after\nFROM gone"
    ]
    rows += [
        f"SELECT {literal(child.table.name)}::text, key, before, after\nFROM child_{place}"
        for place, child in enumerate(children, 1)
    ]
    which, order = (
        "newest" if case.newest else "first",
        ", ".join(dict.fromkeys([*case.order, *case.table.primary_key])),
    )
    given = ", ".join(f"{child.table.name} ({', '.join(child.columns)})" for child in children)
    given = (
        f"what refers to the others, {given}, refers to it afterwards; "
        if given
        else "nothing refers to the others; "
    )
    key = json_of(case.table.primary_key, [f"{name}_kept" for name in case.names])
    return Draft(
        strategy=case.strategy,
        title=f"Merge duplicates of {case.key} into the {which}",
        effect=f"The {which} row of each group, by {order}, stays as it is; {given}then the others are deleted."
        " What they held, and where each row referred to, stays in quarantine.",
        warnings=warnings,
        statement="\nUNION ALL\n".join([f"{queries}\n{rows[0]}", *rows[1:]]),
        outlook=case.outlook(
            groups(case, children), "numbered\nWHERE use > 1", f"concat('deleted, merged into ', {key})"
        ),
    )


def _closed(case: Case, children: Sequence[Child]) -> tuple[bool, str]:
    """Return the WITH query `batch`, and whether it is recursive.

    With a duplicate go those duplicates that refer to it in the same table: moved now and deleted by a later
    batch, a row would be repaired twice.
    """
    first = f"""    SELECT *
    FROM numbered
    WHERE use > 1
    ORDER BY {", ".join(case.names)}
    LIMIT {BATCH}
)"""
    own = [one for child in children if child.table.oid == case.table.oid for one in child.references]
    if not own:
        return False, f"batch AS (\n{first}"
    refers = "\n        OR ".join(meets(case, one, "t", "batch") for one in own)
    is_it = " AND ".join(f"{key} = numbered.{name}" for key, name in zip(case.keys, case.names, strict=True))
    return (
        True,
        f"""begun AS (
{first}, batch AS (
    SELECT *
    FROM begun
    UNION
    SELECT numbered.*
    FROM batch
    JOIN {case.table.name} AS t ON {refers}
    JOIN numbered ON numbered.use > 1 AND {is_it}
)""",
    )


def meets(case: Case, one: Reference, row: str, group: str) -> str:
    """Return the condition that a row refers to the row of a WITH query."""
    return " AND ".join(
        f"{row}.{quote_name(own)} = {group}.{own_and_kept(case, referred)[0]}"
        for own, referred in zip(one.columns, one.referred, strict=True)
    )


def groups(case: Case, children: Sequence[Child], *, recursive: bool = False) -> str:
    """Return the WITH query `numbered`: each row, its place in its group, and the row of the group that stays."""
    word = "RECURSIVE " if recursive else ""
    window = f"({case.partition(range(1, len(case.key.parts) + 1))}ORDER BY {case.by()})"
    read = [*case.read, "row_number() OVER w AS use"]
    read += [
        f"first_value({key}) OVER w AS {name}_kept" for key, name in zip(case.keys, case.names, strict=True)
    ]
    for name in _needed(case, children):
        own, kept = own_and_kept(case, name)
        if own not in case.names:
            read += [f"t.{quote_name(name)} AS {own}", f"first_value(t.{quote_name(name)}) OVER w AS {kept}"]
    return (
        f"WITH {word}numbered AS (\n    SELECT\n{listed(read)}\n    FROM {case.table.name} AS t{case.condition}\n"
        f"    WINDOW w AS {window}\n)"
    )


def own_and_kept(case: Case, column: str) -> tuple[str, str]:
    """Return what the WITH queries call a column of the row itself, and that of the row that stays."""
    if column in case.table.primary_key:
        name = case.names[case.table.primary_key.index(column)]
    else:
        name = f"ref_{list(case.table.columns).index(column) + 1}"
    return name, f"{name}_kept"


def _needed(case: Case, children: Sequence[Child]) -> list[str]:
    """Return the columns that foreign keys point at."""
    return list(
        dict.fromkeys(name for child in children for one in child.references for name in one.referred)
    )


def _keyed(case: Case) -> set[str]:
    return {*case.names, *(f"{name}_kept" for name in case.names)}


def _moved(case: Case, child: Child, place: int) -> str:
    """Return the WITH queries that give a child's rows to the row that stays: one UPDATE however many keys."""
    table, keys = child.table.name, child.table.primary_key
    names = [f"key_{number}" for number, _ in enumerate(keys, 1)]
    key_of = [f"{quote_name(key)} AS {name}" for key, name in zip(keys, names, strict=True)]
    # A row that refers to several duplicates moves once and for all, whichever batch deletes the others.
    source = "gone" if len(child.references) == 1 else "numbered"
    hits, joins = [], []
    for number, one in enumerate(child.references, 1):
        hits.append(
            f"SELECT {', '.join(f'o.{key}' for key in key_of)}\n"
            f"        FROM {table} AS o\n        JOIN gone ON {meets(case, one, 'o', 'gone')}"
        )
        doubled = "" if source == "gone" else f" AND g{number}.use > 1"
        joins.append(f"    LEFT JOIN {source} AS g{number} ON {meets(case, one, 'o', f'g{number}')}{doubled}")
    found = " AND ".join(f"o.{quote_name(key)} = hit.{name}" for key, name in zip(keys, names, strict=True))
    read = [f"hit.{name}" for name in names]
    for number, column in enumerate(child.columns, 1):
        news = [
            f"g{place}.{own_and_kept(case, one.referred[one.columns.index(column)])[1]}"
            for place, one in enumerate(child.references, 1)
            if column in one.columns
        ]
        read += [f"o.{quote_name(column)} AS old_{number}"]
        read += [f"coalesce({', '.join(news)}, o.{quote_name(column)}) AS new_{number}"]
    alone = ""
    if child.table.oid == case.table.oid:
        # A row cannot be deleted and changed by one statement: what goes takes its reference with it.
        mine = " AND ".join(f"gone.{name} = hit.{name}" for name in names)
        alone = f"\n    WHERE NOT EXISTS (SELECT FROM gone WHERE {mine})"
    olds, news = (
        [f"m.old_{n}" for n, _ in enumerate(child.columns, 1)],
        [f"c.{quote_name(n)}" for n in child.columns],
    )
    changed = [child.table.columns[name] for name in child.columns]
    sets = ", ".join(f"{quote_name(name)} = m.new_{number}" for number, name in enumerate(child.columns, 1))
    is_it = [f"c.{quote_name(key)} = m.{name}" for key, name in zip(keys, names, strict=True)]
    is_it += [same(new, old, surely=False) for new, old in zip(news, olds, strict=True)]
    union = "\n        UNION\n        ".join(hits)
    return f""", moved_{place} AS (
    SELECT
{listed(read)}
    FROM (
        {union}
    ) AS hit
    JOIN {table} AS o ON {found}
{chr(10).join(joins)}{alone}
), child_{place} AS (
    UPDATE {table} AS c
    SET {sets}
    FROM moved_{place} AS m
    WHERE {f"{chr(10)}      AND ".join(is_it)}
    RETURNING
        {json_of(keys, [f"c.{quote_name(key)}" for key in keys])} AS key,
        {json_of(child.columns, [exact(*one) for one in zip(changed, olds, strict=True)])} AS before,
        {json_of(child.columns, [exact(*one) for one in zip(changed, news, strict=True)])} AS after
)"""
