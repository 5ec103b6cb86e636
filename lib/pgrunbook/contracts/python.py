"""The tests of a contract as expressions of Python, and what a module of models begins with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from pgrunbook.contracts.model import Kind, Type
from pgrunbook.contracts.patterns import spelling
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

__all__ = ["constant", "helpers", "imports", "leaf", "rule", "scalar", "test", "wire"]

_CLASSES = {
    Kind.UUID: "UUID",
    Kind.BIGINT: "int",
    Kind.NUMERIC: "Decimal",
    Kind.DATE: "datetime.date.fromisoformat",
    Kind.TIMESTAMP: "datetime.datetime.fromisoformat",
    Kind.TIMESTAMPTZ: "datetime.datetime.fromisoformat",
}
_TYPES = {
    Kind.UUID: "UUID",
    Kind.BIGINT: "int",
    Kind.NUMERIC: "Decimal",
    Kind.DATE: "datetime.date",
    Kind.TIMESTAMP: "NaiveDatetime",
    Kind.TIMESTAMPTZ: "AwareDatetime",
    Kind.DOUBLE: "float",
    Kind.BOOLEAN: "bool",
}
_INTEGERS = {Kind.SMALLINT: 2**15, Kind.INTEGER: 2**31, Kind.BIGINT: 2**63}


def imports(text: str) -> list[str]:
    """Return the imports of a module that holds a text."""
    used = set(re.findall(r"\w+", text))
    names = {
        "collections.abc": ["Callable", "Mapping"],
        "decimal": ["Decimal"],
        "typing": ["Annotated", "Any", "ClassVar", "Literal", "NotRequired"],
        "uuid": ["UUID"],
        "pydantic": [
            "AfterValidator", "AllowInfNan", "AwareDatetime", "BaseModel", "BeforeValidator", "ConfigDict", "Field",
            "JsonValue", "NaiveDatetime", "PlainSerializer", "ValidationInfo", "model_validator", "with_config",
        ],
        "typing_extensions": ["TypedDict"],
    }  # fmt: skip
    lines = [f"import {name}" for name in ("datetime", "re") if name in used]
    for module, each in names.items():
        if found := [name for name in each if name in used]:
            lines.append(f"from {module} import {', '.join(found)}")
    return ["from __future__ import annotations", "", *lines, ""]


_HELPERS = {
    "Contract": '''
class Contract(BaseModel):
    """A model that takes nothing it does not know; to send one, dump it with `exclude_unset`."""

    model_config = ConfigDict(
        extra="forbid", strict=True, validate_by_alias=True, validate_by_name=True, serialize_by_alias=True
    )
    rules: ClassVar[tuple[tuple[str, Callable[[Mapping[str, Any]], bool]], ...]] = ()
    left_null: ClassVar[tuple[str, ...]] = ()

    @model_validator(mode="after")
    def _hold(self) -> Contract:
        row: dict[str, Any] = dict.fromkeys(self.left_null)
        for name, field in type(self).model_fields.items():
            if name in self.model_fields_set:
                row[field.alias or name] = getattr(self, name)
        for check, holds in self.rules:
            if not holds(row):
                raise ValueError(check)
        return self
''',
    "NotNull": """
def _not_null(v: Any) -> Any:
    if v is None:
        raise ValueError("not null")
    return v


NotNull = AfterValidator(_not_null)
""",
    "Check": """
def Check(name: str, holds: Callable[[Any], bool]) -> AfterValidator:
    def test(v: Any) -> Any:
        if not holds(v):
            raise ValueError(name)
        return v

    return AfterValidator(test)
""",
    "Wire": '''
def Wire(spelling: str, read: Callable[[str], Any]) -> BeforeValidator:
    """In JSON it is a text of this spelling; from a driver it comes as it is."""

    def parse(v: Any, info: ValidationInfo) -> Any:
        if isinstance(v, str) and re.search(spelling, v):
            return read(v)
        if isinstance(v, str) or (info.mode == "json" and v is not None):
            raise ValueError(f"spelt like {spelling}")
        return v

    return BeforeValidator(parse)
''',
    "ok": """
def ok(v: Any, holds: Callable[[Any], bool]) -> bool:
    return v is None or v is ... or holds(v)
""",
    "both": """
def both(a: Any, b: Any, holds: Callable[[Any, Any], bool]) -> bool:
    return any(v is None or v is ... for v in (a, b)) or holds(a, b)
""",
    "there": """
def there(v: Any, holds: Callable[[Any], bool]) -> bool:
    return v is ... or holds(v)
""",
    "at": """
def at(v: Any, *path: str) -> Any:
    for key in path:
        v = v[key] if isinstance(v, dict) and key in v else ...
    return v
""",
    "has": """
def has(v: Any, *keys: str) -> bool:
    return isinstance(v, dict) and all(key in v for key in keys)
""",
    "only": """
def only(v: Any, *keys: str) -> bool:
    return isinstance(v, dict) and all(key in keys for key in v)
""",
    "storable": """
def storable(v: Any) -> bool:
    if isinstance(v, dict):
        return all(storable(key) and storable(one) for key, one in v.items())
    return all(map(storable, v)) if isinstance(v, list) else not isinstance(v, str) or "\\0" not in v
""",
    "json_type": """
def json_type(v: Any) -> str:
    if v is None or isinstance(v, bool):
        return "null" if v is None else "boolean"
    return {dict: "object", list: "array", str: "string"}.get(type(v), "number")
