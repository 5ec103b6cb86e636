"""The ground a benchmark stands on: an embedded server of its own, and words for the machine."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg

from pgrunbook import server as embedded
from pgrunbook.server import Server

__all__ = ["folder", "machine", "started"]


@contextlib.contextmanager
def folder(place: Path | None = None) -> Iterator[Path]:
    """Give a folder, by default below /tmp (a socket's path must be short), and remove it."""
    place = place or (Path("/tmp") if Path("/tmp").is_dir() else Path(tempfile.gettempdir()))
    made = Path(tempfile.mkdtemp(prefix="pgrunbook-bench-", dir=place))
    # Started by root, the server runs as another user, who has to get through to its data.
    made.chmod(0o711)
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


@contextlib.contextmanager
def started(home: Path, settings: Mapping[str, str]) -> Iterator[Server]:
    """Give an embedded server with these settings (PGRUNBOOK_POSTGRES names its major), and stop it."""
    major = int(os.environ.get("PGRUNBOOK_POSTGRES") or 18)
    running = embedded.start(major, folder=home)
    try:
        with psycopg.connect(running.conninfo_for("postgres"), autocommit=True) as conn:
            for name, value in settings.items():
                conn.execute(f"ALTER SYSTEM SET {name} = '{value}'")
        embedded.stop(running)
        embedded.start(major, folder=home)
        yield running
    finally:
        embedded.stop(running)


def machine(server: Server) -> str:
    """Return one line about the machine and the server."""
    with psycopg.connect(server.conninfo_for("postgres")) as conn:
        version = conn.info.parameter_status("server_version")
    load = os.getloadavg()[0]
    return (
        f"PostgreSQL {version}, Python {platform.python_version()}, {os.cpu_count()} cores,"
        f" {platform.system()} {platform.machine()}, load average {load:.1f} at the start"
    )
