"""The statements of a script on their way to the server, and which of them it is at."""

from __future__ import annotations

from collections.abc import Callable

from pgrunbook.script import Script
from pgrunbook.session import Connection

__all__ = ["Sending"]


class Sending:
    """Sends the bytes of a script, statement by statement, in the transaction that is open.

    The server does not say which statement of a longer text it was at when it was cancelled.
    """

    def __init__(self, script: Script) -> None:
        """Keep the script; nothing is sent yet."""
        self._script = script
        self.doing = "it had sent nothing yet"
        self.lines_before = 0
        """Lines of the file before what was sent last: the server counts lines from there."""

    def send(self, work: Connection, on_send: Callable[[str], None] = lambda _doing: None) -> None:
        """Send every statement, after saying which; raises what the server refuses."""
        pieces = self._script.pieces
        before = 0
        for number, (statement, data) in enumerate(pieces, start=1):
            of = f" {number} of {len(pieces)}," if len(pieces) > 1 else ""
            at = f"statement{of} {statement.verb} in line {statement.line}"
            self.doing = f"it was at {at}"
            on_send(f"runs {at}")
            self.lines_before = before
            work.execute(data)
            before += data.count(b"\n")
        self.lines_before = 0
        self.doing = "its statements were done"
