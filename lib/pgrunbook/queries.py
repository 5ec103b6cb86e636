"""The SQL that the library asks the server: one file a question, newer texts beside older ones."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from pgrunbook.errors import UnknownName

__all__ = ["FOLDER", "VERSIONED_NAME", "get", "names"]

FOLDER = Path(__file__).parents[2] / "sql" / "queries"

VERSIONED_NAME = re.compile(r"([a-z0-9_]+?)(?:_post_([0-9]{6}))?\.sql")


@cache
def get(name: str, server_version: int = 0, *, folder: Path = FOLDER) -> str:
    """Return the text of a query as it is sent to a server, whole and unchanged.

    `server_version` is the server's `server_version_num`, e.g. 180004: of `name.sql` and
    `name_post_170000.sql` the newest that is not newer than the server is taken. Raises UnknownName when
    there is none.
    """
    fitting = {since: file for since, file in _texts(folder).get(name, {}).items() if since <= server_version}
    if not fitting:
        raise UnknownName(kind="query", name=name, known=names(folder=folder))
    return fitting[max(fitting)].read_bytes().decode("utf-8")


def names(prefix: str = "", *, folder: Path = FOLDER) -> tuple[str, ...]:
    """Return the names of the queries that begin with `prefix`, sorted, each once."""
    return tuple(name for name in sorted(_texts(folder)) if name.startswith(prefix))


@cache
def _texts(folder: Path) -> dict[str, dict[int, Path]]:
    """Return each query's files by the server version from which they hold."""
    found: dict[str, dict[int, Path]] = {}
    for file in folder.glob("*.sql"):
        if match := VERSIONED_NAME.fullmatch(file.name):
            found.setdefault(match[1], {})[int(match[2] or 0)] = file
    return found
