"""The first notebook's views: which changes there are, where they would run, how far each is."""

from __future__ import annotations

import os

from pgrunbook import change as changes
from pgrunbook import session, standing, target
from pgrunbook.ledger import Ledger
from pgrunbook.views import table
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["changes_here", "state", "where"]


def changes_here() -> View:
    """Return one row a change, read and checked as a whole; raises for the first thing that is wrong."""
    root = changes.root_from(os.environ)
    loaded = [changes.load(name, root=root) for name in changes.names(root)]
    rows = [
        {
            "change": change.name,
            "title": change.title,
            "checks": len(change.preflight),
            "remedies": len(change.remedies),
            "steps": len(change.steps),
            "tables": ", ".join(change.tables),
            "requires": ", ".join(change.requires) or "nothing",
        }
        for change in loaded
    ]
    line = f"{counted(len(rows), 'change')}, every file read and in order"
    return View(line, html=table.to_html(rows, caption=line))


def where() -> View:
    """Return where a notebook would run if it were opened now; connects to nothing."""
    if not _live():
        return View("no target is named: every notebook is a rehearsal on the embedded server")
    return View(f"LIVE: {target.from_environment(os.environ).where}")


def state() -> View:
    """Return how far each change is on the target, from its ledger; reads only."""
    root = changes.root_from(os.environ)
    names = changes.names(root)
    if not _live():
        return View(f"{counted(len(names), 'change')}, nothing applied: a rehearsal begins afresh each time")
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="status") as conn:
        session.bind(conn, bound, for_change=False)
        ledger = Ledger(conn, bound)
        rows = []
        for name in names:
            steps = standing.table(changes.load(name, root=root), ledger.steps(name))
            done = sum(row["status"] == "done" for row in steps)
            following = next((row["step"] for row in steps if row["status"] != "done"), "nothing")
            rows.append({"change": name, "steps done": f"{done} of {len(steps)}", "next": following})
    line = f"{counted(len(rows), 'change')} on {bound.where}"
    return View(line, html=table.to_html(rows, caption=line))


def _live() -> bool:
    return bool(os.environ.get("PGRUNBOOK_TARGET", "").strip())
