"""The command `remedy`: preview, apply or undo one, or try what undo would do."""

from __future__ import annotations

import argparse

from pgrunbook import approving
from pgrunbook.errors import FAILED
from pgrunbook.gate import undo_of
from pgrunbook.headless import Opened, Progress, interruptible, say
from pgrunbook.undoing import Undone
from pgrunbook.views import boards, table
from pgrunbook.views.view import View

__all__ = ["remedy"]


def remedy(given: argparse.Namespace) -> int:
    """Preview, apply or undo a remedy; exit code 1 where undo leaves rows alone or is not proved."""
    with Opened(given) as run:
        run.change.remedy(given.name)
        progress = Progress(given.json)
        run.binding.on_progress = progress.repairs
        if given.preview and given.undo:
            tried = interruptible(run, lambda: run.preview_undo(given.name))
            say(given, _told(boards.undo_previewed(tried), tried), _undo_facts(tried, "would_restore"))
            return FAILED if tried.left_alone or tried.forbidden else 0
        if given.preview:
            found = run.preview_remedy(given.name)
            rows = [
                {
                    "table": ".".join(r.table),
                    "key": dict(r.key),
                    "before": dict(r.before),
                    "after": r.after and dict(r.after),
                }
                for r in found.repairs
            ]
            say(
                given,
                boards.preview(found).text + "\n" + table.to_text(rows, cap=20),
                {"rows": rows, "undo_proved": found.undo_proved},
            )
            return 0 if found.undo_proved else FAILED
        approving.opened(run, undo_of(given.name) if given.undo else given.name, progress)
        if given.undo:
            undone = interruptible(run, lambda: run.undo_remedy(given.name))
            run.finish(f"remedy {given.name} undone")
            say(given, _told(boards.undone(undone), undone), _undo_facts(undone, "restored"))
            return FAILED if undone.left_alone else 0
        done = interruptible(run, lambda: run.apply_remedy(given.name))
        run.finish(f"remedy {given.name} applied")
        say(
            given,
            boards.repaired(done).text,
            {"rows": done.repairs, "batches": done.batches, "table": done.table},
        )
        return 0


def _told(view: View, undone: Undone) -> str:
    rows = [
        {"table": one.table, "key": dict(one.key), "left as": one.left_as, "now": one.now}
        for one in undone.refused
    ]
    shown = [table.to_text(rows, cap=20, total=undone.left_alone)] if rows else []
    return "\n".join([view.text, *shown, *(f"forbidden now: {reason}" for reason in undone.forbidden)])


def _undo_facts(undone: Undone, restored: str) -> dict[str, object]:
    return {
        restored: undone.restored,
        "left_alone": undone.left_alone,
        "first": [one.facts for one in undone.refused],
        "forbidden": list(undone.forbidden),
    }
