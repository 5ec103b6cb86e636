"""The overview: every table that a change made or altered, in the order of dependency, with all that holds in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from pgrunbook.change import Change
from pgrunbook.papers.markdown import anchor, code, codes, table
from pgrunbook.papers.material import Material
from pgrunbook.shape.model import Column, Enum, ForeignKey, Function, Index, Other, Table, Trigger

__all__ = ["overview"]

Tables = Mapping[str, Table]


def overview(material: Material) -> str:
    """Return the overview as Markdown; it says nothing that is not in the catalog or in the change's files."""
    change, made = material.change, material.made
    before = {one.name for one in material.around.tables}
    parents = {one.name: one for one in (*material.around.tables, *made.tables)}
    lines = [
        f"# The data model of {change.name}",
        "",
        f"Made from the catalog by `pgrunbook papers {change.name}`; edit the SQL, not this page.",
        f"It has {made.summary}. Tables come after those that they refer to.",
        "",
        "![Entity-relationship diagram of the tables](diagram.svg)",
        "",
        "## Contents",
        "",
    ]
    for one in made.in_order:
        lines.append(f"- [{code(one.name)}]({anchor(_heading(one))}){_told(one.comment)}")
    for heading, found in (
        ("Enums", made.enums),
        ("Functions", made.functions),
        ("Other objects", made.others),
    ):
        if found:
            lines.append(f"- [{heading}]({anchor(heading)})")
    for one in made.in_order:
        lines += ["", *_table(one, change, parents, altered=one.name in before)][:-1]
    for section in (_enums(made.enums), _functions(made.functions), _others(made.others)):
        lines += list(section)[:-1]
    return "\n".join(lines).rstrip() + "\n"


def _heading(one: Table) -> str:
    return f"Table {code(one.name)}"


def _told(comment: str) -> str:
    return f": {' '.join(comment.split())}" if comment else ""


def _table(one: Table, change: Change, parents: Tables, *, altered: bool) -> Iterator[str]:
    yield f"## {_heading(one)}"
    yield ""
    if one.comment:
        yield " ".join(one.comment.split())
        yield ""
    if altered:
        yield "This table was there before; the change alters it."
        yield ""
    yield from table(["column", "type", "null", "default", "meaning"], map(_column, one.columns))
    keys = [*([one.primary_key] if one.primary_key else []), *one.uniques]
    yield from table(
        ["key", "definition", "meaning"],
        [(code(key.name), code(key.definition), key.comment) for key in keys],
    )
    yield from table(
        ["foreign key", "columns", "refers to", "on delete", "on update", "index", "meaning"],
        [_foreign_key(key, one, parents) for key in one.foreign_keys],
    )
    yield from table(
        ["rule", "definition", "meaning"],
        [
            (
                code(rule.name),
                code(rule.definition) + ("" if rule.validated else " (not validated)"),
                rule.comment,
            )
            for rule in (*one.checks, *one.exclusions)
        ],
    )
    yield from table(
        ["index", "on", "serves", "meaning"],
        [
            (code(index.name), _index(index), _serves(index, one, change, parents), index.comment)
            for index in one.indexes
        ],
    )
    yield from table(["trigger", "fires", "runs", "meaning"], map(_trigger, one.triggers))
    if one.row_security or one.policies:
        owner = "for the owner too" if one.forced else "the owner is exempt"
        yield f"Row-level security: {f'on, {owner}' if one.row_security else 'off'}."
        yield ""
    yield from table(
        ["policy", "for", "to", "rows that can be seen or changed", "rows that can be written", "meaning"],
        [
            (
                code(p.name), p.command + ("" if p.permissive else ", restrictive"), codes(p.roles),
                code(p.using), code(p.check), p.comment,
            )
            for p in one.policies
        ],
    )  # fmt: skip
    if one.grants:
        yield "Granted: " + "; ".join(
            f"{code(role)} {what}" for role, _, what in (g.partition(": ") for g in one.grants)
        )
        yield ""


