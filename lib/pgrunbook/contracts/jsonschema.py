"""A contract as JSON Schema 2020-12."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from pgrunbook.contracts import patterns, phrases
from pgrunbook.contracts.documents import Document, document
from pgrunbook.contracts.model import SCALARS, Check, Column, Contract, Kind, Table, Type, Variant, pascal
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
    NoNullItems,
    Null,
    OneOf,
    OnlyKeys,
    Range,
    Rule,
    Some,
    Test,
)

__all__ = ["render"]

Schema = dict[str, Any]
_NULL: Schema = {"type": "null"}
_INTEGERS = {Kind.SMALLINT: 2**15, Kind.INTEGER: 2**31}
_TEXT = patterns.spelling(Type(Kind.TEXT))
_STORABLE: Schema = {
    "description": "JSON as jsonb takes it: no U+0000 and no half character in any text or key.",
    "pattern": _TEXT,
    "propertyNames": {"pattern": _TEXT},
    "additionalProperties": {"$ref": "#/$defs/Storable"},
    "items": {"$ref": "#/$defs/Storable"},
}
_FORMATS = {Kind.UUID: "uuid", Kind.DATE: "date", Kind.TIMESTAMPTZ: "date-time"}


class _Unsaid(Exception):
    """JSON Schema has no words for a test."""


def render(contract: Contract) -> str:
    """Return the text of db.schema.json."""
    unsaid: list[str] = []
    models: Schema = {}
    for table in contract.tables:
        columns = {column.name: _column(table, column, unsaid) for column in table.columns}
        checks = [check for check in table.checks if check.rules and _can_say(table, check, unsaid)]
        for variant in Variant:
            models[f"{table.title}{variant.value}"] = _model(table, variant, columns, checks)
    scalars = {
        kind.value: _scalar(kind) for kind in SCALARS if f'"#/$defs/{kind.value}"' in json.dumps(models)
    }
    if '"#/$defs/Storable"' in json.dumps(models):
        scalars["Storable"] = _STORABLE
    enums = {
        pascal(one.name): {**_described(one.comment), "type": "string", "enum": list(one.labels)}
        for one in contract.enums
    }
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:pgrunbook:contract:{contract.change}",
        "$comment": "\n".join(phrases.above(contract, without=unsaid)),
        "$defs": {**scalars, **enums, **models},
    }
    return json.dumps(whole, indent=2, ensure_ascii=False, default=_number) + "\n"


def _number(value: object) -> float:
    assert isinstance(value, Decimal)
    return float(value)


def _described(comment: str) -> Schema:
    return {"description": comment} if comment else {}


def _scalar(kind: Kind) -> Schema:
    if kind in _INTEGERS:
        return {"type": "integer", "minimum": -_INTEGERS[kind], "maximum": _INTEGERS[kind] - 1}
    if kind in (Kind.DOUBLE, Kind.BOOLEAN):
        return {"type": "number" if kind is Kind.DOUBLE else "boolean"}
    if kind is Kind.JSON:
        return {"type": ["object", "array", "string", "number", "boolean"]}
    schema: Schema = {"type": "string", "pattern": patterns.spelling(Type(kind))}
    if kind is Kind.BIGINT:
        schema["allOf"] = [{"pattern": one} for one in patterns.between(-(2**63), 2**63 - 1)]
    return {**schema, **({"format": _FORMATS[kind]} if kind in _FORMATS else {})}


def _model(table: Table, variant: Variant, columns: Mapping[str, Schema], checks: Sequence[Check]) -> Schema:
    own = table.of(variant)
    held = [_rule(one, table, variant) for check in checks for one in check.rules]
    return {
        **_described(table.comment),
        "type": "object",
        "properties": {one.name: columns[one.name] for one in own},
        "required": [one.name for one in own if not one.optional(variant)],
        "additionalProperties": False,
        **({"allOf": held} if held else {}),
    }


def _column(table: Table, column: Column, unsaid: list[str]) -> Schema:
    tests = [(one.check, one.leaf) for one in column.tests]
    if column.type.kind is Kind.JSON:
        shape, rest = document(column.tests)
        made = _merged([_document(shape), {"$ref": "#/$defs/Storable"}])
        tests = [(one.check, one.leaf) for one in rest]
    elif column.type.kind is Kind.ARRAY and column.type.element is not None:
        inside = _type(column.type.element)
        strict = any(isinstance(leaf.test, NoNullItems | ItemsOneOf) for _, leaf in tests)
        made = {"type": "array", "items": inside if strict else {"anyOf": [inside, _NULL]}}
    else:
        made = _type(column.type)
    parts: list[Schema] = [made]
    for check, leaf in tests:
        try:
            parts.append(_at(leaf.path, _test(leaf.test, column.type.kind, nested=bool(leaf.path))))
        except _Unsaid:
            unsaid.append(phrases.cited(table, check))
    merged = _merged(parts)
    return {**_described(column.comment), **({"anyOf": [merged, _NULL]} if column.nullable else merged)}


def _type(type_: Type) -> Schema:
    if type_.kind is Kind.ENUM:
        return {"$ref": f"#/$defs/{pascal(type_.enum)}"}
    if type_.kind is Kind.NUMERIC and type_.precision is not None:
        return {"type": "string", "pattern": patterns.spelling(type_)}
    return {"$ref": f"#/$defs/{type_.kind.value}"}


def _merged(parts: Iterable[Schema]) -> Schema:
    """Return one schema for several, side by side where no key is in two of them."""
    whole: Schema = {}
    more: list[Schema] = []
    for part in parts:
        if whole.keys() & part.keys():
            more.append(part)
        else:
            whole |= part
    return {**whole, **({"allOf": [*whole.get("allOf", []), *more]} if more else {})}


def _at(path: Sequence[str], schema: Schema) -> Schema:
    for key in reversed(path):
        schema = {"properties": {key: schema}}
    return schema


def _document(shape: Document) -> Schema:
    if not shape.types:
        return {"$ref": "#/$defs/Json"} if not shape.keys else {}
    made: Schema = {"type": shape.types[0] if len(shape.types) == 1 else list(shape.types)}
    if shape.is_object:
        if shape.keys:
            # A key without a shape may hold anything, the JSON null included.
            made["properties"] = {
                key: _document(one) if one.types else {} for key, one in sorted(shape.keys.items())
            }
        if shape.required:
            made["required"] = sorted(shape.required)
        if shape.closed:
            made["additionalProperties"] = False
    return _merged([made, *(_test(one.leaf.test, Kind.JSON, nested=True) for one in shape.tests)])


def _can_say(table: Table, check: Check, unsaid: list[str]) -> bool:
    try:
        for one in check.rules:
            _rule(one, table, Variant.ROW)
    except _Unsaid:
        if check.expressed:
            unsaid.append(phrases.cited(table, check.name))
        return False
    return True


def _rule(rule: Rule, table: Table, variant: Variant) -> Schema:
    match rule:
        case All(parts):
            return {"allOf": [_rule(one, table, variant) for one in parts]} if parts else {}
        case Some(parts):
            found: Schema = {"anyOf": [_rule(one, table, variant) for one in parts]}
            return found if parts else {"not": {}}
        case Compare():
            raise _Unsaid
        case Leaf(name, Null(True)):
            return {"properties": {name: _NULL}}
        case Leaf(name, Null(False)):
            column = next(one for one in table.columns if one.name == name)
            schema: Schema = {"properties": {name: {"not": _NULL}}}
            # What an INSERT leaves out is NULL there; what an UPDATE leaves out is not known.
            return (
                {**schema, "required": [name]} if variant is Variant.INSERT and column.left_null() else schema
            )
        case Leaf(name, test, path):
            kind = next(one for one in table.columns if one.name == name).type.kind
            said = _at(path, _test(test, kind, nested=bool(path)))
            return {"properties": {name: said if path else {"anyOf": [said, _NULL]}}}


def _test(test: Test, kind: Kind, *, nested: bool) -> Schema:
    """Return the schema of a test; `nested` ones, in a document, meet the JSON null too."""
    match test:
        case Length(low, high):
            return _ends("minLength", low, "maxLength", high)
        case Match(pattern):
            return {"pattern": pattern}
        case Range():
            return _range(test, kind)
        case OneOf(values):
            return {"enum": [*values, *([None] if nested else [])]}
        case NoneOf(values):
            return {"not": {"enum": list(values)}}
        case JsonType(types):
            return {"type": list(types)}
        case HasKeys(keys):
            return {"type": "object", "required": list(keys)}
        case OnlyKeys(keys):
            return {"type": "object", "properties": {key: {} for key in keys}, "additionalProperties": False}
        case Items(low, high):
            return {"type": "array", **_ends("minItems", low, "maxItems", high)}
        case ItemsOneOf(values):
            return {"items": {"enum": list(values)}}
        case NoNullItems():
            return {"items": {"not": _NULL}}
    raise AssertionError(test)


def _ends(least: str, low: object, most: str, high: object) -> Schema:
    return {**({least: low} if low is not None else {}), **({most: high} if high is not None else {})}


def _range(test: Range, kind: Kind) -> Schema:
    low, high = test.low, test.high
    if kind in (Kind.BIGINT, Kind.NUMERIC):
        return {"allOf": [{"pattern": one} for one in _spelt(test, kind)]}
    if kind is Kind.DATE:
        raise _Unsaid
    least, most = (
        "exclusiveMinimum" if test.low_open else "minimum",
        "exclusiveMaximum" if test.high_open else "maximum",
    )
    return _ends(least, low, most, high)


def _spelt(test: Range, kind: Kind) -> list[str]:
    """Return the patterns of a range of numbers that travel as text."""
    if not all(end is None or isinstance(end, int) for end in (test.low, test.high)):
        raise _Unsaid
    low = test.low if isinstance(test.low, int) else None
    high = test.high if isinstance(test.high, int) else None
    if kind is Kind.BIGINT:
        return patterns.between(low, high)
    if high is not None or low != 0:
        raise _Unsaid
    return [r"^-?[0.]*" + patterns.END + r"|^[^-]", r"[1-9]"][: 2 if test.low_open else 1]
