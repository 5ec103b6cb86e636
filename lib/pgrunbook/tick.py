"""The command `tick`, and what other commands do about a checklist: `apply --tick`, and what `status` shows."""

from __future__ import annotations

import argparse
import contextlib
import os
from collections.abc import Iterable

from pgrunbook import change as changes
from pgrunbook import session, target, ticking
from pgrunbook.change import Change
from pgrunbook.checklist import AFTER, TAKEN_BACK, TICKED, Item
from pgrunbook.errors import UnknownName
from pgrunbook.headless import say
from pgrunbook.identity import operator_name
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.views import checklists, table
from pgrunbook.views.view import View

__all__ = ["named", "of_last_run", "tick", "tick_all"]


def tick_all(run: Run, wanted: Iterable[tuple[Item, str]]) -> None:
    """Record what the operator ticked with the command that applies."""
    for item, remark in wanted:
        run.checklist.tick(item.key, who=run.operator, remark=remark, how="apply --tick")


def named(change: Change, texts: Iterable[str], *, may_be_after: bool) -> list[tuple[Item, str]]:
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


def of_last_run(ledger: Ledger, change: Change) -> View | None:
    """Return how far the checklist of a change's last run is; None where there is no run, or no checklist."""
    with contextlib.suppress(UnknownName):
        run_id, items = ticking.of_last_run(ledger, change)
        if items:
            text = checklists.line(f"checklist of run {run_id}", items, named=True)
            return View(text, facts={"run": run_id, "items": [one.row for one in items]})
    return None


def tick(given: argparse.Namespace) -> int:
    """Tick items of the last run of a change, or take ticks back; without items show the checklist."""
    change = changes.load(given.change, root=changes.root_from(os.environ))
    wanted = named(change, given.items, may_be_after=True)
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="tick") as conn:
        # Beside the runner, if there is one: who ticks need not be who applies.
        session.bind(conn, bound, for_change=bool(wanted))
        ledger = Ledger(conn, bound)
        run_id, items = ticking.of_last_run(ledger, change, run_id=given.run or "")
        for item, remark in wanted:
            who = operator_name()
            ledger.event(
                run_id=run_id,
                change=change.name,
                step=item.step,
                kind=TAKEN_BACK if given.take_back else TICKED,
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
        given, "\n".join([text, table.to_text(shown)] if rows else [text]),
        {"change": change.name, "run": run_id, "checklist": rows},
    )  # fmt: skip
    return 0
