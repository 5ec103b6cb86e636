"""The database that a run changes, and where its name comes from."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrunbook.errors import BadTarget, NoTarget

__all__ = ["Kind", "Target", "from_environment", "rehearsal"]


class Kind(Enum):
    """What stands behind a target."""

    REHEARSAL = "rehearsal"
    """The embedded server with sample data: approves itself, may be thrown away."""
    LIVE = "live"
    """A server that somebody named: every gate needs a person or a policy."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database to change; its text never shows a password."""

    kind: Kind
    conninfo: str = field(repr=False)

    @property
    def where(self) -> str:
        """Return a place a person can recognise, without a password.

        >>> Target(Kind.LIVE, "host=db1 dbname=shop user=dba password=secret").where
        "database 'shop' on db1 as 'dba'"
        >>> Target(Kind.LIVE, "service=shop").where
        'service shop'
        """
        parts = {
            key: str(value) for key, value in conninfo_to_dict(self.conninfo).items() if value is not None
        }
        if self.kind is Kind.REHEARSAL:
            return "the rehearsal database"
        if "service" in parts:
            return f"service {parts['service']}"
        host = parts.get("host") or parts.get("hostaddr") or "the default host"
        host = "the local socket" if host.startswith("/") else host
        port = f":{parts['port']}" if "port" in parts and host != "the local socket" else ""
        user = f" as {parts['user']!r}" if "user" in parts else ""
        database = f"database {parts['dbname']!r}" if "dbname" in parts else "the default database"
        return f"{database} on {host}{port}{user}"

    @property
    def password(self) -> str | None:
        """Return the password that the connection string holds, so that it can be kept out of texts."""
        value = conninfo_to_dict(self.conninfo).get("password")
        return str(value) if value else None

    def redacted(self, text: str) -> str:
        """Return the text with this target's password, and that of its private key, replaced by stars."""
        key = conninfo_to_dict(self.conninfo).get("sslpassword")
        for secret in (self.password, str(key) if key else None):
            text = text.replace(secret, "***") if secret else text
        return text


def from_environment(environment: Mapping[str, str]) -> Target:
    """Return the live target that PGRUNBOOK_TARGET names.

    The value is a libpq connection string or URI; what it leaves out comes from PG* variables, the
    service file and .pgpass as for psql (PostgreSQL manual, 32.1.1, 32.15 to 32.17).
    Raises NoTarget when the variable is missing or empty, BadTarget when libpq cannot read it.
    """
    text = environment.get("PGRUNBOOK_TARGET", "").strip()
    if not text:
        raise NoTarget
    # Escapes such as %ff make bytes that are no text.
    with contextlib.suppress(psycopg.ProgrammingError, UnicodeDecodeError):
        conninfo = make_conninfo(text)
        # A connection string inside dbname, which psql would read, may hide a password from us.
        if not re.search("://|=", str(conninfo_to_dict(conninfo).get("dbname") or "")):
            return Target(Kind.LIVE, conninfo)
    # Raised outside the handler, so that libpq's words, which repeat the text, do not hang on to it.
    raise BadTarget


def rehearsal(conninfo: str) -> Target:
    """Return the target for a database of the embedded server."""
    return Target(Kind.REHEARSAL, conninfo)
