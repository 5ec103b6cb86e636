"""What a check that was written by hand asks, where it can be told for certain from its tree."""

from __future__ import annotations

from collections.abc import Iterable

from postgast import pg_query_pb2 as grammar

from pgrunbook.derived.tables import statement_of
from pgrunbook.header import Severity
from pgrunbook.naming import Tree, name, walk
from pgrunbook.script import Script

__all__ = ["covered", "not_null_columns"]

_PLAIN = {"target_list", "from_clause", "where_clause", "group_clause", "having_clause", "sort_clause"}
# Set in every SELECT, and saying nothing.
_ALWAYS = {"limit_option", "op"}
# A call of anything else may give no row, or several.
_AGGREGATES = {"array_agg", "count", "json_agg", "jsonb_agg", "max", "min", "string_agg"}


def covered(scripts: Iterable[Script]) -> dict[tuple[str, ...], str]:
    """Return what checks ask that would stop the change as their derived twins do, and from which step on.

    An empty step is the beginning of the change; in doubt nothing is covered.
    """
    stopping = [script for script in scripts if script.header.severity is Severity.STOP]
    found = [(_asks(statement_of(one.statements[0].text)), one.header.before) for one in stopping]
    # Of several the one that stops earliest, as steps are sorted by name.
    return {asks: before for asks, before in sorted(found, reverse=True) if asks}


def _asks(tree: Tree) -> tuple[str, ...]:
    """Return what a SELECT asks: duplicates of columns, or NULLs in one; empty for anything else.

    >>> _asks(statement_of("SELECT a, b, count(*) AS n FROM t GROUP BY b, a HAVING count(*) > 1 ORDER BY n"))
    ('duplicates', 't', 'a', 'b')
    >>> _asks(statement_of("SELECT id FROM s.t WHERE label IS NULL"))
    ('nulls', 's.t', 'label')
    >>> _asks(statement_of("SELECT a FROM t WHERE a <> '' GROUP BY a HAVING count(*) > 1"))
    ()
    """
    fields = {field.name for field, _ in tree.ListFields()} - _ALWAYS
    if tree.DESCRIPTOR.name != "SelectStmt" or not fields <= _PLAIN or len(tree.from_clause) != 1:
        return ()
    relation = tree.from_clause[0].range_var
    if not relation.relname or not relation.inh:
        return ()
    calls = {node.funcname[-1].string.sval for node in walk(tree) if node.DESCRIPTOR.name == "FuncCall"}
    grouped = bool(fields & {"group_clause", "having_clause"})
    if not calls <= (_AGGREGATES if grouped else set()):
        return ()
    if not grouped:
        column = _null_of(tree.where_clause, grammar.IS_NULL)
        return ("nulls", name(relation), column) if column else ()
    columns = {_column(node) for node in tree.group_clause}
    kept = {_null_of(node, grammar.IS_NOT_NULL) for node in _all_of(tree.where_clause)}
    if "" in columns or not kept <= columns or not _more_than_one(tree.having_clause):
        return ()
    return ("duplicates", name(relation), *sorted(columns))


def not_null_columns(node: Tree) -> set[str]:
    """Return the columns of a condition that says nothing but that they are not NULL; empty for any other."""
    found = {_null_of(one, grammar.IS_NOT_NULL) for one in _all_of(node)}
    return set() if "" in found else found


def _all_of(node: Tree) -> list[Tree]:
    if not node.WhichOneof("node"):
        return []
    if node.bool_expr.boolop == grammar.AND_EXPR and node.bool_expr.args:
        return list(node.bool_expr.args)
    return [node]


def _null_of(node: Tree, test: int) -> str:
    return _column(node.null_test.arg) if node.null_test.nulltesttype == test else ""


def _column(node: Tree) -> str:
    fields = node.column_ref.fields
    return str(fields[-1].string.sval) if fields else ""


def _more_than_one(node: Tree) -> bool:
    test, call = node.a_expr, node.a_expr.lexpr.func_call
    counts = [part.string.sval for part in call.funcname] == ["count"] and call.agg_star
    plain = counts and not call.HasField("agg_filter") and not call.agg_distinct
    return bool(
        plain and [part.string.sval for part in test.name] == [">"] and test.rexpr.a_const.ival.ival == 1
    )
