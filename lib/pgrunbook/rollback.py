"""Rolling back: applied steps undone in reverse order, each part of the way recorded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pgrunbook import concurrent, performance, standing
from pgrunbook.apply import in_place, tell_what_happened
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Step
from pgrunbook.derived import undone as way_back
from pgrunbook.errors import WayBackBlocked
from pgrunbook.ledger import Status
from pgrunbook.standing import Standing
from pgrunbook.step import Job, Outcome

__all__ = ["roll_back"]


def roll_back(binding: Binding, change: Change, *, keep: str | None) -> list[Outcome]:
    """Undo steps from the last one down to but not including `keep`; all of them without it.

    Raises WayBackBlocked, before anything is undone, where objects of others depend on what would be dropped; and
    StepFailed, StepCancelled, LockNotTaken, ConnectionLost: what was undone before stays undone, and the next call
    goes on from there.
    """
    _require_free(binding, change, keep=keep)
    undone: list[Outcome] = []
    for chosen in reversed(change.steps):
        if chosen.name == keep:
            break
        rows = binding.ledger.steps(change.name)
        found = standing.of(chosen, rows, binding.facts.cluster, backwards=True)
        if found is Standing.NOT_RUN:
            continue
        tell_what_happened(binding, chosen, rows[chosen.name])
        detail = rows[chosen.name].detail
        if found is Standing.UNFINISHED and not _left_something(binding, chosen, detail):
            _forget(binding, chosen)
            continue
        undone.extend(_undo(binding, chosen, detail))
    return undone


def _require_free(binding: Binding, change: Change, *, keep: str | None) -> None:
    """A way back that fails half-way has dropped rows for nothing."""
    rows = binding.ledger.steps(change.name)
    steps: list[Step] = []
    for chosen in reversed(change.steps):
        if chosen.name == keep:
            break
        found = standing.of(chosen, rows, binding.facts.cluster, backwards=True)
        # What an unfinished step did not make may be somebody else's of that name: it stays.
        if found is Standing.DONE or (
            found is Standing.UNFINISHED and _left_something(binding, chosen, rows[chosen.name].detail)
        ):
            steps.append(chosen)
    if dependents := way_back.standing_against(binding.control, steps):
        raise WayBackBlocked(change=change.name, found=dependents)


def _left_something(binding: Binding, chosen: Step, detail: Mapping[str, Any]) -> bool:
    """Return whether there is something of an unfinished step to undo."""
    if in_place(binding, chosen):
        return True
    if chosen.migrate.header.in_transaction:
        return False
    if detail.get("ran"):
        return True
    # An interrupted DROP INDEX CONCURRENTLY leaves the index invalid: the way back builds it again.
    index = concurrent.index_name(chosen.rollback[0].statements[0])
    state = concurrent.index_state(binding.control, index) if index is not None else None
    return state is not None and not state.is_valid


def _undo(binding: Binding, chosen: Step, detail: Mapping[str, Any]) -> list[Outcome]:
    outcomes = []
    labels = [script.label for script in chosen.rollback]
    # Parts before the one that was begun last are done; that one too, if the ledger says so.
    begun = labels.index(detail["part"]) if detail.get("part") in labels else 0
    first = begun + (detail.get("part_done") is True and detail.get("part") in labels)
    for number, script in enumerate(chosen.rollback[first:], start=first + 1):
        last = number == len(chosen.rollback)
        outcomes.append(
            performance.perform(
                binding,
                Job(
                    change=binding.change,
                    step=chosen.name,
                    script=script,
                    sha256=chosen.migrate.sha256,
                    proof=None,
                    starts_as=Status.ROLLING_BACK,
                    ends_as=Status.ROLLED_BACK if last else Status.ROLLING_BACK,
                    kind="rollback",
                    part=script.label,
                    resumed=detail.get("part") == script.label,
                ),
            )
        )
    return outcomes


def _forget(binding: Binding, chosen: Step) -> None:
    index = concurrent.index_name(chosen.migrate.statements[0])
    if index is not None and not chosen.migrate.header.in_transaction:
        concurrent.clear_invalid(binding.work, index, checkpoint=binding.checkpoint)
    ledger = binding.writer
    with ledger.conn.transaction():
        ledger.mark(
            chosen.name, Status.ROLLED_BACK, run_id=binding.run_id, change=binding.change,
            sha256=chosen.migrate.sha256, detail={"note": "was not finished, nothing to undo"},
        )  # fmt: skip
        ledger.event(
            run_id=binding.run_id, change=binding.change, step=chosen.name, kind="rollback done",
            actor=binding.operator, detail={"note": "was not finished, nothing to undo"},
        )  # fmt: skip
