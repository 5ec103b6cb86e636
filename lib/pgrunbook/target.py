"""The database that a run changes, and where its name comes from."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo, ConninfoOption

from pgrunbook.errors import BadTarget, NoTarget
from pgrunbook.masking import Mask

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
    mask_literals: bool = False
    """Whether literal values in other sessions' statements are kept out of everything, too."""

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
    def mask(self) -> Mask:
        """Return what keeps this target's passwords out of texts, those included that a connection has used."""
        return Mask(_secrets(self.conninfo) + tuple(sorted(_used.get(self.conninfo, ()))), self.mask_literals)

    def redacted(self, text: str) -> str:
        """Return the text with this target's passwords, and what looks like one, replaced by stars."""
        return self.mask.text(text)

    def used(self, options: Sequence[ConninfoOption], *more: str | None) -> None:
        """Remember secrets that libpq took from elsewhere: environment, service file or .pgpass."""
        _used.setdefault(self.conninfo, set()).update(_hidden(options), filter(None, more))


_used: dict[str, set[str]] = {}


@lru_cache(maxsize=100)
def _secrets(conninfo: str) -> tuple[str, ...]:
    return tuple(_hidden(Conninfo.parse(conninfo.encode())))


def _hidden(options: Sequence[ConninfoOption]) -> Iterator[str]:
    """Yield the values that libpq itself marks as not to be shown (PostgreSQL manual, 32.1, `dispchar`)."""
    for one in options:
        if one.dispchar == b"*" and one.val:
            yield one.val.decode("utf-8", "replace")


def from_environment(environment: Mapping[str, str], *, mask_literals: bool = False) -> Target:
    """Return the live target that PGRUNBOOK_TARGET names.

    The value is a libpq connection string or URI; what it leaves out comes from PG* variables, the
    service file and .pgpass as for psql (PostgreSQL manual, 32.1.1, 32.15 to 32.17). Literal values are masked
    where that is asked for here or by PGRUNBOOK_MASK_LITERALS.
    Raises NoTarget when the variable is missing or empty, BadTarget when libpq cannot read it.
    """
    text = environment.get("PGRUNBOOK_TARGET", "").strip()
    if not text:
        raise NoTarget
    # Escapes such as %ff make bytes that are no text.
    with contextlib.suppress(psycopg.ProgrammingError, UnicodeDecodeError):
        conninfo = make_conninfo(text)
        parts = conninfo_to_dict(conninfo)
        # A connection string inside dbname, which psql would read, may hide a password from us; and a password
        # with an @ that is not written %40 would end up in the host's name.
        hides = re.search("://|=", str(parts.get("dbname") or "")) or "@" in str(parts.get("host") or "")[1:]
        if not hides:
            return Target(Kind.LIVE, conninfo, mask_literals or _asks_for_literals(environment))
    # Raised outside the handler, so that libpq's words, which repeat the text, do not hang on to it.
    raise BadTarget


def _asks_for_literals(environment: Mapping[str, str]) -> bool:
    """Return whether PGRUNBOOK_MASK_LITERALS is set; any word but a plain no counts as yes."""
    word = environment.get("PGRUNBOOK_MASK_LITERALS", "").strip().lower()
    return word not in ("", "0", "no", "off", "false")


def rehearsal(conninfo: str) -> Target:
    """Return the target for a database of the embedded server."""
    return Target(Kind.REHEARSAL, conninfo)
