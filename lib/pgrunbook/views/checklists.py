"""A checklist as a view: what is ticked, by whom, and what is open."""

from __future__ import annotations

from collections.abc import Sequence

from pgrunbook.checklist import Checked
from pgrunbook.views import table
from pgrunbook.views.text import visible
from pgrunbook.views.view import View

__all__ = ["line", "view"]

_SHOWN = ("item", "text", "state", "by", "remark")
_REHEARSAL = "rehearsal"


def line(title: str, items: Sequence[Checked], *, named: bool = False) -> str:
    """Return how far a checklist is; with `named`, which items are open.

    >>> from pgrunbook.checklist import Item, Tick
    >>> backup, smoke = Item("backup", "Restored.", "before"), Item("smoke", "One job ran.", "before")
    >>> line("before", [Checked(backup, Tick("ann", "")), Checked(smoke)], named=True)
    'before: 1 of 2 ticked, open: smoke'
    >>> line("before", [Checked(backup, Tick("ann", "", how="rehearsal"))])
    'before: 1 of 1 ticked by the rehearsal'
    """
    ticks = [one.tick for one in items if one.tick]
    by = " by the rehearsal" if ticks and all(tick.how == _REHEARSAL for tick in ticks) else ""
    open_ = [one.item.key for one in items if not one.tick]
    more = f", open: {', '.join(open_)}" if named and open_ else ""
    return visible(f"{title}: {len(ticks)} of {len(items)} ticked{by}{more}")


def view(title: str, items: Sequence[Checked]) -> View:
    """Return the items of a moment as a table; when each was ticked stands in the facts.

    A rehearsal's are the same each time, whoever runs it.
    """
    said = line(title, items)
    rows = [one.row for one in items]
    shown = [
        {name: "the rehearsal" if name == "by" and row["how"] == _REHEARSAL else row[name] for name in _SHOWN}
        for row in rows
    ]
    when = {row["item"]: f"{row['by']}, {row['at']}" for row in rows if row["state"] == "ticked"}
    return View(said, html=table.to_html(shown, caption=said), facts={"ticked": when})