""",
    "JsonNumber": "\nJsonNumber = int | Annotated[float, AllowInfNan(False)]\n",
}


def helpers(text: str) -> list[str]:
    """Return the classes and functions that a text uses, and those that these use."""
    found = [made for name, made in _HELPERS.items() if re.search(rf"(?<![\w.]){name}\b", text)]
    return [made.rstrip("\n") + "\n" for made in found]


def wire(type_: Type) -> str:
    """Return what is said of a type that travels as text, before Pydantic's own validation and after it."""
    said = f"Wire({_raw(spelling(type_))}, {_CLASSES[type_.kind]})"
    if type_.kind is Kind.BIGINT:
        return f'{said}, PlainSerializer(str, return_type=str, when_used="json")'
    if type_.kind is Kind.NUMERIC:
        return f'{said}, PlainSerializer(lambda v: format(v, "f"), return_type=str, when_used="json")'
    return said


def scalar(kind: Kind) -> str:
    """Return the line that defines what a column of a kind holds."""
    if kind is Kind.JSON:
        return "Json = Annotated[JsonValue, NotNull]"
    if kind is Kind.TEXT:
        return 'Text = Annotated[str, Check("no U+0000", lambda v: "\\0" not in v)]'
    if kind is Kind.DOUBLE:
        return "Double = Annotated[float, AllowInfNan(False)]"
    parts = [_TYPES.get(kind, "int")]
    if kind in _INTEGERS:
        parts.append(f"Field(ge={-_INTEGERS[kind]}, le={_INTEGERS[kind] - 1})")
    if kind in _CLASSES:
        parts.append(wire(Type(kind)))
    return f"{kind.value} = Annotated[{', '.join(parts)}]" if len(parts) > 1 else f"{kind.value} = {parts[0]}"


def constant(value: object, kind: Kind) -> str:
    """Return a constant as a value of a kind."""
    if kind is Kind.DATE and isinstance(value, str):
        return f"datetime.date.fromisoformat({value!r})"
    return (
        f"Decimal({str(value)!r})" if kind is Kind.NUMERIC and not isinstance(value, str) else _plain(value)
    )


def _plain(value: object) -> str:
    return repr(float(value)) if isinstance(value, Decimal) else repr(value)


def _raw(pattern: str) -> str:
    """Return a regular expression as Python spells it."""
    return (
        repr(pattern)
        if "'" in pattern or pattern.endswith("\\") or not pattern.isprintable()
        else f"r'{pattern}'"
    )


def rule(found: Rule, kinds: Mapping[str, Kind]) -> str:
    """Return the expression that says whether a rule holds for `row`."""
    match found:
        case All(parts):
            return f"({' and '.join(rule(one, kinds) for one in parts)})" if parts else "True"
        case Some(parts):
            return f"({' or '.join(rule(one, kinds) for one in parts)})" if parts else "False"
        case Compare(left, operator, right, offset):
            sign = {"=": "==", "<>": "!="}.get(operator, operator)
            more = f" + {offset}" if offset else ""
            if offset and kinds[left] is Kind.DATE:
                more = f" + datetime.timedelta(days={offset})"
            return f"both({_get(left)}, {_get(right)}, lambda a, b: a {sign} b{more})"
        case Leaf(column, Null(wanted)):
            return f"{_get(column)} in (None, ...)" if wanted else f"{_get(column)} is not None"
        case Leaf(column):
            return f"ok({_get(column)}, lambda v: {leaf(found, kinds[column])})"


def _get(column: str) -> str:
    return f"row.get({column!r}, ...)"


def leaf(found: Leaf, kind: Kind) -> str:
    """Return the expression that says whether `v`, a column's value, passes."""
    if not found.path:
        return test(found.test, "v", kind)
    wrapper = "there" if isinstance(found.test, JsonType | HasKeys | OnlyKeys | Items) else "ok"
    path = ", ".join(map(repr, found.path))
    return f"{wrapper}(at(v, {path}), lambda v: {test(found.test, 'v', Kind.JSON)})"


def test(asked: Test, v: str, kind: Kind) -> str:
    """Return the expression that says whether a value, which is not NULL, passes a test."""
    guard = f"not isinstance({v}, str) or " if kind is Kind.JSON else ""
    match asked:
        case Length(low, high):
            return guard + _within(f"len({v})", low, high)
        case Match(text):
            return guard + f"re.search({_raw(text)}, {v}) is not None"
        case Range():
            return _range(asked, v, kind)
        case OneOf((value,)):
            return f"{v} == {value!r}"
        case NoneOf((value,)):
            return f"{v} != {value!r}"
        case OneOf(values):
            return f"{v} in [{', '.join(map(repr, values))}]"
        case NoneOf(values):
            return f"{v} not in [{', '.join(map(repr, values))}]"
        case JsonType(types):
            return f"json_type({v}) in [{', '.join(map(repr, types))}]"
        case HasKeys(keys):
            return f"has({', '.join([v, *map(repr, keys)])})"
        case OnlyKeys(keys):
            return f"only({', '.join([v, *map(repr, keys)])})"
        case Items(low, high):
            return f"isinstance({v}, list) and {_within(f'len({v})', low, high)}"
        case ItemsOneOf(values):
            return f"all(i in [{', '.join(map(repr, values))}] for i in {v})"
        case NoNullItems():
            return f"None not in {v}"
    raise AssertionError(asked)


def _within(value: str, low: object, high: object) -> str:
    if low is None and high is None:
        return "True"
    return f"{f'{low} <= ' if low is not None else ''}{value}{f' <= {high}' if high is not None else ''}"


def _range(asked: Range, v: str, kind: Kind) -> str:
    low = "" if asked.low is None else f"{constant(asked.low, kind)} {'<' if asked.low_open else '<='} "
    high = "" if asked.high is None else f" {'<' if asked.high_open else '<='} {constant(asked.high, kind)}"
    guard = f'json_type({v}) != "number" or ' if kind is Kind.JSON else ""
    return f"{guard}{low}{v}{high}"
