"""The statements of an SQL text, read with PostgreSQL's own grammar."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

import postgast
from google.protobuf.message import DecodeError
from postgast import pg_query_pb2 as grammar

from pgrunbook.errors import BadStatement
from pgrunbook.header import LINE_END
from pgrunbook.naming import (
    CHANGES_ROWS,
    RowChange,
    Tree,
    creates,
    index,
    inner,
    name,
    object_words,
    returned,
    row_changes,
    tables,
    walk,
)

__all__ = ["Statement", "parse"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script and what the runner has to know about it.

    `text` is the statement as written, without the comments around it and without its semicolon; `line`
    is the 1-based line where it begins. Names are schema-qualified where the text qualifies them, and
    quoted where SQL needs it; only the `index` of a CREATE INDEX is the bare name that the catalog will
    have, in the schema of its table. `writes_in_bulk` says that it writes as much as a table or an index
    is large. `target` is the table whose rows change, `with_changes` the WITH queries that change rows,
    `returns` names the columns of a RETURNING or a SELECT, `creates` is the table that is new afterwards, by
    CREATE TABLE or by its new name. `stop` is the place in the bytes of the whole text where the statement is
    over, its semicolon included.
    """

    text: str
    verb: str
    line: int
    tables: tuple[str, ...] = ()
    index: str | None = None
    concurrently: bool = False
    needs_no_transaction: bool = False
    controls_transaction: bool = False
    target: str | None = None
    unique: bool = False
    only_reads: bool = False
    writes_in_bulk: bool = False
    returns: tuple[str, ...] = ()
    with_changes: tuple[RowChange, ...] = ()
    creates: str | None = None
    stop: int = 0


def parse(sql: str, *, file: str) -> tuple[Statement, ...]:
    r"""Return the statements of a text in order, none for a text of comments; `file` is only named in errors.

    Raises BadStatement, and nothing else, where the grammar of PostgreSQL refuses the text.

    >>> [(s.verb, s.line, s.tables) for s in parse("-- first\nTABLE a;\nDROP TABLE app.b", file="x.sql")]
    [('SELECT', 2, ('a',)), ('DROP TABLE', 3, ('app.b',))]
    """

    def refuse(position: int, found: str, next_step: str) -> NoReturn:
        raise BadStatement(file=file, line=_line(sql[:position]), found=found, next_step=next_step)

    # The grammar takes a C string and would stop reading at a NUL without a word.
    if unreadable := re.search("[\0\ud800-\udfff]", sql):
        found = f"character {unreadable[0]!r} cannot be sent to PostgreSQL"
        refuse(unreadable.start(), found, "remove the character")
    try:
        raw_statements = postgast.parse(sql).stmts
        tokens = postgast.scan(sql).tokens if raw_statements else ()
    except postgast.PgQueryError as error:
        # Its position counts characters, whatever its documentation says about bytes.
        advice = f"correct the SQL; psql -v ON_ERROR_STOP=1 -f {file} has to accept it too"
        refuse(max(error.cursorpos - 1, 0), error.message, advice)
    except DecodeError:
        advice = "write a long chain of || as concat(...), or split the statement"
        refuse(0, "an expression is nested more than about 45 levels deep", advice)
    utf8 = sql.encode()
    ends = [token.end for token in tokens if grammar.Token.Name(token.token) not in _NOT_CODE]
    statements = []
    for raw in raw_statements:
        start = raw.stmt_location
        stop = start + raw.stmt_len if raw.stmt_len else len(utf8)
        text = utf8[start : max(end for end in ends if end <= stop)].decode()
        one = _statement(inner(raw.stmt), text, _line(utf8[:start].decode()))
        statements.append(dataclasses.replace(one, stop=min(stop + 1, len(utf8))))
    return tuple(statements)


_NOT_CODE = {"SQL_COMMENT", "C_COMMENT", "ASCII_59"}


def _line(before: str) -> int:
    return len(LINE_END.findall(before)) + 1


