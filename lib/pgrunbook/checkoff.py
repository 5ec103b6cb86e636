"""Ticking off: the checklist of a run before a person in the notebook; where nobody is there, the policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pgrunbook import question
from pgrunbook.checklist import AFTER, BEFORE
from pgrunbook.conduct import POLL_S
from pgrunbook.errors import GateClosed
from pgrunbook.run import Run
from pgrunbook.target import Kind
from pgrunbook.views import checklists
from pgrunbook.views.tick_panel import TickPanel
from pgrunbook.views.view import View

__all__ = ["go_through"]

IN_NOTEBOOK = "in the notebook"


async def go_through(run: Run, when: str, panel: Callable[..., TickPanel] = TickPanel) -> View:
    """Return the checklist of a moment after a person went through it; where nobody is there, the policy does.

    Raises UnknownName, and GateClosed when the cell is stopped; what was ticked before stays ticked.
    """
    items = run.checklist.now(when)
    title = items[0].item.when
    if not question.asks(run):
        run.checklist.tick_by_policy(run.policy, items)
        return checklists.view(title, run.checklist.now(when))
    kind = "LIVE" if run.target.kind is Kind.LIVE else "rehearsal"
    waits = {BEFORE: "no step begins without these", AFTER: "nothing waits for these"}
    about = {
        "where": f"{kind}: {run.target.where}",
        "then": waits.get(title, f"{items[0].item.step} waits for these"),
    }
    shown = panel(f"Checklist of {run.change.name}: {title}", about, items, run.operator)
    shown.show()
    try:
        while True:
            over = shown.done
            for wish in shown.wishes():
                record = run.checklist.tick if wish.ticked else run.checklist.take_back
                record(wish.key, who=wish.who, remark=wish.remark, how=IN_NOTEBOOK)
            if over:
                break
            await asyncio.sleep(POLL_S)
    except asyncio.CancelledError:
        raise GateClosed(
            step=items[0].item.step or title, reason="the cell was stopped before the checklist was done"
        ) from None
    finally:
        shown.close()
    return checklists.view(title, run.checklist.now(when))
