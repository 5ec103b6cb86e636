"""Tables, enums and functions as values; names are as SQL spells them, so `"Odd name"` keeps its quotes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = [
    "Check",
    "Column",
    "Enum",
    "ForeignKey",
    "Function",
    "Index",
    "Key",
    "Other",
    "Policy",
    "Schema",
    "Table",
    "Trigger",
]


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `type` is as SQL writes it, `kind` pg_type's own name for it below a domain: `varchar`, `_text`.

    `length` is in characters, `enum` and `domain` name the type where it is one. `identity` is "always" or
    "by default", `generated` "stored" or "virtual", and then `default` is the expression.
    """

    name: str
    type: str
    kind: str
    nullable: bool
    default: str = ""
    comment: str = ""
    length: int | None = None
    enum: str = ""
    domain: str = ""
    identity: str = ""
    generated: str = ""


@dataclass(frozen=True, slots=True)
class Key:
    """A primary key or a unique constraint."""

    name: str
    columns: tuple[str, ...]
    definition: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A foreign key; `on_delete` and `on_update` are the words of SQL, `NO ACTION` included."""

    name: str
    columns: tuple[str, ...]
    table: str
    referred: tuple[str, ...]
    on_delete: str
    on_update: str
    definition: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """A check or exclusion constraint; `columns` are those that it names."""

    name: str
    columns: tuple[str, ...]
    definition: str
    validated: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Index:
    """An index; `parts` are its key as SQL, `columns` the plain ones of them, `constraint` what it belongs to."""

    name: str
    parts: tuple[str, ...]
    columns: tuple[str, ...]
    unique: bool
    definition: str
    predicate: str = ""
    constraint: str = ""
    valid: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Trigger:
    """A trigger; `fires` is when, in the words of SQL."""

    name: str
    fires: str
    function: str
    definition: str
    enabled: bool = True
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Policy:
    """A row-level security policy; `using` and `check` are empty where there is none."""

    name: str
    command: str
    permissive: bool
    roles: tuple[str, ...]
    using: str = ""
    check: str = ""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with all that belongs to it; `name` has its schema where search_path does not find it."""

    name: str
    schema: str
    comment: str = ""
    columns: tuple[Column, ...] = ()
    primary_key: Key | None = None
    uniques: tuple[Key, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    checks: tuple[Check, ...] = ()
    exclusions: tuple[Check, ...] = ()
    indexes: tuple[Index, ...] = ()
    triggers: tuple[Trigger, ...] = ()
    policies: tuple[Policy, ...] = ()
    row_security: bool = False
    forced: bool = False
    grants: tuple[str, ...] = ()

    def column(self, name: str) -> Column:
        """Return the column of that name; raises StopIteration where there is none."""
        return next(column for column in self.columns if column.name == name)

    def is_unique(self, columns: Iterable[str]) -> bool:
        """Return whether no two rows can share values of these columns, a NULL among them left aside."""
        wanted = set(columns)
        return any(
            index.unique and index.valid and not index.predicate
            and len(index.columns) == len(index.parts) and set(index.columns) <= wanted
            for index in self.indexes
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum and its labels in their order."""

    name: str
    labels: tuple[str, ...]
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure; `signature` has its arguments' types, `sqlstates` the codes that its text names.

    `executors` are the roles that may call it beside the owner.
    """

    name: str
    signature: str
    returns: str
    language: str
    definer: bool
    sqlstates: tuple[str, ...] = ()
    text: str = ""
    executors: tuple[str, ...] = ()
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Other:
    """What has no room of its own: a view, a sequence that no column owns, a domain; `kind` is the word for it."""

    kind: str
    name: str
    definition: str
    comment: str = ""


@dataclass(frozen=True, slots=True)
class Schema:
    """All of a database outside the system's schemas and the ledger's, sorted by name."""

    tables: tuple[Table, ...] = ()
    enums: tuple[Enum, ...] = ()
    functions: tuple[Function, ...] = ()
    others: tuple[Other, ...] = field(default=())

    def table(self, name: str) -> Table:
        """Return the table of that name; raises StopIteration where there is none."""
        return next(table for table in self.tables if table.name == name)

    @property
    def in_order(self) -> tuple[Table, ...]:
        """Return the tables, each after those that it refers to as far as there is such an order, else by name.

        Those that no foreign key leads to or from come last.
        """
        met = {
            name for table in self.tables for key in table.foreign_keys for name in (table.name, key.table)
        }
        waiting, placed = [table for table in self.tables if table.name in met], list[Table]()
        while waiting:
            held = {table.name for table in waiting}
            free = [t for t in waiting if not {key.table for key in t.foreign_keys} & held - {t.name}]
            placed.append((free or waiting)[0])
            waiting.remove(placed[-1])
        return (*placed, *(table for table in self.tables if table.name not in met))

    @property
    def summary(self) -> str:
        """Return how much there is, in one line: the parts that there are none of are left out, but not tables."""
        keys = sum(len(table.foreign_keys) for table in self.tables)
        counts = [(len(self.tables), "table"), (keys, "foreign key"), (len(self.enums), "enum")]
        counts += [(len(self.functions), "function"), (len(self.others), "other object")]
        told = [f"{n} {noun}{'' if n == 1 else 's'}" for n, noun in counts if n or noun == "table"]
        return ", ".join(told)

    def since(self, before: Schema) -> Schema:
        """Return what is new or different since another reading of the same database."""
        return Schema(
            tuple(one for one in self.tables if one not in before.tables),
            tuple(one for one in self.enums if one not in before.enums),
            tuple(one for one in self.functions if one not in before.functions),
            tuple(one for one in self.others if one not in before.others),
        )
