"""Connections to a target, and the facts of the server behind one."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import Conninfo
from psycopg.rows import DictRow, dict_row

from pgrunbook import queries
from pgrunbook.errors import CannotConnect, NotPrimary, ReadOnlyTarget, ServerTooOld
from pgrunbook.masking import Mask
from pgrunbook.target import Kind, Target

__all__ = [
    "SILENT_S",
    "Connection",
    "ServerFacts",
    "alive",
    "bind",
    "connect",
    "hang_up",
    "heard",
    "masked",
    "pid",
    "reading",
    "rows",
    "value",
]

Connection = psycopg.Connection[DictRow]
V = TypeVar("V")
OLDEST = 15  # the oldest major version of PostgreSQL that everything here was tested on
SILENT_S = 3.0
"""How long anybody waits for a look; a server that has not answered by then is hung up on."""
_pids: WeakKeyDictionary[Connection, int] = WeakKeyDictionary()
_masks: WeakKeyDictionary[Connection, Mask] = WeakKeyDictionary()
# The columns of our queries that hold what other sessions have written.
STATEMENTS = frozenset({"query", "statement"})
WORDS = frozenset({"application_name", "application", "who", "backend", "state", "standby"})


class _Guarded(psycopg.Connection[DictRow]):
    """A connection whose errors are masked as they come in."""

    def wait(self, gen: PQGen[V], *arguments: Any, **options: Any) -> V:
        """Wait for the server, and take passwords out of what it refuses."""
        try:
            return super().wait(gen, *arguments, **options)
        except psycopg.Error as error:
            error.args = tuple(_mask(self).whole(error.args))
            raise


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
    database_oid: int = 0

    @property
    def cluster(self) -> str:
        """Return the words that tell one cluster (and its history) from another."""
        return f"system {self.system_identifier}, timeline {self.timeline}"


def connect(target: Target, *, purpose: str) -> Connection:
    """Return an autocommit connection whose rows are dicts, in UTC.

    `purpose` ends the application_name, so that other operators can tell our sessions apart.
    Timeouts that a role or database may have set are switched off: this project sets its own. Both sides ask after
    half a minute of silence whether the other is there, so that no firewall forgets a connection on which a person
    thinks, and a server does not keep a lock for somebody whose network has gone (19.3.2). Scripts
    are sent as UTF-8, every statement sees what was committed before it, and a query read through a cursor is
    planned for all of its rows, as every reader here wants them (PostgreSQL manual, 19.7.4).
    Raises CannotConnect with the server's reason and never with a password, and ServerTooOld.
    """
    options = {"application_name": f"pgrunbook {purpose}"[:63], "client_encoding": "UTF8"}
    given = conninfo_to_dict(target.conninfo)
    asks = {name.replace("tcp_keep", "keep"): value for name, value in _ASKS.items()}
    options |= {name: value for name, value in asks.items() if name not in given}
    if not given.get("connect_timeout") and not os.environ.get("PGCONNECT_TIMEOUT"):
        options["connect_timeout"] = "10"
    conn = None
    try:
        conn = _Guarded.connect(
            make_conninfo(target.conninfo, **options), autocommit=True, row_factory=dict_row
        )
        target.used(conn.pgconn.info, conn.info.password)
        _masks[conn] = target.mask
        if (major := conn.info.server_version // 10_000) < OLDEST:
            conn.close()
            raise ServerTooOld(where=target.where, major=major, oldest=OLDEST)
        conn.execute(_SETTINGS)
        _pids[conn] = value(conn, "SELECT pg_backend_pid()")
    except (psycopg.Error, ValueError) as error:
        if conn is not None:
            conn.close()
        raise _refusal(target, error) from None
    return conn


# Seconds, seconds and a number: a side that is gone is known to be gone after a minute, not after hours.
_ASKS = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    # While something is under way, nobody asks.
    "tcp_user_timeout": "60000",
}
_SETTINGS = f"""
{"".join(f"SET {name} TO {value};" for name, value in _ASKS.items())}
SET TimeZone TO 'UTC';
SET client_min_messages TO notice;
SET default_transaction_isolation TO 'read committed';
SET cursor_tuple_fraction TO 1;
SELECT set_config(name, '0', false)
  FROM pg_catalog.pg_settings
 WHERE name IN ('statement_timeout', 'lock_timeout', 'transaction_timeout',
                'idle_in_transaction_session_timeout', 'idle_session_timeout');
