"""Applying one step: decided from the ledger, the catalog and the server together."""

from __future__ import annotations

from collections.abc import Callable

from pgrunbook import concurrent, continuity, forecast, outside, performance, preflight, standing
from pgrunbook.binding import Binding
from pgrunbook.change import Change, Step, load
from pgrunbook.errors import RequirementMissing, StepFailed, StepOutOfOrder
from pgrunbook.ledger import Status, StepRow
from pgrunbook.standing import Standing
from pgrunbook.step import Job, Outcome

__all__ = ["apply_step", "in_place", "missing", "tell_what_happened"]


def apply_step(
    binding: Binding, change: Change, chosen: Step, still_open: Callable[[], None] = lambda: None
) -> Outcome:
    """Apply a step, or say that it is done already.

    Raises RequirementMissing, StepOutOfOrder, ScriptChanged, OtherCluster, StepFailed, StepCancelled,
    LockNotTaken, ConnectionLost, WindowTooShort, WindowEnded, and what `still_open` raises;
    each leaves the step as it was.
    """
    _require_changes(binding, change)
    _require_earlier(binding, change, chosen)
    rows = binding.ledger.steps(change.name)
    found = standing.of(chosen, rows, binding.facts.cluster)
    row = rows.get(chosen.name)
    tell_what_happened(binding, chosen, row)
    if row is not None and row.status is Status.ROLLING_BACK and len(chosen.rollback) > 1:
        # Some of its parts may be undone: neither the step nor its proof knows of them.
        raise StepFailed(
            step=chosen.name,
            reason=f"its way back was begun ({row.detail.get('part')}) and not finished",
            left="nothing was changed",
            next_step="roll back to the step before it, which goes on where it stopped, then apply it again",
        )
    outcome = _already_there(binding, chosen, found)
    if outcome is not None:
        return outcome
    fit = forecast.fit(binding.control, chosen, binding.budgets.window_ends)
    return performance.perform(
        binding,
        Job(
            change=change.name,
            step=chosen.name,
            script=chosen.migrate,
            sha256=chosen.migrate.sha256,
            proof=chosen.verify,
            starts_as=Status.RUNNING,
            ends_as=Status.DONE,
            kind="apply",
            resumed=found is Standing.UNFINISHED,
            fit=fit,
            still_open=still_open,
        ),
    )


def _require_changes(binding: Binding, change: Change) -> None:
    if lacks := missing(binding, change):
        raise RequirementMissing(change=change.name, missing=lacks)


def missing(binding: Binding, change: Change) -> list[str]:
    """Return the changes that have to be applied before this one and are not."""
    return [name for name in change.requires if not _is_applied(binding, change, name)]


def _is_applied(binding: Binding, change: Change, name: str) -> bool:
    required = load(name, root=change.folder.parent)
    rows = binding.ledger.steps(name)
    return all(s.name in rows and rows[s.name].status is Status.DONE for s in required.steps)


def _require_earlier(binding: Binding, change: Change, chosen: Step) -> None:
    rows = binding.ledger.steps(change.name)
    for earlier in change.steps:
        if earlier.name == chosen.name:
            return
        status = rows[earlier.name].status if earlier.name in rows else Status.NOT_RUN
        if status is not Status.DONE:
            raise StepOutOfOrder(step=chosen.name, first=earlier.name, status=status.value)


def _already_there(binding: Binding, chosen: Step, found: Standing) -> Outcome | None:
    """Return an outcome without running anything when the step's promise already holds."""
    if found is Standing.DONE:
        if not in_place(binding, chosen):
            raise StepFailed(
                step=chosen.name,
                reason=f"the ledger says done, but {chosen.verify.label} finds rows:"
                " it was undone by other means",
                left="nothing was changed",
                next_step="roll back to the step before it (its ledger row goes with it),"
                f' then apply "{chosen.number}" again',
            )
        return Outcome(chosen.name, Status.DONE, "already done", notices=binding.told_news())
    if not in_place(binding, chosen):
        return None
    for statement in chosen.migrate.statements:
        # A proof may look at no more than the index's name.
        outside.require_same(chosen.name, binding.control, statement, resumed=True)
    note = "finished by an earlier run" if found is Standing.UNFINISHED else "found in place"
    ledger = binding.writer
    with ledger.conn.transaction():
        ledger.mark(
            chosen.name,
            Status.DONE,
            run_id=binding.run_id,
            change=binding.change,
            sha256=chosen.migrate.sha256,
            detail={"note": note},
        )
        ledger.event(
            run_id=binding.run_id,
            change=binding.change,
            step=chosen.name,
            kind="apply done",
            actor=binding.operator,
            detail={"note": note},
        )
    return Outcome(chosen.name, Status.DONE, note, notices=binding.told_news())


def tell_what_happened(binding: Binding, chosen: Step, row: StepRow | None) -> None:
    """Note what became of the server since an unfinished step was begun: a restart, a promotion."""
    if row is None or row.status not in (Status.RUNNING, Status.ROLLING_BACK):
        return
    said = continuity.since(row.started_at, row.cluster, binding.facts)
    if said and said != binding.news:
        binding.news.extend(said)
        binding.note("resumed", {"begun_by": row.run_id, "what": "; ".join(said)}, step=chosen.name)


def in_place(binding: Binding, chosen: Step) -> bool:
    """Return whether the step's verify file finds nothing, once no build of its index runs any more."""
    statement = chosen.migrate.statements[0]
    index = concurrent.index_name(statement) if not chosen.migrate.header.in_transaction else None
    if index is not None:
        # A build that outlived its client may still make the step true.
        concurrent.wait_for_build(binding.control, index, checkpoint=binding.checkpoint)
    finding = preflight.run_check(binding.control, chosen.verify)
    return not finding.problem and finding.total == 0
