"""The neutral model of a contract: tables, columns, types, enums."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import re
from dataclasses import dataclass, field

from pgrunbook.contracts.rules import Leaf, Rule

__all__ = [
    "SCALARS",
    "Check",
    "Column",
    "Contract",
    "Enumeration",
    "Kind",
    "Named",
    "Table",
    "Type",
    "Variant",
    "pascal",
]


class Kind(enum.Enum):
    """What a value is on the wire, by the name that the contracts give it."""

    TEXT = "Text"
    UUID = "Uuid"
    SMALLINT = "SmallInt"
    INTEGER = "Integer"
    BIGINT = "BigInteger"
    NUMERIC = "Numeric"
    DOUBLE = "Double"
    BOOLEAN = "Bool"
    DATE = "CalendarDate"
    TIMESTAMP = "Timestamp"
    TIMESTAMPTZ = "TimestampTz"
    JSON = "Json"
    ENUM = "Enum"
    ARRAY = "Array"


SCALARS = tuple(kind for kind in Kind if kind not in (Kind.ENUM, Kind.ARRAY))


class Variant(enum.Enum):
    """What a model of a table is for."""

    ROW = "Row"
    INSERT = "Insert"
    UPDATE = "Update"


@dataclass(frozen=True, slots=True)
class Type:
    """A column's type; `enum` names the enum, `element` is an array's, `precision` and `scale` a numeric's."""

    kind: Kind
    enum: str = ""
    element: Type | None = None
    precision: int | None = None
    scale: int | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A CHECK by name and source; `rules` are what it says beyond the value of one column.

    Not `expressed`: at least a part of it only the database knows.
    """

    name: str
    source: str
    rules: tuple[Rule, ...] = ()
    expressed: bool = True


@dataclass(frozen=True, slots=True)
class Named:
    """A test of one column's value and the CHECK, or the type, that asks for it."""

    check: str
    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `tests` are what is asked of its value alone, `automatic` says that nobody may write it."""

    name: str
    type: Type
    nullable: bool = False
    defaulted: bool = False
    automatic: bool = False
    comment: str = ""
    tests: tuple[Named, ...] = ()

    def left_null(self) -> bool:
        """Return whether an INSERT without it leaves it NULL."""
        return self.nullable and not self.defaulted and not self.automatic

    def optional(self, variant: Variant) -> bool:
        """Return whether a model of the variant may lack it."""
        return variant is Variant.UPDATE or (variant is Variant.INSERT and (self.nullable or self.defaulted))


@dataclass(frozen=True, slots=True)
class Table:
    """A table and its columns in their order."""

    name: str
    columns: tuple[Column, ...]
    comment: str = ""
    checks: tuple[Check, ...] = ()

    @property
    def title(self) -> str:
        """Return the name of its models without their variant."""
        return pascal(self.name)

    def of(self, variant: Variant) -> tuple[Column, ...]:
        """Return the columns of a variant."""
        return tuple(one for one in self.columns if variant is Variant.ROW or not one.automatic)


@dataclass(frozen=True, slots=True)
class Enumeration:
    """An enum and its labels in their order."""

    name: str
    labels: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Contract:
    """The tables and enums that a change made."""

    change: str
    tables: tuple[Table, ...]
    enums: tuple[Enumeration, ...] = field(default=())

    @property
    def sha256(self) -> str:
        """Return the hash of everything in the model."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


def pascal(name: str) -> str:
    """Return an SQL name as the name of a type, in letters, digits and nothing else.

    >>> pascal("weekly_plan"), pascal("app.goal"), pascal("2nd try")
    ('WeeklyPlan', 'AppGoal', 'T2ndTry')
    """
    words = [word for word in re.split(r"[^0-9A-Za-z]+", name) if word]
    made = "".join(word[0].upper() + word[1:] for word in words)
    return made if made[:1].isalpha() else f"T{made}"
