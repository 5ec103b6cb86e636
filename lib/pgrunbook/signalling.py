"""Signals to sessions that are in the way: their statement is cancelled, or they are ended, on request."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import psycopg

from pgrunbook import session
from pgrunbook.binding import Binding
from pgrunbook.errors import BlockerStays, quoted
from pgrunbook.ledger import Ledger
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection

__all__ = ["Ended", "among", "end", "end_for", "event_of", "look_for", "session_of", "stays"]

OURS = "pgrunbook "
MAY_BE_ENDED = {"client backend", "autovacuum worker", "parallel worker", "session"}
GONE_S = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """What was asked of a blocker, and whether it is out of the way; None where the server was not heard."""

    blocker: Blocker
    statement_only: bool
    gone: bool | None

    def __str__(self) -> str:
        """Return one line for the panel."""
        if self.gone is None:
            asked = "cancel its statement" if self.statement_only else "end its session"
            return f"{self.blocker.who}: the server was asked to {asked}, and its answer was not heard"
        asked = "its statement was cancelled" if self.statement_only else "its session was ended"
        left = "it is out of the way" if self.gone else "its transaction is still there"
        return f"{self.blocker.who}: {asked}, {left}"


def among(blockers: Sequence[Blocker], pid: int) -> Blocker:
    """Return the blocker with this pid; raises BlockerStays where there is none."""
    for one in blockers:
        if one.pid == pid:
            return one
    raise BlockerStays(
        who=f"pid {pid}", reason="it is not in the way", next_step="look again: nothing was done"
    )


def end(conn: Connection, shown: Blocker, *, statement_only: bool) -> Ended:
    """Cancel the statement of a blocker or end its session, and return whether that freed its locks, as far as heard.

    Acts only on the very session and transaction that was shown: a pid is used again. Raises BlockerStays for
    a prepared transaction, a session of this project, a vacuum against wraparound, one that is gone, and where
    the role may not (PostgreSQL manual, 9.28.2 "Server Signaling Functions").
    """
    if reason := stays(shown, statement_only=statement_only):
        raise BlockerStays(who=shown.who, reason=reason[0], next_step=reason[1])
    asked = {
        "pid": shown.pid,
        "transaction": shown.transaction,
        "backend_start": shown.backend_start,
        "statement_only": statement_only,
    }
    now = session_of(conn, shown.pid or 0)
    if now is None or not _same(now, shown):
        raise BlockerStays(who=shown.who, reason=_GONE[0], next_step=_GONE[1])
    if reason := stays(now, statement_only=statement_only):
        raise BlockerStays(who=now.who, reason=reason[0], next_step=reason[1])
    try:
        done = session.rows(conn, "end_session", asked)
    except psycopg.errors.InsufficientPrivilege as error:
        role = session.value(conn, "SELECT current_user::text")
        raise BlockerStays(
            who=shown.who,
            reason=f"role {role!r} may not signal sessions of {shown.user!r}: {str(error).splitlines()[0]}",
            next_step="ask its owner to end it, or let an administrator run:"
            f" GRANT pg_signal_backend TO {quoted(role)}",
        ) from None
    except psycopg.Error:
        return Ended(now, statement_only, None)
    if not done or not done[0]["asked"]:
        raise BlockerStays(who=shown.who, reason=_GONE[0], next_step=_GONE[1])
    try:
        return Ended(now, statement_only, _is_gone(conn, now))
    except psycopg.Error:
        return Ended(now, statement_only, None)


def end_for(
    binding: Binding,
    shown: Blocker,
    *,
    step: str,
    statement_only: bool,
    who: str,
    opened: Callable[[Connection], None] = lambda _conn: None,
) -> Ended:
    """Do as `end` does for a run, over a connection of its own, and note who asked and what came of it.

    `opened` gets the connection before anything is done over it, and may raise to have nothing done.
    """
    purpose = f"signal {binding.run_id}"
    with contextlib.closing(session.connect(binding.target, purpose=purpose)) as conn:
        opened(conn)
        ledger = Ledger(conn, binding.target)
        try:
            done = end(conn, shown, statement_only=statement_only)
        except BlockerStays as error:
            kind, detail = event_of(shown, who, error)
            binding.note_beside(ledger, kind, detail, step=step, actor=who)
            raise
        kind, detail = event_of(done.blocker, who, done)
        binding.note_beside(ledger, kind, detail, step=step, actor=who)
        return done


def event_of(blocker: Blocker, who: str, came: Ended | BlockerStays) -> tuple[str, Mapping[str, object]]:
    """Return the kind and the detail of the event about a blocker that somebody asked to end."""
    detail = {
        "who": who,
        "pid": blocker.pid,
        "user": blocker.user,
        "application": blocker.application_name,
        "state": blocker.state,
        "query": blocker.query,
    }
    if isinstance(came, BlockerStays):
        return "blocker not ended", {**detail, "done": False, "reason": came.reason}
    return f"blocker {'cancelled' if came.statement_only else 'ended'}", {
        **detail,
        "done": True,
        "gone": came.gone,
    }


def look_for(
    binding: Binding, pid: int, *, opened: Callable[[Connection], None] = lambda _conn: None
) -> Blocker | None:
    """Return a session as it is now, over a connection of its own, or None; `opened` as for `end_for`."""
    purpose = f"signal {binding.run_id}"
    with contextlib.closing(session.connect(binding.target, purpose=purpose)) as conn:
        opened(conn)
        return session_of(conn, pid)


def session_of(conn: Connection, pid: int) -> Blocker | None:
    """Return a session as it is now, or None when it is gone."""
    found = session.rows(conn, "session_now", {"pid": pid})
    return Blocker(**found[0]) if found else None


def stays(blocker: Blocker, *, statement_only: bool) -> tuple[str, str] | None:
    """Return why a blocker cannot be ended from here, and what to do instead; None when it can."""
    if blocker.pid is None:
        gid = blocker.backend.removeprefix("prepared transaction ")
        return (
            "a prepared transaction has no session",
            f"its owner runs COMMIT PREPARED {gid} or ROLLBACK PREPARED {gid}",
        )
    if blocker.application_name.startswith(OURS):
        return "it is a session of pgrunbook itself", "cancel that run where it was started"
    if "(to prevent wraparound)" in blocker.query:
        return "it vacuums against wraparound, and would only begin again", "wait until it ends"
    if blocker.backend not in MAY_BE_ENDED:
        return (
            f"it is a {blocker.backend}, nobody's session",
            "find out what it serves before you end it by hand",
        )
    if statement_only and blocker.state.startswith("idle"):
        return (
            "it runs no statement that could be cancelled",
            "end its session, or ask its owner to end the transaction",
        )
    return None


_GONE = "that session or its transaction is gone", "look again: nothing was done"


def _same(now: Blocker, shown: Blocker) -> bool:
    known = bool(shown.transaction or shown.backend_start)
    same_start = not shown.backend_start or now.backend_start == shown.backend_start
    return known and same_start and (not shown.transaction or now.transaction == shown.transaction)


def _is_gone(conn: Connection, ended: Blocker) -> bool:
    until = time.monotonic() + GONE_S
    while (now := session_of(conn, ended.pid or 0)) is not None and _same(now, ended):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
