"""Duplicates of a key: how many, and the largest groups with what tells their rows apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgrunbook import relation
from pgrunbook.duplicates.extract import STAYS
from pgrunbook.duplicates.grouping import asked, by, grouped, of, of_group, reading, require_order
from pgrunbook.naming import quote_name
from pgrunbook.quarantine import Repair
from pgrunbook.relation import Column, Relation
from pgrunbook.session import Connection
from pgrunbook.strategies import Draft
from pgrunbook.strategies.case import json_of
from pgrunbook.uniquekey import UniqueKey

__all__ = ["Duplicates", "Group", "Member", "find", "with_preview"]

GROUPS, MEMBERS = 20, 5
_LONGEST = 60  # characters of a value that is only looked at


@dataclass(frozen=True, slots=True)
class Member:
    """One row of a group: its primary key, as jsonb spells it and as values, and what tells it apart.

    `fate` is what a remedy would do to it, empty where none was asked.
    """

    key: str
    identity: Mapping[str, str | None]
    differing: Mapping[str, str | None]
    fate: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are the same under the key; `members` are the first of them."""

    values: Mapping[str, str | None]
    size: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What a unique index would meet: how many groups and rows, and the largest groups.

    `sizes` says for each size, largest first, how many groups have it.
    """

    key: UniqueKey
    groups: int = 0
    rows: int = 0
    largest: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    shown: tuple[Group, ...] = ()

    @property
    def surplus(self) -> int:
        """Return how many rows are too many."""
        return self.rows - self.groups


def find(
    conn: Connection,
    key: UniqueKey,
    *,
    order: Sequence[str] = (),
    draft: Draft | None = None,
    groups: int = GROUPS,
    members: int = MEMBERS,
) -> Duplicates:
    """Return the duplicates of a key: totals, and the largest groups with their first members.

    Of each member it tells the primary key and the columns that differ among the members shown, those of date and
    time first; what is the same in all of them decides nothing and is left out, and so is a generated column, which
    only repeats others. With a draft it tells what that remedy would do to each. Reads in a transaction of its own,
    the table at most twice. Raises BadKey.
    """
    with reading(conn):
        table = relation.find(conn, key.table)
        require_order(table, order)
        columns = [
            one for one in table.columns.values() if not one.generated or one.name in table.primary_key
        ]
        rows = asked(conn, key, _largest(of(key, table), table, columns, order, groups, members))
        if not rows:
            return Duplicates(key)
        fates = _fates(conn, draft, [row["key"] for row in rows])
    by_place: dict[int, list[dict[str, object]]] = {}
    for row in rows:
        by_place.setdefault(row["place"], []).append(row)
    shown = tuple(_group(key, table, columns, found, fates) for found in by_place.values())
    first = rows[0]
    sizes = tuple((one["size"], one["groups"]) for one in first["sizes"])
    return Duplicates(key, first["groups"], int(first["rows"]), first["largest"], sizes, shown)


def with_preview(found: Duplicates, repairs: Sequence[Repair]) -> Duplicates:
    """Return the duplicates with what the preview of a remedy did to each row that is shown.

    A row that is not in the preview, which is the first batch, has no fate told.
    """
    fates = {repair.texts[0]: _told(repair) for repair in repairs}
    shown = tuple(
        dataclasses.replace(
            group,
            members=tuple(
                dataclasses.replace(one, fate=fates.get(one.key, "not in the first batch"))
                for one in group.members
            ),
        )
        for group in found.shown
    )
    return dataclasses.replace(found, shown=shown)


def _largest(
    key: UniqueKey,
    table: Relation,
    columns: Sequence[Column],
    order: Sequence[str],
    groups: int,
    members: int,
) -> str:
    places = ", ".join(f"part_{place}" for place, _ in enumerate(key.parts, 1))
    texts = [f"t.{quote_name(one.name)}::text" for one in columns]
    read = [f"{_cut(text)} AS value_{place}" for place, text in enumerate(texts, 1)]
    read += [f"md5({text}) AS hash_{place}" for place, text in enumerate(texts, 1)]
    values = [
        f"left(top.part_{place}::text, {_LONGEST}) AS group_{place}" for place, _ in enumerate(key.parts, 1)
    ]
    identity = json_of(table.primary_key, [f"t.{quote_name(name)}" for name in table.primary_key])
    return f"""{grouped(key)}, top AS MATERIALIZED (
    SELECT *, row_number() OVER (ORDER BY members DESC, {places}) AS place
    FROM grouped
    ORDER BY members DESC, {places}
    LIMIT {groups}
), member AS (
    SELECT top.place, top.members, {", ".join([*values, *read])}, {identity}::text AS key,
        row_number() OVER (PARTITION BY top.place ORDER BY {by(table, order)}) AS nth
    FROM top
    JOIN {key.table} AS t ON {of_group(key, "top")}
)
SELECT *,
    (SELECT count(*) FROM grouped) AS groups,
    (SELECT sum(members) FROM grouped) AS rows,
    (SELECT max(members) FROM grouped) AS largest,
    (SELECT jsonb_agg(jsonb_build_object('size', members, 'groups', groups) ORDER BY members DESC)
       FROM (SELECT members, count(*) AS groups FROM grouped GROUP BY members) AS one) AS sizes
FROM member
WHERE nth <= {members}
ORDER BY place, nth"""


def _cut(text: str) -> str:
    return f"CASE WHEN length({text}) > {_LONGEST} THEN left({text}, {_LONGEST}) || '…' ELSE {text} END"


def _group(
    key: UniqueKey,
    table: Relation,
    columns: Sequence[Column],
    rows: Sequence[Mapping[str, Any]],
    fates: Mapping[str, str] | None,
) -> Group:
    places = {one.name: place for place, one in enumerate(columns, 1)}
    # Equal under the key is not the same everywhere: a column of the key may differ, too.
    differing = [
        one.name
        for one in sorted(columns, key=lambda one: one.category != "D")
        if one.name not in table.primary_key and len({row[f"hash_{places[one.name]}"] for row in rows}) > 1
    ]
    members = tuple(
        Member(
            row["key"],
            {name: row[f"value_{places[name]}"] for name in table.primary_key},
            {name: row[f"value_{places[name]}"] for name in differing},
            fates.get(row["key"], STAYS) if fates is not None else "",
        )
        for row in rows
    )
    values = {part: rows[0][f"group_{place}"] for place, part in enumerate(key.parts, 1)}
    return Group(values, rows[0]["members"], members)


def _fates(conn: Connection, draft: Draft | None, keys: Sequence[str]) -> dict[str, str] | None:
    if draft is None:
        return None
    query = "SELECT key::text AS key, fate FROM ({}) AS one WHERE key = ANY (%s::text[]::jsonb[])"
    with relation.refusing(draft.title):
        found = conn.execute(
            query.format(draft.outlook.replace("%", "%%")).encode(), (list(keys),)
        ).fetchall()
    return {row["key"]: row["fate"] for row in found}


def _told(repair: Repair) -> str:
    if repair.after is None:
        return "deleted"
    return ", ".join(
        f"{name}: {_value(old)} → {_value(repair.after[name])}" for name, old in repair.before.items()
    )


def _value(value: object) -> str:
    return "NULL" if value is None else str(value)
