"""Ticking off: the checklist before a person in the notebook, and the command `tick`."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
from collections.abc import Callable, Iterable

from pgrunbook import change as changes
from pgrunbook import question, session, target, ticking
from pgrunbook.change import Change
from pgrunbook.checklist import AFTER, BEFORE, TAKEN_BACK, TICKED, Item
from pgrunbook.conduct import POLL_S
from pgrunbook.errors import GateClosed, UnknownName
from pgrunbook.headless import say
from pgrunbook.identity import operator_name
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.target import Kind
from pgrunbook.views import checklists, table
from pgrunbook.views.tick_panel import TickPanel
from pgrunbook.views.view import View

__all__ = ["given", "go_through", "standing", "tick", "tick_given"]

IN_NOTEBOOK, WITH_APPLY = "in the notebook", "apply --tick"


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


def tick_given(run: Run, wanted: Iterable[tuple[Item, str]]) -> None:
    """Record what the operator ticked with the command that applies."""
    for item, remark in wanted:
        run.checklist.tick(item.key, who=run.operator, remark=remark, how=WITH_APPLY)


def given(change: Change, texts: Iterable[str], *, may_be_after: bool) -> list[tuple[Item, str]]:
    """Return the items that `KEY` and `KEY=REMARK` name, each with its remark.

    What comes after the change cannot be ticked with the command that applies it. Raises UnknownName.
    """
    known = [item.key for item in change.checklist.items if may_be_after or item.when != AFTER]
    wanted = []
    for text in texts:
        key, _, remark = text.partition("=")
        if key not in known:
            kind = "item of the checklist" if may_be_after else "item of the checklist before a step"
            raise UnknownName(kind=kind, name=key, known=known)
        wanted.append((change.checklist.item(key), remark.strip()))
    return wanted


def standing(ledger: Ledger, change: Change) -> View | None:
    """Return how far the checklist of a change's last run is; None where there is no run, or no checklist."""
    with contextlib.suppress(UnknownName):
        run_id, items = ticking.of_last_run(ledger, change)
        if items:
            text = checklists.line(f"checklist of run {run_id}", items, named=True)
            return View(text, facts={"run": run_id, "items": [one.row for one in items]})
    return None


def tick(given_: argparse.Namespace) -> int:
    """Tick items of the last run of a change, or take ticks back; without items show the checklist."""
    change = changes.load(given_.change, root=changes.root_from(os.environ))
    wanted = given(change, given_.items, may_be_after=True)
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="tick") as conn:
        # Beside the runner, if there is one: who ticks need not be who applies.
        session.bind(conn, bound, for_change=bool(wanted))
        ledger = Ledger(conn, bound)
        run_id, items = ticking.of_last_run(ledger, change, run_id=given_.run or "")
        for item, remark in wanted:
            who = operator_name()
            ledger.event(
                run_id=run_id,
                change=change.name,
                step=item.step,
                kind=TAKEN_BACK if given_.take_back else TICKED,
                actor=who,
                detail=ticking.detail(item, who=who, remark=remark, how="pgrunbook tick"),
            )
        if wanted:
            _, items = ticking.of_last_run(ledger, change, run_id=run_id)
    rows = [one.row for one in items]
    text = checklists.line(f"{change.name}, run {run_id}", items, named=True)
    if not rows:
        text = f"{change.name} has no checklist"
    shown = [{name: row[name] for name in ("when", "item", "state", "by", "at", "remark")} for row in rows]
    say(
        given_, "\n".join([text, table.to_text(shown)] if rows else [text]),
        {"change": change.name, "run": run_id, "checklist": rows},
    )  # fmt: skip
    return 0
