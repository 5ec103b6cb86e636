"""A contract as models of Pydantic 2."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Sequence

from pgrunbook.contracts import phrases, python
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
from pgrunbook.contracts.rules import Items, ItemsOneOf, Length, NoNullItems, OneOf, Range

__all__ = ["render"]

# What a model of Pydantic has already, and names that annotations use: in a class they would mean its fields.
_TAKEN = {
    "all", "at", "bool", "datetime", "dict", "float", "has", "int", "isinstance", "json_type", "left_null", "len",
    "list", "ok", "only", "re", "rules", "str", "there",
    "construct", "copy", "fields", "from_orm", "json", "parse_file", "parse_obj", "parse_raw", "schema",
    "schema_json", "update_forward_refs", "validate",
}  # fmt: skip


def render(contract: Contract) -> str:
    """Return the text of db.py."""
    body: list[str] = []
    for one in contract.enums:
        labels = ", ".join(map(repr, one.labels))
        body += [
            *(f"# {phrases.one_line(one.comment)}" for _ in [0] if one.comment),
            f"{pascal(one.name)} = Literal[{labels}]",
        ]
    for table in contract.tables:
        body += _table(table)
    text = "\n".join(body)
    scalars = [python.scalar(kind) for kind in SCALARS if re.search(rf"\b{kind.value}\b", text)]
    helpers = python.helpers("\n".join([*scalars, text]))
    above = [f"# {line}".rstrip() for line in phrases.above(contract)]
    head = [*above, '"""What a front end may send and will get."""', ""]
    lines = [*head, *python.imports("\n".join([*helpers, *scalars, text])), *helpers, *scalars, *body]
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> list[str]:
    made: list[str] = []
    types = {column.name: _column(table, column, made) for column in table.columns}
    held = [check for check in table.checks if check.rules]
    made += [_rule(table, check) for check in held]
    for variant in Variant:
        made += _variant(table, variant, types, held)
    return made


def _rule(table: Table, check: Check) -> str:
    kinds = {column.name: column.type.kind for column in table.columns}
    text = " and ".join(python.rule(one, kinds) for one in check.rules)
    return f"\n\ndef {_rule_name(table, check)}(row: Mapping[str, Any]) -> bool:\n    return {text}"


def _rule_name(table: Table, check: Check) -> str:
    return f"_{table.title}{table.checks.index(check) + 1}"


def _variant(table: Table, variant: Variant, types: dict[str, str], held: Sequence[Check]) -> list[str]:
    words = {
        Variant.ROW: "A row",
        Variant.INSERT: "What an INSERT takes",
        Variant.UPDATE: "What an UPDATE takes",
    }
    about = phrases.one_line(table.comment)
    docstring = f"{words[variant]} of {table.name}{f': {about}' if about else '.'}"
    lines = ["", "", f"class {table.title}{variant.value}(Contract):", f"    {_text(docstring)}", ""]
    columns = table.of(variant)
    if held:
        rules = [f"({check.name!r}, {_rule_name(table, check)})" for check in held]
        lines.append(f"    rules = ({', '.join(rules)},)")
        nulls = [one.name for one in columns if one.left_null()]
        if variant is Variant.INSERT and nulls:
            lines.append(f"    left_null = ({', '.join(map(repr, nulls))},)")
    return [
        *lines,
        *(f"    {_field(one, types[one.name], variant)}" for one in columns),
        *(["    pass"] * (not columns)),
    ]


def _text(words: str) -> str:
    safe = words.replace("\\", "\\\\").replace('"""', "'''")
    return f'"""{safe}{" " if safe.endswith(chr(34)) else ""}"""'


def _field(column: Column, type_: str, variant: Variant) -> str:
    name, alias = column.name, ""
    if (
        not name.isidentifier()
        or keyword.iskeyword(name)
        or name in _TAKEN
        or name.startswith(("_", "model_"))
    ):
        cleaned = re.sub(r"\W", "_", name.lstrip("_"), flags=re.ASCII) or "column"
        name, alias = f"{'' if cleaned[0].isalpha() else 'c'}{cleaned}_", column.name
    if variant is not Variant.ROW and column.optional(variant) and not column.nullable:
        type_ = f"Annotated[{type_} | None, NotNull]"
    elif column.nullable:
        type_ = f"{type_} | None"
    default = "None" if column.optional(variant) else ""
    if alias:
        default = f"Field({f'default={default}, ' if default else ''}alias={alias!r})"
    return f"{name}: {type_}{f' = {default}' if default else ''}"


