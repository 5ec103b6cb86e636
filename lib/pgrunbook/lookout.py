"""The lookout of a waiting gate: who is in the way now, what is open, and what others have decided."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psycopg

from pgrunbook import forecast, session
from pgrunbook.errors import RunbookError
from pgrunbook.gate import is_step
from pgrunbook.ledger import Ledger
from pgrunbook.reach import in_the_way
from pgrunbook.run import Run
from pgrunbook.session import SILENT_S, Connection
from pgrunbook.views.units import counted, duration

if TYPE_CHECKING:
    from pgrunbook.views.gate_panel import Lines

__all__ = ["HEAR_S", "Look", "Lookout"]

# What others decided is one read by primary key; who is in the way is a look at pg_locks.
HEAR_S, LOOK_S = 1.0, 3.0
TIMEOUT_MS = 1_000
CONNECT_S = 10.0
"""How long a GO waits for a connection that is being made."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look saw; it changes nothing by itself."""

    lines: Lines
    told: Sequence[Mapping[str, Any]] = ()
    """What others have decided since the last one that was taken in."""
    heard: bool = True
    """Whether the server told that."""
    lost: bool = False
    """Whether the session that has to hold the runner lock is gone."""
    why: str = ""
    """Why not everything is known."""


@dataclass(slots=True)
class Lookout:
    """What a gate sees while it waits, over a connection of its own, a few milliseconds every few seconds.

    `look` works in a thread. All else belongs to the loop, and none of it waits for a server that is silent.
    """

    run: Run
    name: str
    _lines: Lines = field(default_factory=dict)
    _conn: Connection | None = None
    _looked: float = float("-inf")
    _busy: threading.Lock = field(default_factory=threading.Lock)
    _left: bool = False
    _looking: asyncio.Task[Look] | None = None
    _began: float = 0.0
    _again: float = 0.0

    def poll(self) -> Look | None:
        """Return what a look saw that has ended by now, once; the next one begins by itself."""
        now = time.monotonic()
        if self._looking is None:
            if now >= self._again:
                self._looking, self._began = asyncio.ensure_future(asyncio.to_thread(self.look)), now
        elif self._looking.done():
            seen, self._looking, self._again = self._looking.result(), None, now + HEAR_S
            return seen
        elif now - self._began >= SILENT_S:
            session.hang_up(self._conn)
            return _SILENT
        return None

    async def last(self, *, patient: bool = False) -> Look:
        """Return a last look, at what others have decided alone; one that takes too long has heard nothing.

        A patient one waits longer for a connection that has to be made first.
        """
        listening = asyncio.ensure_future(asyncio.to_thread(self.look, only_hear=True))
        self._began = time.monotonic()
        while not listening.done():
            limit = CONNECT_S if patient and (self._conn is None or self._conn.closed) else SILENT_S
            if (left := self._began + limit - time.monotonic()) <= 0:
                self.leave()
                return _SILENT
            await asyncio.wait({listening}, timeout=left)
        return listening.result()

    def leave(self) -> None:
        """End the connection; a look that is under way ends by itself, and nobody waits for it."""
        self._left = True
        if self._busy.acquire(blocking=False):
            self._close()
            self._busy.release()
        else:
            session.hang_up(self._conn)

    def look(self, *, only_hear: bool = False) -> Look:
        """Look again; a server that does not answer is told in the lines, and asked again the next time."""
        with self._busy:
            seen = self._look(only_hear=only_hear)
        if self._left:
            self.leave()
        return seen

    def _look(self, *, only_hear: bool) -> Look:
        told: Sequence[Mapping[str, Any]] = ()
        heard, lost, why = False, False, ""
        if self._left:
            return _SILENT
        try:
            if self._conn is None or self._conn.closed:
                conn = session.connect(self.run.target, purpose=f"watch {self.run.run_id}")
                # A server that let us wait so long has all its time to answer what is asked now.
                self._began, self._conn = time.monotonic(), conn
            with session.reading(self._conn, timeout_ms=TIMEOUT_MS, lock_timeout_ms=TIMEOUT_MS):
                ledger = Ledger(self._conn, self.run.target)
                told, heard = self.run.deciding.told(ledger), True
                if not only_hear and time.monotonic() - self._looked >= LOOK_S:
                    lost = self._is_lost(self._conn)
                    self._lines = {
                        "in the way": in_the_way(self._conn, ledger, self.run.change, self.name),
                        **self._open(ledger),
                        **self._window(),
                    }
                    self._looked = time.monotonic()
        except (RunbookError, psycopg.Error) as error:
            self._close()
            why = self.run.target.redacted(next(iter(str(error).splitlines()), type(error).__name__))
            self._lines = _unknown(why)
            self._looked = float("-inf")
        # What was heard is heard, whatever failed after it.
        return Look(self._lines, told, heard, lost, why)

    def _close(self) -> None:
        if self._conn is not None:
            self._conn.close()

    def _is_lost(self, conn: Connection) -> bool:
        if (pid := self.run.binding.runner_pid) is None:
            return False
        return all(one["pid"] != pid for one in session.rows(conn, "runner_lock_holder"))

    def _open(self, ledger: Ledger) -> Lines:
        if not is_step(self.run.change, self.name):
            return {}
        items = self.run.checklist.holding_up(self.run.change.step(self.name), ledger=ledger)
        if not items:
            return {}
        open_ = [one.item.key for one in items if one.tick is None]
        ticked = f"{len(items) - len(open_)} of {counted(len(items), 'item')} ticked"
        return {"checklist": f"{ticked}; OPEN: {', '.join(open_)}; GO would be refused" if open_ else ticked}

    def _window(self) -> Lines:
        if (ends := self.run.budgets.window_ends) is None:
            return {}
        left = forecast.seconds_until(ends)
        return {"window": f"ends in {duration(left * 1000)}" if left > 0 else "is over"}


def _unknown(why: str) -> Lines:
    return {"in the way": f"not known: {why}"}


_NO_WORD = f"the server has not answered for {SILENT_S:.0f} s"
_SILENT = Look(_unknown(_NO_WORD), heard=False, why=_NO_WORD)
