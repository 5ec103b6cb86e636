"""The case that a strategy is to repair: key, table and order, and the SQL that every remedy is made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NoReturn

from pgrunbook.errors import BadStrategy
from pgrunbook.naming import quote_name
from pgrunbook.relation import Column, Relation
from pgrunbook.uniquekey import UniqueKey, qualified

__all__ = ["BATCH", "Case", "exact", "json_of", "listed", "literal", "same", "whole"]

# A setting that was set for one transaction stays behind as an empty text.
BATCH = "coalesce(nullif(current_setting('pgrunbook.batch', true), '')::int, 1000)"
# Types whose equal values are the same bytes.
_EXACT = ("int2", "int4", "int8", "uuid", "bool", "date", "timestamp", "timestamptz", "oid")


@dataclass(frozen=True, slots=True)
class Case:
    """A key and its table; `column` is the one to change, `order` says who came first in a group.

    In the SQL `t` is the table; `key_1`, ... are its primary key, `part_1`, ... the parts of the unique key.
    """

    strategy: str
    key: UniqueKey
    table: Relation
    column: str = ""
    order: tuple[str, ...] = ()
    newest: bool = False

    def refuse(self, found: str, next_step: str, details: Sequence[str] = ()) -> NoReturn:
        """Raise BadStrategy for this case."""
        raise BadStrategy(
            strategy=self.strategy, key=str(self.key), found=found, next_step=next_step, details=details
        )

    @property
    def target(self) -> Column:
        """Return the column that changes."""
        return self.table.columns[self.column]

    @property
    def group(self) -> list[int]:
        """Return the places of the parts that stay, 1-based."""
        return [place for place, name in enumerate(self.key.columns, 1) if name != self.column]

    @property
    def keys(self) -> list[str]:
        """Return the columns of the primary key, of `t`."""
        return [f"t.{quote_name(name)}" for name in self.table.primary_key]

    @property
    def names(self) -> list[str]:
        """Return what the WITH queries call the primary key."""
        return [f"key_{place}" for place, _ in enumerate(self.keys, 1)]

    @property
    def read(self) -> list[str]:
        """Return what every WITH query reads of a row first: its primary key and the parts of the unique key."""
        keys = [f"{key} AS {name}" for key, name in zip(self.keys, self.names, strict=True)]
        return [*keys, *(f"{part} AS part_{place}" for place, part in enumerate(self.key.of("t"), 1))]

    @property
    def condition(self) -> str:
        """Return which rows count, as a WHERE of `t`; empty where all do."""
        terms = self.key.counts("t")
        return "\n    WHERE " + "\n      AND ".join(terms) if terms else ""

    def by(self, first: Iterable[str] = ()) -> str:
        """Return the order of the rows of a group: `first`, then what the operator gave, then the primary key."""
        wanted = [*first, *(f"t.{quote_name(name)}" for name in self.order)]
        terms = list(dict.fromkeys([*wanted, *self.keys]))
        return ", ".join(f"{term} DESC NULLS LAST" if self.newest else term for term in terms)

    def partition(self, places: Iterable[int], *, of: str = "") -> str:
        """Return PARTITION BY over parts, as expressions of `t` or, with `of`, as columns of a WITH query."""
        parts = self.key.of("t")
        terms = [f"part_{place}" if of else parts[place - 1] for place in places]
        return f"PARTITION BY {', '.join(terms)} " if terms else ""

    def unchanged(self, batch: str, *, indent: str = "  ") -> str:
        """Return the rest of a WHERE: the row is found by its key and is still what was read."""
        found = [f"{key} = {batch}.{name}" for key, name in zip(self.keys, self.names, strict=True)]
        stayed = [
            same(part, f"{batch}.part_{place}", surely=not self.key.nulls_not_distinct)
            for place, part in enumerate(self.key.of("t"), 1)
        ]
        predicate = [f"({qualified(self.key.where, 't')})"] if self.key.where else []
        # Equal is not the same where a collation or a scale says so: what somebody just wrote is his.
        if self.column and self.target.type not in _EXACT:
            value = '{}.{}::text COLLATE "C"'
            new = value.format("t", quote_name(self.column))
            predicate.append(same(new, value.format(batch, "old"), surely=False))
        return f"\n{indent}AND ".join([*found, *stayed, *predicate])

    def returning(self, batch: str) -> str:
        """Return the RETURNING of an UPDATE of the one column."""
        name, key = quote_name(self.column), json_of(self.table.primary_key, self.keys)
        return (
            f"RETURNING\n    {key} AS key,\n"
            f"    {json_of([self.column], [exact(self.target, f'{batch}.old')])} AS before,\n"
            f"    {json_of([self.column], [f't.{name}'])} AS after"
        )

    def outlook(self, queries: str, source: str, fate: str) -> str:
        """Return the SELECT of key and fate over WITH queries."""
        key = json_of(self.table.primary_key, self.names)
        return f"{queries}\nSELECT {key} AS key, {fate} AS fate\nFROM {source}"


def same(one: str, other: str, *, surely: bool) -> str:
    """Return the condition that two values are the same; `surely` where neither can be NULL."""
    return f"{one} = {other}" if surely else f"{one} IS NOT DISTINCT FROM {other}"


def json_of(names: Iterable[str], values: Iterable[str]) -> str:
    """Return the expression of an object.

    >>> json_of(["id"], ["t.id"])
    "jsonb_build_object('id', t.id)"
    """
    pairs = (f"{literal(name)}, {value}" for name, value in zip(names, values, strict=True))
    return f"jsonb_build_object({', '.join(pairs)})"


def exact(column: Column, value: str) -> str:
    """Return the expression of a value that a jsonb gives back to the byte.

    A number of it knows no -0 and its arrays all begin at 1: such values go as texts, as the type's own input reads.
    """
    by_text = column.category in ("A", "C") or column.type in ("float4", "float8")
    return f"{value}::text" if by_text else value


def whole(table: Relation) -> str:
    """Return the expression of a whole row of `t` that a jsonb gives back to the byte."""
    values = {name: f"t.{quote_name(name)}" for name in table.columns}
    texts = {name: exact(column, values[name]) for name, column in table.columns.items()}
    # One by one, because a function has no more than a hundred arguments.
    others = [f" || {json_of([name], [text])}" for name, text in texts.items() if text != values[name]]
    return f"to_jsonb(t.*){''.join(others)}"


def literal(text: str) -> str:
    r"""Return a text as SQL spells it, whatever standard_conforming_strings says.

    >>> literal("it's"), literal("a\\b")
    ("'it''s'", "E'a\\\\b'")
    """
    body = text.replace("'", "''")
    return "E'" + body.replace("\\", "\\\\") + "'" if "\\" in body else f"'{body}'"


def listed(terms: Iterable[str]) -> str:
    r"""Return the columns of a SELECT, one a line.

    >>> listed(["a", "b"])
    '        a,\n        b'
    """
    return ",\n".join(f"        {term}" for term in terms)
