"""One session of a race: its connection, the step it is at, and what the server told it unasked."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import Diagnostic
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus
from psycopg.pq.abc import PGconn, PGresult

from pgrunbook import session
from pgrunbook.spec import Marker, Session, Turn
from pgrunbook.target import rehearsal

__all__ = ["Answer", "Failure", "Racer", "Report", "Rows", "gather"]

# With log_lock_waits a session says that it still waits once it has looked for a deadlock and found none
# (PostgreSQL manual, 19.8 and 19.12). Nobody else moves before it has said so: of a deadlock the last to come
# is the victim, each time, however busy the machine is.
_SETTINGS: Final = (
    "deadlock_timeout=5ms",
    "log_lock_waits=on",
    "client_min_messages=log",
    "log_min_messages=fatal",
    "lc_messages=C",
)
# Deadlock, lock timeout, cancelled, terminated, transaction timeout.
_ENDED_BY_ITSELF: Final = ("40P01", "55P03", "57014", "57P01", "25P04")
_CONNECTION_FAILURE: Final = "08006"


@dataclass(frozen=True, slots=True)
class Rows:
    """What one SELECT, or one RETURNING, gave; values as the server spells them, None for NULL."""

    columns: tuple[str, ...]
    values: tuple[tuple[str | None, ...], ...]


@dataclass(frozen=True, slots=True)
class Failure:
    """An error of the server: its SQLSTATE and its message, without the detail, which names pids.

    A connection that ended without a word of the server failed with 08006.
    """

    sqlstate: str
    message: str


@dataclass(slots=True)
class Report:
    """How one step of a permutation went; `launched` and `done` are the numbers of turns, from 0.

    `ended` numbers the steps in the order in which they were done, from 1.
    `waited_for` names sessions, in the order of the file, as seen when the step began to wait. `released_by`
    is the step at whose end it went on; empty where it did not wait, or where its own error ended the wait.
    """

    turn: Turn
    launched: int
    done: int = -1
    ended: int = 0
    waited: bool = False
    waited_for: tuple[str, ...] = ()
    released_by: str = ""
    rows: tuple[Rows, ...] = ()
    failure: Failure | None = None
    notices: list[str] = field(default_factory=list)

    def close(self, results: list[PGresult], *, done: int, ended: int, after: str) -> None:
        """Take what the server answered; `after` is the step that was done before this one."""
        self.rows, self.failure = gather(results)
        self.done, self.ended = done, ended
        if self.waited and (self.failure is None or self.failure.sqlstate not in _ENDED_BY_ITSELF):
            self.released_by = after


class Racer:
    """A session that is sent one thing after the other and never waited for here."""

    def __init__(self, described: Session, conninfo: str, *, race: str) -> None:
        self.name = described.name
        self.described = described
        settings = " ".join(f"-c {one}" for one in _SETTINGS)
        # Given with the connection, so that every DISCARD ALL comes back to them.
        self.target = rehearsal(make_conninfo(conninfo, options=settings))
        self.purpose = f"race {race}"
        self.at: Report | None = None
        self.heard = 0
        self.wanted: dict[Marker, int] = {}
        self.looked = False  # for a deadlock, in the wait that it is in
        self.open()

    def open(self) -> None:
        """Connect; anew, where the server has ended the session."""
        self.conn = session.connect(self.target, purpose=self.purpose)
        self.conn.execute("DISCARD ALL")
        self.pid = session.pid(self.conn)
        self.raw = self.conn.pgconn
        self.answer = Answer(self.raw)
        self.ended = False  # by the server, while it was at no step
        self.conn.add_notice_handler(self._hear)

    def close(self) -> None:
        """End the connection."""
        self.conn.close()

    def _hear(self, said: Diagnostic) -> None:
        text = said.message_primary or ""
        if said.severity_nonlocalized == "LOG":
            if " still waiting for " in text or " acquired " in text:
                self.looked = " still waiting for " in text
        elif said.severity_nonlocalized == "FATAL":
            self.ended = True
        else:
            self.heard += 1
            if self.at is not None:
                self.at.notices.append(f"{said.severity_nonlocalized}: {text}")

    @property
    def idle(self) -> bool:
        """Return whether it is at no step and in no transaction."""
        return self.at is None and self.raw.transaction_status == TransactionStatus.IDLE

    @property
    def lost(self) -> bool:
        """Return whether the server has ended the session, as far as it was listened to."""
        return self.ended or self.raw.status == ConnStatus.BAD

    def alive(self) -> bool:
        """Return whether there is a session still, having listened to what came while it was at no step."""
        with contextlib.suppress(psycopg.OperationalError):
            self.raw.consume_input()
            self.raw.is_busy()  # hears what has arrived
        return not self.lost

    def send(self, sql: str) -> None:
        """Send SQL and return at once."""
        self.looked, self.answer = False, Answer(self.raw)
        self.raw.send_query(sql.encode())

    def busy(self) -> bool:
        """Take in what has arrived; return whether the server still works on what was sent, or waits."""
        return not self.answer.complete()


class Answer:
    """What a connection gives for what was sent last, taken in as it arrives."""

    def __init__(self, raw: PGconn) -> None:
        self.raw = raw
        self.results: list[PGresult] = []
        self._complete = False

    def complete(self) -> bool:
        """Take in what has arrived, never waiting for more; return whether that was all."""
        if not self._complete:
            # Where the server has ended the session, its last word is a result like any other.
            with contextlib.suppress(psycopg.OperationalError):
                self.raw.consume_input()
        # The result of one statement may be here long before that of the next.
        while not self._complete and not self.raw.is_busy():
            result = self.raw.get_result()
            if result is None:
                self._complete = True
            elif result.status == ExecStatus.COPY_IN:
                self.raw.put_copy_end(b"a step has nothing to send")
            elif result.status == ExecStatus.COPY_OUT:
                # It is said again for as long as the copy goes on.
                while (size := self.raw.get_copy_data(1)[0]) > 0:
                    pass
                if size == 0:
                    break
            else:
                self.results.append(result)
        return self._complete


def gather(results: list[PGresult]) -> tuple[tuple[Rows, ...], Failure | None]:
    """Return the rows of all results, and the first error: a lost connection adds one of its own."""
    failure = None
    for result in results:
        if result.status == ExecStatus.FATAL_ERROR and failure is None:
            parts = (DiagnosticField.SQLSTATE, DiagnosticField.MESSAGE_PRIMARY)
            sqlstate, message = (_text(result.error_field(part)) for part in parts)
            failure = Failure(sqlstate or _CONNECTION_FAILURE, message or result.get_error_message())
    return tuple(_rows(result) for result in results if result.status == ExecStatus.TUPLES_OK), failure


def _rows(result: PGresult) -> Rows:
    columns = range(result.nfields)
    return Rows(
        tuple(_text(result.fname(column)) or "" for column in columns),
        tuple(
            tuple(_text(result.get_value(row, column)) for column in columns) for row in range(result.ntuples)
        ),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("utf-8", "replace")
