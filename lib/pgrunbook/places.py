"""Where notebooks and records lie, unless the environment says otherwise."""

from __future__ import annotations

import os
from pathlib import Path

from pgrunbook import server
from pgrunbook.errors import UnknownName

__all__ = ["PROJECT", "embedded_major", "notebooks", "records"]

# The checkout that an editable install was made from.
PROJECT = Path(__file__).parents[2]


def notebooks() -> Path:
    """Return the folder of notebooks: PGRUNBOOK_NOTEBOOKS, else the project's."""
    return Path(os.environ.get("PGRUNBOOK_NOTEBOOKS") or PROJECT / "notebooks").expanduser().absolute()


def records() -> Path:
    """Return where records go: PGRUNBOOK_RECORDS, else `records` of the project, else of the current folder."""
    if named := os.environ.get("PGRUNBOOK_RECORDS"):
        return Path(named).expanduser().absolute()
    return (PROJECT if (PROJECT / "notebooks").is_dir() else Path.cwd()) / "records"


def embedded_major() -> int:
    """Return the major version of the embedded server to use: PGRUNBOOK_POSTGRES, else 18.

    Raises UnknownName for one that is not there.
    """
    named = os.environ.get("PGRUNBOOK_POSTGRES", "").strip() or "18"
    known = [str(major) for major in server.available_majors()]
    if named not in known:
        raise UnknownName(kind="embedded PostgreSQL (PGRUNBOOK_POSTGRES)", name=named, known=known)
    return int(named)