def _column(column: Column) -> tuple[str, ...]:
    default = code(column.default)
    if column.identity:
        default = f"identity, {column.identity}"
    elif column.generated:
        default = f"{column.generated}: {default}"
    return (code(column.name), code(column.type), "yes" if column.nullable else "", default, column.comment)


def _foreign_key(key: ForeignKey, one: Table, parents: Tables) -> tuple[str, ...]:
    served = [index.name for index in one.indexes if _leads(index, key, parents.get(key.table))]
    target = f"{key.table} ({', '.join(key.referred)})"
    on_delete = key.definition.partition(" ON DELETE ")[2].partition(" ON UPDATE ")[0] or key.on_delete
    on_update = "" if key.on_update == "NO ACTION" else key.on_update
    return (
        code(key.name), codes(key.columns), code(target), on_delete, on_update,
        codes(served) or "none", key.comment,
    )  # fmt: skip


def _trigger(trigger: Trigger) -> tuple[str, ...]:
    condition, _, runs = trigger.definition.partition(" FOR EACH ")[2].partition(" EXECUTE FUNCTION ")
    each, _, when = condition.partition(" WHEN ")
    fires = f"{trigger.fires}, each {each.lower()}" + (f" when {code(when)}" if when else "")
    return code(trigger.name), fires + ("" if trigger.enabled else " (disabled)"), code(runs), trigger.comment


def _leads(index: Index, key: ForeignKey, parent: Table | None) -> bool:
    """Return whether an index finds the rows that refer to one row: by enough of the key's columns, first of all."""
    plain = itertools.takewhile(
        lambda pair: pair[0] == pair[1], zip(index.columns, index.parts, strict=False)
    )
    led = set(itertools.takewhile(lambda name: name in key.columns, (name for name, _ in plain)))
    referred = [target for name, target in zip(key.columns, key.referred, strict=True) if name in led]
    enough = led == set(key.columns) or (parent is not None and parent.is_unique(referred))
    return index.valid and not index.predicate and enough


def _index(index: Index) -> str:
    words = index.definition.partition(" USING ")[2]
    return ("unique, " if index.unique else "") + code(words) + ("" if index.valid else " (INVALID)")


def _serves(index: Index, one: Table, change: Change, parents: Tables) -> str:
    """Return what an index is for, as far as the catalog and the change's timed queries tell."""
    serves = [f"key {code(index.constraint)}"] if index.constraint else []
    serves += [
        f"foreign key {code(key.name)}"
        for key in one.foreign_keys
        if _leads(index, key, parents.get(key.table))
    ]
    if index.columns[:1] == index.parts[:1] and not index.constraint:
        asked = re.compile(rf"(?<![\w.]){re.escape(index.columns[0])} = ")
        serves += [f"policy {code(policy.name)}" for policy in one.policies if asked.search(policy.using)]
    serves += [
        f"{script.header.title} (`{script.label}`)"
        for script in change.timings
        if script.header.expect is not None and script.header.expect.index == index.name
    ]
    return ", ".join(serves)


def _enums(enums: tuple[Enum, ...]) -> Iterator[str]:
    if enums:
        yield from ("", "## Enums", "")
        yield from table(
            ["enum", "labels", "meaning"], [(code(e.name), codes(e.labels), e.comment) for e in enums]
        )


def _functions(functions: tuple[Function, ...]) -> Iterator[str]:
    if functions:
        yield from ("", "## Functions", "")
        yield from table(
            ["function", "returns", "runs as", "for", "SQLSTATEs", "meaning"],
            map(_function, functions),
        )


def _function(one: Function) -> tuple[str, ...]:
    runs_as = "owner" if one.definer else "caller"
    executors = codes(one.executors) or "the owner alone"
    return code(one.signature), code(one.returns), runs_as, executors, codes(one.sqlstates), one.comment


def _others(others: tuple[Other, ...]) -> Iterator[str]:
    if others:
        yield from ("", "## Other objects", "")
        yield from table(
            ["kind", "name", "definition", "meaning"],
            [(other.kind, code(other.name), code(other.definition), other.comment) for other in others],
        )