def _statement(tree: Tree, text: str, line: int) -> Statement:
    kind = tree.DESCRIPTOR.name
    return Statement(
        text=text,
        verb=_verb(kind, tree),
        line=line,
        tables=tables(kind, tree),
        index=index(kind, tree),
        concurrently=_concurrently(kind, tree),
        needs_no_transaction=_needs_no_transaction(kind, tree),
        controls_transaction=kind == "TransactionStmt",
        target=name(tree.relation) if kind in CHANGES_ROWS else None,
        unique=kind == "IndexStmt" and tree.unique,
        only_reads=kind == "SelectStmt" and not any(_is_effect(node) for node in walk(tree)),
        writes_in_bulk=_writes_in_bulk(kind, tree),
        returns=returned(tree),
        with_changes=row_changes(tree),
        creates=creates(kind, tree),
    )


# --- what it is called -------------------------------------------------------------------------------------

_VERBS = {
    "AlterSeqStmt": "ALTER SEQUENCE",
    "AlterTableMoveAllStmt": "ALTER TABLE ALL",
    "CheckPointStmt": "CHECKPOINT",
    "CompositeTypeStmt": "CREATE TYPE",
    "ConstraintsSetStmt": "SET CONSTRAINTS",
    "CreateEnumStmt": "CREATE TYPE",
    "CreateRangeStmt": "CREATE TYPE",
    "CreateSeqStmt": "CREATE SEQUENCE",
    "CreateStatsStmt": "CREATE STATISTICS",
    "CreateStmt": "CREATE TABLE",
    "CreateTrigStmt": "CREATE TRIGGER",
    "CreatedbStmt": "CREATE DATABASE",
    "DropdbStmt": "DROP DATABASE",
    "AlterEnumStmt": "ALTER TYPE",
    "GrantRoleStmt": "GRANT",
    "IndexStmt": "CREATE INDEX",
    "RefreshMatViewStmt": "REFRESH MATERIALIZED VIEW",
    "RuleStmt": "CREATE RULE",
    "SecLabelStmt": "SECURITY LABEL",
    "VariableShowStmt": "SHOW",
    "ViewStmt": "CREATE VIEW",
}


def _verb(kind: str, tree: Tree) -> str:
    match kind:
        case "DropStmt":
            return f"DROP {object_words(tree.remove_type)}"
        case "AlterTableStmt":
            return f"ALTER {object_words(tree.objtype)}"
        case "RenameStmt":
            return f"ALTER {object_words(tree.rename_type)}"
        case "AlterObjectSchemaStmt" | "AlterOwnerStmt":
            return f"ALTER {object_words(tree.object_type)}"
        case "DefineStmt":
            return f"CREATE {object_words(tree.kind)}"
        case "CreateTableAsStmt":
            return "CREATE MATERIALIZED VIEW" if object_words(tree.objtype) != "TABLE" else "CREATE TABLE AS"
        case "CreateFunctionStmt":
            return "CREATE PROCEDURE" if tree.is_procedure else "CREATE FUNCTION"
        case "GrantStmt":
            return "GRANT" if tree.is_grant else "REVOKE"
        case "VacuumStmt":
            return "VACUUM" if tree.is_vacuumcmd else "ANALYZE"
        case "VariableSetStmt":
            return "RESET" if tree.kind in (grammar.VAR_RESET, grammar.VAR_RESET_ALL) else "SET"
        case "TransactionStmt":
            words: str = (
                grammar.TransactionStmtKind.Name(tree.kind).removeprefix("TRANS_STMT_").replace("_", " ")
            )
            return {"START": "START TRANSACTION", "PREPARE": "PREPARE TRANSACTION"}.get(words, words)
    return _VERBS.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind.removesuffix("Stmt")).upper()


# --- how it has to run -------------------------------------------------------------------------------------

_NEVER_IN_TRANSACTION = {
    "AlterSystemStmt",
    "CreateSubscriptionStmt",
    "CreateTableSpaceStmt",
    "CreatedbStmt",
    "DropSubscriptionStmt",
    "DropTableSpaceStmt",
    "DropdbStmt",
}
_REFRESHES = {
    grammar.ALTER_SUBSCRIPTION_SET_PUBLICATION,
    grammar.ALTER_SUBSCRIPTION_ADD_PUBLICATION,
    grammar.ALTER_SUBSCRIPTION_DROP_PUBLICATION,
    grammar.ALTER_SUBSCRIPTION_REFRESH,
}


