"""What a CHECK asks, as tests and rules that three languages can hold."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

__all__ = [
    "All",
    "Compare",
    "HasKeys",
    "Items",
    "ItemsOneOf",
    "JsonType",
    "Leaf",
    "Length",
    "Match",
    "NoNullItems",
    "NoneOf",
    "Null",
    "Number",
    "OneOf",
    "OnlyKeys",
    "Range",
    "Rule",
    "Scalar",
    "Some",
    "Test",
    "joined",
]

Scalar = str | int | bool
Number = int | Decimal


@dataclass(frozen=True, slots=True)
class Null:
    """The value is NULL, or (not `wanted`) is not."""

    wanted: bool


@dataclass(frozen=True, slots=True)
class Length:
    """A text has so many characters; None leaves an end open."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class Range:
    """A number, or a date as text, lies between; None leaves an end open, `open` ones exclude the end itself."""

    low: Number | str | None = None
    high: Number | str | None = None
    low_open: bool = False
    high_open: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """The value is none of these."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A text matches, anywhere in it, a pattern that JavaScript and Python read alike."""

    pattern: str


@dataclass(frozen=True, slots=True)
class JsonType:
    """A JSON value is of one of these types, in the words of jsonb_typeof."""

    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HasKeys:
    """A JSON object has these keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnlyKeys:
    """A JSON object has no other keys."""

    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Items:
    """An array, of SQL or of JSON, has so many items."""

    low: int | None = None
    high: int | None = None


@dataclass(frozen=True, slots=True)
class ItemsOneOf:
    """Every item of an array is one of these."""

    values: tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class NoNullItems:
    """No item of an array is NULL."""


Test = (
    Null
    | Length
    | Range
    | OneOf
    | NoneOf
    | Match
    | JsonType
    | HasKeys
    | OnlyKeys
    | Items
    | ItemsOneOf
    | NoNullItems
)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A test of one column, or of what stands at a path in its JSON; NULL and what is missing pass."""

    column: str
    test: Test
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compare:
    """Two columns compared: left operator (right + days or units); NULL passes."""

    left: str
    operator: str
    right: str
    offset: int = 0


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Rule, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one part holds."""

    parts: tuple[Rule, ...]


Rule = Leaf | Compare | All | Some


def joined(one: Test, other: Test) -> Test | None:
    """Return one test for two that bound the same from both sides, or None.

    >>> joined(Length(1), Length(None, 200))
    Length(low=1, high=200)
    """
    match one, other:
        case (Length(low, None), Length(None, high)) | (Length(None, high), Length(low, None)):
            return Length(low, high)
        case (Items(low, None), Items(None, high)) | (Items(None, high), Items(low, None)):
            return Items(low, high)
        case Range(low, None, opened), Range(None, high, _, shut):
            return Range(low, high, opened, shut)
        case Range(None), Range(_, None):
            return joined(other, one)
    return None
