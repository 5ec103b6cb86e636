"""The job scheduler: jobs claimed and ended in a second, by how many workers, among how many that wait.

    python tests/bench/jobs.py                   all of it, about five minutes
    python tests/bench/jobs.py --only claims     1 to 32 workers
    python tests/bench/jobs.py --quick           the same in small, some seconds; the figures mean nothing

claims     a claim and its completion by ours, by bare UPDATEs of the same table, by those with a row of history, and
           by procrastinate's functions, by turns; commits that wait for the disk, and that do not
waiting    10,000, 100,000 and 1,000,000 jobs that wait; how each question reads the tables
time       the rate over a minute, and while another session keeps an old snapshot
workers    1 to 32 workers in a Python process with jobs that do nothing: ours, the bare UPDATEs and procrastinate's by
           turns; INSERT to start

The sessions are pgbench's, but for the workers. A job that ran twice or was lost, and a question that reads a table
whole, end it with exit code 1; times never do.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg
import queues
import workers
from figures import against, columns, ms
from ground import folder, machine, started
from queues import BARE, HISTORY, OURS, PROCRASTINATE, Queue, Run
from workers import Served, Woken

from pgrunbook.server import Server

PARTS: Final = ("claims", "waiting", "time", "workers")
LEAST: Final = {BARE.name: 0.7, PROCRASTINATE.name: 1.0}
AT_ONCE: Final = 4
ASKED: Final = 10
DUE: Final = "idx_scheduled_jobs_status_priority"
TABLES: Final = ("scheduled_jobs", "job_executions", "scheduler_config")
SETTINGS: Final = {"max_wal_size": "8GB"}


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    rounds: int
    cycles: int
    workers: tuple[int, ...]
    durable: tuple[int, ...]
    waiting: tuple[int, ...]
    block_s: int
    blocks: int
    waiting_long: int
    served: int
    at_once: tuple[int, ...]
    woken: int


FULL: Final = Scale(
    3,
    1_600,
    (1, 2, 4, 8, 16, 32),
    (1, 16),
    (10_000, 100_000, 1_000_000),
    10,
    6,
    500_000,
    1_600,
    (1, 2, 4, 8, 16, 32),
    100,
)
QUICK: Final = Scale(1, 64, (1, 4), (4,), (500, 2_000), 1, 2, 20_000, 20, (2,), 3)


@dataclass(frozen=True, slots=True)
class Reading:
    """How often one question and one start read each table whole, with so many jobs waiting."""

    waiting: int
    jobs_by_index: int
    whole: dict[str, int]

    @property
    def wrong(self) -> list[str]:
        """Return what does not hold."""
        found = [f"{table} is read whole" for table, times in self.whole.items() if times]
        return found + ([] if self.jobs_by_index else ["the index of what is due is not read"])


@dataclass(frozen=True, slots=True)
class Block:
    """Some seconds of a long run."""

    queue: str
    snapshot: bool
    number: int
    per_second: float


def claims(server: Server, scale: Scale) -> list[Run]:
    """Return all ways by turns, at each number of workers."""
    found = []
    waits = 2 * scale.cycles
    with _places(server) as places:
        for durable, sizes in ((False, scale.workers), (True, scale.durable)):
            for at_once in sizes:
                for number in range(scale.rounds):
                    for queue, conninfo in places if number % 2 else reversed(places):
                        queues.fill(conninfo, queue, waits)
                        found.append(
                            queues.measure(
                                server,
                                conninfo,
                                queue,
                                at_once,
                                cycles=scale.cycles,
                                waiting=waits,
                                durable=durable,
                            )
                        )
    return found


@contextlib.contextmanager
def _places(server: Server) -> Iterator[list[tuple[Queue, str]]]:
    with contextlib.ExitStack() as stack:
        conninfo = stack.enter_context(queues.scheduler(server))
        places = [(queue, conninfo) for queue in (OURS, BARE, HISTORY)]
        if queues.installed():
            places.append((PROCRASTINATE, stack.enter_context(queues.procrastinate(server))))
        yield places


def _ratio(runs: Sequence[Run], other: str) -> float:
    """Return the median of the ratios of what was measured side by side."""
    ours, theirs = ([one.per_second for one in runs if one.queue == name] for name in (OURS.name, other))
    return statistics.median(one / two for one, two in zip(ours, theirs, strict=True))


def _rate(runs: Sequence[Run], name: str) -> float:
    return statistics.median(one.per_second for one in runs if one.queue == name)


def report_claims(runs: Sequence[Run]) -> None:
    """Print the medians, and the ratios of what was measured side by side."""
    others = [
        one.name for one in (BARE, HISTORY, PROCRASTINATE) if any(one.name == run.queue for run in runs)
    ]
    rows, targets = [], []
    for durable, at_once in dict.fromkeys((one.durable, one.workers) for one in runs):
        mine = [one for one in runs if (one.durable, one.workers) == (durable, at_once)]
        ours = [one for one in mine if one.queue == OURS.name]
        how = f"{at_once}, {'durable' if durable else 'commits do not wait'}"
        row = [how, f"{_rate(mine, OURS.name):,.0f}"]
        row += [
            ms(statistics.median(one.p50_ms for one in ours)),
            ms(statistics.median(one.p99_ms for one in ours)),
        ]
        for name in others:
            ratio = _ratio(mine, name)
            row += [f"{_rate(mine, name):,.0f}", f"{ratio:.2f}"]
            if least := LEAST.get(name):
                targets.append(against(f"{how}: {ratio:.2f} of {name}", f"at least {least}", ratio >= least))
        rows.append(row)
    heads = [cell for name in others for cell in (f"{name}/s", "ratio")]
    print(columns(["workers", "ours/s", "p50 ms", "p99 ms", *heads], rows))
    print("\n".join(targets))


def waiting(server: Server, scale: Scale) -> tuple[list[Run], list[Reading]]:
    """Return ours and the bare statements by turns among ever more jobs that wait, and how ours reads the tables."""
    runs, readings = [], []
    with queues.scheduler(server) as conninfo:
        for jobs in scale.waiting:
            queues.fill(conninfo, OURS, jobs)
            cycles = min(scale.cycles, jobs // (4 * scale.rounds))
            for number in range(scale.rounds):
                for queue in (OURS, BARE) if number % 2 else (BARE, OURS):
                    runs.append(queues.measure(server, conninfo, queue, AT_ONCE, cycles=cycles, waiting=jobs))
            readings.append(reading(conninfo, jobs))
    return runs, readings


def reading(conninfo: str, jobs: int) -> Reading:
    """Return how so many questions, starts and ends read the tables; all is rolled back."""
    counts = ", ".join(f"pg_stat_get_xact_numscans('{name}'::regclass)" for name in (DUE, *TABLES))
    with psycopg.connect(conninfo, autocommit=True) as conn, conn.transaction(force_rollback=True):
        for number in range(ASKED):
            found = conn.execute(
                "SELECT id, start_job(id, 'scheduled') FROM get_next_pending_job() AS id"
            ).fetchone()
            end = "complete_job(%s, %s)" if number % 2 else "fail_job(%s, %s, 'no')"
            conn.execute(f"SELECT {end}".encode(), found)
        row = conn.execute(f"SELECT {counts}".encode()).fetchone()
    assert row is not None
    return Reading(jobs, row[0], dict(zip(TABLES, row[1:], strict=True)))


def report_waiting(runs: Sequence[Run], readings: Sequence[Reading]) -> None:
    """Print the rates among more and more jobs, and what was read."""
    rows = []
    first = [one for one in runs if one.waiting == runs[0].waiting]
    for read in readings:
        mine = [one for one in runs if one.waiting == read.waiting]
        row = [f"{read.waiting:,}"]
        for name in (OURS.name, BARE.name):
            row += [f"{_rate(mine, name):,.0f}", f"{_rate(mine, name) / _rate(first, name):.2f}"]
        rows.append(
            [*row, f"{_ratio(mine, BARE.name):.2f}", str(read.jobs_by_index), str(sum(read.whole.values()))]
        )
    heads = ["waiting", "ours/s", "of the first", "bare/s", "of the first", "ratio"]
    print(columns([*heads, f"index scans of {ASKED} claims", "tables read whole"], rows))


def over_time(server: Server, scale: Scale) -> list[Block]:
    """Return the rates of a long run block by block, without and with an old snapshot that another session keeps."""
    found = []
    few = max(1, scale.blocks // 3)
    with queues.scheduler(server) as conninfo:
        for snapshot, queue, blocks in (
            (False, OURS, scale.blocks),
            (False, BARE, few),
            (True, OURS, few),
            (True, BARE, few),
        ):
            queues.fill(conninfo, queue, scale.waiting_long)
            with _old_snapshot(conninfo) if snapshot else contextlib.nullcontext():
                seconds = scale.block_s * blocks
                ended = sorted(
                    one.ended
                    for one in queues.work(
                        server, conninfo, queue, AT_ONCE, seconds=seconds, durable=False
                    ).transactions
                )
            for number in range(blocks):
                since = ended[0] + number * scale.block_s
                count = sum(since <= moment < since + scale.block_s for moment in ended)
                found.append(Block(queue.name, snapshot, number, count / scale.block_s))
    return found


@contextlib.contextmanager
def _old_snapshot(conninfo: str) -> Iterator[None]:
    with psycopg.connect(conninfo) as conn:
        conn.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        conn.execute("SELECT id FROM scheduler_config")
        yield


def report_time(blocks: Sequence[Block], block_s: int) -> None:
    """Print the rates of each block, and the last beside the first."""
    rows = []
    most = max(one.number for one in blocks) + 1
    for queue, snapshot in dict.fromkeys((one.queue, one.snapshot) for one in blocks):
        rates = [one.per_second for one in blocks if (one.queue, one.snapshot) == (queue, snapshot)]
        how = f"{queue}{', old snapshot' if snapshot else ''}"
        cells = [f"{rate:,.0f}" for rate in rates] + [""] * (most - len(rates))
        rows.append([how, *cells, f"{rates[-1] / rates[0]:.2f}"])
    print(columns(["jobs/s", *(f"{block_s * (n + 1)} s" for n in range(most)), "last of first"], rows))


def python(server: Server, scale: Scale) -> tuple[list[Served], list[Woken]]:
    """Return what one Python process does, ours and procrastinate's by turns."""
    served, woken = [], []
    with _places(server) as places:
        mine = [(queue, conninfo) for queue, conninfo in places if queue is not HISTORY]
        for at_once in scale.at_once:
            for number in range(scale.rounds):
                for queue, conninfo in mine if number % 2 else reversed(mine):
                    served.append(workers.throughput(conninfo, queue, jobs=scale.served, at_once=at_once))
        for queue, conninfo in mine:
            if queue is BARE:
                continue
            woken.append(workers.latency(conninfo, queue, jobs=scale.woken))
    return served, woken


