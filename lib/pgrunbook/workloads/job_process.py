"""A worker as a process: `python -m pgrunbook.workloads.job_process application.jobs:HANDLERS`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence

from pgrunbook import target
from pgrunbook.errors import RunbookError
from pgrunbook.workloads.job_scheduler import Execution
from pgrunbook.workloads.job_worker import POLL_S, Handler, Worker

__all__ = ["main"]

ABANDONED = 70


def main(argv: Sequence[str]) -> int:
    """Run a worker until SIGTERM or Ctrl-C, at once at the second; PGRUNBOOK_TARGET says where the jobs are."""
    parser = argparse.ArgumentParser(prog="python -m pgrunbook.workloads.job_process", description=__doc__)
    parser.add_argument(
        "handlers", metavar="MODULE:NAME", type=_named, help="a mapping of job types to functions"
    )
    parser.add_argument("--name", default="job worker")
    parser.add_argument("--at-once", type=int, default=4, metavar="JOBS")
    parser.add_argument("--poll", type=float, default=POLL_S, metavar="SECONDS")
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS")
    options = parser.parse_args(argv)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    try:
        where = target.from_environment(os.environ).conninfo
        worker = Worker(
            where,
            options.handlers,
            name=options.name,
            at_once=options.at_once,
            poll_s=options.poll,
            grace_s=options.grace,
            abandon=_end,
        )
    except (RunbookError, ValueError) as error:
        print(error, file=sys.stderr)
        return getattr(error, "exit_code", 2)
    asyncio.run(_until_told(worker))
    return 0


async def _until_told(worker: Worker) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    await worker.run()


def _end(execution: Execution) -> None:
    """End the process: nothing else stops a thread, and the same job may begin elsewhere now."""
    logging.shutdown()
    os._exit(ABANDONED)


def _named(text: str) -> Mapping[str, Handler]:
    module, _, name = text.partition(":")
    found = getattr(importlib.import_module(module), name or "HANDLERS", None)
    if not isinstance(found, Mapping):
        raise argparse.ArgumentTypeError(f"{text} is no mapping of job types to functions")
    return found


if __name__ == "__main__":
    code = main(sys.argv[1:])
    logging.shutdown()
    # A thread that does not stop would be waited for.
    os._exit(code)
