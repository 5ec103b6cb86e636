"""Every name that a paper may use: what the change made, what the server has, and words that are SQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import psycopg

from pgrunbook import session
from pgrunbook.session import Connection
from pgrunbook.shape.model import Schema, Table

__all__ = ["Names", "read"]

_TOKEN = re.compile(
    r"'(?P<literal>[^']*)'"
    r"|(?P<sqlstate>\b(?=[0-9A-Z]*[0-9])[0-9A-Z]{5}\b)"
    r"|(?P<number>\b\d[\d_.]*\b)"
    r'|(?P<name>(?:"[^"]+"|[^\W\d][\w$]*)(?:\.(?:"[^"]+"|[^\W\d][\w$]*))*(?:\(\))?)'
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a database with the change; `settings` are those that functions, policies and scripts ask for."""

    model: frozenset[str]
    functions: frozenset[str]
    settings: frozenset[str]
    words: frozenset[str]
    raised: frozenset[str]

    def unknown(self, code: str) -> list[str]:
        """Return the parts of a piece of code that name nothing.

        A name is that of an object, `table.column`, a label of an enum, a role, a type, a function with `()`, a
        setting; a word in upper case has to be one of SQL's; five letters with a digit are a SQLSTATE.
        """
        return [found for kind, found in _tokens(code) if not self._knows(kind, found)]

    def _knows(self, kind: str, found: str) -> bool:
        if kind == "number":
            return True
        if kind == "literal":
            # Text is text, but one with a dot looks like a setting.
            return "." not in found or found in self.settings
        if kind == "sqlstate":
            return found in self.raised or _is_standard(found)
        if found.endswith("()"):
            return found[:-2] in self.functions
        if found in self.model or found in self.settings or found in self.functions:
            return True
        return found.lower() in self.words if found.isupper() else found in _CONSTANTS


_CONSTANTS = frozenset({"true", "false", "null"})


def _is_standard(sqlstate: str) -> bool:
    try:
        psycopg.errors.lookup(sqlstate)
    except KeyError:
        return False
    return True


def _tokens(code: str) -> Iterator[tuple[str, str]]:
    for match in _TOKEN.finditer(code):
        yield match.lastgroup or "", match[match.lastgroup or 0]


def read(conn: Connection, schema: Schema, *, scripts: Iterable[str] = ()) -> Names:
    """Return the names of a database; `schema` is its model, `scripts` are texts that may ask for settings."""
    found: dict[str, set[str]] = {}
    for row in session.rows(conn, "known_names"):
        found.setdefault(row["kind"], set()).add(row["name"])
    own = {function.name for function in schema.functions}
    raised = {state for function in schema.functions for state in function.sqlstates}
    # A trigger may hand its function the code to raise.
    handed = " ".join(trigger.definition for table in schema.tables for trigger in table.triggers)
    raised |= set(re.findall(r"'([0-9A-Z]{5})'", handed))
    texts = [*scripts, *(function.text for function in schema.functions)]
    texts += [
        text for table in schema.tables for policy in table.policies for text in (policy.using, policy.check)
    ]
    asked = {name for text in texts for name in re.findall(r"'(\w+(?:\.\w+)+)'", text)}
    return Names(
        frozenset(_of_model(schema) | found["role"] | found["type"]),
        frozenset(own | found["function"]),
        frozenset(asked | found["setting"]),
        frozenset(found["word"]),
        frozenset(raised),
    )


def _of_model(schema: Schema) -> set[str]:
    names = {table.name for table in schema.tables} | {enum.name for enum in schema.enums}
    names |= {other.name for other in schema.others}
    names |= {label for one in schema.enums for label in one.labels}
    names |= {f"{one.name}.{label}" for one in schema.enums for label in one.labels}
    for table in schema.tables:
        own = set(_of_table(table))
        names |= own | {f"{table.name}.{name}" for name in own}
    return names


def _of_table(table: Table) -> Iterator[str]:
    for part in (
        table.columns, table.uniques, table.foreign_keys, table.checks, table.exclusions,
        table.indexes, table.triggers, table.policies,
    ):  # fmt: skip
        yield from (one.name for one in part)
    if table.primary_key is not None:
        yield table.primary_key.name
