"""Collisions: rows that a merge would make duplicates of each other, found before it happens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook import relation
from pgrunbook.naming import quote_name
from pgrunbook.patience import split_name
from pgrunbook.relation import Reference, Unique
from pgrunbook.session import Connection
from pgrunbook.strategies.case import Case, json_of, listed
from pgrunbook.strategies.merge import Child, groups, meets, own_and_kept

__all__ = ["find", "self_references"]

SHOWN = 10


def find(conn: Connection, case: Case, child: Child) -> Iterator[str]:
    """Yield, one line each, the groups of a child's rows that would be the same under one of its unique indexes.

    The rows are read as they would be afterwards, and the index is asked by its own expressions and predicate.
    """
    for unique in relation.uniques(conn, child.table):
        if unique.has_expressions or unique.predicate or set(unique.columns) & set(child.columns):
            yield from _under(conn, case, child, unique)


def _under(conn: Connection, case: Case, child: Child, unique: Unique) -> Iterator[str]:
    values = [f"part_{place}" for place, _ in enumerate(unique.parts, 1)]
    parts = [f"({part}) AS {value}" for part, value in zip(unique.parts, values, strict=True)]
    terms = [] if unique.nulls_not_distinct else [f"{value} IS NOT NULL" for value in values]
    where = f"\n    WHERE {unique.predicate}" if unique.predicate else ""
    # Under the child's own name and with its columns alone: expressions of an index name them bare.
    name = quote_name(split_name(child.table.name)[-1])
    key = json_of(child.table.primary_key, [f"o.{quote_name(one)}" for one in child.table.primary_key])
    query = f"""{groups(case, [child])}, doubled AS (
    SELECT *
    FROM numbered
    WHERE use > 1
), afterwards AS (
    SELECT {", ".join(parts)}, pgrunbook_key, pgrunbook_moved
    FROM (
        SELECT
{listed(_after(case, child))},
            {key} AS pgrunbook_key,
            {" OR ".join(f"g{place}.use IS NOT NULL" for place, _ in enumerate(child.references, 1))} AS pgrunbook_moved
        FROM {child.table.name} AS o
{_joins(case, child.references)}{_not_gone(case, child)}
    ) AS {name}{where}
)
SELECT array_agg(pgrunbook_key::text ORDER BY pgrunbook_key::text) AS keys
FROM afterwards{f"{chr(10)}WHERE {' AND '.join(terms)}" if terms else ""}
GROUP BY {", ".join(values)}
HAVING count(*) > 1 AND bool_or(pgrunbook_moved)
ORDER BY 1
LIMIT {SHOWN + 1}"""
    found = conn.execute(query.encode()).fetchall()
    for row in found[:SHOWN]:
        yield f"{child.table.name}: {' and '.join(row['keys'][:5])} would be the same under {unique.name}"
    if len(found) > SHOWN:
        yield f"{child.table.name}: and more under {unique.name}"


def self_references(conn: Connection, case: Case, child: Child) -> Iterator[str]:
    """Yield the rows that stay and refer to a duplicate of themselves: merged, they would refer to themselves."""
    for one in child.references if child.table.oid == case.table.oid else ():
        refers = meets(case, one, "o", "g")
        itself = " AND ".join(
            f"o.{quote_name(key)} = g.{name}_kept"
            for key, name in zip(case.table.primary_key, case.names, strict=True)
        )
        key = json_of(case.table.primary_key, [f"o.{quote_name(name)}" for name in case.table.primary_key])
        query = (
            f"{groups(case, [child])}\nSELECT {key}::text AS key FROM {case.table.name} AS o"
            f" JOIN numbered AS g ON g.use > 1 AND {refers} AND {itself} ORDER BY 1 LIMIT {SHOWN}"
        )
        for row in conn.execute(query.encode()).fetchall():
            yield f"{case.table.name}: {row['key']} refers to its own duplicate by {one.name}"


def _after(case: Case, child: Child) -> list[str]:
    """Return every column of a child's row as it would be."""
    columns = []
    for name in child.table.columns:
        news = [
            f"g{place}.{own_and_kept(case, one.referred[one.columns.index(name)])[1]}"
            for place, one in enumerate(child.references, 1)
            if name in one.columns
        ]
        own = f"o.{quote_name(name)}"
        columns.append(f"coalesce({', '.join([*news, own])}) AS {quote_name(name)}" if news else own)
    return columns


def _joins(case: Case, references: Sequence[Reference]) -> str:
    return "\n".join(
        f"        LEFT JOIN doubled AS g{place} ON {meets(case, one, 'o', f'g{place}')}"
        for place, one in enumerate(references, 1)
    )


def _not_gone(case: Case, child: Child) -> str:
    """Return the WHERE that leaves out rows that would be deleted."""
    if child.table.oid != case.table.oid:
        return ""
    mine = " AND ".join(
        f"d.{name} = o.{quote_name(key)}"
        for key, name in zip(case.table.primary_key, case.names, strict=True)
    )
    return f"\n        WHERE NOT EXISTS (SELECT FROM doubled AS d WHERE {mine})"