def _column(table: Table, column: Column, made: list[str]) -> str:
    """Return the annotation of a column; the classes that it needs are added to what is made before it."""
    if column.type.kind is not Kind.JSON:
        return _value(column.type, column.tests)
    shape, rest = document(column.tests)
    type_ = _document(shape, f"{table.title}{pascal(column.name)}", made)
    if type_ == "JsonValue":
        type_ = "Json"
    storable = 'Check("no U+0000 in JSON", storable)'
    return _annotated(type_, [storable, *(_tested(one, Kind.JSON) for one in rest)])


def _value(type_: Type, tests: Sequence[Named]) -> str:
    kind = type_.kind
    made = pascal(type_.enum) if kind is Kind.ENUM else kind.value
    listed = next((one for one in tests if isinstance(one.leaf.test, OneOf)), None)
    if listed is not None and isinstance(listed.leaf.test, OneOf):
        made, tests = _literals(listed.leaf.test.values), [one for one in tests if one is not listed]
    if kind is Kind.ARRAY and type_.element is not None:
        return _array(type_.element, tests)
    if kind is Kind.NUMERIC and type_.precision is not None:
        made = f"Annotated[Decimal, {python.wire(type_)}]"
    return _annotated(made, [_tested(one, kind) for one in tests])


def _array(element: Type, tests: Sequence[Named]) -> str:
    inside, rest = f"{_value(element, ())} | None", []
    for one in tests:
        match one.leaf.test:
            case ItemsOneOf(values):
                inside = _literals(values)
            case NoNullItems():
                inside = inside.removesuffix(" | None")
            case _:
                rest.append(one)
    return _annotated(f"list[{inside}]", [_tested(one, Kind.ARRAY) for one in rest])


def _literals(values: Iterable[object]) -> str:
    return f"Literal[{', '.join(map(repr, values))}]"


def _annotated(type_: str, more: Sequence[str]) -> str:
    return f"Annotated[{', '.join([type_, *more])}]" if more else type_


def _tested(one: Named, kind: Kind) -> str:
    """Return what an annotation says of a test: in Pydantic's words where it has some."""
    ends: dict[str, object] = {}
    match one.leaf.test:
        case Length(low, high) if kind is Kind.TEXT:
            ends = {"min_length": low, "max_length": high}
        case Items(low, high) if kind is Kind.ARRAY:
            ends = {"min_length": low, "max_length": high}
        case Range() as test if kind is not Kind.JSON:
            ends = {"gt" if test.low_open else "ge": test.low, "lt" if test.high_open else "le": test.high}
    if ends:
        said = [f"{word}={python.constant(end, kind)}" for word, end in ends.items() if end is not None]
        return f"Field({', '.join(said)})"
    return f"Check({one.check!r}, lambda v: {python.leaf(one.leaf, kind)})"


def _document(shape: Document, name: str, made: list[str]) -> str:
    """Return the annotation of a JSON value; an object with keys becomes a class."""
    if len(shape.types) > 1:
        return " | ".join(_document(Document((one,)), name, made) for one in shape.types)
    word = shape.types[0] if shape.types else ""
    more = [_tested(one, DOCUMENTS.get(word, Kind.JSON)) for one in shape.tests]
    match word:
        case "object":
            return _typed(shape, name, made) if shape.keys or shape.closed else "dict[str, JsonValue]"
        case "array":
            return _annotated("list[JsonValue]", more)
        case "string":
            return _annotated("str", more)
        case "number":
            return _annotated("JsonNumber", more)
        case "boolean":
            return "bool"
        case "null":
            return "None"
    return "JsonValue"


def _typed(shape: Document, name: str, made: list[str]) -> str:
    types = {key: _document(one, f"{name}{pascal(key)}", made) for key, one in sorted(shape.keys.items())}
    # Written as a call: a key need not be a name of Python.
    keys = [
        f"{key!r}: {type_ if key in shape.required else f'NotRequired[{type_}]'}"
        for key, type_ in types.items()
    ]
    extra = "forbid" if shape.closed else "allow"
    made += [
        "",
        f"{name} = TypedDict({name!r}, {{{', '.join(keys)}}})",
        f'with_config(ConfigDict(extra="{extra}", strict=True))({name})',
    ]
    return name
