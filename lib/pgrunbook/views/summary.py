"""The summary of a run: what its page is made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Rows", "Summary"]

Rows = tuple[Mapping[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a run came to; times are ISO texts in UTC, rows of any columns become tables in their order."""

    run_id: str
    change: str
    title: str
    outcome: str
    good: bool
    target: str
    target_kind: str
    operator: str
    server: str
    started: str
    finished: str | None
    stall_budget_ms: float
    worst_stall_ms: float | None
    window_ends: str = ""
    approvals_needed: int = 1
    approvals: Rows = ()
    checklist: Rows = ()
    checks: Rows = ()
    rehearsal: Rows = ()
    locks: Rows = ()
    steps: Rows = ()
    remedies: Rows = ()
    verification: Rows = ()
    rollbacks: Rows = ()
    stalls: Rows = ()
    audits: Rows = ()
    findings: Rows = ()
    ran: Rows = ()
    in_the_way: Rows = ()
    waits: Rows = ()
    signals: Rows = ()
    """Sessions in the way that somebody asked to end, with who asked, why, and what came of it."""
    builds: Rows = ()
    sizes: Rows = ()
    timings: Rows = ()
    scripts: Rows = ()
    texts: Mapping[str, str] = field(default_factory=dict)
    """Scripts as the ledger keeps them, by SHA-256; what an event says of a hash decides whether they are true."""
    events: Rows = ()
    versions: Rows = ()
    chain: str = ""
    unread: Rows = ()
    """Events whose detail cannot be read in the usual way, with what is wrong and how it stands there."""
