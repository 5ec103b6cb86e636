"""The server side of "create a class": one INSERT that makes the code and saves the class."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import psycopg
from psycopg import sql
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from pgrunbook.errors import BadClassForm, ClassNotSaved
from pgrunbook.views.text import visible
from pgrunbook.workloads import fallback_codes
from pgrunbook.workloads.class_form import CODE_LENGTH, Clean, clean
from pgrunbook.workloads.code_metrics import CodeMetrics

__all__ = ["LOCK_TIMEOUT_MS", "ClassCodes", "Saved"]

logger = logging.getLogger("pgrunbook.class_codes")

LOCK_TIMEOUT_MS = 2_000
"""Longer than a deadlock takes to be found (1 s by default), shorter than a person waits without asking."""
_SUFFIXES = 3
# The class lost against somebody, who is done by now.
_LOST_ONCE = {"40P01", "40001"}
_GENERATED = sql.SQL("next_class_code(%s, %s, %s)")
_TIMESTAMP = sql.SQL(fallback_codes.EXPRESSION)


class Saved(TypedDict):
    """What the caller, in the end a browser, is told."""

    success: bool
    class_id: int
    class_code: str | None
    message: str


class ClassCodes:
    """Creates and updates classes; one object serves all threads, each with a connection of its own.

    On an autocommit connection a creation is one round trip: the counter's row stays locked from the INSERT to
    the commit right behind it on the server. In a transaction of the caller (also the one that a connection
    without autocommit begins by itself) it is a savepoint, and the row stays locked until the caller commits: end
    such a transaction soon. A caller who rolls back gives the number back, so it leaves no gap.

    Our own transaction is READ COMMITTED whatever the default: the counter's lock keeps the order, and a stricter
    level would refuse whoever had to wait for it.

    Where the counter cannot be had, the class gets a timestamp code. That is so for lock_timeout (55P03), for
    statement_timeout (57014, told apart from a person's cancel by the server's English words; in other languages
    it counts as a cancel), for a deadlock (40P01) and a serialisation failure (40001). The last two are tried
    once more where the transaction is ours; in the caller's that cannot help, since its snapshot stays the old
    one and it still holds the locks of the deadlock. SERIALIZABLE may refuse the whole transaction of the caller
    all the same: then the class is not saved. Anything else is no reason for a timestamp code.
    """

    def __init__(self, *, lock_timeout_ms: int = LOCK_TIMEOUT_MS, metrics: CodeMetrics | None = None) -> None:
        """Wait at most `lock_timeout_ms` for the counter; 0 would be for ever and is refused."""
        if lock_timeout_ms < 1:
            raise ValueError("lock_timeout_ms has to be at least 1")
        self.lock_timeout_ms = lock_timeout_ms
        self.metrics = metrics or CodeMetrics()

    def create(self, conn: psycopg.Connection[Any], form: Mapping[str, object]) -> Saved:
        """Save a new draft class with a code of its own and return both.

        Raises BadClassForm before any SQL, ClassNotSaved where the server did not save it.
        """
        made = clean(form, new=True)
        began = time.perf_counter()
        try:
            class_id, code, fallback = self._save(conn, made)
        except psycopg.Error as error:
            if _is_duplicate(error):
                self.metrics.duplicate()
            self.metrics.failed()
            raise _not_saved("failed to generate class code", error) from error
        ms = (time.perf_counter() - began) * 1000
        self.metrics.created(ms, fallback=fallback)
        logger.info("class code %s made for class %d in %.1f ms", visible(code), class_id, ms)
        return Saved(
            success=True, class_id=class_id, class_code=code, message="Draft class created successfully."
        )

    def update(self, conn: psycopg.Connection[Any], class_id: int, form: Mapping[str, object]) -> Saved:
        """Change fields of a class, never its code, and return what code it has.

        Raises BadClassForm, also where there is no such class, and ClassNotSaved.
        """
        values = clean(form, new=False).values
        statement = sql.SQL(
            "UPDATE classes SET {}, updated_at = now() AT TIME ZONE 'UTC'"
            " WHERE class_id = %s RETURNING class_id, class_code"
        ).format(sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in values))
        try:
            found = self._send(conn, statement, [*values.values(), class_id])
        except psycopg.Error as error:
            raise _not_saved(f"class {class_id} was not updated", error) from error
        if found is None:
            raise BadClassForm(
                field="", found=f"there is no class {class_id}", next_step="look for its class_id again"
            )
        return Saved(
            success=True, class_id=found[0], class_code=found[1], message="Class updated successfully."
        )

    def _save(self, conn: psycopg.Connection[Any], made: Clean) -> tuple[int, str, bool]:
        try:
            return (*self._insert(conn, made, _GENERATED, made.parts), False)
        except psycopg.Error as error:
            reason = error
        if reason.sqlstate in _LOST_ONCE and _is_ours(conn):
            try:
                return (*self._insert(conn, made, _GENERATED, made.parts), False)
            except psycopg.Error as error:
                reason = error
        if not _is_a_wait(reason):
            raise reason
        said = _words(reason)
        if (length := len(made.prefix) + fallback_codes.TAIL_LENGTH) > CODE_LENGTH:
            logger.error(
                "Sequential code generation failed, and a timestamp code would have %d characters: %s",
                length,
                said,
            )
            raise reason
        logger.warning("Sequential code generation failed, using timestamp fallback: %s", said)
        for left in reversed(range(_SUFFIXES)):
            try:
                ending = fallback_codes.suffix()
                return (*self._insert(conn, made, _TIMESTAMP, (*made.parts, ending)), True)
            except psycopg.errors.UniqueViolation as error:
                if not left or not _is_duplicate(error):
                    raise
                self.metrics.duplicate()
        raise reason

    def _insert(
        self, conn: psycopg.Connection[Any], made: Clean, code: sql.SQL, for_code: Sequence[str]
    ) -> tuple[int, str]:
        # The code comes first: who looks at a wait sees the beginning of the statement.
        statement = sql.SQL(
            "INSERT INTO classes (class_code, {}, is_draft, created_at, updated_at)"
            " VALUES ({}, {}, true, now() AT TIME ZONE 'UTC', now() AT TIME ZONE 'UTC')"
            " RETURNING class_id, class_code"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, made.values)),
            code,
            sql.SQL(", ").join([sql.Placeholder()] * len(made.values)),
        )
        saved = self._send(conn, statement, [*for_code, *made.values.values()])
        # A trigger of somebody else's may swallow the row.
        if saved is None:
            raise psycopg.DataError("the INSERT saved no row: a trigger on classes took it away")
        return saved[0], saved[1]

    def _send(
        self, conn: psycopg.Connection[Any], statement: sql.Composed, parameters: Sequence[object]
    ) -> Any:
        try:
            return self._sent(conn, statement, parameters)
        except UnicodeEncodeError as error:
            found = f"{visible(error.object[error.start : error.end])} is not in the connection's {error.encoding}"
            raise BadClassForm(
                field="", found=found, next_step="connect with client_encoding UTF8"
            ) from error

    def _sent(
        self, conn: psycopg.Connection[Any], statement: sql.Composed, parameters: Sequence[object]
    ) -> Any:
        bounded = [f"{self.lock_timeout_ms}ms"]
        if _is_ours(conn):
            # One message, so one transaction of the server's: the counter is not held while it comes back to us.
            with psycopg.ClientCursor(conn, row_factory=tuple_row) as cursor:
                cursor.execute(sql.SQL("; ").join([_ISOLATION, _BOUND, statement]), [*bounded, *parameters])
                while cursor.nextset():
                    pass
                return cursor.fetchone()
        with conn.cursor(row_factory=tuple_row) as cursor, conn.cursor(row_factory=tuple_row) as setting:
            before = setting.execute("SELECT current_setting('lock_timeout')").fetchone()
            with conn.transaction():
                setting.execute(_BOUND, bounded)
                saved = cursor.execute(statement, parameters).fetchone()
                setting.execute(_BOUND, before)
                return saved


_ISOLATION = sql.SQL("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
_BOUND = sql.SQL("SELECT set_config('lock_timeout', %s, true)")


def _is_ours(conn: psycopg.Connection[Any]) -> bool:
    return conn.autocommit and conn.info.transaction_status is TransactionStatus.IDLE


def _is_a_wait(error: psycopg.Error) -> bool:
    if error.sqlstate == "57014":
        return "statement timeout" in (error.diag.message_primary or "")
    return error.sqlstate in {"55P03", *_LOST_ONCE}


def _is_duplicate(error: psycopg.Error) -> bool:
    said = f"{error.diag.constraint_name} {error.diag.message_detail}"
    return error.sqlstate == "23505" and "class_code" in said


def _words(error: psycopg.Error) -> str:
    lines = str(error.diag.message_primary or error).splitlines()
    return visible(lines[0] if lines else type(error).__name__)


def _not_saved(found: str, error: psycopg.Error) -> ClassNotSaved:
    # Cut off on the way, nobody here can tell whether the commit came through.
    state = error.sqlstate or ""
    lost = isinstance(error, psycopg.OperationalError) and (not state or state[:3] in ("57P", "08"))
    if lost or state.startswith("08"):
        return ClassNotSaved(found=found, reason=_words(error), known=False)
    next_step = {
        "23505": "somebody made up a code past the counter: run the preflight of 020_class_code_generator",
        "42501": "let an administrator grant EXECUTE on next_class_code and INSERT on classes to this role",
        "42883": "apply 020_class_code_generator first",
        "55P03": "look who holds the lock: desk.waits()",
    }.get(state, "mend the cause, then create it again")
    return ClassNotSaved(found=found, reason=_words(error), next_step=next_step)
