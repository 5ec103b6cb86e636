"""A database with the class code generator, and what tests ask of it."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
from psycopg.rows import dict_row

from pgrunbook import change, samples, session
from pgrunbook.server import Server
from pgrunbook.target import Target

LOGGER = "pgrunbook.class_codes"
_clients = itertools.count(900)


@contextlib.contextmanager
def opened(server: Server) -> Iterator[Target]:
    """Give a rehearsal database in which every step of the change is applied."""
    chosen = change.load("020_class_code_generator", root=change.root_from(os.environ))
    target = samples.make(server, chosen, planted=[])
    try:
        with session.connect(target, purpose="steps") as conn:
            for step in chosen.steps:
                if step.migrate.header.in_transaction:
                    with conn.transaction():
                        conn.execute(step.migrate.text.encode())
                else:
                    conn.execute(step.migrate.text.encode())
        yield target
    finally:
        samples.remove(server, target)


def form(**fields: Any) -> dict[str, Any]:
    """Return a form whose codes have a prefix that no other test uses."""
    return {"client_id": next(_clients), "class_type": "REALLL", "class_subject": "RLN", **fields}


def prefix(of: dict[str, Any]) -> str:
    return f"{of['client_id']}-{of['class_type']}-{of['class_subject']}-"


def connect(
    target: Target, *, autocommit: bool = True
) -> contextlib.closing[psycopg.Connection[dict[str, Any]]]:
    return contextlib.closing(psycopg.connect(target.conninfo, autocommit=autocommit, row_factory=dict_row))


def codes(target: Target, of: dict[str, Any]) -> list[str]:
    """Return the codes of a form's prefix, in the order of their classes."""
    with connect(target) as conn:
        rows = conn.execute(
            "SELECT class_code FROM classes WHERE starts_with(class_code, %s) ORDER BY class_id", [prefix(of)]
        )
        return [row["class_code"] for row in rows]


def together(target: Target, writers: int, work: Any) -> list[Any]:
    """Return what each of some writers gave, all at work at once with a connection of their own."""

    def one(number: int) -> Any:
        with connect(target) as conn:
            return work(conn, number)

    with ThreadPoolExecutor(writers) as pool:
        return list(pool.map(one, range(writers)))


def said(records: list[logging.LogRecord]) -> list[str]:
    return [record.getMessage() for record in records if record.name == LOGGER]
