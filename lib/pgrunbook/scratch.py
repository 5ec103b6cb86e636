"""A scratch database that has a change, and what was there before it: what is made from a catalog is made there."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from pgrunbook import catalog, session
from pgrunbook import change as changes
from pgrunbook.catalog import Catalog
from pgrunbook.change import Change, Script
from pgrunbook.errors import RehearsalFailed
from pgrunbook.server import Server, create_database, drop_database
from pgrunbook.session import Connection
from pgrunbook.shape import catalog as shapes
from pgrunbook.shape.model import Schema
from pgrunbook.target import rehearsal

__all__ = ["Scratch", "applied", "run"]

# Like a rehearsal's: what a killed process leaves behind is swept away with them.
_PREFIX = "rehearsal_scratch_"


@dataclass(frozen=True, slots=True)
class Scratch:
    """A session in the scratch database, the models before the change and with it, and the catalog before it."""

    conn: Connection
    before: Schema
    after: Schema
    catalog: Catalog


@contextlib.contextmanager
def applied(change: Change, server: Server, *, root: Path) -> Iterator[Scratch]:
    """Give a database that has the change, and drop it at the end.

    The changes that it requires and its go sample come first, as in a rehearsal; nothing is recorded. Raises
    RehearsalFailed for a file that does not run.
    """
    name = f"{_PREFIX}{secrets.token_hex(6)}"
    target = rehearsal(create_database(server, name))
    try:
        with session.connect(target, purpose="scratch") as conn:
            _prepare(conn, change, root)
            before, state = shapes.read(conn), catalog.snapshot(conn)
            for step in change.steps:
                run(conn, step.migrate)
            yield Scratch(conn, before, shapes.read(conn), state)
    finally:
        drop_database(server, name)


def _prepare(conn: Connection, change: Change, root: Path) -> None:
    """Apply all that a change requires, and load its go sample."""
    for name in change.requires:
        required = changes.load(name, root=root)
        _prepare(conn, required, root)
        for step in required.steps:
            run(conn, step.migrate)
    if change.go_sample is not None:
        _execute(conn, change.go_sample.read_bytes(), "samples/go.sql")


def run(conn: Connection, script: Script) -> None:
    """Run a file, in a transaction unless its header says otherwise; raises RehearsalFailed."""
    with conn.transaction() if script.header.in_transaction else contextlib.nullcontext():
        _execute(conn, script.text.encode(), script.label)


def _execute(conn: Connection, text: bytes, label: str) -> None:
    try:
        conn.execute(text)
    except psycopg.Error as error:
        raise RehearsalFailed(file=label, reason=" ".join(str(error).split())) from error
