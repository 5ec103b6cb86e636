"""Sample databases for rehearsals: a change's own tables and rows on the embedded server."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgrunbook import server as embedded
from pgrunbook import session
from pgrunbook.change import Change
from pgrunbook.errors import SampleFailed
from pgrunbook.server import Server
from pgrunbook.target import Target, rehearsal

__all__ = ["make", "remove", "sweep"]

_PREFIX = "rehearsal_"


def make(server: Server, change: Change, *, planted: Iterable[str] | None = None) -> Target:
    """Return a fresh rehearsal database with the change's samples.

    `planted` names the no_go samples to add, by check; all that belong to a remedy without it, so that a
    rehearsal meets the obstacles that the change knows how to remove. Raises SampleFailed.
    """
    name = f"{_PREFIX}{change.name[:40]}_{secrets.token_hex(4)}"
    target = rehearsal(embedded.create_database(server, name))
    chosen = [remedy.name for remedy in change.remedies] if planted is None else list(planted)
    files = [change.go_sample, *(change.no_go_samples.get(check) for check in chosen)]
    try:
        _load(target, [file for file in files if file is not None])
    except BaseException:
        remove(server, target)
        raise
    return target


def _load(target: Target, files: Iterable[Path]) -> None:
    with session.connect(target, purpose="samples") as conn:
        for file in files:
            try:
                conn.execute(file.read_bytes())
            except psycopg.Error as error:
                raise SampleFailed(file=f"samples/{file.name}", reason=str(error).splitlines()[0]) from error


def remove(server: Server, target: Target) -> None:
    """Drop a rehearsal database."""
    embedded.drop_database(server, str(conninfo_to_dict(target.conninfo)["dbname"]))


def sweep(server: Server) -> list[str]:
    """Drop rehearsal databases that a killed process left behind, an hour old and unused; return their names."""
    with session.connect(rehearsal(server.conninfo_for("postgres")), purpose="sweep") as conn:
        left = [row["database"] for row in session.rows(conn, "left_rehearsals", {"prefix": _PREFIX})]
    for name in left:
        embedded.drop_database(server, name)
    return left
