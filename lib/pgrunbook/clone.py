"""A target's schema on the embedded server, without its rows."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from psycopg import errors, sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo

from pgrunbook import session
from pgrunbook.errors import RehearsalFailed
from pgrunbook.server import Server, create_database, drop_database
from pgrunbook.target import Target
from pgrunbook.target import rehearsal as rehearsal_target

__all__ = ["clone"]

_HIDDEN = {one.keyword.decode() for one in Conninfo.get_defaults() if one.dispchar == b"*"} - {"password"}


def clone(source: Target, server: Server, name: str, *, naming: str = "") -> Target:
    """Make a database on the embedded server with the schema of `source` and no rows; return it.

    Owners, grants and the ledger stay behind. Roles of the source that its policies name, or the text `naming`,
    are made there without any right, as they cannot be named otherwise; they stay. The password goes to pg_dump
    through the environment, never through its arguments. Raises RehearsalFailed with the last lines of what
    pg_dump or psql said; then no database is left.
    """
    target = rehearsal_target(create_database(server, name))
    try:
        _copy_schema(source, target, server, naming)
    except BaseException:
        drop_database(server, name)
        raise
    return target


def _copy_schema(source: Target, target: Target, server: Server, naming: str) -> None:
    parts = {key: str(part) for key, part in conninfo_to_dict(source.conninfo).items() if part is not None}
    password = parts.pop("password", None)
    environment = {**os.environ, **({"PGPASSWORD": password} if password else {})}
    with tempfile.TemporaryDirectory(prefix="pgrunbook-clone-") as scratch:
        # Other secrets have no variable; a service that is named already has to bring its own.
        hidden = {key: parts.pop(key) for key in _HIDDEN & parts.keys()}
        if hidden and "service" not in parts:
            file = Path(scratch) / "service"
            file.touch(0o600)
            file.write_text("[pgrunbook]\n" + "".join(f"{key}={value}\n" for key, value in hidden.items()))
            parts["service"], environment["PGSERVICEFILE"] = "pgrunbook", str(file)
        # A subscription is nothing to rehearse on, and its connection string is nobody's business here.
        dumped = _run(
            [
                str(server.bin / "pg_dump"), "--schema-only", "--no-owner", "--no-privileges", "--no-subscriptions",
                "--exclude-schema=pgrunbook", "--lock-wait-timeout=2s", f"--dbname={make_conninfo(**parts)}",
            ],
            environment,
        )  # fmt: skip
    _make_roles(source, target, naming + dumped.decode(errors="replace"))
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
        # The text of a statement that fails, such as a user mapping with its password, is kept out of the log.
        {**os.environ, "PGOPTIONS": "-c client_min_messages=warning -c log_min_error_statement=panic"},
        given=dumped,
    )


def _make_roles(source: Target, target: Target, text: str) -> None:
    with session.connect(source, purpose="roles") as conn:
        there = [row["name"] for row in conn.execute("SELECT rolname::text AS name FROM pg_roles").fetchall()]
    with session.connect(target, purpose="roles") as conn:
        for name in there:
            if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text) and not name.startswith("pg_"):
                # Most often the server has it; another rehearsal may be making it now.
                with contextlib.suppress(errors.DuplicateObject, errors.UniqueViolation):
                    conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(name)))


def _run(command: Sequence[str], environment: Mapping[str, str], *, given: bytes = b"") -> bytes:
    done = subprocess.run(command, env=dict(environment), input=given, capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise RehearsalFailed(file=os.path.basename(command[0]), reason=" ".join(said[-3:]))
    return done.stdout
