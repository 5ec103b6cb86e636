"""What is to be unique: the columns or expressions of a key, for which rows, and how NULL counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import postgast
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as grammar

from pgrunbook.errors import BadKey
from pgrunbook.naming import Tree, inner, name, walk

__all__ = ["UniqueKey", "parse", "qualified"]

# What no index may hold, or what would end the expression and begin something else.
_FOREIGN = {"SubLink", "A_Star", "ParamRef", "SetToDefault", "SQLValueFunction"}
_ALLOWED = {"target_list", "limit_option", "op"}


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A key as a unique index would have it; table, parts and predicate are written as SQL spells them.

    A part is a column or an expression, with its COLLATE where it has one; a predicate is a partial index's.
    """

    table: str
    parts: tuple[str, ...]
    where: str = ""
    nulls_not_distinct: bool = False

    def __str__(self) -> str:
        """Return the key as CREATE INDEX would say it."""
        nulls = " NULLS NOT DISTINCT" if self.nulls_not_distinct else ""
        where = f" WHERE {self.where}" if self.where else ""
        return f"{self.table} ({', '.join(self.parts)}){nulls}{where}"

    @property
    def columns(self) -> tuple[str | None, ...]:
        """Return the name of the column that each part is, None for an expression."""
        return tuple(_column(_values(part)[0]) for part in self.parts)

    def counts(self, alias: str) -> list[str]:
        """Return the conditions under which a row of `alias` can have a duplicate (PostgreSQL manual, 11.6)."""
        where = qualified(self.where, alias) if self.where else ""
        # A row with a NULL in it is not NULL to an index, but neither is it IS NOT NULL. An expression may fail for
        # rows that the predicate leaves out, and conditions have no order.
        terms = [
            f"CASE WHEN {where} THEN {part} IS DISTINCT FROM NULL ELSE false END"
            if where and column is None
            else f"{part} IS DISTINCT FROM NULL"
            for part, column in zip(self.of(alias), self.columns, strict=True)
            if not self.nulls_not_distinct
        ]
        return [*terms, f"({where})"] if where else terms

    def of(self, alias: str) -> list[str]:
        """Return the parts, each column as the one of `alias`.

        >>> UniqueKey("t", ("a", "lower(b)")).of("x")
        ['x.a', '(lower(x.b))']
        """
        named = [
            (qualified(part, alias), column) for part, column in zip(self.parts, self.columns, strict=True)
        ]
        return [text if column is not None else f"({text})" for text, column in named]


def parse(table: str, parts: str, *, where: str = "", nulls_not_distinct: bool = False) -> UniqueKey:
    """Return the key that three texts name: a table, its columns or expressions with commas, a predicate.

    Raises BadKey for anything that is not exactly that by PostgreSQL's own grammar.

    >>> str(parse("Messages", 'channel_id, lower("Mail")', where="gone is null"))
    'messages (channel_id, lower("Mail")) WHERE gone IS NULL'
    """
    predicate = _texts(where, "a predicate") if where.strip() else [""]
    if len(predicate) > 1:
        raise BadKey(found=f"{where!r} is not one condition", next_step="join conditions with AND")
    return UniqueKey(_table(table), tuple(_texts(parts, "columns")), predicate[0], nulls_not_distinct)


def qualified(expression: str, alias: str) -> str:
    """Return an expression in which every column is the one of `alias`.

    >>> qualified("lower(b) || c", "x")
    'lower(x.b) || x.c'
    """
    tree = postgast.parse(f"SELECT {expression}")
    for node in walk(tree):
        if node.DESCRIPTOR.name == "ColumnRef":
            last = grammar.Node()
            last.CopyFrom(node.fields[-1])
            del node.fields[:]
            node.fields.add().string.sval = alias
            node.fields.add().CopyFrom(last)
    return _expression(tree)


def _table(text: str) -> str:
    try:
        only = [inner(one.stmt) for one in postgast.parse(f"SELECT FROM {text}\n").stmts]
        sources = [inner(node) for node in only[0].from_clause]
    except (postgast.PgQueryError, DecodeError, AttributeError, IndexError):
        only, sources = [], []
    plain = len(only) == len(sources) == 1 and sources[0].DESCRIPTOR.name == "RangeVar" and sources[0].inh
    if (
        not plain
        or _more(only[0], {*_ALLOWED, "from_clause"})
        or _more(sources[0], {"relname", "schemaname", "inh", "relpersistence", "location"})
    ):
        raise BadKey(found=f"{text!r} is not the name of a table", next_step="write messages or app.messages")
    return name(sources[0])


def _texts(text: str, what: str) -> list[str]:
    """Return each expression of a list as the grammar spells it."""
    try:
        values = _values(text)
        return [_spelled(value) for value in values]
    except (postgast.PgQueryError, DecodeError, ValueError) as error:
        found = f"{text!r} is not {what} of a unique index: {' '.join(str(error).split())}"
    raise BadKey(
        found=found, next_step="write it as CREATE UNIQUE INDEX would have it, e.g. channel_id, lower(code)"
    )


def _values(text: str) -> list[Tree]:
    # The grammar takes a C string and would stop reading at a NUL without a word.
    if "\0" in text:
        raise ValueError("a NUL ends it")
    found = [inner(one.stmt) for one in postgast.parse(f"SELECT {text}\n").stmts]
    if len(found) != 1 or _more(found[0], _ALLOWED):
        raise ValueError("it says more than that")
    if not found[0].target_list:
        raise ValueError("it names none")
    targets = [node.res_target for node in found[0].target_list]
    if any(target.name for target in targets):
        raise ValueError("it names a column AS something")
    if foreign := sorted({node.DESCRIPTOR.name for node in walk(found[0])} & _FOREIGN):
        raise ValueError(f"no index holds a {foreign[0]}")
    return [target.val for target in targets]


def _more(tree: Tree, allowed: Iterable[str]) -> bool:
    return not {field.name for field, _ in tree.ListFields()} <= set(allowed)


def _spelled(value: Tree) -> str:
    tree = postgast.parse("SELECT 1")
    tree.stmts[0].stmt.select_stmt.target_list[0].res_target.val.CopyFrom(value)
    return _expression(tree)


def _expression(tree: Tree) -> str:
    text: str = postgast.deparse(tree)
    return text.removeprefix("SELECT ")


def _column(value: Tree) -> str | None:
    """Return the name of the column that an expression is, whatever its collation."""
    value = inner(value)
    if value.DESCRIPTOR.name == "CollateClause":
        value = inner(value.arg)
    if value.DESCRIPTOR.name != "ColumnRef" or len(value.fields) != 1:
        return None
    return str(value.fields[0].string.sval)
