"""What a statement names: tables, indexes, the words for its objects, read from PostgreSQL's syntax tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import postgast
from postgast import pg_query_pb2 as grammar

__all__ = [
    "CHANGES_ROWS",
    "RowChange",
    "Tree",
    "creates",
    "index",
    "inner",
    "name",
    "object_words",
    "quote_name",
    "returned",
    "row_changes",
    "tables",
    "walk",
]

Tree = Any  # a protobuf message of libpg_query; its fields are data, not attributes we could check

_OBJECTS = {
    "COLUMN": "TABLE",
    "DOMCONSTRAINT": "DOMAIN",
    "MATVIEW": "MATERIALIZED VIEW",
    "STATISTIC_EXT": "STATISTICS",
    "TABCONSTRAINT": "TABLE",
}
CHANGES_ROWS = {"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"}


@dataclass(frozen=True, slots=True)
class RowChange:
    """A WITH query that changes rows: its name, what it does to which table, and whether its rows are read."""

    name: str
    verb: str
    table: str
    read: bool


def object_words(number: int) -> str:
    """Return the words for one of the grammar's object types."""
    word: str = grammar.ObjectType.Name(number).removeprefix("OBJECT_")
    return _OBJECTS.get(word, word.replace("_", " "))


# The object that the statement itself makes, or that is no table; and names that are aliases.
_NOT_LIVE = {
    ("AlterSeqStmt", "sequence"),
    ("CompositeTypeStmt", "typevar"),
    ("CreateSeqStmt", "sequence"),
    ("CreateStmt", "relation"),
    ("IntoClause", "rel"),
    ("LockingClause", "locked_rels"),
    ("ViewStmt", "view"),
}
_LIVE_OBJECTS = {"TABLE", "FOREIGN TABLE", "MATERIALIZED VIEW"}
_PARTS_OF_TABLES = {
    grammar.OBJECT_COLUMN,
    grammar.OBJECT_POLICY,
    grammar.OBJECT_RULE,
    grammar.OBJECT_TABCONSTRAINT,
    grammar.OBJECT_TRIGGER,
}


def tables(kind: str, tree: Tree) -> tuple[str, ...]:
    """Return the relations that the statement names and that may be live tables, in the order of the text."""
    if kind == "DropStmt":
        listed = [_listed(node, tree.remove_type) for node in tree.objects]
    elif kind in ("CommentStmt", "SecLabelStmt"):
        listed = [_listed(tree.object, tree.objtype)]
    else:
        found = sorted(_relations(tree, frozenset()), key=lambda relation: relation.location)
        listed = [name(relation) for relation in found]
        for option in tree.options if kind in ("CreateSeqStmt", "AlterSeqStmt") else ():
            if option.def_elem.defname == "owned_by":
                listed.append(_listed(option.def_elem.arg, grammar.OBJECT_COLUMN))
    return tuple(dict.fromkeys(name for name in listed if name))


def _listed(node: Tree, object_type: int) -> str:
    """Return the table in a list of names such as schema, table, column; empty when there is none."""
    names = [item.string.sval for item in node.list.items]
    if object_type in _PARTS_OF_TABLES:
        names.pop()
    elif object_words(object_type) not in _LIVE_OBJECTS:
        return ""
    return ".".join(map(quote_name, names))


def _relations(tree: Tree, hidden: frozenset[str]) -> Iterator[Tree]:
    """Yield the range variables below a node; `hidden` are the names that mean a WITH query there."""
    kind = tree.DESCRIPTOR.name
    if kind == "RangeVar":
        if tree.schemaname or tree.relname not in hidden:
            yield tree
        return
    if "with_clause" in tree.DESCRIPTOR.fields_by_name and tree.HasField("with_clause"):
        queries = [node.common_table_expr for node in tree.with_clause.ctes]
        every = hidden | {query.ctename for query in queries}
        for query in queries:
            # Without RECURSIVE a WITH query sees only those before it: its own name is still the table.
            yield from _relations(query, every if tree.with_clause.recursive else hidden)
            hidden |= {query.ctename}
    for field, value in tree.ListFields():
        if field.message_type is None or field.name == "with_clause" or (kind, field.name) in _NOT_LIVE:
            continue
        if field.name in ("relation", "objects") and not _is_on_table(kind, tree):
            continue
        visible = frozenset[str]() if kind in CHANGES_ROWS and field.name == "relation" else hidden
        for node in value if field.is_repeated else (value,):
            yield from _relations(node, visible)


