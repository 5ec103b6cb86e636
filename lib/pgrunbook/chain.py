"""The chain of events: each holds the hash of the one before, and all of them can be computed again."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pgrunbook import session
from pgrunbook.errors import ChainBroken
from pgrunbook.session import Connection

__all__ = ["Chain", "check"]


@dataclass(frozen=True, slots=True)
class Chain:
    """The state of the event chain after every hash was computed again."""

    events: int
    head: str

    def __str__(self) -> str:
        """Return the one sentence for boards and records."""
        return f"unbroken, {self.events:,} event{'' if self.events == 1 else 's'}, head {self.head[:12]}"


def check(conn: Connection) -> Chain:
    """Return the chain's state after computing every hash again.

    Events cut off at the end leave a chain that is whole: compare its head with the one in an earlier record. Raises
    ChainBroken naming the first event that does not fit.
    """
    previous, count = "0" * 64, 0
    for row in session.rows(conn, "event_chain"):
        count += 1
        if row["id"] != count:
            raise ChainBroken(event=count, found=f"the next event in the table is number {row['id']}")
        if row["previous_hash"] != previous:
            raise ChainBroken(event=count, found="it does not hold the hash of the one before")
        if hashlib.sha256(row["text"].encode()).hexdigest() != row["hash"]:
            raise ChainBroken(event=count, found="its contents do not give its hash")
        previous = row["hash"]
    return Chain(events=count, head=previous)
