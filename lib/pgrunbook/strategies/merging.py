"""What a merge has to be sure of before it is written: every reference known, and nothing lost by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pgrunbook import relation
from pgrunbook.relation import Reference
from pgrunbook.session import Connection
from pgrunbook.strategies import collisions, merge
from pgrunbook.strategies.case import Case
from pgrunbook.strategies.draft import Draft
from pgrunbook.strategies.merge import Child

__all__ = ["children", "draft"]

_ACTS = {"c": "ON DELETE CASCADE", "n": "ON DELETE SET NULL", "d": "ON DELETE SET DEFAULT"}


def draft(conn: Connection, case: Case) -> Draft:
    """Return the remedy; raises BadStrategy where a row would be lost, or would be the duplicate of another."""
    found = children(conn, case)
    for child in found:
        _refuse_unusable(case, child)
    try:
        would = [line for child in found for line in collisions.find(conn, case, child)]
        would += [line for child in found for line in collisions.self_references(conn, case, child)]
    except relation.REFUSED as error:
        case.refuse(
            f"nobody can tell whether rows that refer to the duplicates would be in each other's way:"
            f" {relation.reason(error)}",
            relation.way_out(error, "repair these rows by a remedy of your own"),
        )
    if would:
        case.refuse(
            "rows that refer to the duplicates would be in each other's way",
            "decide about these rows first; nothing was changed",
            would[: collisions.SHOWN],
        )
    return merge.draft(case, found, warnings=tuple(_warnings(case, found)))


def children(conn: Connection, case: Case) -> list[Child]:
    """Return the tables whose foreign keys point at the one with duplicates."""
    by_table: dict[str, list[Reference]] = {}
    for one in relation.references_to(conn, case.table):
        by_table.setdefault(one.child, []).append(one)
    found = []
    for name, references in by_table.items():
        itself = references[0].child_oid == case.table.oid
        found.append(Child(case.table if itself else relation.find(conn, name), tuple(references)))
    return found


def _refuse_unusable(case: Case, child: Child) -> None:
    table = child.table
    if table.has_heirs:
        case.refuse(
            f"other tables inherit from {table.name}, and its foreign key does not hold for their rows",
            "repair these rows by a remedy of your own",
        )
    if period := [one.name for one in child.references if one.period]:
        case.refuse(
            f"{period[0]} of {table.name} refers to it by PERIOD, which no other row can take over",
            "repair these rows by a remedy of your own",
        )
    if not table.primary_key:
        case.refuse(
            f"{table.name} refers to it and has no primary key, so nothing could say which row to give back",
            f"add a primary key to {table.name} first",
        )
    for name in child.columns:
        column = table.columns[name]
        if column.generated:
            case.refuse(f"{table.name}.{name} refers to it and is generated", "repair these rows by hand")
        if column.referred:
            case.refuse(
                f"{column.referred} refers to {table.name}.{name}, which would change",
                "repair these rows by a remedy of your own, from the last table to the first",
            )


def _warnings(case: Case, found: Sequence[Child]) -> Iterator[str]:
    table = case.table
    if table.on_delete:
        yield f"each DELETE from {table.name} fires {', '.join(table.on_delete)}; what they do is not undone."
    for child in found:
        if child.table.on_update:
            fired = ", ".join(child.table.on_update)
            yield f"each UPDATE of {child.table.name} fires {fired}; what they do is not undone."
        for one in child.references:
            if one.on_delete in _ACTS:
                yield (
                    f"{one.child} refers to it {_ACTS[one.on_delete]}: a row that is added there while a batch runs"
                    " would change with the duplicate. `pgrunbook remedy` notices and takes the batch back."
                )
            if not one.indexed:
                yield f"no index serves {one.child} ({', '.join(one.columns)}): each batch reads the whole table."
    for column in table.columns.values():
        if column.type == "json":
            yield f"undo gives {table.name}.{column.name} back as equal json, but not with the same blanks."
