"""The contract of a change, read from the catalog of a database that has it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pgrunbook import session
from pgrunbook.contracts.checks import rules_of
from pgrunbook.contracts.model import Check, Column, Contract, Enumeration, Kind, Named, Table, Type, pascal
from pgrunbook.contracts.rules import All, Leaf, Length, Null, Rule, Some, joined
from pgrunbook.errors import NoContract
from pgrunbook.patience import split_name
from pgrunbook.session import Connection
from pgrunbook.shape import model as shape

__all__ = ["contract"]

_KINDS = {
    "text": Kind.TEXT, "varchar": Kind.TEXT, "bpchar": Kind.TEXT, "citext": Kind.TEXT, "uuid": Kind.UUID,
    "int2": Kind.SMALLINT, "int4": Kind.INTEGER, "int8": Kind.BIGINT, "numeric": Kind.NUMERIC,
    "float4": Kind.DOUBLE, "float8": Kind.DOUBLE, "bool": Kind.BOOLEAN, "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMP, "timestamptz": Kind.TIMESTAMPTZ, "json": Kind.JSON, "jsonb": Kind.JSON,
}  # fmt: skip
_NUMERIC = re.compile(r"numeric\((\d+),(-?\d+)\)")


def contract(
    conn: Connection, change: str, made: Sequence[shape.Table], enums: Sequence[shape.Enum]
) -> Contract:
    """Return the contract of tables; of the enums those that a column has.

    Raises NoContract for a type without one, for two names that would be the same in a contract, and where
    there is no table.
    """
    if not made:
        raise NoContract(
            change=change,
            found="it makes no table",
            next_step="choose a change that creates tables; those that only alter some have no contract of their own",
        )
    reader = _Reader(
        change,
        {one.name: one for one in enums},
        {row["name"]: row for row in session.rows(conn, "contract_domains")},
    )
    tables = tuple(reader.table(one) for one in made)
    found = tuple(
        Enumeration(_plain(one.name), one.labels, one.comment) for one in enums if one.name in reader.used
    )
    _refuse_doubles(change, [one.name for one in tables], [one.name for one in found])
    return Contract(change, tables, found)


class _Reader:
    """Turns tables of the catalog into tables of a contract, and remembers the enums that it met."""

    def __init__(self, change: str, enums: Mapping[str, shape.Enum], domains: Mapping[str, Any]) -> None:
        self.change, self.enums, self.domains = change, enums, domains
        self.used: set[str] = set()

    def table(self, found: shape.Table) -> Table:
        types = {_plain(one.name): self.type(found, one) for one in found.columns}
        tests: dict[str, list[Named]] = {name: [] for name in types}
        checks = []
        present = set()
        for name, definition, own in self.definitions(found):
            rules, complete = rules_of(definition, {**types, "value": types[own]} if own else types)
            rules = tuple(_renamed(rule, own) for rule in rules) if own else rules
            shared: list[Rule] = []
            for rule in rules:
                match rule:
                    case Leaf(column, Null(False)):
                        present.add(column)
                    case Leaf(column, Null()):
                        shared.append(rule)
                    case Leaf(column) as leaf:
                        _add(tests[column], Named(name, leaf))
                    case _:
                        shared.append(rule)
            source = f"{own}, by its domain: {definition}" if own else definition
            checks.append(Check(name, " ".join(source.split()), tuple(shared), complete))
        columns = tuple(
            self.column(one, types[_plain(one.name)], tests[_plain(one.name)], present)
            for one in found.columns
        )
        return Table(_plain(found.name), columns, found.comment, tuple(checks))

    def column(self, found: shape.Column, type_: Type, tests: Sequence[Named], present: set[str]) -> Column:
        name = _plain(found.name)
        if found.length is not None and type_.kind is Kind.TEXT:
            tests = [Named(f"{found.type}", Leaf(name, Length(None, found.length))), *tests]
        return Column(
            name,
            type_,
            nullable=found.nullable and name not in present,
            defaulted=bool(found.default or found.identity) and not found.generated,
            automatic=bool(found.generated) or found.identity == "always",
            comment=found.comment,
            tests=tuple(tests),
        )

    def definitions(self, found: shape.Table) -> list[tuple[str, str, str]]:
        """Return the checks of a table and of its columns' domains: name, definition, the domain's column."""
        of_domains = [
            (_plain(check["name"]), check["definition"], _plain(column.name))
            for column in found.columns
            if column.domain
            for check in self.domains[column.domain]["checks"]
        ]
        return [*((_plain(one.name), one.definition, "") for one in found.checks), *of_domains]

    def type(self, table: shape.Table, column: shape.Column) -> Type:
        written = self.domains[column.domain]["type"] if column.domain else column.type
        if column.kind.startswith("_") and written.endswith("[]"):
            element = self.simple(column.kind[1:], written[:-2])
            # A length of its items would be lost.
            if element is not None and "(" not in written:
                return Type(Kind.ARRAY, element=element)
        elif (found := self.simple(column.kind, written)) is not None:
            return found
        raise NoContract(
            change=self.change,
            found=f"column {column.name} of table {table.name} is of type {column.type}, which has no contract",
            next_step="give it a type that JSON can carry (text, numbers, boolean, date, timestamptz, uuid, jsonb, an"
            " enum or arrays of them), or keep it in a table of its own that the front end never sees",
        )

    def simple(self, kind: str, written: str) -> Type | None:
        if written in self.enums:
            self.used.add(written)
            return Type(Kind.ENUM, enum=_plain(written))
        if kind not in _KINDS:
            return None
        if numeric := _NUMERIC.fullmatch(written):
            return Type(Kind.NUMERIC, precision=int(numeric[1]), scale=int(numeric[2]))
        return Type(_KINDS[kind])


def _add(tests: list[Named], new: Named) -> None:
    """Add a test; the two ends of a BETWEEN become one."""
    last = tests[-1] if tests else None
    if last is not None and (last.check, last.leaf.path) == (new.check, new.leaf.path):
        both = joined(last.leaf.test, new.leaf.test)
        if both is not None:
            tests[-1] = Named(new.check, Leaf(new.leaf.column, both, new.leaf.path))
            return
    tests.append(new)


def _renamed(rule: Rule, column: str) -> Rule:
    """Return the rule of a domain's VALUE as one of the column."""
    match rule:
        case Leaf("value", test, path):
            return Leaf(column, test, path)
        case Leaf():
            return rule
        case All(parts) | Some(parts):
            return type(rule)(tuple(_renamed(one, column) for one in parts))
    return rule


def _plain(name: str) -> str:
    """Return a name without its quotes."""
    return ".".join(split_name(name))


def _refuse_doubles(change: str, tables: Sequence[str], enums: Sequence[str]) -> None:
    """Raise NoContract where two names, or one and that of a type of the contract, would be the same."""
    taken = {kind.value: f"type {kind.value} of every contract" for kind in Kind}
    made = [
        (f"{pascal(one)}{variant}", f"table {one}")
        for one in tables
        for variant in ("", "Row", "Insert", "Update")
    ]
    for name, what in [*made, *((pascal(one), f"enum {one}") for one in enums)]:
        if name in taken:
            raise NoContract(
                change=change,
                found=f"{what} and {taken[name]} would both be {name}",
                next_step="rename one of them",
            )
        taken[name] = what
