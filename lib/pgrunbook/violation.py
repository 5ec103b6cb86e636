"""Rows that came after the audit and that a step's rule cannot have: not a failure but a NO-GO, with the rows."""

from __future__ import annotations

from collections.abc import Callable

import psycopg

from pgrunbook.apply import apply_step
from pgrunbook.audits import Audits
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Step
from pgrunbook.deciding import Deciding
from pgrunbook.errors import RowsInTheWay, StepFailed
from pgrunbook.ledger import Status
from pgrunbook.step import Outcome

__all__ = ["apply"]


def apply(
    binding: Binding,
    change: Change,
    step: Step,
    *,
    audits: Audits,
    deciding: Deciding,
    still_open: Callable[[], None] = lambda: None,
) -> Outcome:
    """Apply a step as `apply_step` does; raise RowsInTheWay where rows break the rule that it makes.

    Then the change is audited again, which shows them, the step stands in the ledger as it did before, and its GO is
    taken back: what it was given on is true no more. Where no check finds such rows, what the step itself wrote
    broke a rule: that stays a failure.
    """
    before = binding.ledger.steps(change.name).get(step.name)
    try:
        return apply_step(binding, change, step, still_open)
    except StepFailed as failed:
        if not isinstance(failed.__cause__, psycopg.errors.IntegrityError):
            raise
        board = audits.take()
        if not (stopping := board.stopping(step.name)):
            raise
        deciding.withdraw(step.name, why="rows came that its rule cannot have")
        if before is None or before.status is not Status.RUNNING:
            # What an earlier run left unfinished has failed now.
            binding.writer.put_back(step.name, before, change=change.name)
        raised = RowsInTheWay(
            change=change.name,
            step=step.name,
            reason=failed.reason,
            details=[
                *([failed.__cause__.diag.message_detail] if failed.__cause__.diag.message_detail else []),
                *(
                    line
                    for one in stopping
                    for line in (f"{one.label}: {one.problem or one.title}", *one.lines)
                ),
            ],
            left=failed.left,
            failed=[(one.label, one.problem or one.title, one.total) for one in stopping],
            remedies=[name for name in board.offered if name in {one.name for one in stopping}],
        )
        binding.note("apply refused", {"reason": str(raised)}, step=step.name)
        raise raised from failed.__cause__
