"""The cost of a whole change: by this project, and by psql with the same files."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from figures import against, columns

from pgrunbook import server as embedded
from pgrunbook.change import Change
from pgrunbook.server import Server

__all__ = ["Applied", "by_turns", "report"]

DATABASE = "bench"
RATIO, MEMORY_MB = 1.05, 150.0
# A step counts as flat when it takes less than this, or grows less than so many times.
FLAT_S, FLAT_TIMES = 0.05, 3.0


@dataclass(frozen=True, slots=True)
class Applied:
    """One application of the change; times in seconds."""

    by: str
    rows: int
    whole_s: float
    steps: dict[str, float]
    memory_mb: float = 0.0


def _made(server: Server, change: Change, rows: int) -> str:
    """Return a database with the change's sample table, so many rows of it."""
    assert change.go_sample is not None
    written, wanted = "generate_series(1, 100000)", f"generate_series(1, {rows})"
    text = change.go_sample.read_text(encoding="utf-8")
    if text.count(written) != 1:
        raise SystemExit(f"{change.go_sample} does not make its rows by {written}")
    conninfo = embedded.create_database(server, DATABASE)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(text.replace(written, wanted).encode())
        conn.execute("VACUUM ANALYZE")
        conn.execute("CHECKPOINT")
    return conninfo


def _by_us(conninfo: str, change: Change, rows: int, home: Path) -> Applied:
    """Apply the change as an operator does; the rehearsal is left out, as it does not touch the target."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment = {
        **kept,
        "PGRUNBOOK_TARGET": conninfo,
        "PGRUNBOOK_CHANGES": str(change.folder.parent),
        "PGRUNBOOK_RECORDS": str(home / "records"),
    }
    argv = [sys.executable, "-m", "pgrunbook", "apply", change.name, "--no-rehearsal", "--approve-all"]
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [*argv, "--reason", "benchmark", "--json"], env=environment, stdout=output, stderr=output
        )
        # wait4() tells what this one process used, at its most.
        _, status, used = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        if process.returncode:
            raise SystemExit(f"FAILED: pgrunbook did not apply {change.name}:\n{output.read()}")
    with psycopg.connect(conninfo) as conn:
        found = conn.execute("SELECT step, seconds FROM pgrunbook.step ORDER BY step").fetchall()
    megabytes = used.ru_maxrss / (1024 if sys.platform == "linux" else 1024**2)
    return Applied("pgrunbook", rows, whole_s, dict(found), megabytes)


def _by_psql(server: Server, conninfo: str, change: Change, rows: int) -> Applied:
    """Apply the same files through psql, one process for each."""
    began = time.perf_counter()
    for script in change.preflight:
        _run(server, conninfo, script.path)
    steps = {}
    for step in change.steps:
        step_began = time.perf_counter()
        _run(server, conninfo, step.migrate.path)
        _run(server, conninfo, step.verify.path)
        steps[step.name] = time.perf_counter() - step_began
    for script in change.timings:
        _run(server, conninfo, script.path)
    return Applied("psql", rows, time.perf_counter() - began, steps)


def _run(server: Server, conninfo: str, file: Path) -> None:
    """Run a file through psql; raises SystemExit when it fails."""
    command = [
        server.bin / "psql",
        "-X",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-o",
        os.devnull,
        "-f",
        file,
        conninfo,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"FAILED: psql could not run {file}:\n{done.stderr}")


def _undo(server: Server, conninfo: str, change: Change) -> None:
    """Undo the change through psql, and forget that it was ever there."""
    for step in reversed(change.steps):
        for script in step.rollback:
            _run(server, conninfo, script.path)
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("DROP SCHEMA IF EXISTS pgrunbook CASCADE")
        conn.execute("CHECKPOINT")


def _in_place(conninfo: str, change: Change) -> list[str]:
    """Return the steps whose verify file finds nothing."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return [one.name for one in change.steps if not conn.execute(one.verify.text.encode()).fetchall()]


def by_turns(server: Server, change: Change, rows: int, rounds: int, home: Path) -> list[Applied]:
    """Apply and undo the change by turns, once more than asked: the first time warms up and does not count."""
    conninfo = _made(server, change, rows)
    ways: tuple[Callable[[], Applied], ...] = (
        lambda: _by_us(conninfo, change, rows, home),
        lambda: _by_psql(server, conninfo, change, rows),
    )
    results = []
    for number in range(rounds + 1):
        for way in ways if number % 2 else reversed(ways):
            result = way()
            if (found := _in_place(conninfo, change)) != [step.name for step in change.steps]:
                raise SystemExit(f"FAILED: {result.by} left only {found} in place")
            _undo(server, conninfo, change)
            if number:
                results.append(result)
    embedded.drop_database(server, DATABASE)
    return results


def _typical(results: Sequence[Applied], by: str, rows: int, figure: Callable[[Applied], float]) -> float:
    """Return the median of a figure."""
    return statistics.median(figure(one) for one in results if one.by == by and one.rows == rows)


def report(results: Sequence[Applied], sizes: Sequence[int]) -> None:
    """Print the times of both, the cost of every step by size, our memory, and the verdict."""
    names = list(results[0].steps)
    figures: dict[str, Callable[[Applied], float]] = {
        **{name: lambda one, name=name: one.steps[name] for name in names},
        "steps": lambda one: sum(one.steps.values()),
        "whole": lambda one: one.whole_s,
    }
    largest, ratios, rows = sizes[-1], {}, []
    for name, figure in figures.items():
        ours, theirs = (_typical(results, by, largest, figure) for by in ("pgrunbook", "psql"))
        ratios[name] = ours / theirs
        rows.append([name, f"{ours:.3f}", f"{theirs:.3f}", f"{ratios[name]:.3f}"])
    print(f"\n{largest:,} rows, seconds, median of the rounds")
    print(columns(["", "pgrunbook", "psql", "ratio"], rows))
    print("\nthe same by size, pgrunbook alone, seconds")
    rows = []
    for name, figure in figures.items():
        costs = [_typical(results, "pgrunbook", size, figure) for size in sizes]
        flat = costs[-1] < FLAT_S or costs[-1] < FLAT_TIMES * costs[0]
        rows.append([name, *[f"{cost:.3f}" for cost in costs], "flat" if flat else "grows"])
    memory = [_typical(results, "pgrunbook", size, lambda one: one.memory_mb) for size in sizes]
    rows.append(["memory of the runner, MB", *[f"{one:.0f}" for one in memory], ""])
    print(columns(["", *[f"{size:,}" for size in sizes], ""], rows))
    ratio = ratios["steps"]
    print(against(f"steps: {ratio:.3f} times psql", f"at most {RATIO}", ratio <= RATIO))
    print(f"whole: {ratios['whole']:.3f} times psql, which was not asked for our further checks (no target)")
    print(against(f"memory: {max(memory):.0f} MB", f"at most {MEMORY_MB:.0f}", max(memory) <= MEMORY_MB))
