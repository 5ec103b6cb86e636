"""What a server does, as views: lock waits with their blockers named, slow statements."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.monitoring import NotAvailable, Session, SlowStatement, Waiting
from pgrunbook.views import table
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import View

__all__ = ["slow_statements", "waits"]


def waits(found: Sequence[Waiting], *, text: str = "") -> View:
    """Return who waits for whom, one row for each pair; pids and times vary, so tests compare the line at most."""
    about = f" with {visible(text)!r} in the statement" if text else ""
    said = f"{counted(len(found), 'session')} waiting" if found else "nobody waits"
    rows = [
        {
            "waits": _who(one.session),
            "for": f"{one.wants} on {one.on}",
            "waited": duration(one.waited_ms),
            "statement": one.session.statement,
            "blocker": _who(blocker),
            "role": blocker.role,
            "state": blocker.state,
            "since": blocker.since,
            "blocker's statement": blocker.statement,
        }
        for one in found
        for blocker in one.blockers
    ]
    line = f"lock waits now{about}: {said}"
    return View(line, html=table.to_html(rows, caption=line) if rows else None, facts={"waits": rows})


def _who(one: Session) -> str:
    if not one.pid:
        return one.state
    return f"pid {one.pid} {one.application or one.role}".rstrip()


def slow_statements(found: Sequence[SlowStatement] | NotAvailable, *, text: str = "") -> View:
    """Return the statements that took longest on average, or why this server cannot tell."""
    about = f" with {visible(text)!r} in them" if text else ""
    if isinstance(found, NotAvailable):
        return View(f"slow statements{about}: not available here: {found.why}\n  next: {found.remedy}")
    rows = [
        {
            "statement": one.statement,
            "calls": one.calls,
            "mean ms": round(one.mean_ms, 3),
            "max ms": round(one.max_ms, 3),
            "total ms": round(one.total_ms, 1),
            "rows": one.rows,
        }
        for one in found
    ]
    line = f"slow statements{about}: {len(rows)}, the slowest on average first"
    line = line if rows else f"slow statements{about}: none counted yet"
    return View(line, html=table.to_html(rows, caption=line) if rows else None, facts={"statements": rows})
