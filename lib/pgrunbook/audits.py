"""The audits of a run: the last board, whether it is still true, and what it says of a step."""

from __future__ import annotations

from dataclasses import dataclass

from pgrunbook import events, preflight
from pgrunbook.binding import Binding
from pgrunbook.change import Change
from pgrunbook.errors import PreflightMissing
from pgrunbook.preflight import Board

__all__ = ["Audits"]


@dataclass(slots=True)
class Audits:
    """The board of a run; what is done to the target after it makes it stale."""

    change: Change
    binding: Binding
    board: Board | None = None
    stale: bool = False

    def take(self) -> Board:
        """Return the board: what stands in the way of the change now."""
        self.board = preflight.audit(self.binding.control, self.change)
        self.stale = False
        self.binding.note("preflight", events.audited(self.board))
        return self.board

    def require(self, step: str, *, asked_now: bool = False) -> None:
        """Raise PreflightMissing or PreflightFailed unless the board lets a step start.

        A step that checks guard by name (`before`), or that a derived check has something against, has a new audit
        where the last one is older than what was applied or repaired since. With `asked_now`, and where they stop
        the step, these checks are asked again in any case: somebody may have repaired the rows by hand.
        """
        if self.board is None:
            raise PreflightMissing(change=self.change.name)
        against = any(found.stops or found.warns for found in self.board.derived(step))
        if against or preflight.guards(self.change, step):
            if self.stale:
                self.take()
            elif asked_now or self.board.stopping(step):
                self._ask_again(self.board, step)
        elif self.stale:
            self._ask_again(self.board, step)
        self.board.require_go(step)

    def _ask_again(self, old: Board, step: str) -> None:
        self.board = preflight.ask_again(self.binding.control, self.change, old, step)
        told = events.audited(self.board, before=old)
        if told["checks"]:
            self.binding.note("preflight", {**told, "again": step})
