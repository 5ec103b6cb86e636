"""Connections to a target, and the facts of the server behind one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row

from pgrunbook import queries
from pgrunbook.errors import CannotConnect, NotPrimary
from pgrunbook.target import Kind, Target

__all__ = ["Connection", "ServerFacts", "alive", "bind", "connect", "rows", "value"]

Connection = psycopg.Connection[DictRow]


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """Who and where a session is."""

    database: str
    user: str
    version: str
    version_num: int
    is_standby: bool
    system_identifier: str
    timeline: int
    started: str

    @property
    def cluster(self) -> str:
        """Return the words that tell one cluster (and its history) from another."""
        return f"system {self.system_identifier}, timeline {self.timeline}"


def connect(target: Target, *, purpose: str) -> Connection:
    """Return an autocommit connection whose rows are dicts, in UTC.

    `purpose` ends the application_name, so that other operators can tell our sessions apart.
    Timeouts that a role or database may have set are switched off: this project sets its own.
    Raises CannotConnect with the server's reason and never with a password.
    """
    given = conninfo_to_dict(target.conninfo)
    conninfo = make_conninfo(
        target.conninfo,
        connect_timeout=given.get("connect_timeout") or 10,
        application_name=f"pgrunbook {purpose}"[:63],
    )
    try:
        conn = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
    except psycopg.OperationalError as error:
        raise _refusal(target, error) from None
    conn.execute("SET TimeZone TO 'UTC'; SET statement_timeout TO 0; SET lock_timeout TO 0;")
    conn.execute("SET idle_in_transaction_session_timeout TO 0; SET client_min_messages TO notice;")
    return conn


def bind(conn: Connection, target: Target, *, for_change: bool = True) -> ServerFacts:
    """Return the facts of the server behind a session.

    Raises NotPrimary when a change is to be made and the server is a standby.
    """
    row = rows(conn, "server_facts")[0]
    facts = ServerFacts(**{name: row[name] for name in ServerFacts.__slots__})
    if facts.is_standby and for_change:
        raise NotPrimary(where=target.where)
    return facts


def rows(conn: Connection, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    """Return what the query file `name` finds, in the variant for this server's version."""
    return conn.execute(queries.get(name, conn.info.server_version), parameters).fetchall()


def value(conn: Connection, sql: str, parameters: Sequence[object] = ()) -> Any:
    """Return the first column of the first row, or None."""
    row = conn.execute(sql, parameters or None).fetchone()
    return next(iter(row.values())) if row else None


def alive(conn: Connection | None) -> bool:
    """Return whether the server still answers on this connection."""
    if conn is None or conn.closed:
        return False
    try:
        conn.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


_WAY_OUT = (
    ("password authentication failed", "check user and password: PGRUNBOOK_TARGET, PGPASSWORD or .pgpass"),
    ("no password supplied", "give the password through .pgpass, PGPASSWORD or the service file"),
    ("does not exist", "check the names of database and role in PGRUNBOOK_TARGET"),
    ("definition of service", "check the name in PGRUNBOOK_TARGET against the service file (PGSERVICEFILE)"),
    (
        "no pg_hba.conf entry",
        "ask the server's administrator for a pg_hba.conf entry for this host, role and database",
    ),
    ("too many clients", "wait until connections are free; this project needs three"),
    ("could not translate host name", "check the host name in PGRUNBOOK_TARGET"),
)


def _refusal(target: Target, error: psycopg.Error) -> CannotConnect:
    reason = " ".join(target.redacted(str(error)).split())
    next_step = "check that the server runs and that host and port in PGRUNBOOK_TARGET are right"
    if target.kind is Kind.REHEARSAL:
        next_step = "start the rehearsal again; it starts the embedded server"
    else:
        next_step = next((way for sign, way in _WAY_OUT if sign in reason), next_step)
    return CannotConnect(where=target.where, reason=reason, next_step=next_step)