"""


def bind(conn: Connection, target: Target, *, for_change: bool = True) -> ServerFacts:
    """Return the facts of the server behind a session.

    The cluster is unknown where pg_control_system() or pg_control_checkpoint() was revoked from the role.
    Raises NotPrimary or ReadOnlyTarget when a change is to be made and the server takes none.
    """
    row = rows(conn, "server_facts")[0]
    try:
        cluster = rows(conn, "cluster")[0]
    except psycopg.errors.InsufficientPrivilege:
        cluster = {"system_identifier": "unknown", "timeline": 0}
    read_only = row.pop("read_only")
    facts = ServerFacts(**row, **cluster)
    if facts.is_standby and for_change:
        raise NotPrimary(where=target.where)
    if read_only and for_change:
        raise ReadOnlyTarget(where=target.where, user=facts.user)
    return facts


def rows(conn: Connection, name: str, parameters: Mapping[str, object] | None = None) -> list[dict[str, Any]]:
    """Return what the query file `name` finds, in the variant for this server's version."""
    found = conn.execute(queries.get(name, conn.info.server_version), parameters).fetchall()
    if not found or not (STATEMENTS | WORDS) & found[0].keys():
        return found
    mask = _mask(conn)
    return [{name: _shown(mask, name, held) for name, held in row.items()} for row in found]


def _shown(mask: Mask, column: str, held: Any) -> Any:
    if not isinstance(held, str):
        return held
    return mask.query(held) if column in STATEMENTS else mask.text(held) if column in WORDS else held


def heard(conn: Connection, said: psycopg.errors.Diagnostic) -> str:
    """Return what the server tells beside an answer, as one text without passwords."""
    return _mask(conn).text(f"{said.severity_nonlocalized}: {said.message_primary}")


def masked(conn: Connection, value: Any) -> Any:
    """Return rows or texts that came from the server without passwords; for what is shown, not for what is kept."""
    return _mask(conn).whole(value)


def _mask(conn: Connection) -> Mask:
    return _masks.get(conn) or Mask()


def value(conn: Connection, sql: str, parameters: Sequence[object] = ()) -> Any:
    """Return the first column of the first row, or None."""
    row = conn.execute(sql, parameters or None).fetchone()
    return next(iter(row.values())) if row else None


@contextlib.contextmanager
def reading(
    conn: Connection, *, timeout_ms: int, lock_timeout_ms: int = 0, one_moment: bool = False
) -> Iterator[None]:
    """Open a read-only transaction in which nothing stays that is done; 0 ms is as long as it takes.

    `one_moment` has all of its queries see the same rows.
    """
    level = "REPEATABLE READ" if one_moment else "READ COMMITTED"
    with conn.transaction(force_rollback=True):
        # A policy that hid rows would make them look right: what cannot be seen is an error.
        conn.execute(
            f"SET TRANSACTION ISOLATION LEVEL {level}, READ ONLY; SET LOCAL row_security = off;"
            f" SET LOCAL statement_timeout = {timeout_ms}; SET LOCAL lock_timeout = {lock_timeout_ms}"
        )
        yield


def pid(conn: Connection) -> int:
    """Return the pid that the server itself knows this session by.

    A pooler in between makes up the one of the protocol, so `conn.info.backend_pid` may be nobody's.
    """
    if conn not in _pids:
        _pids[conn] = value(conn, "SELECT pg_backend_pid()")
    return _pids[conn]


def alive(conn: Connection | None) -> bool:
    """Return whether the server still answers on this connection; one that does not is closed."""
    if conn is None or conn.closed:
        return False
    try:
        conn.execute("SELECT 1")
    except psycopg.errors.QueryCanceled:
        # Whoever cancelled it was heard.
        return True
    except psycopg.Error:
        conn.close()
        return False
    return True


def hang_up(conn: Connection | None) -> None:
    """End a connection at once, without a word to the server, also while another thread waits for its answer.

    That thread is told that the connection is lost. What the server was asked to do it may still do.
    """
    # A connection that is closed already has no socket.
    with contextlib.suppress(psycopg.Error, OSError):
        if conn is not None:
            line = socket.socket(fileno=conn.fileno())
            try:
                line.shutdown(socket.SHUT_RDWR)
            finally:
                line.detach()


_WAY_OUT = (
    ("password authentication failed", "check user and password: PGRUNBOOK_TARGET, PGPASSWORD or .pgpass"),
    ("no password supplied", "give the password through .pgpass, PGPASSWORD or the service file"),
    ("does not exist", "check the names of database and role in PGRUNBOOK_TARGET"),
    ("definition of service", "check the name in PGRUNBOOK_TARGET against the service file (PGSERVICEFILE)"),
    (
        "no pg_hba.conf entry",
        "ask the server's administrator for a pg_hba.conf entry for this host, role and database",
    ),
    *[
        (sign, "wait until connections are free; this project needs three")
        for sign in ("too many clients", "too many connections", "remaining connection slots")
    ],
    ("could not translate host name", "check the host name in PGRUNBOOK_TARGET"),
)


def _refusal(target: Target, error: Exception) -> CannotConnect:
    target.used(Conninfo.get_defaults())
    reason = " ".join(target.redacted(str(error)).split())
    next_step = "check that the server runs and that host and port in PGRUNBOOK_TARGET are right"
    if target.kind is Kind.REHEARSAL:
        next_step = "start the rehearsal again; it starts the embedded server"
    else:
        next_step = next((way for sign, way in _WAY_OUT if sign in reason), next_step)
    return CannotConnect(where=target.where, reason=reason, next_step=next_step)
