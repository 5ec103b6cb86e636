"""The lookout of a waiting gate: who is in the way now, what is open, and what others have decided."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg

from pgrunbook import forecast, obstacles, session
from pgrunbook.errors import RunbookError
from pgrunbook.gate import is_step
from pgrunbook.patience import Blocker
from pgrunbook.run import Run
from pgrunbook.session import Connection
from pgrunbook.views.units import counted, duration

if TYPE_CHECKING:
    from pgrunbook.views.gate_panel import Lines

__all__ = ["HEAR_S", "Lookout"]

# What others decided is one read by primary key; who is in the way is a look at pg_locks.
HEAR_S, LOOK_S = 1.0, 3.0
TIMEOUT_MS = 1_000
SHOWN = 4


@dataclass(slots=True)
class Lookout:
    """What a gate sees while it waits, over a connection of its own, a few milliseconds every few seconds."""

    run: Run
    name: str
    lines: Lines = field(default_factory=dict)
    _conn: Connection | None = None
    _looked: float = float("-inf")

    def look(self) -> bool:
        """Look again; return whether somebody at another terminal has decided something since the last look.

        A server that does not answer is told in the lines, and asked again the next time.
        """
        came = False
        try:
            if self._conn is None or self._conn.closed:
                self._conn = session.connect(self.run.target, purpose=f"watch {self.run.run_id}")
            with session.reading(self._conn, timeout_ms=TIMEOUT_MS, lock_timeout_ms=TIMEOUT_MS):
                came = self.run.deciding.hear(self._conn)
                if time.monotonic() - self._looked >= LOOK_S:
                    self.lines = {**self._in_the_way(self._conn), **self._open(), **self._window()}
                    self._looked = time.monotonic()
            return came
        except (RunbookError, psycopg.Error) as error:
            self.close()
            why = self.run.target.redacted(next(iter(str(error).splitlines()), type(error).__name__))
            self.lines = {"in the way": f"not known: {why}"}
            self._looked = float("-inf")
            # What was heard is heard once, whatever failed after it.
            return came

    def close(self) -> None:
        """End the connection."""
        if self._conn is not None:
            self._conn.close()

    def _in_the_way(self, conn: Connection) -> Lines:
        if not is_step(self.run.change, self.name):
            return {}
        step = self.run.change.step(self.name)
        found = [one.blocker for one in obstacles.obstacles(conn, [step])]
        if not found:
            return {"in the way": "nobody"}
        told = [self.run.target.redacted(line) for one in found[:SHOWN] for line in _told(one)]
        more = len(found) - SHOWN
        return {"in the way": [*told, *([f"and {more} more"] if more > 0 else [])]}

    def _open(self) -> Lines:
        if not is_step(self.run.change, self.name):
            return {}
        items = self.run.checklist.holding_up(self.run.change.step(self.name))
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


def _told(one: Blocker) -> list[str]:
    does = "runs" if one.state == "active" else "last statement"
    said = [f"role {one.user!r}"] * bool(one.user) + [f"{does}: {one.query}"] * bool(one.query)
    return [str(one), *["; ".join(said)] * bool(said)]
