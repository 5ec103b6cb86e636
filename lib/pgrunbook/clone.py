"""A target's schema on the embedded server, without its rows."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrunbook.errors import RehearsalFailed
from pgrunbook.server import Server, create_database, drop_database
from pgrunbook.target import Target
from pgrunbook.target import rehearsal as rehearsal_target

__all__ = ["clone"]


def clone(source: Target, server: Server, name: str) -> Target:
    """Make a database on the embedded server with the schema of `source` and no rows; return it.

    Owners, grants and the ledger stay behind. The password goes to pg_dump through the environment, never
    through its arguments. Raises RehearsalFailed with the last lines of what pg_dump or psql said; then no
    database is left.
    """
    target = rehearsal_target(create_database(server, name))
    try:
        _copy_schema(source, target, server)
    except BaseException:
        drop_database(server, name)
        raise
    return target


def _copy_schema(source: Target, target: Target, server: Server) -> None:
    parts = {key: str(part) for key, part in conninfo_to_dict(source.conninfo).items() if part is not None}
    password = parts.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    dumped = _run(
        [
            str(server.bin / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", "--exclude-schema=pgrunbook",
            "--lock-wait-timeout=2s", f"--dbname={make_conninfo(**parts)}",
        ],
        environment,
    )  # fmt: skip
    _run(
        [
            str(server.bin / "psql"),
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            "-",
            f"--dbname={target.conninfo}",
        ],
        {**os.environ, "PGOPTIONS": "-c client_min_messages=warning"},
        given=dumped,
    )


def _run(command: Sequence[str], environment: Mapping[str, str], *, given: bytes = b"") -> bytes:
    done = subprocess.run(command, env=dict(environment), input=given, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RehearsalFailed(file=os.path.basename(command[0]), reason=" ".join(said[-3:]))
    return done.stdout