def _is_on_table(kind: str, tree: Tree) -> bool:
    """Return whether the main relation of a statement may be a table rather than an index or a sequence."""
    match kind:
        case "AlterTableStmt" | "GrantStmt":
            return object_words(tree.objtype) in _LIVE_OBJECTS
        case "RenameStmt":
            return tree.rename_type in _PARTS_OF_TABLES or object_words(tree.rename_type) in _LIVE_OBJECTS
        case "AlterObjectSchemaStmt":
            return object_words(tree.object_type) in _LIVE_OBJECTS
        case "ReindexStmt":
            return bool(tree.kind == grammar.REINDEX_OBJECT_TABLE)
    return True


def index(kind: str, tree: Tree) -> str | None:
    """Return the index that a statement makes, drops or rebuilds."""
    match kind:
        case "IndexStmt" if tree.idxname:
            return str(tree.idxname)
        case "DropStmt" if tree.remove_type == grammar.OBJECT_INDEX and len(tree.objects) == 1:
            return ".".join(quote_name(item.string.sval) for item in tree.objects[0].list.items)
        case "ReindexStmt" if tree.kind == grammar.REINDEX_OBJECT_INDEX:
            return name(tree.relation)
    return None


def creates(kind: str, tree: Tree) -> str | None:
    """Return the table that is new after a statement, by CREATE TABLE or by its new name."""
    match kind:
        case "CreateStmt":
            return name(tree.relation)
        case "CreateTableAsStmt":
            return name(tree.into.rel)
        case "RenameStmt" if (
            object_words(tree.rename_type) in _LIVE_OBJECTS and tree.rename_type not in _PARTS_OF_TABLES
        ):
            schema = f"{quote_name(tree.relation.schemaname)}." if tree.relation.schemaname else ""
            return f"{schema}{quote_name(tree.newname)}"
    return None


def row_changes(tree: Tree) -> tuple[RowChange, ...]:
    """Return the WITH queries of a statement that change rows, in order."""
    found = []
    for node in tree.with_clause.ctes if "with_clause" in tree.DESCRIPTOR.fields_by_name else ():
        query = node.common_table_expr
        made = inner(query.ctequery)
        if made.DESCRIPTOR.name in CHANGES_ROWS:
            read = any(
                one.DESCRIPTOR.name == "RangeVar" and one.relname == query.ctename and not one.schemaname
                for one in walk(tree, without=query)
            )
            verb = made.DESCRIPTOR.name.removesuffix("Stmt").upper()
            found.append(RowChange(query.ctename, verb, name(made.relation), read and bool(returned(made))))
    return tuple(found)


def returned(tree: Tree) -> tuple[str, ...]:
    """Return the names of the columns that a SELECT or a RETURNING gives; `?column?` where it names none."""
    kind = tree.DESCRIPTOR.name
    if kind == "SelectStmt":
        while tree.HasField("larg"):
            tree = tree.larg
        targets = tree.target_list
    elif kind in CHANGES_ROWS:
        targets = tree.returning_clause.exprs
    else:
        return ()
    names = []
    for target in (node.res_target for node in targets):
        fields = target.val.column_ref.fields
        last = fields[-1] if fields else None
        star = last is not None and last.HasField("a_star")
        names.append(target.name or ("*" if star else last.string.sval if last is not None else "?column?"))
    return tuple(names)


def inner(node: Tree) -> Tree:
    """Return what the grammar wrapped in a Node."""
    return getattr(node, node.WhichOneof("node"))


def walk(tree: Tree, *, without: Tree = None) -> Iterator[Tree]:
    """Yield a node and everything below it, but for one node and what is below that."""
    if tree is without:
        return
    yield tree
    for field, value in tree.ListFields():
        if field.message_type is not None:
            for node in value if field.is_repeated else (value,):
                yield from walk(node, without=without)


def name(relation: Tree) -> str:
    """Return a range variable's name as SQL needs it, with its schema where it has one."""
    return ".".join(quote_name(part) for part in (relation.schemaname, relation.relname) if part)


@cache
def quote_name(name: str) -> str:
    """Return a name as SQL needs it: quoted unless it is plain lower case and no key word.

    >>> quote_name("classes"), quote_name("order"), quote_name("Class")
    ('classes', '"order"', '"Class"')
    """
    usable = (grammar.NO_KEYWORD, grammar.UNRESERVED_KEYWORD)
    if re.fullmatch(r"[a-z_][a-z0-9_$]*", name) and postgast.scan(name).tokens[0].keyword_kind in usable:
        return name
    return '"{}"'.format(name.replace('"', '""'))
