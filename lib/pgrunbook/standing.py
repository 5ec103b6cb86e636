"""Where a step stands, decided from the ledger; the catalog and the server are asked by the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from pgrunbook import continuity
from pgrunbook.change import Change, Step
from pgrunbook.errors import OtherCluster, ScriptChanged
from pgrunbook.ledger import Status, StepRow

__all__ = ["Standing", "is_to_run", "of", "table", "words"]


class Standing(Enum):
    """What has to be done about a step."""

    NOT_RUN = "not run"
    """It never ran, failed cleanly, or was rolled back."""
    UNFINISHED = "unfinished"
    """A runner began it and nobody wrote how it ended."""
    DONE = "done"
    """The ledger says it is done."""


def of(step: Step, rows: Mapping[str, StepRow], cluster: str, *, backwards: bool = False) -> Standing:
    """Return where a step stands on this cluster.

    Raises ScriptChanged when its file was edited after it ran, OtherCluster when an unfinished step was begun
    on another server, or on a later branch of this one's history; both forwards only: the way back is another
    file, and the way out after a failover. A step that was begun before a promotion goes on: its row came
    along by replication, and the catalog tells how far it got.
    """
    row = rows.get(step.name)
    if row is None or row.status in (Status.FAILED, Status.ROLLED_BACK):
        # A failed step outside a transaction may have left something; its verify file tells.
        return Standing.UNFINISHED if row is not None and row.status is Status.FAILED else Standing.NOT_RUN
    begun = row.status in (Status.RUNNING, Status.ROLLING_BACK) and not backwards
    if begun and row.cluster != cluster and not continuity.promoted(row.cluster, cluster):
        raise OtherCluster(change=step.name, was=row.cluster, now=cluster)
    if row.status is Status.RUNNING:
        return Standing.UNFINISHED
    if row.status is Status.ROLLING_BACK:
        return Standing.DONE if backwards else Standing.UNFINISHED
    if row.script_sha256 != step.migrate.sha256 and not backwards:
        raise ScriptChanged(
            file=step.migrate.label,
            ran_at=row.finished_at or row.started_at,
            was=row.script_sha256,
            now=step.migrate.sha256,
        )
    return Standing.DONE


def is_to_run(step: Step, rows: Mapping[str, StepRow]) -> bool:
    """Return whether the ledger does not say that a step is done."""
    row = rows.get(step.name)
    return row is None or row.status is not Status.DONE


def table(change: Change, rows: Mapping[str, StepRow]) -> list[dict[str, Any]]:
    """Return one row a step for the status board: number, title, status, when, note."""
    lines = []
    for step in change.steps:
        row = rows.get(step.name)
        status = row.status.value if row else Status.NOT_RUN.value
        edited = bool(row and row.status is Status.DONE and row.script_sha256 != step.migrate.sha256)
        lines.append(
            {
                "step": step.name,
                "title": step.migrate.header.title,
                "status": status,
                "finished": (row.finished_at or "") if row else "",
                "note": "the file was edited after it ran"
                if edited
                else str(row.detail.get("note", ""))
                if row
                else "",
            }
        )
    return lines


def words(status: Sequence[Mapping[str, Any]], *, acted: bool) -> str:
    """Return how a run ended, from the rows of `table`; `acted` is whether it did anything.

    >>> words([{"status": "done"}, {"status": "not run"}], acted=True)
    '1 of 2 steps done'
    """
    done = sum(row["status"] == "done" for row in status)
    if done == len(status):
        return "done"
    return "rolled back" if done == 0 and acted else f"{done} of {len(status)} steps done"
