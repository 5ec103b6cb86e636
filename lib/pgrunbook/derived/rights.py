"""Rights: what a role lacks that a question could not be asked, and the GRANT that gives it."""

from __future__ import annotations

import re

import psycopg

from pgrunbook import session
from pgrunbook.naming import Tree, walk
from pgrunbook.patience import split_name
from pgrunbook.session import Connection

__all__ = ["reason"]

_OF_A_TABLE = re.compile(r"permission denied for (?:table|relation|view|materialized view) (.+)")


def reason(conn: Connection, error: Exception, tree: Tree = None) -> str:
    """Return the first line of an error, and for a right that is missing what would give it.

    `tree` is what was asked for; without it the table is the one that the error names. The connection must be
    outside a transaction.
    """
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    if not isinstance(error, psycopg.errors.InsufficientPrivilege):
        return first
    named = {
        (node.schemaname or None, node.relname)
        for node in (walk(tree) if tree is not None else ())
        if node.DESCRIPTOR.name == "RangeVar"
    }
    if not named and (found := _OF_A_TABLE.search(first)):
        named = {(None, split_name(found[1])[-1])}
    asked = {"schemas": [schema for schema, _ in named], "tables": [table for _, table in named]}
    lacking = [row["remedy"] for row in session.rows(conn, "derived_missing_rights", asked)]
    return f"{first}; needed: {'; '.join(lacking)}" if lacking else first
