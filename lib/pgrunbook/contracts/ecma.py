"""The tests of a contract as expressions of TypeScript, and the small functions that they call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal

from pgrunbook.contracts.model import Kind
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

__all__ = ["access", "at_path", "helpers", "is_name", "key", "literal", "pattern", "rule", "test"]

# Each may call those after it.
_HELPERS = {
    "ok": "const ok = <T>(v: T | null | undefined, holds: (v: T) => boolean): boolean =>"
    " v === null || v === undefined || holds(v);",
    "both": "type Maybe<T> = T | null | undefined;\n"
    "const both = <T>(a: Maybe<T>, b: Maybe<T>, holds: (a: T, b: T) => boolean): boolean =>\n"
    "  a === null || a === undefined || b === null || b === undefined || holds(a, b);",
    "there": "const there = (v: unknown, holds: (v: unknown) => boolean): boolean => v === undefined || holds(v);",
    "at": "const at = (v: unknown, ...path: string[]): unknown =>\n"
    "  path.reduce<unknown>((o, k) => (isObject(o) && Object.hasOwn(o, k) ? o[k] : undefined), v);",
    "has": "const has = (v: unknown, ...keys: string[]): boolean =>\n"
    "  isObject(v) && keys.every((k) => Object.hasOwn(v, k));",
    "only": "const only = (v: unknown, ...keys: string[]): boolean =>"
    " isObject(v) && Object.keys(v).every((k) => keys.includes(k));",
    "isObject": 'const isObject = (v: unknown): v is Record<string, unknown> => jsonType(v) === "object";',
    "jsonType": "const jsonType = (v: unknown): string =>"
    ' (v === null ? "null" : Array.isArray(v) ? "array" : typeof v);',
    "storable": "const storable = (v: unknown): boolean =>\n"
    '  typeof v === "string"\n'
    "    ? /^[^\\u0000\\ud800-\\udfff]*$/u.test(v)\n"
    '    : typeof v !== "object" || v === null || Object.entries(v).every((one) => one.every(storable));',
    "chars": "const chars = (v: string): number => [...v].length;",
    "days": "const days = (v: string): number => Date.parse(v) / 86_400_000;",
    "compare": "const compare = (a: string, b: string): number => {\n"
    '  const [x = "", y = ""] = [a, b].map((v) => v.split(".")[1] ?? "");\n'
    "  const places = Math.max(x.length, y.length);\n"
    '  const units = (v: string, f: string) => BigInt((v.split(".")[0] ?? "") + f.padEnd(places, "0"));\n'
    "  return units(a, x) < units(b, y) ? -1 : units(a, x) > units(b, y) ? 1 : 0;\n"
    "};",
}


def helpers(text: str) -> list[str]:
    """Return the functions that a text calls, and those that these call."""
    wanted: list[str] = []
    for name, made in _HELPERS.items():
        if re.search(rf"(?<![\w.]){name}\(", "\n".join([text, *wanted])):
            wanted.append(made)
    return wanted


def is_name(text: str) -> bool:
    """Return whether a key needs no quotes."""
    return bool(re.fullmatch(r"[A-Za-z_$][\w$]*", text, re.ASCII))


def key(name: str) -> str:
    """Return a column as the key of an object.

    >>> key("title"), key("odd name")
    ('title', '"odd name"')
    """
    return name if is_name(name) else json.dumps(name, ensure_ascii=False)


def access(name: str) -> str:
    """Return how a key of an object is read.

    >>> access("title"), access("odd name")
    ('.title', '["odd name"]')
    """
    return f".{name}" if is_name(name) else f"[{json.dumps(name, ensure_ascii=False)}]"


def literal(value: object) -> str:
    """Return a constant."""
    if isinstance(value, Decimal):
        return format(value, "f")
    return json.dumps(value, ensure_ascii=False).replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def pattern(text: str) -> str:
    """Return a regular expression; a line break in it is spelt."""
    slashed = re.sub(r"\\.|/|\n|\r", lambda m: {"/": r"\/", "\n": r"\n", "\r": r"\r"}.get(m[0], m[0]), text)
    return f"/{slashed}/u"


def rule(found: Rule, types: Mapping[str, Kind]) -> str:
    """Return the expression that says whether a rule holds for `row`."""
    match found:
        case All(parts):
            return f"({' && '.join(rule(one, types) for one in parts)})" if parts else "true"
        case Some(parts):
            return f"({' || '.join(rule(one, types) for one in parts)})" if parts else "false"
        case Compare(left, operator, right, offset):
            said = _compared(operator, types[left], offset)
            return f"both(row{access(left)}, row{access(right)}, (a, b) => {said})"
        case Leaf(column, Null(wanted)):
            place = f"row{access(column)}"
            return f"({place} === undefined || {place} === null)" if wanted else f"{place} !== null"
        case Leaf(column, asked, path):
            place = f"row{access(column)}"
            if path:
                return f"ok({place}, (v) => {at_path(found, 'v')})"
            return f"ok({place}, (v) => {test(asked, 'v', types[column])})"


_OPERATORS = {"=": "===", "<>": "!=="}


def _compared(operator: str, kind: Kind, offset: int) -> str:
    sign = _OPERATORS.get(operator, operator)
    if kind in (Kind.BIGINT, Kind.NUMERIC):
        return f"compare(a, b) {sign} 0"
    if kind is Kind.DATE and offset:
        return f"days(a) {sign} days(b) + {offset}"
    return f"a {sign} b + {offset}" if offset else f"a {sign} b"


def at_path(leaf: Leaf, value: str) -> str:
    """Return the expression for what stands at a path in a JSON value; what is missing passes."""
    place = f"at({value}, {', '.join(map(literal, leaf.path))})"
    # These ask of the JSON null as well; what is read as text is NULL there and passes.
    wrapper = "there" if isinstance(leaf.test, JsonType | HasKeys | OnlyKeys | Items) else "ok"
    return f"{wrapper}({place}, (v) => {test(leaf.test, 'v', Kind.JSON)})"


def test(asked: Test, v: str, kind: Kind) -> str:
    """Return the expression that says whether a value, which is not NULL, passes a test."""
    guard = "" if kind is not Kind.JSON else f'typeof {v} !== "string" || '
    match asked:
        case Length(low, high):
            return guard + _within(f"chars({v})", low, high)
        case Match(text):
            return guard + f"{pattern(text)}.test({v})"
        case Range():
            return _range(asked, v, kind)
        case OneOf(values) | NoneOf(values):
            if len(values) == 1:
                return f"{v} {'===' if isinstance(asked, OneOf) else '!=='} {literal(values[0])}"
            said = f"([{', '.join(map(literal, values))}] as unknown[]).includes({v})"
            return said if isinstance(asked, OneOf) else f"!{said}"
        case JsonType(types):
            return f"[{', '.join(map(literal, types))}].includes(jsonType({v}))"
        case HasKeys(keys):
            return f"has({v}, {', '.join(map(literal, keys))})"
        case OnlyKeys(keys):
            return f"only({', '.join([v, *map(literal, keys)])})"
        case Items(low, high):
            return f"Array.isArray({v}) && {_within(f'{v}.length', low, high)}"
        case ItemsOneOf(values):
            return (
                f"{v}.every((i: unknown) => ([{', '.join(map(literal, values))}] as unknown[]).includes(i))"
            )
        case NoNullItems():
            return f"!({v} as unknown[]).includes(null)"
    raise AssertionError(asked)


def _within(value: str, low: object, high: object) -> str:
    said = [f"{value} >= {low}"] if low not in (None, 0) else []
    said += [f"{value} <= {high}"] if high is not None else []
    return " && ".join(said) or "true"


def _range(asked: Range, v: str, kind: Kind) -> str:
    said = []
    for end, sign in (
        (asked.low, ">" if asked.low_open else ">="),
        (asked.high, "<" if asked.high_open else "<="),
    ):
        if end is None:
            continue
        if kind in (Kind.BIGINT, Kind.NUMERIC):
            said.append(f"compare({v}, {literal(format(Decimal(end), 'f'))}) {sign} 0")
        else:
            said.append(f"{v} {sign} {literal(end)}")
    text = " && ".join(said) or "true"
    return text if kind is not Kind.JSON else f'typeof {v} !== "number" || ({text})'
