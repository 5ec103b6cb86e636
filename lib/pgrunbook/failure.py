"""Failures of a job in words: what happened, what is left behind, what to do now."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator

import psycopg

from pgrunbook.errors import StepCancelled, StepFailed
from pgrunbook.job import Job

__all__ = ["LOST", "ROLLED_BACK", "STANDS", "UNKNOWN", "explained", "explaining", "overheld"]

ROLLED_BACK = "the transaction was rolled back: nothing was left behind"
LOST = (
    "the connection was lost: the server may work on until it notices, then it rolls the transaction back;"
    " nothing will be left behind"
)
STANDS = "the statement ran outside a transaction: what it made stays until the step is rolled back"
# No connection any more; the server was stopped, crashed, or is starting (PostgreSQL manual, appendix A).
_GONE = (None, "57P01", "57P02", "57P03")
UNKNOWN = "whether the server committed is not known here; its ledger is"


def overheld(job: Job, hold_ms: int | None, doing: str) -> StepFailed:
    """Return the error for a job that kept its locks too long, with what it was doing."""
    return StepFailed(
        step=job.step,
        reason=f"{job.script.label}: it held its locks longer than the hold budget of {hold_ms} ms",
        details=[doing],
        left=ROLLED_BACK,
        next_step="let it do less under its locks, or raise hold_budget in the file's header",
    )


def explained(
    job: Job,
    error: psycopg.Error,
    *,
    stopped: bool = False,
    left: str = ROLLED_BACK,
    doing: str = "",
    lines_before: int = 0,
) -> StepFailed | StepCancelled:
    """Return what the server refused as the error that the operator reads.

    `stopped` says that the operator asked for it, `left` what is left behind, `doing` what was being done,
    and `lines_before` how many lines of the file come before the text whose lines the server counts.
    """
    # The server speaks its own language; where that is English it tells of a colleague's pg_cancel_backend().
    if isinstance(error, psycopg.errors.QueryCanceled) and (stopped or "user request" in str(error)):
        return StepCancelled(step=job.step, left=left)
    reason, *details = _lines(error, lines_before)
    next_step = "mend the cause, then apply the step again"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        next_step = "connect as the owner of the table, or let an administrator grant the privilege"
    elif left == UNKNOWN or (isinstance(error, psycopg.OperationalError) and error.sqlstate in _GONE):
        next_step = "apply the step again: it connects anew and reads where the step stands"
    if job.kind == "rollback":
        next_step = next_step.replace("apply the step", "roll back")
    return StepFailed(
        step=job.step,
        reason=f"{job.script.label}: {reason}",
        details=[*details[:3], *([doing] if doing else [])],
        left=left,
        next_step=next_step,
    )


@contextlib.contextmanager
def explaining(job: Job, left: str) -> Iterator[None]:
    """Turn what the server refuses inside into StepFailed."""
    try:
        yield
    except psycopg.Error as error:
        raise explained(job, error, left=left) from error


def _lines(error: psycopg.Error, lines_before: int) -> list[str]:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    if lines_before and error.diag.statement_position:
        # "LINE 3: ..." in the server's own language.
        lines[1:] = [
            re.sub(r"^(\w+) (\d+):", lambda found: f"{found[1]} {int(found[2]) + lines_before}:", line)
            for line in lines[1:]
        ]
    return lines
