"""The one-line verdicts that every output opens with; they hold nothing that varies between runs."""

from __future__ import annotations

from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration

__all__ = [
    "board_line",
    "gate_line",
    "remedy_line",
    "stall_line",
    "step_line",
]


def _line(subject: str, verdict: str) -> str:
    return visible(f"{subject} ... {verdict}")


def stall_line(worst_stall_ms: float | None, budget_ms: float) -> str:
    """Return how the worst stall stands to the budget, without its exact length, which varies.

    >>> stall_line(6.2, 100), stall_line(None, 100), stall_line(4400, 100)
    ('nobody stalled', 'nobody stalled', 'traffic stalled longer than the budget of 100 ms')
    """
    if worst_stall_ms is None or worst_stall_ms <= budget_ms:
        return "nobody stalled"
    return f"traffic stalled longer than the budget of {duration(budget_ms)}"


def step_line(
    number: str,
    title: str,
    outcome: str,
    *,
    worst_stall_ms: float | None = None,
    budget_ms: float | None = None,
    why: str = "",
) -> str:
    """Return the verdict on one step; stalls are mentioned where a budget is given.

    >>> step_line("002", "add class code unique index", "done", worst_stall_ms=6, budget_ms=100)
    '002 add class code unique index ... done, nobody stalled'
    >>> step_line("002", "add class code unique index", "failed", why="the lock was not free in 10 min")
    '002 add class code unique index ... failed: the lock was not free in 10 min'
    """
    stalled = f", {stall_line(worst_stall_ms, budget_ms)}" if budget_ms is not None else ""
    return _line(f"{number} {title}", f"{outcome}{stalled}" + (f": {why}" if why else ""))


def board_line(change: str, *, checks: int, stopped: int, warned: int = 0, until: str = "") -> str:
    """Return the verdict on all checks together; `until` is the step that they stop where others come before.

    >>> board_line("010_class_code", checks=9, stopped=2)
    '010_class_code: NO-GO, 2 of 9 checks found rows'
    >>> board_line("010_class_code", checks=9, stopped=0)
    '010_class_code: GO, 9 checks found nothing'
    >>> board_line("010_class_code", checks=9, stopped=1, warned=1)
    '010_class_code: NO-GO, 1 of 9 checks found rows, 1 warns'
    >>> board_line("010_class_code", checks=9, stopped=1, until="002_add_class_code_unique_index")
    '010_class_code: GO until 002_add_class_code_unique_index, 1 of 9 checks found rows'
    """
    said = f", {warned} {'warns' if warned == 1 else 'warn'}" if warned else ""
    if stopped:
        word = f"GO until {until}" if until else "NO-GO"
        return visible(f"{change}: {word}, {stopped} of {counted(checks, 'check')} found rows{said}")
    if warned:
        return visible(f"{change}: GO, {counted(checks, 'check')}{said}")
    return visible(f"{change}: GO, {counted(checks, 'check')} found nothing")


def gate_line(number: str, *, opened: bool, approver: str = "", why: str = "") -> str:
    """Return the verdict on a gate; a rehearsal approves as `the rehearsal`, live names belong in facts.

    >>> gate_line("002", opened=True, approver="the rehearsal")
    'gate 002 ... open, approved by the rehearsal'
    >>> gate_line("002", opened=False, why="no approval is recorded")
    'gate 002 ... closed: no approval is recorded'
    """
    verdict = "open" + (f", approved by {approver}" if approver else "") if opened else "closed"
    return _line(f"gate {number}", verdict + (f": {why}" if why else ""))


def remedy_line(name: str, rows: int, *, previewed: bool = False, undone: bool = False) -> str:
    """Return the verdict on a remedy.

    >>> remedy_line("10_duplicate_codes", 5)
    'remedy 10_duplicate_codes ... 5 rows repaired, what was replaced is in quarantine'
    >>> remedy_line("10_duplicate_codes", 5, previewed=True)
    'remedy 10_duplicate_codes ... would repair 5 rows'
    >>> remedy_line("10_duplicate_codes", 1, undone=True)
    'remedy 10_duplicate_codes ... undone, 1 row is as it was'
    >>> remedy_line("10_duplicate_codes", 3, previewed=True, undone=True)
    'remedy 10_duplicate_codes ... undo would give back 3 rows'
    """
    how_many = counted(rows, "row")
    if previewed and undone:
        verdict = f"undo would give back {how_many}"
    elif previewed:
        verdict = f"would repair {how_many}" if rows else "nothing to repair"
    elif undone:
        verdict = f"undone, {how_many} {'is as it was' if rows == 1 else 'are as they were'}"
    else:
        verdict = f"{how_many} repaired, what was replaced is in quarantine" if rows else "nothing to repair"
    return _line(f"remedy {name}", verdict)
