"""The shape of a JSON document, put together from the tests of what stands at its paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from pgrunbook.contracts.model import Kind, Named
from pgrunbook.contracts.rules import (
    HasKeys,
    Items,
    JsonType,
    Leaf,
    Length,
    Match,
    NoneOf,
    OneOf,
    OnlyKeys,
    Range,
)

__all__ = ["DOCUMENTS", "Document", "document"]

DOCUMENTS = {"string": Kind.TEXT, "number": Kind.DOUBLE, "array": Kind.ARRAY}
"""What the values of a type of JSON are asked like."""

_FITS: dict[str, tuple[type, ...]] = {
    "string": (Length, Match, OneOf, NoneOf),
    "number": (Range,),
    "array": (Items,),
}


@dataclass(slots=True)
class Document:
    """A JSON value: its types (none: any), the keys of an object, and tests that its one type can be asked."""

    types: tuple[str, ...] = ()
    keys: dict[str, Document] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    closed: bool = False
    tests: list[Named] = field(default_factory=list)

    @property
    def is_object(self) -> bool:
        """Return whether it is an object and nothing else."""
        return self.types == ("object",)


def document(tests: Iterable[Named]) -> tuple[Document, tuple[Named, ...]]:
    """Return the shape that the tests of a JSON column describe, and the tests that do not fit into one."""
    whole, rest = Document(), []
    # What something is comes before what is asked of it, the outer before the inner.
    for one in sorted(tests, key=lambda one: (not isinstance(one.leaf.test, JsonType), len(one.leaf.path))):
        place: Document | None = whole
        for key in one.leaf.path:
            place = place.keys.setdefault(key, Document()) if place is not None and place.is_object else None
        if place is None or not _put(place, one):
            rest.append(one)
    return whole, tuple(rest)


def _put(place: Document, one: Named) -> bool:
    """Write a test into the shape, or return that there is no room for it."""
    match test := one.leaf.test:
        case JsonType(types):
            place.types = tuple(word for word in types if not place.types or word in place.types)
            return bool(place.types)
        case HasKeys(keys) if place.is_object:
            place.required |= set(keys)
        case OnlyKeys(keys) if place.is_object:
            place.closed = True
        case _ if len(place.types) == 1 and isinstance(test, _FITS.get(place.types[0], ())):
            place.tests.append(Named(one.check, Leaf(one.leaf.column, test)))
            return True
        case _:
            return False
    for key in keys:
        place.keys.setdefault(key, Document())
    return True
