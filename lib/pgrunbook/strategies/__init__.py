"""Strategies: ways to repair duplicates, each written as a remedy that can be read, run and undone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from pgrunbook import relation, session
from pgrunbook.relation import Relation
from pgrunbook.session import Connection
from pgrunbook.strategies import merging, moving, resequence
from pgrunbook.strategies.case import Case
from pgrunbook.strategies.draft import Draft
from pgrunbook.uniquekey import UniqueKey

__all__ = ["Draft", "Strategy", "propose"]

NUMBERS, TEXTS = ("int2", "int4", "int8"), ("text", "varchar", "bpchar", "citext")
LOCK_TIMEOUT_MS, TIMEOUT_MS = 200, 300_000
FIRST_OWN_OID = 16_384


class Strategy(Enum):
    """A way to repair duplicates, by the word of the command line."""

    RESEQUENCE = "resequence"
    RESEQUENCE_GAPS = "resequence-gaps"
    MOVE = "move"
    SET_NULL = "set-null"
    MERGE = "merge"

    @property
    def renumbers(self) -> bool:
        """Return whether it keeps an order of numbers rather than one row of each group."""
        return self in (Strategy.RESEQUENCE, Strategy.RESEQUENCE_GAPS)


def propose(
    conn: Connection,
    key: UniqueKey,
    strategy: Strategy,
    *,
    column: str = "",
    order: Sequence[str] = (),
    newest: bool = False,
) -> Draft:
    """Return the remedy by which a strategy repairs the duplicates of a key; only reads.

    `column` is the column of the key that changes, by default the last part; `order` are columns that say which
    row of a group came first, before its primary key; `newest` keeps the last of them. The server plans the
    statement before it is returned. The connection must be outside a transaction. Raises BadKey where the key
    is not the table's, BadStrategy where the strategy cannot be used, with the reason and the way out.
    """
    with session.reading(conn, timeout_ms=TIMEOUT_MS, lock_timeout_ms=LOCK_TIMEOUT_MS):
        table = relation.find(conn, key.table)
        _require_key(conn, key)
        chosen = "" if strategy is Strategy.MERGE else column or (key.columns[-1] or "")
        case = Case(strategy.value, key, table, chosen, tuple(order), newest)
        _refuse_unusable(case, strategy)
        written = _written(conn, case, strategy)
        try:
            conn.execute(b"EXPLAIN " + written.statement.encode())
        except relation.REFUSED as error:
            case.refuse(
                f"the server refuses the remedy: {relation.reason(error)}",
                relation.way_out(error, "repair these rows by a remedy of your own"),
            )
        return written


def _require_key(conn: Connection, key: UniqueKey) -> None:
    where = " AND ".join(key.counts("t"))
    chosen = f"WHERE {where} " if where else ""
    query = f"EXPLAIN SELECT FROM {key.table} AS t {chosen}GROUP BY {', '.join(key.of('t'))}"
    with relation.refusing(key):
        conn.execute(query.encode())


def _refuse_unusable(case: Case, strategy: Strategy) -> None:
    table = case.table
    if table.oid < FIRST_OWN_OID:
        case.refuse(f"{table.name} is PostgreSQL's own", "name a table of yours")
    if not table.primary_key:
        case.refuse(
            f"{table.name} has no primary key, so nothing could say which row an old value goes back to",
            "add a primary key first, or repair these rows by hand",
        )
    if table.has_heirs:
        case.refuse(
            f"other tables inherit from {table.name}, and no index makes a value unique in all of them",
            "repair each table alone, or make it a partitioned table",
        )
    if missing := [name for name in case.order if name not in table.columns]:
        case.refuse(
            f"{table.name} has no column {missing[0]} to order by", f"choose of {', '.join(table.columns)}"
        )
    if strategy.renumbers and case.newest:
        case.refuse("it keeps every row, so there is no newest to keep", "leave that out, or choose move")
    number = [table.columns[name].type in NUMBERS for name in table.primary_key] == [True]
    if not strategy.renumbers and not case.order and not number:
        case.refuse(
            f"the primary key ({', '.join(table.primary_key)}) does not say which row came first",
            "say by which columns to order, e.g. --order created_at",
        )
    if strategy is not Strategy.MERGE:
        _refuse_column(case, strategy)


def _refuse_column(case: Case, strategy: Strategy) -> None:
    if case.column not in case.key.columns:
        said = (
            f"{case.column} is none of its columns"
            if case.column
            else f"{case.key.parts[-1]} is an expression"
        )
        case.refuse(
            f"{said}, so no value can be found that changes it", "name a plain column of the key, or merge"
        )
    column, other = case.target, "name another column of the key, or choose another strategy"
    if column.generated:
        case.refuse(f"{column.name} is generated: PostgreSQL alone writes it", other)
    if column.identity:
        case.refuse(f"{column.name} is GENERATED ALWAYS AS IDENTITY: an UPDATE may not set it", other)
    if column.name in case.table.primary_key:
        case.refuse(f"{column.name} is part of the primary key, by which undo finds a row again", other)
    if column.referred:
        case.refuse(
            f"{column.referred} refers to {column.name}: its rows would change too, or stop the remedy", other
        )
    if strategy is Strategy.SET_NULL:
        if column.not_null:
            case.refuse(f"{column.name} is NOT NULL", "choose move, or merge")
        if case.key.nulls_not_distinct:
            case.refuse(
                "under NULLS NOT DISTINCT the NULLs would be duplicates again", "choose move, or merge"
            )
        return
    if column.refers:
        case.refuse(
            f"{column.name} is a reference ({column.refers}): no new value would be found there", other
        )
    allowed = NUMBERS if strategy.renumbers else (*NUMBERS, *TEXTS)
    if column.type not in allowed:
        case.refuse(f"{column.name} is {column.type}, it has to be one of {', '.join(allowed)}", other)
    if case.key.nulls_not_distinct and not column.not_null:
        case.refuse(
            f"under NULLS NOT DISTINCT rows without {column.name} are duplicates too, and have no value to start from",
            "fill it in these rows and make it NOT NULL first",
        )
    if column.type in TEXTS and (column.longest or moving.SHORTEST) < moving.SHORTEST:
        case.refuse(
            f"{column.name} holds {column.longest} characters, a mark that is unique needs {moving.SHORTEST}",
            "choose set-null or merge, or make the column longer first",
        )


def _written(conn: Connection, case: Case, strategy: Strategy) -> Draft:
    if strategy is Strategy.MERGE:
        return merging.draft(conn, case)
    warnings = (*_triggers(case.table), *_other_keys(conn, case))
    if strategy.renumbers:
        in_order = case.key.columns[-1] == case.column
        served = in_order and relation.serving(conn, case.table, case.key.columns)
        return resequence.draft(
            case, gaps=strategy is Strategy.RESEQUENCE_GAPS, served=served, warnings=warnings
        )
    if strategy is Strategy.SET_NULL:
        return moving.draft_null(case, warnings=warnings)
    write = moving.draft_number if case.target.type in NUMBERS else moving.draft_text
    return write(case, warnings=warnings)


def _triggers(table: Relation) -> Iterator[str]:
    if table.on_update:
        yield f"each UPDATE of {table.name} fires {', '.join(table.on_update)}; what they do is not undone."


def _other_keys(conn: Connection, case: Case) -> Iterator[str]:
    for unique in relation.uniques(conn, case.table):
        if case.column in unique.columns:
            yield f"{unique.name} is unique over {case.column} too: a batch that would break it is refused."