def _concurrently(kind: str, tree: Tree) -> bool:
    match kind:
        case "IndexStmt" | "DropStmt" | "RefreshMatViewStmt":
            return bool(tree.concurrent)
        case "ReindexStmt":
            return _option(tree.params, "concurrently")
        case "AlterTableStmt":
            return any(getattr(inner(command), "def").partition_cmd.concurrent for command in tree.cmds)
    return False


def _needs_no_transaction(kind: str, tree: Tree) -> bool:
    """Return whether PostgreSQL refuses the statement in a transaction block with 25001."""
    match kind:
        case "ReindexStmt":
            several = tree.kind not in (grammar.REINDEX_OBJECT_INDEX, grammar.REINDEX_OBJECT_TABLE)
            return several or _concurrently(kind, tree)
        case "VacuumStmt":
            return bool(tree.is_vacuumcmd)
        case "ClusterStmt":
            return not tree.HasField("relation")
        case "DiscardStmt":
            return bool(tree.target == grammar.DISCARD_ALL)
        case "AlterDatabaseStmt":
            return any(option.def_elem.defname == "tablespace" for option in tree.options)
        case "AlterSubscriptionStmt":
            return tree.kind in _REFRESHES
        case "IndexStmt" | "DropStmt" | "AlterTableStmt":
            return _concurrently(kind, tree)
    return kind in _NEVER_IN_TRANSACTION


def _option(options: Sequence[Tree], name: str) -> bool:
    """Return whether a parenthesised option is on, read as PostgreSQL's defGetBoolean does."""
    on = False
    for option in (node.def_elem for node in options if node.def_elem.defname == name):
        value = option.arg
        on = value.string.sval.lower() not in ("false", "off") and not (
            value.HasField("integer") and value.integer.ival == 0
        )
    return on


# --- what it does besides ----------------------------------------------------------------------------------


def _is_effect(node: Tree) -> bool:
    """Return whether a node makes a SELECT do more than read."""
    return node.DESCRIPTOR.name in CHANGES_ROWS | {"IntoClause", "LockingClause"}


_REWRITES = {
    grammar.AT_AlterColumnType,
    grammar.AT_SetAccessMethod,
    grammar.AT_SetLogged,
    grammar.AT_SetTableSpace,
    grammar.AT_SetUnLogged,
}
_BUILDS_INDEX = {grammar.CONSTR_EXCLUSION, grammar.CONSTR_PRIMARY, grammar.CONSTR_UNIQUE}
_FILLS = {*_BUILDS_INDEX, grammar.CONSTR_GENERATED, grammar.CONSTR_IDENTITY}


def _writes_in_bulk(kind: str, tree: Tree) -> bool:
    """Return whether a statement builds an index, rewrites a table or changes rows."""
    if kind in ("IndexStmt", "ReindexStmt", "ClusterStmt", "RefreshMatViewStmt", "CreateTableAsStmt"):
        return True
    if kind == "VacuumStmt":
        return bool(tree.is_vacuumcmd) and _option(tree.options, "full")
    if kind == "AlterTableStmt":
        return any(_command_writes(inner(command)) for command in tree.cmds)
    return any(node.DESCRIPTOR.name in CHANGES_ROWS for node in walk(tree))


def _command_writes(command: Tree) -> bool:
    definition = getattr(command, "def")
    if command.subtype == grammar.AT_AddConstraint:
        made = definition.constraint
        return made.contype in _BUILDS_INDEX and not made.indexname
    if command.subtype == grammar.AT_AddColumn:
        column = definition.column_def
        # A constant, or a time that stands still in a transaction, is kept once for all rows.
        return column.type_name.names[-1].string.sval.endswith("serial") or any(
            one.contype in _FILLS
            or (one.contype == grammar.CONSTR_DEFAULT and any(_is_call(node) for node in walk(one.raw_expr)))
            for one in (node.constraint for node in column.constraints)
        )
    return command.subtype in _REWRITES


def _is_call(node: Tree) -> bool:
    return bool(node.DESCRIPTOR.name == "FuncCall" and node.funcname[-1].string.sval != "now")
