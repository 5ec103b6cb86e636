"""Reports: saying how an execution ended until the server has heard it, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from enum import Enum
from typing import Final

import psycopg

from pgrunbook.workloads.job_link import BackOff, Link
from pgrunbook.workloads.job_scheduler import COMPLETE, FAIL, Execution, reason, stored

__all__ = ["Ended", "report"]

_STATUS: Final = "SELECT status FROM job_executions WHERE id = %s"

logger = logging.getLogger("pgrunbook.jobs")


class Ended(Enum):
    """What a handler returns when it has said itself how its job ended, in the transaction of its own work."""

    ALREADY = "already"


async def report(link: Link, execution: Execution, why: str, output: object) -> None:
    """Say that an execution ended badly, or well where there is no `why`; returns once the server knows.

    A report whose COMMIT was not heard of is made again; that the execution does not run any more then says that
    the first one arrived, or that the lease had ended and the result does not count.
    """
    if not why and output is Ended.ALREADY:
        return
    statement: str = FAIL if why else COMPLETE
    value: object = why
    if not why:
        try:
            value = stored(output)
        except Exception as error:
            value = stored({"not kept": reason(error)})
    back_off = BackOff()
    while True:
        try:
            await link.ask(statement, (execution.job_id, execution.id, value))
            break
        except psycopg.errors.ObjectNotInPrerequisiteState:
            await _look_up(link, execution, why)
            break
        except (psycopg.DataError, psycopg.errors.ProgramLimitExceeded) as error:
            if why:
                raise
            # What it gave back cannot be kept; its work is done all the same.
            value = stored({"not kept": reason(error)})
        except psycopg.Error as error:
            pause = back_off.next()
            logger.warning("execution %s: %s; again in %.1f s", execution.id, reason(error), pause)
            await asyncio.sleep(pause)
    if why:
        logger.warning("job %s, execution %s failed: %s", execution.job_id, execution.id, why)


async def _look_up(link: Link, execution: Execution, why: str) -> None:
    """Find out what the server made of an execution that it says does not run."""
    with contextlib.suppress(psycopg.Error):
        rows = await link.ask(_STATUS, (execution.id,))
        status = rows[0][0] if rows else "deleted"
        if status != ("failed" if why else "completed"):
            words = "job %s, execution %s: its result does not count, it is %s"
            logger.warning(words, execution.job_id, execution.id, status)
