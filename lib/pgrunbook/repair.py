"""Repairs of one run: a remedy previewed, applied or undone, each noted, none past the window's end."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pgrunbook import preflight, quarantine, remedy, undoing
from pgrunbook.batch import Rules
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Script
from pgrunbook.errors import RemedyFailed, WindowEnded
from pgrunbook.forecast import LOCKS_S, seconds_until
from pgrunbook.pace import Progress

__all__ = ["apply", "preview", "preview_undo", "undo"]


def preview(binding: Binding, script: Script) -> remedy.Preview:
    """Return what a remedy would do, tried in a transaction that is rolled back."""
    found = remedy.preview(binding.work, binding.control, script, rules=_rules(binding, script))
    binding.note(
        "remedy previewed",
        {"remedy": script.name, "rows": len(found.repairs), "undo_proved": found.undo_proved},
    )
    return found


def apply(binding: Binding, change: Change, script: Script) -> remedy.Applied:
    """Run a remedy if its check finds rows now; what it replaces goes to quarantine.

    Raises RemedyFailed when its check cannot be run, and WindowEnded when the window has no time for another
    batch; what was repaired before stays.
    """
    expected = _found(binding, change, script)
    if expected == 0:
        binding.note("remedy not needed", {"remedy": script.name, "rows": 0, "found": 0})
        return remedy.Applied(script.name, remedy.names(script), 0, 0)
    # What an earlier call committed, also where nobody was told that it did.
    kept = quarantine.count(binding.work, change=binding.change, remedy=script.name)
    binding.note(
        "remedy started",
        {
            "remedy": script.name,
            "file": script.label,
            "sha256": script.sha256,
            "found": expected,
            "in_quarantine": kept,
        },
    )
    with _counting(binding, "remedy stopped", script) as count:
        done = remedy.apply(
            binding.work,
            script,
            run_id=binding.run_id,
            change=binding.change,
            look=binding.control,
            rules=_rules(binding, script, _in_time(binding, script, lambda: count.rows)),
            expected=expected or 0,
            on_batch=count,
        )
    binding.note(
        "remedy applied",
        {
            "remedy": script.name,
            "table": done.table,
            "rows": done.repairs,
            "batches": done.batches,
            "seconds": round(done.seconds, 3),
            "worst_hold_ms": round(done.worst_hold_ms, 1),
        },
    )
    return done


def undo(binding: Binding, change: Change, script: Script) -> undoing.Undone:
    """Give back what a remedy replaced; rows that others changed since are left alone."""
    with _counting(binding, "remedy undo stopped", script) as count:
        done = undoing.undo(
            binding.work,
            script,
            change=binding.change,
            look=binding.control,
            rules=_rules(binding, script, binding.checkpoint),
            on_batch=count,
            step_of=lambda rule, column: _maker(change, rule, column),
        )
    binding.note(
        "remedy undone",
        {
            "remedy": script.name,
            "rows": done.restored,
            "left_alone": done.left_alone,
            "first": [one.facts for one in done.refused],
            "worst_hold_ms": round(done.worst_hold_ms, 1),
        },
    )
    return done


@dataclass(slots=True)
class _Count:
    """How many rows are done; each batch is passed on to whoever watches."""

    binding: Binding
    rows: int = 0

    def __call__(self, progress: Progress) -> None:
        self.rows = progress.rows
        self.binding.on_progress(progress)


@contextlib.contextmanager
def _counting(binding: Binding, stopped: str, script: Script) -> Iterator[_Count]:
    """Give what counts the rows of a remedy or its undo; whatever stops it, how far it came is kept."""
    count = _Count(binding)
    try:
        yield count
    except BaseException as ended:
        reason = str(ended) or "it was cancelled"
        binding.note(stopped, {"remedy": script.name, "rows": count.rows, "reason": reason})
        raise


def preview_undo(binding: Binding, script: Script) -> undoing.Undone:
    """Return what undo would give back, leave alone and be forbidden, tried and taken back."""
    found = undoing.preview(
        binding.work,
        script,
        change=binding.change,
        look=binding.control,
        rules=_rules(binding, script, binding.checkpoint),
        on_batch=binding.on_progress,
    )
    binding.note(
        "remedy undo previewed",
        {
            "remedy": script.name,
            "rows": found.restored,
            "left_alone": found.left_alone,
            "forbidden": list(found.forbidden),
        },
    )
    return found


def _rules(binding: Binding, script: Script, checkpoint: Callable[[], None] = lambda: None) -> Rules:
    stall_ms = script.header.stall_budget_ms or binding.budgets.stall_ms
    return Rules(stall_ms, binding.budgets.remedy_share, checkpoint)


def _found(binding: Binding, change: Change, script: Script) -> int | None:
    """Return how many rows the remedy's check finds now, or None where the remedy answers no check."""
    checks = [check for check in change.preflight if check.name == script.name]
    for check in checks:
        finding = preflight.run_check(binding.control, check)
        if finding.problem:
            raise RemedyFailed(
                remedy=script.name,
                reason=f"its check {check.label} {finding.problem}",
                next_step="mend the check or the privilege; without it nobody knows what to repair",
            )
        return finding.total
    return None


def _maker(change: Change, rule: str, column: str) -> str:
    """Return the last step that names a rule, or requires a column."""
    for step in reversed(change.steps):
        text = " ".join(one.text for one in step.migrate.statements)
        named = rule and re.search(rf"(?<![\w$]){re.escape(rule)}(?![\w$])", text)
        if named or (column and re.search(rf"(?is){re.escape(column)}\W.*NOT\s+NULL", text)):
            return step.name
    return ""


def _in_time(binding: Binding, script: Script, repaired: Callable[[], int]) -> Callable[[], None]:
    """Return a checkpoint that also keeps the window."""
    ends = binding.budgets.window_ends

    def checkpoint() -> None:
        binding.checkpoint()
        if ends is not None and seconds_until(ends) <= LOCKS_S:
            raise WindowEnded(
                step=f"remedy {script.name}",
                ends=binding.budgets.window,
                doing="it repairs batch by batch, and there is no time for another one",
                left=f"{repaired():,} repaired rows stay; what was replaced is in quarantine",
            )

    return checkpoint