def report_python(served: Sequence[Served], woken: Sequence[Woken]) -> None:
    """Print the rates and the times."""
    rows, targets = [], []
    names = [
        OURS.name,
        *(one.name for one in (BARE, PROCRASTINATE) if any(one.name == run.queue for run in served)),
    ]
    for at_once in dict.fromkeys(one.at_once for one in served):
        rates = {
            name: [one.per_second for one in served if (one.queue, one.at_once) == (name, at_once)]
            for name in names
        }
        row = [str(at_once), f"{statistics.median(rates[OURS.name]):,.0f}"]
        for name in names[1:]:
            ratio = statistics.median(
                one / two for one, two in zip(rates[OURS.name], rates[name], strict=True)
            )
            row += [f"{statistics.median(rates[name]):,.0f}", f"{ratio:.2f}"]
            least = LEAST[name]
            targets.append(
                against(f"{at_once} at a time: {ratio:.2f} of {name}", f"at least {least}", ratio >= least)
            )
        rows.append(row)
    heads = [cell for name in names[1:] for cell in (f"{name}/s", "ratio")]
    print(columns(["workers in one process", "ours/s", *heads], rows))
    print("\n".join(targets))
    times = [[one.queue, ms(one.p50_ms), ms(one.p99_ms), ms(one.max_ms)] for one in woken]
    print(columns(["INSERT to start", "p50 ms", "p99 ms", "max ms"], times))


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--only", choices=PARTS, help="one part of it")
    made.add_argument("--quick", action="store_true", help="see that it works, in some seconds")
    made.add_argument("--folder", type=Path, help="where the server's data lie meanwhile (default: /tmp)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 1 when a job ran twice or was lost or a table was read whole, never for the times."""
    given = parser().parse_args(arguments)
    scale = QUICK if given.quick else FULL
    parts = [given.only] if given.only else PARTS
    figures: dict[str, object] = {}
    wrong: list[str] = []

    def kept(name: str, found: Sequence[Run | Reading | Block | Served | Woken]) -> None:
        figures[name] = [dataclasses.asdict(one) for one in found]
        wrong.extend(f"{name}: {said} ({one})" for one in found for said in getattr(one, "wrong", ()))

    with folder(given.folder) as home, started(home / "server", SETTINGS) as server:
        figures["machine"] = machine(server)
        print(figures["machine"])
        print(f"procrastinate {queues.installed() or 'is not installed and left out; to install: pip'}")
        if "claims" in parts:
            _head(f"a claim and its completion, median of {scale.rounds} rounds by turns")
            runs = claims(server, scale)
            report_claims(runs)
            kept("claims", runs)
        if "waiting" in parts:
            _head(f"{AT_ONCE} workers among jobs that wait; commits do not wait for the disk")
            runs, readings = waiting(server, scale)
            report_waiting(runs, readings)
            kept("waiting", runs)
            kept("reading", readings)
        if "time" in parts:
            _head(f"{AT_ONCE} workers over time, {scale.waiting_long:,} jobs at the beginning")
            blocks = over_time(server, scale)
            report_time(blocks, scale.block_s)
            kept("time", blocks)
        if "workers" in parts:
            _head("Python workers, jobs that do nothing")
            served, woken = python(server, scale)
            report_python(served, woken)
            kept("served", served)
            kept("woken", woken)
    if given.json:
        given.json.write_text(json.dumps({**figures, "wrong": wrong}, indent=2) + "\n", encoding="utf-8")
    for said in wrong:
        print(f"FAILED: {said}")
    return 1 if wrong else 0


def _head(text: str) -> None:
    print(f"\n{text} ...", flush=True)


if __name__ == "__main__":
    sys.exit(main())
