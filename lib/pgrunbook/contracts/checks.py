"""CHECK constraints read with PostgreSQL's own grammar and turned into rules, as far as there are words for them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import postgast
from postgast import pg_query_pb2 as grammar

from pgrunbook.contracts import comparisons
from pgrunbook.contracts.model import Type
from pgrunbook.contracts.operands import Asked, Unexpressed, column, constant, function, subject
from pgrunbook.contracts.rules import All, HasKeys, JsonType, Leaf, NoNullItems, Null, OneOf, Rule, Some
from pgrunbook.naming import Tree, inner

__all__ = ["rules_of"]

_EVERY_BUT_NULL = JsonType(("object", "array", "string", "number", "boolean"))


def rules_of(definition: str, types: Mapping[str, Type]) -> tuple[tuple[Rule, ...], bool]:
    """Return the rules of a CHECK, as pg_get_constraintdef writes it, and whether they are all that it says.

    What a CHECK finds neither true nor false passes (PostgreSQL manual, 5.5.1), and so it does here: each rule
    passes for NULL. A part that has no words in a contract is left out.
    """
    whole = postgast.parse(f"ALTER TABLE t ADD CONSTRAINT c {definition}")
    [command] = whole.stmts[0].stmt.alter_table_stmt.cmds
    expression = getattr(command.alter_table_cmd, "def").constraint.raw_expr
    found: list[Rule] = []
    complete = True
    for part in _conjuncts(expression):
        try:
            rule = _rule(part, types, negated=False, sure=False)
        except Unexpressed:
            complete = False
        else:
            found += rule.parts if isinstance(rule, All) else (rule,)
    return tuple(found), complete


def _conjuncts(node: Tree) -> list[Tree]:
    tree = inner(node)
    if tree.DESCRIPTOR.name == "BoolExpr" and tree.boolop == grammar.AND_EXPR:
        return [one for part in tree.args for one in _conjuncts(part)]
    return [node]


def _rule(node: Tree, types: Mapping[str, Type], *, negated: bool, sure: bool) -> Rule:
    """Return the rule of an expression that must not be false or, `sure`, must be true; `negated` its opposite.

    Negation is carried down to the comparisons, where it turns them round: what is left are AND and OR, which
    hold for "not false" as they do for "true".
    """
    tree = inner(node)

    def below(one: Tree, *, negated: bool = negated, sure: bool = sure) -> Rule:
        return _rule(one, types, negated=negated, sure=sure)

    match tree.DESCRIPTOR.name:
        case "BoolExpr" if tree.boolop == grammar.NOT_EXPR:
            return below(tree.args[0], negated=not negated)
        case "BoolExpr":
            parts = [below(one) for one in tree.args]
            return _all(parts) if (tree.boolop == grammar.AND_EXPR) != negated else _some(parts)
        case "NullTest":
            return _null(tree, wanted=(tree.nulltesttype == grammar.IS_NULL) != negated)
        case "BooleanTest":
            word = grammar.BoolTestType.Name(tree.booltesttype)
            if word.endswith("UNKNOWN"):
                raise Unexpressed
            # IS NOT TRUE is the opposite of IS TRUE: what must be true there must not be here.
            opposite = word.startswith("IS_NOT") != negated
            return below(tree.arg, negated=word.endswith("FALSE") != opposite, sure=not opposite)
        case "CoalesceExpr" if len(tree.args) == 2:
            otherwise = constant(tree.args[1])
            if not isinstance(otherwise, bool):
                raise Unexpressed
            return below(tree.args[0], sure=otherwise == negated)
        case "CaseExpr" if not tree.HasField("arg") and tree.HasField("defresult"):
            return _case(tree, types, negated=negated, sure=sure)
        case "ColumnRef":
            return comparisons.surely(Leaf(column(tree), OneOf((not negated,))), sure=sure)
        case "A_Const":
            return All(()) if constant(node) is not negated else Some(())
        case "FuncCall" if function(tree) == "isfinite" and not negated:
            # There is no infinity on the wire.
            return Leaf(subject(tree.args[0]).column, Null(False)) if sure else All(())
        case "A_Expr" if _is_condition(tree.lexpr) and _is_condition(tree.rexpr):
            return _same(tree, types, negated=negated, sure=sure)
        case "A_Expr" if counted := _count(tree, negated=negated):
            return counted
        case "A_Expr":
            return comparisons.rule(tree, types, negated=negated, sure=sure)
    raise Unexpressed


def _all(parts: Sequence[Rule]) -> Rule:
    flat = [one for part in parts for one in (part.parts if isinstance(part, All) else (part,))]
    return flat[0] if len(flat) == 1 else All(tuple(flat))


def _some(parts: Sequence[Rule]) -> Rule:
    flat = [one for part in parts for one in (part.parts if isinstance(part, Some) else (part,))]
    return flat[0] if len(flat) == 1 else Some(tuple(flat))


def _null(tree: Tree, *, wanted: bool) -> Rule:
    argument = inner(tree.arg)
    if argument.DESCRIPTOR.name == "FuncCall" and function(argument) == "array_position":
        if not wanted or constant(argument.args[1]) is not None:
            raise Unexpressed
        return Leaf(subject(argument.args[0]).column, NoNullItems())
    asked = subject(tree.arg)
    if asked.asked is not Asked.VALUE:
        raise Unexpressed
    if not asked.path:
        return Leaf(asked.column, Null(wanted))
    if wanted:
        raise Unexpressed
    there = comparisons.surely(Leaf(asked.column, HasKeys(asked.path[-1:]), asked.path[:-1]), sure=True)
    return _all([there, Leaf(asked.column, _EVERY_BUT_NULL, asked.path)]) if asked.as_text else there


def _case(tree: Tree, types: Mapping[str, Type], *, negated: bool, sure: bool) -> Rule:
    """Return what holds in each branch, together with its condition being true and those before not."""
    branches: list[Rule] = []
    before: list[Rule] = []
    for when in (node.case_when for node in tree.args):
        true = _rule(when.expr, types, negated=False, sure=True)
        branches.append(_all([*before, true, _rule(when.result, types, negated=negated, sure=sure)]))
        before.append(_rule(when.expr, types, negated=True, sure=False))
    return _some([*branches, _all([*before, _rule(tree.defresult, types, negated=negated, sure=sure)])])


def _is_condition(node: Tree) -> bool:
    tree = inner(node)
    match tree.DESCRIPTOR.name:
        case "NullTest" | "BooleanTest" | "BoolExpr":
            return True
        case "A_Expr":
            return tree.name[-1].string.sval in ("=", "<>", "<", ">", "<=", ">=", "~", "?")
    return False


def _same(tree: Tree, types: Mapping[str, Type], *, negated: bool, sure: bool) -> Rule:
    """Return the rule of two conditions that hold together or, for `<>`, one without the other."""
    operator = tree.name[-1].string.sval
    if tree.kind != grammar.AEXPR_OP or operator not in ("=", "<>"):
        raise Unexpressed
    apart = (operator == "<>") != negated
    pairs = [
        _all(
            [
                _rule(tree.lexpr, types, negated=one, sure=sure),
                _rule(tree.rexpr, types, negated=one != apart, sure=sure),
            ]
        )
        for one in (False, True)
    ]
    return _some(pairs)


_COUNTS = {
    "=": lambda found, wanted: found == wanted,
    "<>": lambda found, wanted: found != wanted,
    "<": lambda found, wanted: found < wanted,
    "<=": lambda found, wanted: found <= wanted,
    ">": lambda found, wanted: found > wanted,
    ">=": lambda found, wanted: found >= wanted,
}


def _count(tree: Tree, *, negated: bool) -> Rule | None:
    """Return the rule of `num_nonnulls(a, b) = 1`: each way in which the columns may be there."""
    call = inner(tree.lexpr)
    if call.DESCRIPTOR.name != "FuncCall" or function(call) not in ("num_nonnulls", "num_nulls"):
        return None
    wanted, operator = constant(tree.rexpr), tree.name[-1].string.sval
    if not isinstance(wanted, int) or operator not in _COUNTS or len(call.args) > 5:
        raise Unexpressed
    names = [column(inner(one)) for one in call.args]
    null = function(call) == "num_nulls"
    ways = [
        All(tuple(Leaf(name, Null(is_null)) for name, is_null in zip(names, each, strict=True)))
        for each in itertools.product((False, True), repeat=len(names))
        if _COUNTS[operator](sum(is_null == null for is_null in each), wanted) != negated
    ]
    return _some(ways)
