"""Collisions: rows that a merge would put in each other's way, found before it happens."""

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
    """Yield, one line each, the rows of a child that one of its unique indexes or exclusions would not have together.

    The rows are read as they would be afterwards, and the index is asked by its own expressions, operators and
    predicate.
    """
    for unique in relation.uniques(conn, child.table):
        if set(unique.columns) & set(child.columns):
            yield from _under(conn, case, child, unique)


def _under(conn: Connection, case: Case, child: Child, unique: Unique) -> Iterator[str]:
    values = [f"part_{place}" for place, _ in enumerate(unique.parts, 1)]
    parts = [f"({part}) AS {value}" for part, value in zip(unique.parts, values, strict=True)]
    where = f"\n        WHERE {unique.predicate}" if unique.predicate else ""
    key = json_of(child.table.primary_key, [f"o.{quote_name(one)}" for one in child.table.primary_key])
    is_moved = " OR ".join(f"g{place}.use IS NOT NULL" for place, _ in enumerate(child.references, 1))
    query = f"""{groups(case, [child])}, doubled AS (
    SELECT *
    FROM numbered
    WHERE use > 1
), afterwards AS MATERIALIZED (
    SELECT later.key, later.moved, part.*
    FROM (
        SELECT
{listed([f"({key})::text AS key", f"{is_moved} AS moved", *_after(case, child)])}
        FROM {child.table.name} AS o
{_joins(case, child.references)}{_not_gone(case, child)}
    ) AS later
    CROSS JOIN LATERAL (
        SELECT {", ".join(parts)}
        FROM {_named(child)}{where}
    ) AS part
)
{_pairs(values, unique.excludes) if unique.excludes else _same(values, unique)}
ORDER BY 1
LIMIT {SHOWN + 1}"""
    found = conn.execute(query.encode()).fetchall()
    how = "in each other's way" if unique.excludes else "the same"
    for row in found[:SHOWN]:
        yield f"{child.table.name}: {' and '.join(row['keys'][:5])} would be {how} under {unique.name}"
    if len(found) > SHOWN:
        yield f"{child.table.name}: and more under {unique.name}"


def _same(values: Sequence[str], unique: Unique) -> str:
    terms = [] if unique.nulls_not_distinct else [f"{value} IS NOT NULL" for value in values]
    where = f"\nWHERE {' AND '.join(terms)}" if terms else ""
    return f"""SELECT array_agg(key ORDER BY key) AS keys
FROM afterwards{where}
GROUP BY {", ".join(values)}
HAVING count(*) > 1 AND bool_or(moved)"""


def _pairs(values: Sequence[str], operators: Sequence[str]) -> str:
    terms = [f"one.{value} {how} other.{value}" for value, how in zip(values, operators, strict=True)]
    return f"""SELECT ARRAY[least(one.key, other.key), greatest(one.key, other.key)] AS keys
FROM afterwards AS one
JOIN afterwards AS other ON {" AND ".join(terms)}
    AND CASE WHEN other.moved THEN one.key < other.key ELSE one.key <> other.key END
WHERE one.moved"""


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
    """Return every column of a child's row as it would be, under a name that is none of its own."""
    columns = []
    for place, name in enumerate(_plain(child), 1):
        news = [
            f"g{number}.{own_and_kept(case, one.referred[one.columns.index(name)])[1]}"
            for number, one in enumerate(child.references, 1)
            if name in one.columns
        ]
        value = ", ".join([*news, f"o.{quote_name(name)}"])
        columns.append(f"coalesce({value}) AS after_{place}" if news else f"{value} AS after_{place}")
    return columns


def _named(child: Child) -> str:
    """Return such rows under the child's own name, with its columns alone: expressions of an index name them bare."""
    name = quote_name(split_name(child.table.name)[-1])
    named = [f"later.after_{place} AS {quote_name(one)}" for place, one in enumerate(_plain(child), 1)]
    source = f"(SELECT {', '.join(named)}) AS {name}"
    made = [
        f"{one.generated} AS {quote_name(one.name)}" for one in child.table.columns.values() if one.generated
    ]
    return f"(SELECT *, {', '.join(made)} FROM {source}) AS {name}" if made else source


def _plain(child: Child) -> list[str]:
    return [one.name for one in child.table.columns.values() if not one.generated]


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
