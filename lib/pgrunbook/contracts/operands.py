"""What a comparison in a CHECK compares: a constant, or a column and what is asked of it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace
from decimal import Decimal

from pgrunbook.contracts.rules import Number, Scalar
from pgrunbook.naming import Tree, inner

__all__ = [
    "Asked",
    "Subject",
    "Unexpressed",
    "column",
    "constant",
    "constants",
    "function",
    "subject",
    "texts",
]

_TEXTS = {"text", "varchar", "bpchar", "name"}
_NUMBERS = {"int2", "int4", "int8", "numeric", "float4", "float8"}


class Unexpressed(Exception):
    """A part of a CHECK has no words in a contract."""


class Asked(enum.Enum):
    """What of a value a comparison is about."""

    VALUE = "value"
    LENGTH = "length"
    TRIMMED = "btrim"
    TRIMMED_LENGTH = "length of btrim"
    JSON_TYPE = "jsonb_typeof"
    ITEMS = "number of items"
    ARRAY_LENGTH = "array_length, which is NULL for an empty array"
    OTHER_KEYS = "what is left without some keys"


@dataclass(frozen=True, slots=True)
class Subject:
    """A column, or what stands at a path in its JSON, and what of it is asked.

    `as_text` says that the path ends in text (->>), `as_number` that this text is read as a number.
    """

    column: str
    path: tuple[str, ...] = ()
    asked: Asked = Asked.VALUE
    as_text: bool = False
    as_number: bool = False
    keys: tuple[str, ...] = ()


_LENGTHS = {"char_length", "character_length", "length"}
_FUNCTIONS = {
    "jsonb_typeof": Asked.JSON_TYPE,
    "jsonb_array_length": Asked.ITEMS,
    "cardinality": Asked.ITEMS,
    "array_length": Asked.ARRAY_LENGTH,
}


def subject(node: Tree) -> Subject:
    """Return what an operand asks of which column; raises Unexpressed."""
    tree = inner(node)
    match tree.DESCRIPTOR.name:
        case "ColumnRef":
            return Subject(column(tree))
        case "TypeCast":
            return _cast(tree)
        case "FuncCall":
            return _call(tree)
        case "A_Expr":
            return _path(tree)
    raise Unexpressed


def column(tree: Tree) -> str:
    """Return the name of the column that a reference means; raises Unexpressed where it is none."""
    if tree.DESCRIPTOR.name != "ColumnRef" or len(tree.fields) != 1 or not tree.fields[0].HasField("string"):
        raise Unexpressed
    return str(tree.fields[0].string.sval)


def _cast(tree: Tree) -> Subject:
    """A cast changes nothing that matters here where it only widens."""
    found, type_ = subject(tree.arg), _type(tree)
    if found.asked is not Asked.VALUE:
        return found if type_ in _NUMBERS else _refuse()
    if found.as_text and type_ in _NUMBERS:
        return replace(found, as_text=False, as_number=True)
    if type_ in _TEXTS | _NUMBERS and not tree.type_name.array_bounds and (found.as_text or not found.path):
        return found
    if not found.path and type_ in {"text", "varchar"}:
        return found  # an array of varchar, as one of text
    raise Unexpressed


def _refuse() -> Subject:
    raise Unexpressed


def _type(tree: Tree) -> str:
    return str(tree.type_name.names[-1].string.sval)


def function(tree: Tree) -> str:
    """Return the name of a function that is called; raises Unexpressed for one of another schema."""
    names = [node.string.sval for node in tree.funcname]
    if len(names) > 1 and names[0] != "pg_catalog":
        raise Unexpressed
    return str(names[-1])


def _call(tree: Tree) -> Subject:
    name = function(tree)
    if name == "array_length":
        if len(tree.args) != 2 or constant(tree.args[1]) != 1:
            raise Unexpressed
    elif len(tree.args) != 1:
        raise Unexpressed
    found = subject(tree.args[0])
    if found.asked is Asked.TRIMMED and name in _LENGTHS:
        return replace(found, asked=Asked.TRIMMED_LENGTH)
    if found.asked is not Asked.VALUE or found.as_number:
        raise Unexpressed
    if name in _LENGTHS and (found.as_text or not found.path):
        return replace(found, asked=Asked.LENGTH)
    if name == "btrim" and not found.path:
        return replace(found, asked=Asked.TRIMMED)
    if name in _FUNCTIONS and not found.as_text:
        return replace(found, asked=_FUNCTIONS[name])
    raise Unexpressed


def _path(tree: Tree) -> Subject:
    operator = tree.name[-1].string.sval
    found = subject(tree.lexpr)
    if operator == "-" and not found.path and found.asked in (Asked.VALUE, Asked.OTHER_KEYS):
        return replace(found, asked=Asked.OTHER_KEYS, keys=(*found.keys, *texts(tree.rexpr)))
    if operator not in ("->", "->>", "#>", "#>>") or found.asked is not Asked.VALUE or found.as_text:
        raise Unexpressed
    steps = texts(tree.rexpr)
    if operator[0] == "#" and any(step.lstrip("-").isdigit() for step in steps):
        raise Unexpressed
    return replace(found, path=(*found.path, *steps), as_text=operator.endswith(">>"))


def constant(node: Tree) -> Scalar | Number | None:
    """Return the value of a constant, of whatever type it is cast to; raises Unexpressed where it is none."""
    tree = inner(node)
    if tree.DESCRIPTOR.name == "TypeCast":
        value = constant(tree.arg)
        if _type(tree) in _NUMBERS and isinstance(value, str):
            return _number(value)
        return value
    if tree.DESCRIPTOR.name != "A_Const":
        raise Unexpressed
    if tree.isnull:
        return None
    match tree.WhichOneof("val"):
        case "ival":
            return int(tree.ival.ival)
        case "fval":
            return _number(tree.fval.fval)
        case "boolval":
            return bool(tree.boolval.boolval)
        case "sval":
            return str(tree.sval.sval)
    raise Unexpressed


def _number(text: str) -> Number:
    value = Decimal(text)
    if not value.is_finite():
        raise Unexpressed
    return int(value) if value == value.to_integral_value() else value


def constants(node: Tree) -> tuple[Scalar | Number | None, ...]:
    """Return the values of an array of constants; raises Unexpressed."""
    tree = inner(node)
    if tree.DESCRIPTOR.name == "TypeCast":
        value = tree.arg.a_const.sval.sval if tree.arg.HasField("a_const") else ""
        if value.startswith("{") and value.endswith("}"):
            return _array(value[1:-1])
        return constants(tree.arg)
    if tree.DESCRIPTOR.name != "A_ArrayExpr":
        raise Unexpressed
    return tuple(constant(element) for element in tree.elements)


def _array(inside: str) -> tuple[str, ...]:
    """Return the texts of an array that is written as one text, where none of them needs quotes."""
    if any(letter in inside for letter in '"\\{} '):
        raise Unexpressed
    return tuple(inside.split(",")) if inside else ()


def texts(node: Tree) -> tuple[str, ...]:
    """Return the text or the texts that a constant holds; raises Unexpressed."""
    tree = inner(node)
    array = tree.DESCRIPTOR.name == "A_ArrayExpr" or (tree.DESCRIPTOR.name == "TypeCast" and _is_array(tree))
    values = constants(node) if array else (constant(node),)
    found = tuple(value for value in values if isinstance(value, str))
    if len(found) != len(values):
        raise Unexpressed
    return found


def _is_array(tree: Tree) -> bool:
    return bool(tree.type_name.array_bounds)
