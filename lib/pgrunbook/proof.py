"""The proof of a job: its verify file must find nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pgrunbook import preflight
from pgrunbook.errors import StepFailed
from pgrunbook.failure import ROLLED_BACK
from pgrunbook.job import Job
from pgrunbook.session import Connection

__all__ = ["prove"]

ROWS_SHOWN = 5


def prove(job: Job, conn: Connection, *, left: str = ROLLED_BACK) -> None:
    """Raise StepFailed with the first rows when the promise of the job does not hold on this connection."""
    if job.proof is None:
        return
    finding = preflight.run_check(conn, job.proof, read_only=False)
    if finding.total:
        raise StepFailed(
            step=job.step,
            reason=f"{job.proof.label} still finds {finding.total} row{'s' if finding.total > 1 else ''}",
            details=[_one_line(row) for row in finding.rows[:ROWS_SHOWN]],
            left=left,
            next_step=job.proof.header.remedy or "compare these rows with what the step promises",
        )


def _one_line(row: Mapping[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in row.items())
