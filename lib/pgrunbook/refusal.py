"""The refusal of the ledger: which right a role lacks there, and what gives it."""

from __future__ import annotations

import psycopg

from pgrunbook import session
from pgrunbook.errors import LedgerRefused, NotPrimary, ReadOnlyTarget, RunbookError
from pgrunbook.session import Connection

__all__ = ["of"]


def of(conn: Connection, error: Exception, *, where: str, reading: bool = False) -> RunbookError:
    """Return the refusal for an error of SQLSTATE 42501 or 25006; no transaction on the connection is aborted."""
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return _read_only(conn, where=where)
    return _denied(conn, error, where=where, reading=reading)


def _denied(conn: Connection, error: Exception, *, where: str, reading: bool) -> LedgerRefused:
    owners = session.rows(conn, "ledger_owners")
    foreign = [one for one in owners if not one["inherits"]]
    strangers = [one["owner"] for one in foreign if not one["member"]]
    return LedgerRefused(
        where=where,
        user=session.value(conn, "SELECT current_user::text"),
        reason=str(error).splitlines()[0],
        there=bool(owners),
        owners=strangers or [one["owner"] for one in foreign],
        member=bool(foreign) and not strangers,
        of_superuser=any(one["superuser"] for one in foreign),
        reading=reading,
        grants_inherit=conn.info.server_version >= 160_000,
        superuser=session.value(
            conn, "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user"
        ),
    )


def _read_only(conn: Connection, *, where: str) -> RunbookError:
    """Return why a server that was none when the run was opened takes no writes."""
    if session.value(conn, "SELECT pg_is_in_recovery()"):
        return NotPrimary(where=where)
    return ReadOnlyTarget(where=where, user=session.value(conn, "SELECT current_user::text"))
