"""One comparison of a CHECK as a rule."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from postgast import pg_query_pb2 as grammar

from pgrunbook.contracts import patterns
from pgrunbook.contracts.model import Kind, Type
from pgrunbook.contracts.operands import (
    Asked,
    Subject,
    Unexpressed,
    column,
    constant,
    constants,
    subject,
    texts,
)
from pgrunbook.contracts.rules import (
    All,
    Compare,
    HasKeys,
    Items,
    ItemsOneOf,
    JsonType,
    Leaf,
    Length,
    Match,
    NoneOf,
    Null,
    OneOf,
    OnlyKeys,
    Range,
    Rule,
    Some,
    Test,
)
from pgrunbook.naming import Tree, inner

__all__ = ["rule", "surely"]

_OPPOSITE = {
    "=": "<>", "<>": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">", "~": "!~", "!~": "~", "~~": "!~~", "!~~": "~~",
}  # fmt: skip
_TURNED = {"=": "=", "<>": "<>", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
_WHOLE = (Kind.SMALLINT, Kind.INTEGER, Kind.BIGINT)
_NUMBERS = (*_WHOLE, Kind.NUMERIC, Kind.DOUBLE)
_COMPARED = (*_WHOLE, Kind.NUMERIC, Kind.DATE)


def surely(leaf: Leaf, *, sure: bool) -> Rule:
    """Return the test of a value that, where it must be `sure`, has to be there."""
    if not sure:
        return leaf
    if not leaf.path:
        return All((Leaf(leaf.column, Null(False)), leaf))
    steps = range(len(leaf.path))
    there = tuple(Leaf(leaf.column, HasKeys((leaf.path[step],)), leaf.path[:step]) for step in steps)
    return All((Leaf(leaf.column, Null(False)), *there, leaf))


def rule(tree: Tree, types: Mapping[str, Type], *, negated: bool, sure: bool) -> Rule:
    """Return the rule of a comparison or of its opposite; raises Unexpressed."""
    operator = tree.name[-1].string.sval
    match tree.kind:
        case grammar.AEXPR_OP_ANY | grammar.AEXPR_OP_ALL if operator in ("=", "<>"):
            among = tree.kind == grammar.AEXPR_OP_ANY
            if among != (operator == "="):
                raise Unexpressed
            asked = subject(tree.lexpr)
            return _leaf(
                asked, _listed(asked, constants(tree.rexpr), types, without=among == negated), sure=sure
            )
        case grammar.AEXPR_DISTINCT | grammar.AEXPR_NOT_DISTINCT:
            same = (tree.kind == grammar.AEXPR_NOT_DISTINCT) != negated
            asked = subject(tree.lexpr)
            if (value := constant(tree.rexpr)) is None:
                raise Unexpressed
            return _leaf(asked, _compared(asked, "=" if same else "<>", value, types), sure=same)
        case grammar.AEXPR_OP:
            return _operator(tree, operator, types, negated=negated, sure=sure)
    raise Unexpressed


def _leaf(asked: Subject, test: Test, *, sure: bool) -> Rule:
    return surely(Leaf(asked.column, test, asked.path), sure=sure)


def _operator(tree: Tree, operator: str, types: Mapping[str, Type], *, negated: bool, sure: bool) -> Rule:
    if operator in ("?", "?&", "?|", "<@"):
        if negated:
            raise Unexpressed
        asked = subject(tree.lexpr)
        if asked.asked is not Asked.VALUE or asked.as_text:
            raise Unexpressed
        if operator == "<@":
            if types[asked.column].kind is not Kind.ARRAY:
                raise Unexpressed
            return _leaf(asked, ItemsOneOf(_scalars(constants(tree.rexpr))), sure=sure)
        keys = texts(tree.rexpr)
        if operator == "?|":
            return Some(tuple(_leaf(asked, HasKeys((key,)), sure=sure) for key in keys))
        return _leaf(asked, HasKeys(keys), sure=sure)
    if negated:
        operator = _OPPOSITE.get(operator, "")
    try:
        asked, value, left = subject(tree.lexpr), constant(tree.rexpr), True
    except Unexpressed:
        try:
            asked, value, left = subject(tree.rexpr), constant(tree.lexpr), False
        except Unexpressed:
            return _columns(tree, operator, types, sure=sure)
    if value is None:
        raise Unexpressed
    if not left:
        operator = _TURNED.get(operator, "")
    return _leaf(asked, _compared(asked, operator, value, types), sure=sure)


def _columns(tree: Tree, operator: str, types: Mapping[str, Type], *, sure: bool) -> Rule:
    """Return the comparison of two columns, or of a text with itself without blanks."""
    left, right, offset = subject(tree.lexpr), inner(tree.rexpr), 0
    if right.DESCRIPTOR.name == "A_Expr" and (sign := right.name[-1].string.sval) in ("+", "-"):
        found = constant(right.rexpr)
        if not isinstance(found, int):
            raise Unexpressed
        offset, right = found if sign == "+" else -found, inner(right.lexpr)
    if right.DESCRIPTOR.name == "FuncCall" and operator == "=":
        other = subject(tree.rexpr)
        if other.asked is Asked.TRIMMED and left == Subject(other.column):
            return _leaf(left, Match(patterns.TIGHT), sure=sure)
    if right.DESCRIPTOR.name == "TypeCast":
        right = inner(right.arg)
    other = Subject(column(right))
    kinds = {types[one.column].kind for one in (left, other) if one.column in types}
    alike = len(kinds) == 1 and kinds <= set(_COMPARED)
    if left != Subject(left.column) or not alike or operator not in _TURNED or sure:
        raise Unexpressed
    if offset and kinds <= {Kind.BIGINT, Kind.NUMERIC}:
        raise Unexpressed
    return Compare(left.column, operator, other.column, offset)


def _scalars(values: tuple[object, ...]) -> tuple[str | int | bool, ...]:
    found = tuple(value for value in values if isinstance(value, str | int))
    if len(found) != len(values):
        raise Unexpressed
    return found


def _listed(asked: Subject, values: tuple[object, ...], types: Mapping[str, Type], *, without: bool) -> Test:
    found = _scalars(values)
    kind = types[asked.column].kind
    if asked.asked is Asked.JSON_TYPE and not without:
        return JsonType(tuple(str(value) for value in found))
    if asked.asked is not Asked.VALUE or kind in (
        Kind.BIGINT,
        Kind.NUMERIC,
        Kind.DATE,
        Kind.TIMESTAMP,
        Kind.TIMESTAMPTZ,
    ):
        raise Unexpressed
    if asked.path and (not asked.as_text or any(_may_be_no_text(str(value)) for value in found)):
        raise Unexpressed
    return NoneOf(found) if without else OneOf(found)


def _may_be_no_text(value: str) -> bool:
    """Return whether a JSON value that is no text may have this text."""
    return value in ("true", "false", "null") or value[:1] in set("0123456789-{[")


def _compared(asked: Subject, operator: str, value: object, types: Mapping[str, Type]) -> Test:
    kind = types[asked.column].kind if asked.column in types else None
    match asked.asked:
        case Asked.LENGTH | Asked.TRIMMED_LENGTH | Asked.ITEMS | Asked.ARRAY_LENGTH:
            low, high = _ends(operator, value)
            if asked.asked is Asked.ITEMS:
                return Items(low, high)
            if asked.asked is Asked.ARRAY_LENGTH:
                if low is not None and low > 1:
                    raise Unexpressed
                return Items(None, high)
            if asked.asked is Asked.LENGTH:
                return Length(low, high)
            return Match(patterns.trimmed(low or 0, high))
        case Asked.TRIMMED if operator == "<>" and value == "":
            return Match(patterns.trimmed(1, None))
        case Asked.JSON_TYPE if operator == "=":
            return JsonType((str(value),))
        case Asked.OTHER_KEYS if operator == "=" and value == "{}":
            return OnlyKeys(asked.keys)
        case Asked.VALUE:
            return _valued(asked, operator, value, kind)
    raise Unexpressed


def _ends(operator: str, value: object) -> tuple[int | None, int | None]:
    if not isinstance(value, int):
        raise Unexpressed
    match operator:
        case "=":
            return value, value
        case ">":
            return value + 1, None
        case ">=":
            return value, None
        case "<":
            return None, value - 1
        case "<=":
            return None, value
        case "<>" if value == 0:
            return 1, None
    raise Unexpressed


def _valued(asked: Subject, operator: str, value: object, kind: Kind | None) -> Test:
    if asked.path:
        if asked.as_number and isinstance(value, int | Decimal):
            return _range(operator, value)
        if not asked.as_text or not isinstance(value, str):
            raise Unexpressed
        if operator in ("=", "<>") and _may_be_no_text(value):
            raise Unexpressed
    match kind:
        case Kind.TEXT | Kind.JSON if isinstance(value, str) and (kind is Kind.TEXT or asked.path):
            return _text(operator, value)
        case Kind.ENUM if isinstance(value, str) and operator in ("=", "<>"):
            return OneOf((value,)) if operator == "=" else NoneOf((value,))
        case Kind.BOOLEAN if isinstance(value, bool) and operator in ("=", "<>"):
            return OneOf((value == (operator == "="),))
        case Kind.SMALLINT | Kind.INTEGER | Kind.BIGINT if isinstance(value, int):
            if operator == "<>" and kind is not Kind.BIGINT:
                return NoneOf((value,))
            return Range(*_ends("" if operator == "<>" else operator, value))
        case Kind.NUMERIC | Kind.DOUBLE if isinstance(value, int | Decimal):
            return _range(operator, value)
        case Kind.DATE if isinstance(value, str) and len(value) == 10:
            return _range(operator, value)
    raise Unexpressed


def _range(operator: str, value: int | Decimal | str) -> Range:
    match operator:
        case "=":
            return Range(value, value)
        case ">" | ">=":
            return Range(low=value, low_open=operator == ">")
        case "<" | "<=":
            return Range(high=value, high_open=operator == "<")
    raise Unexpressed


def _text(operator: str, value: str) -> Test:
    if operator == "=":
        return OneOf((value,))
    if operator == "<>":
        return Length(1) if value == "" else NoneOf((value,))
    if operator in ("~~", "!~~"):
        pattern: str | None = patterns.like(value)
    elif operator in ("~", "!~"):
        pattern = patterns.portable(value)
    else:
        pattern = None
    if pattern is None:
        raise Unexpressed
    return Match(pattern if operator[0] != "!" else rf"^(?![\s\S]*(?:{pattern}))")
