"""What the papers of a change are made of: the models before and after it, and what each part of the way back takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgrunbook import catalog, scratch
from pgrunbook.change import Change
from pgrunbook.papers import names
from pgrunbook.papers.names import Names
from pgrunbook.server import Server
from pgrunbook.session import Connection
from pgrunbook.shape import catalog as shapes
from pgrunbook.shape.model import Schema

__all__ = ["Material", "gather"]


@dataclass(frozen=True, slots=True)
class Material:
    """A change that was applied and undone on a scratch database.

    `made` is what is new or different with it, `around` all that was there before. `lost` says for each step
    what rows and values its way back takes, `left` what differs from before when all of it is undone.
    """

    change: Change
    made: Schema
    around: Schema
    names: Names
    lost: Mapping[str, tuple[str, ...]]
    left: tuple[str, ...]


def gather(change: Change, server: Server, *, root: Path) -> Material:
    """Return the material of a change, applied and undone now; raises RehearsalFailed."""
    with scratch.applied(change, server, root=root) as found:
        scripts = [one.text for step in change.steps for one in (step.migrate, *step.rollback)]
        known = names.read(found.conn, found.after, scripts=scripts)
        lost = _undo(found.conn, change)
        left = tuple(catalog.differences(found.catalog, catalog.snapshot(found.conn)))
    made = found.after.since(found.before)
    return Material(change, made, found.before, known, lost, left)


def _undo(conn: Connection, change: Change) -> dict[str, tuple[str, ...]]:
    """Undo every step and return what rows and values each took with it."""
    lost = {}
    for step in reversed(change.steps):
        before = shapes.read(conn)
        for script in step.rollback:
            scratch.run(conn, script)
        found = _gone(before, shapes.read(conn))
        for script in step.rollback:
            for statement in script.statements:
                if statement.verb in ("DELETE", "UPDATE", "TRUNCATE", "MERGE"):
                    found.append(
                        f"{statement.verb} of rows in {', '.join(f'`{t}`' for t in statement.tables)}"
                    )
        lost[step.name] = tuple(found)
    return lost


def _gone(before: Schema, after: Schema) -> list[str]:
    still = {table.name: {column.name for column in table.columns} for table in after.tables}
    gone = []
    for table in before.tables:
        if table.name not in still:
            gone.append(f"all rows of `{table.name}`")
        else:
            columns = [c.name for c in table.columns if c.name not in still[table.name] and not c.generated]
            gone += [f"all values of `{table.name}.{name}`" for name in columns]
    kept = {other.name for other in after.others}
    gone += [
        f"the position of sequence `{o.name}`"
        for o in before.others
        if o.kind == "sequence" and o.name not in kept
    ]
    return gone
