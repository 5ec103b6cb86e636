"""The stage of a job: what it does now, in words for the operator."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASKS", "BEGINS", "COMMITS", "LOOKS", "ROLLS_BACK", "STOPS_BUILD", "VERIFIES", "Stage"]

BEGINS = "writes to the ledger that it begins"
LOOKS = "looks who holds its locks"
ASKS = "asks for its locks"
VERIFIES = "verifies that its promise holds"
COMMITS = "commits"
ROLLS_BACK = (
    "ends the statement and rolls its transaction back: nothing of it stays; run the cell again to resume"
)
STOPS_BUILD = "ends the statement and drops what is unfinished of its index; run the cell again to resume"


@dataclass(frozen=True, slots=True)
class Stage:
    """What the job of a script does now; `takes_s` is the estimate in seconds, where there is one.

    `holds` says that it has its locks, `cancel` what Cancel would do. A budget of 0: it stops nobody.
    """

    script: str
    doing: str
    holds: bool = False
    stall_budget_ms: float = 0.0
    takes_s: float | None = None
    cancel: str = ""
