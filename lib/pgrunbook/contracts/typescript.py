"""A contract in TypeScript: Zod schemas and the types that follow from them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from pgrunbook.contracts import ecma, phrases
from pgrunbook.contracts.documents import DOCUMENTS, Document, document
from pgrunbook.contracts.model import (
    SCALARS,
    Check,
    Column,
    Contract,
    Kind,
    Named,
    Table,
    Type,
    Variant,
    pascal,
)
from pgrunbook.contracts.patterns import spelling
from pgrunbook.contracts.rules import Items, ItemsOneOf, NoNullItems, OneOf, Range

__all__ = ["render"]

_INTEGERS = {Kind.SMALLINT: 2**15, Kind.INTEGER: 2**31}


def render(contract: Contract) -> str:
    """Return the text of db.ts."""
    body = [line for one in contract.enums for line in _enum(one.name, one.labels, one.comment)]
    for table in contract.tables:
        body += _table(table)
    text = "\n".join(body)
    scalars = [_scalar(kind) for kind in SCALARS if re.search(rf"\b{kind.value}\b", text)]
    helpers = ecma.helpers("\n".join([*scalars, text]))
    above = [f"// {line}".rstrip() for line in phrases.above(contract)]
    return "\n".join([*above, 'import * as z from "zod";', "", *helpers, *scalars, "", *body]).rstrip() + "\n"


def _scalar(kind: Kind) -> str:
    made = f"z.string().regex({ecma.pattern(spelling(Type(kind)))}, {{ abort: true }})"
    if kind in _INTEGERS:
        made = f"z.int().min({-_INTEGERS[kind]}).max({_INTEGERS[kind] - 1})"
    elif kind is Kind.BIGINT:
        made += f'.refine((v) => compare(v, "{-(2**63)}") >= 0 && compare(v, "{2**63 - 1}") <= 0, "bigint")'
    elif kind in (Kind.DOUBLE, Kind.BOOLEAN, Kind.JSON):
        made = {Kind.DOUBLE: "z.number()", Kind.BOOLEAN: "z.boolean()", Kind.JSON: "z.json()"}[kind]
    return f"const {kind.value} = {made};"


def _enum(name: str, labels: Sequence[str], comment: str) -> list[str]:
    title = pascal(name)
    values = ", ".join(map(ecma.literal, labels))
    return [
        *_doc(comment, ""),
        f"export const {title} = z.enum([{values}]);",
        f"export type {title} = z.infer<typeof {title}>;",
        "",
    ]


def _doc(comment: str, indent: str) -> list[str]:
    return [f"{indent}/** {phrases.one_line(comment).replace('*/', '* /')} */"] if comment else []


def _table(table: Table) -> list[str]:
    title = table.title
    shape = title[0].lower() + title[1:] + "Columns"
    lines = [*_doc(table.comment, ""), f"const {shape} = {{"]
    for column in table.columns:
        lines += [*_doc(column.comment, "  "), f"  {ecma.key(column.name)}: {_column(column)},"]
    lines.append("};")
    held = [check for check in table.checks if check.rules]
    if held:
        lines.append(f"type Some{title} = {{ [K in keyof typeof {shape}]?: z.infer<(typeof {shape})[K]> }};")
    lines += [_rule(table, check) for check in held]
    for variant in Variant:
        lines += _variant(table, shape, variant, held)
    return [*lines, ""]


def _rule(table: Table, check: Check) -> str:
    types = {column.name: column.type.kind for column in table.columns}
    text = " && ".join(ecma.rule(one, types) for one in check.rules)
    return f"const {_rule_name(table, check)} = (row: Some{table.title}): boolean => {text};"


def _rule_name(table: Table, check: Check) -> str:
    return f"check{table.title}{table.checks.index(check) + 1}"


def _variant(table: Table, shape: str, variant: Variant, held: Sequence[Check]) -> list[str]:
    name = f"{table.title}{variant.value}"
    columns = table.of(variant)
    if variant is Variant.ROW:
        made = [f"export const {name} = z.strictObject({shape})"]
    else:
        made = [f"export const {name} = z.strictObject({{"]
        for column in columns:
            optional = ".optional()" if column.optional(variant) else ""
            made.append(f"  {ecma.key(column.name)}: {shape}{ecma.access(column.name)}{optional},")
        made.append("})")
    nulls = [one.name for one in columns if variant is Variant.INSERT and one.left_null()]
    given = "row" if not nulls else f"{{ {', '.join(f'{ecma.key(one)}: null' for one in nulls)}, ...row }}"
    for check in held:
        made.append(f"  .refine((row) => {_rule_name(table, check)}({given}), {ecma.literal(check.name)})")
    made[-1] += ";"
    return [*made, f"export type {name} = z.infer<typeof {name}>;"]


def _column(column: Column) -> str:
    made = _json(column) if column.type.kind is Kind.JSON else _value(column.type, column.tests)
    return f"{made}.nullable()" if column.nullable else made


def _value(type_: Type, tests: Sequence[Named]) -> str:
    """Return the schema of a column that is no JSON."""
    listed = next((one for one in tests if isinstance(one.leaf.test, OneOf)), None)
    if listed is not None and isinstance(listed.leaf.test, OneOf):
        made, tests = _literals(listed.leaf.test.values), [one for one in tests if one is not listed]
        return made + _refined(tests, type_.kind)
    if type_.kind is Kind.ARRAY and type_.element is not None:
        return _array(type_.element, tests)
    made = pascal(type_.enum) if type_.kind is Kind.ENUM else type_.kind.value
    if type_.kind is Kind.NUMERIC and type_.precision is not None:
        made = f"z.string().regex({ecma.pattern(spelling(type_))}, {{ abort: true }})"
    return made + _refined(tests, type_.kind)


def _array(element: Type, tests: Sequence[Named]) -> str:
    inside, ends, rest = f"{_value(element, ())}.nullable()", "", []
    for one in tests:
        match one.leaf.test:
            case ItemsOneOf(values):
                inside = _literals(values)
            case NoNullItems():
                inside = inside.removesuffix(".nullable()")
            case Items(low, high):
                ends += _ends(low, high)
            case _:
                rest.append(one)
    return f"z.array({inside}){ends}" + _refined(rest, Kind.ARRAY)


def _ends(low: object, high: object) -> str:
    return (f".min({low})" if low is not None else "") + (f".max({high})" if high is not None else "")


def _literals(values: Iterable[object]) -> str:
    return f"z.literal([{', '.join(map(ecma.literal, values))}])"


def _refined(tests: Iterable[Named], kind: Kind) -> str:
    made = ""
    for one in tests:
        test = one.leaf.test
        if isinstance(test, Range) and kind in _INTEGERS and not (test.low_open or test.high_open):
            made += _ends(test.low, test.high)
        else:
            said = ecma.test(test, "v", kind) if not one.leaf.path else ecma.at_path(one.leaf, "v")
            made += f".refine((v) => {said}, {ecma.literal(one.check)})"
    return made


def _json(column: Column) -> str:
    shape, rest = document(column.tests)
    made = _document(shape)
    if made == Kind.JSON.value and not column.nullable:
        made += '.refine((v) => v !== null, "not null")'
    made += '.refine((v) => storable(v), "no U+0000 and no half character in JSON")'
    return made + _refined(rest, Kind.JSON)


def _document(shape: Document) -> str:
    if len(shape.types) > 1:
        return f"z.union([{', '.join(_document(Document((one,))) for one in shape.types)}])"
    word = shape.types[0] if shape.types else ""
    refined = _refined(shape.tests, DOCUMENTS.get(word, Kind.JSON))
    match word:
        case "object":
            keys = [
                f"{json.dumps(key) if not ecma.is_name(key) else key}: {_document(one)}"
                + ("" if key in shape.required else ".optional()")
                for key, one in sorted(shape.keys.items())
            ]
            inside = f"{{ {', '.join(keys)} }}" if keys else "{}"
            return f"z.strictObject({inside})" if shape.closed else f"z.object({inside}).catchall(z.json())"
        case "array":
            return f"z.array(z.json()){refined}"
        case "string" | "number" | "boolean" | "null":
            return f"z.{word}(){refined}"
    return Kind.JSON.value
