"""The one-line verdicts that every output opens with; they hold nothing that varies between runs."""

from __future__ import annotations

from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration

__all__ = [
    "board_line",
    "check_line",
    "gate_line",
    "remedy_line",
    "rollback_line",
    "run_line",
    "stall_line",
    "step_line",
    "timing_line",
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


def check_line(name: str, title: str, found: int, *, warns: bool = False, why: str = "") -> str:
    """Return the verdict on one check, whose rows are the problem; `why` says that it could not run.

    >>> check_line("10_duplicate_codes", "class codes used more than once", 5)
    '10_duplicate_codes ... NO-GO: class codes used more than once (5 rows)'
    >>> check_line("20_long_codes", "class codes longer than the column", 0)
    '20_long_codes ... ok'
    >>> check_line("30_old_codes", "class codes in the old form", 1, warns=True)
    '30_old_codes ... warning: class codes in the old form (1 row)'
    """
    if why:
        return _line(name, f"NO-GO: could not be checked, {why}")
    if not found:
        return _line(name, "ok")
    return _line(name, f"{'warning' if warns else 'NO-GO'}: {title} ({counted(found, 'row')})")


def board_line(change: str, *, checks: int, stopped: int, warned: int = 0) -> str:
    """Return the verdict on all checks together.

    >>> board_line("010_class_code", checks=9, stopped=2)
    '010_class_code: NO-GO, 2 of 9 checks found rows'
    >>> board_line("010_class_code", checks=9, stopped=0)
    '010_class_code: GO, 9 checks found nothing'
    >>> board_line("010_class_code", checks=9, stopped=1, warned=1)
    '010_class_code: NO-GO, 1 of 9 checks found rows, 1 warns'
    """
    said = f", {warned} {'warns' if warned == 1 else 'warn'}" if warned else ""
    if stopped:
        return visible(f"{change}: NO-GO, {stopped} of {counted(checks, 'check')} found rows{said}")
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
    """
    how_many = counted(rows, "row")
    if previewed:
        verdict = f"would repair {how_many}" if rows else "nothing to repair"
    elif undone:
        verdict = f"undone, {how_many} {'is as it was' if rows == 1 else 'are as they were'}"
    else:
        verdict = f"{how_many} repaired, what was replaced is in quarantine" if rows else "nothing to repair"
    return _line(f"remedy {name}", verdict)


def timing_line(name: str, *, holds: bool, expectation: str, found: str = "") -> str:
    """Return the verdict on a timing; `found` must not hold a measured time.

    >>> timing_line("10_lookup_by_code", holds=True, expectation="index class_code_unique; median < 1 ms")
    '10_lookup_by_code ... as expected: index class_code_unique; median < 1 ms'
    >>> timing_line("10_lookup_by_code", holds=False, expectation="index class_code_unique", found="Seq Scan")
    '10_lookup_by_code ... NOT as expected: index class_code_unique; found Seq Scan'
    """
    word = "as expected" if holds else "NOT as expected"
    return _line(name, f"{word}: {expectation}" + (f"; found {found}" if found else ""))


def rollback_line(to: str, steps: int, *, same: bool | None = None) -> str:
    """Return the verdict on a way back; `same` says whether the catalog is again what it was.

    >>> rollback_line("the beginning", 3, same=True)
    'rollback to the beginning ... 3 steps undone, the catalog is as it was'
    >>> rollback_line("002", 1, same=False)
    'rollback to 002 ... 1 step undone, the catalog DIFFERS from what it was'
    """
    proof = "" if same is None else f", the catalog {'is as it was' if same else 'DIFFERS from what it was'}"
    return _line(f"rollback to {to}", f"{counted(steps, 'step')} undone{proof}")


def run_line(change: str, outcome: str, *, done: int, steps: int, stalled: str = "") -> str:
    """Return the verdict on a whole run.

    >>> run_line("010_class_code", "done", done=4, steps=4, stalled="nobody stalled")
    '010_class_code: done, 4 of 4 steps, nobody stalled'
    """
    line = f"{change}: {outcome}, {done} of {counted(steps, 'step')}"
    return visible(f"{line}, {stalled}" if stalled else line)
