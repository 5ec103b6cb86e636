"""Repairs of one run: a remedy previewed, applied or undone, each noted, none past the window's end."""

from __future__ import annotations

from collections.abc import Callable

from pgrunbook import remedy
from pgrunbook.binding import Binding
from pgrunbook.change import Script
from pgrunbook.errors import WindowEnded
from pgrunbook.forecast import LOCKS_S, seconds_until

__all__ = ["apply", "preview", "undo"]


def preview(binding: Binding, script: Script) -> remedy.Preview:
    """Return what a remedy would do, tried in a transaction that is rolled back."""
    found = remedy.preview(binding.work, binding.control, script)
    binding.note(
        "remedy previewed",
        {"remedy": script.name, "rows": len(found.repairs), "undo_proved": found.undo_proved},
    )
    return found


def apply(binding: Binding, script: Script) -> remedy.Applied:
    """Run a remedy; what it replaces goes to quarantine.

    Raises WindowEnded when the window has no time for another batch; what was repaired before stays.
    """
    binding.note("remedy started", {"remedy": script.name, "file": script.label, "sha256": script.sha256})
    repaired = 0

    def count(rows: int) -> None:
        nonlocal repaired
        repaired = rows

    try:
        done = remedy.apply(
            binding.work,
            script,
            run_id=binding.run_id,
            change=binding.change,
            on_batch=count,
            checkpoint=_in_time(binding, script, lambda: repaired),
        )
    except WindowEnded as ended:
        binding.note("remedy stopped", {"remedy": script.name, "rows": repaired, "reason": str(ended)})
        raise
    binding.note(
        "remedy applied",
        {"remedy": script.name, "table": done.table, "rows": done.repairs, "batches": done.batches},
    )
    return done


def undo(binding: Binding, script: Script) -> remedy.Undone:
    """Give back what a remedy replaced; rows that others changed since are left alone."""
    done = remedy.undo(binding.work, script, change=binding.change, checkpoint=binding.checkpoint)
    binding.note(
        "remedy undone", {"remedy": script.name, "rows": done.restored, "left_alone": list(done.refused)[:50]}
    )
    return done


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
