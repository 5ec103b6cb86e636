"""The null of JSON and NULL: one in what a remedy returns, told apart by a look at the rows themselves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from psycopg import sql

from pgrunbook import restoring
from pgrunbook.footprint import Footprint
from pgrunbook.quarantine import Repair, Table
from pgrunbook.session import Connection

__all__ = ["noted"]


def noted(
    conn: Connection,
    look: Connection | None,
    repairs: Sequence[Repair],
    shapes: Mapping[Table, Footprint],
) -> list[Repair]:
    """Return repairs that know which of their nulls are those of JSON.

    What the rows hold now is seen on the connection that repaired them, what they held before on one that does not see
    the repair yet. Raises ValueError where nobody can tell.
    """
    before = _nulls(look, repairs, shapes, "before")
    after = _nulls(conn, repairs, shapes, "after")
    told = list(repairs)
    for position in before.keys() | after.keys():
        nulls = before.get(position, {}) | after.get(position, {})
        told[position] = replace(told[position], json_nulls=json.dumps(nulls))
    return told


def _nulls(
    conn: Connection | None, repairs: Sequence[Repair], shapes: Mapping[Table, Footprint], when: str
) -> dict[int, dict[str, list[str]]]:
    wanted: dict[tuple[str, ...], list[int]] = {}
    for position, one in enumerate(repairs):
        held = one.before if when == "before" else one.after
        if unsure := tuple(
            name for name in shapes[one.table].documents if held and held.get(name, 0) is None
        ):
            wanted.setdefault(tuple(sorted(unsure)), []).append(position)
    found: dict[int, dict[str, list[str]]] = {}
    for names, positions in wanted.items():
        words = f"nobody can tell whether {', '.join(names)} held NULL or the null of JSON"
        if conn is None:
            raise ValueError(f"{words}: there is no second session to look")
        part = [repairs[position] for position in positions]
        each = sql.SQL(", ").join(
            sql.SQL("CASE WHEN to_jsonb(t.{}) = 'null' THEN {} END").format(
                restoring.quoted(name), restoring.quoted_text(name)
            )
            for name in names
        )
        row = sql.SQL("to_jsonb(array_remove(ARRAY[{}]::text[], NULL))::text").format(each)
        rows = dict(restoring.found(conn, part, row))
        if len(rows) < len(part):
            raise ValueError(f"{words}: its key does not find the row as it was {when} the repair")
        found |= {
            positions[number]: {when: nulls} for number, text in rows.items() if (nulls := json.loads(text))
        }
    return found
