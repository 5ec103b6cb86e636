"""How long live traffic stalls while each tool applies a change that somebody stands in the way of.

    python tests/bench/stall.py                     light and saturated traffic, all tools
    python tests/bench/stall.py --light --rounds 3  one kind of traffic, each tool three times
    python tests/bench/stall.py --hard              harder situations, this project beside psql
    python tests/bench/stall.py --tools pgrunbook,psql --json figures.json

Every tool meets a fresh database of the embedded server with the same traffic by pgbench: `light` is four
clients that pause 10 ms after each answer, `saturated` eight that never pause. A reader opens a transaction
on the table and stays idle in it for five seconds; the tool starts half a second later and adds a CHECK
constraint, which needs ACCESS EXCLUSIVE. Nobody waits for the disk but the tool: the clients commit
asynchronously. The row "nothing" is the same without a tool: what the machine itself costs.

Latencies are those of whole transactions as pgbench saw them, pauses taken off. p99 and p99.9 count what a
stalled client would have asked meanwhile. "locked" counts the waits for a table's lock of 20 ms and more in
the server's log, the tool's own included: a longer stall without one is the machine's. "after" is from the
moment when the reader left to the commit of the change by the server's own clock. Exit code 1 says that a tool
did not apply the change; figures never fail.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import itertools
import json
import math
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from cases import ROWS, Case, hard, one_reader
from clients import LIGHT, SATURATED, Latencies, Load, Pgbench
from figures import against, columns, ms, seconds
from ground import folder, machine, started
from tools import Place, Tool, known, missing, tools
from visitors import Visitors

from pgrunbook import server as embedded
from pgrunbook.server import Server

NOTHING, DATABASE = "nothing", "bench"
WARM_UP_S, HEAD_START_S, AFTERWARDS_S = 1.0, 0.5, 1.0
WORST_MS = {LIGHT.name: 25.0, SATURATED.name: 50.0}
TIMES_BELOW_PSQL, AFTER_S, OVERRUN_S, JUST_AFTER_S = 100.0, 0.5, 10.0, 0.1
# So that the moment of the commit can be read afterwards, without asking all the time.
# The server itself says who waited for a lock for longer than deadlock_timeout: what else is slow is the machine.
LOCKED_MS = 20
SETTINGS = {
    "track_commit_timestamp": "on",
    "max_wal_size": "4GB",
    "log_lock_waits": "on",
    "deadlock_timeout": f"{LOCKED_MS}ms",
}


@dataclass(frozen=True, slots=True)
class Result:
    """How one tool did in one case under one load; times in seconds or milliseconds as named."""

    tool: str
    case: str
    load: str
    latencies: Latencies
    applied: bool
    wall_s: float = 0.0
    after_s: float | None = None
    at_commit_ms: float | None = None
    """The longest of the transactions that ended just after the change was committed: who waited for it."""
    locked: int = 0
    """How often the server's log says that a session waited for a table's lock for 20 ms and more."""
    said: str = ""
    account: dict[str, float] = field(default_factory=dict)
    """What this project's ledger says of itself: attempts, held_ms, worst_stall_ms, waited_s."""

    @property
    def why_not(self) -> str:
        """Return why this project did not get in, where it says so: it kept to its window or its patience."""
        with contextlib.suppress(ValueError):
            told = json.loads(self.said)
            if told.get("error") in ("LockNotTaken", "WindowEnded"):
                return "\n    ".join([told["error"] + ": " + told["found"], *told["details"]])
        return ""

    @property
    def failed(self) -> bool:
        """Return whether a tool was there and left the change undone without saying why."""
        return self.tool != NOTHING and not self.applied and not self.why_not


def measure(server: Server, tool: Tool | None, case: Case, load: Load, home: Path) -> Result:
    """Return how a tool (None: no tool at all) did in a database of its own."""
    conninfo = embedded.create_database(server, DATABASE)
    home = Path(tempfile.mkdtemp(dir=home))
    told = _lock_waits(server)
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for statement in (case.setup, "VACUUM ANALYZE", "CHECKPOINT"):
                conn.execute(statement)
        with Pgbench(server, conninfo, load, case.traffic, home) as clients:
            time.sleep(WARM_UP_S)
            with Visitors(conninfo, case.visits) as visitors:
                began = time.time()
                time.sleep(HEAD_START_S)
                code, said, wall_s = 0, "", 0.0
                if tool is not None:
                    code, said, wall_s = _use(tool, Place(server, home, conninfo, case.task, case.window_s))
                if not case.comes_back:
                    visitors.wait()
                time.sleep(AFTERWARDS_S)
            felt = [one for one in clients.transactions() if one.ended >= began]
        with psycopg.connect(conninfo) as conn:
            undone = conn.execute(case.task.undone).fetchall()
            committed = conn.execute(COMMITTED, [list(case.task.constraints)]).fetchone()
            account = _account(conn)
        applied = tool is not None and code == 0 and not undone
        after = committed[0] - visitors.left if applied and committed and not case.comes_back else None
        moment = committed[0] if applied and committed else math.inf
        at_commit = max((one.ms for one in felt if 0 <= one.ended - moment <= JUST_AFTER_S), default=None)
        return Result(
            tool.name if tool else NOTHING,
            case.name,
            load.name,
            Latencies.of(felt, load),
            applied,
            wall_s,
            after,
            at_commit,
            _lock_waits(server) - told,
            "" if applied else said,
            account,
        )
    finally:
        embedded.drop_database(server, DATABASE)


COMMITTED = """
SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8 FROM pg_constraint WHERE conname = ANY (%s)
"""


def _lock_waits(server: Server) -> int:
    """Return how many waits for a table's lock the server's log holds so far."""
    return len(
        re.findall("still waiting for .* on relation", (server.data / "log").read_text(errors="replace"))
    )


def _use(tool: Tool, place: Place) -> tuple[int, str, float]:
    """Return a tool's exit code, what it said and its seconds; one that overruns its window is interrupted."""
    command = tool.command(place)
    began = time.perf_counter()
    process = subprocess.Popen(
        command.argv,
        cwd=place.folder,
        env=command.whole_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )
    try:
        said, _ = process.communicate(timeout=place.window_s + OVERRUN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    return process.returncode, said.strip(), time.perf_counter() - began


def _account(conn: psycopg.Connection[Any]) -> dict[str, float]:
    """Return what the ledger says of the step; nothing where this project did not work."""
    if (conn.execute("SELECT to_regclass('pgrunbook.step')").fetchone() or (None,))[0] is None:
        return {}
    found = conn.execute("SELECT detail FROM pgrunbook.step").fetchone()
    names = ("attempts", "held_ms", "worst_stall_ms", "waited_s")
    return {name: found[0][name] for name in names if name in found[0]} if found else {}


def table(results: Sequence[Result]) -> str:
    """Return the results of one case and load as columns."""
    psql = worst(results, "psql")
    heads = [
        "tool",
        "worst ms",
        "p99.9",
        "p99",
        "median",
        ">25",
        ">50",
        ">100",
        "locked",
        "tool s",
        "after s",
        "of psql",
    ]
    rows = []
    for one in results:
        felt = one.latencies
        of_psql = f"1/{psql / felt.worst:,.0f}" if psql and felt.worst else "-"
        cells = [ms(value) for value in (felt.worst, felt.p999, felt.p99, felt.median)]
        cells += [str(count) for count in (felt.over_25, felt.over_50, felt.over_100, one.locked)]
        rows.append([one.tool, *cells, seconds(one.wall_s), seconds(one.after_s), of_psql])
    return columns(heads, rows)


def worst(results: Sequence[Result], tool: str) -> float | None:
    """Return the longest that a client waited while a tool was at work."""
    return max((one.latencies.worst for one in results if one.tool == tool), default=None)


def verdict(results: Sequence[Result], load: Load) -> str:
    """Return this project's figures beside their targets, and the noise."""
    ours = [one for one in results if one.tool == "pgrunbook" and one.applied]
    stall, psql, noise = worst(ours, "pgrunbook"), worst(results, "psql"), worst(results, NOTHING)
    if stall is None:
        return f"{load.name}: no verdict, pgrunbook did not apply the change"
    limit = WORST_MS[load.name]
    parts = [against(f"worst stall {ms(stall)} ms", f"at most {limit:.0f}", stall <= limit)]
    if psql is not None:
        times = psql / stall
        parts.append(
            against(f"psql {times:,.0f} times", f"at least {TIMES_BELOW_PSQL:.0f}", times >= TIMES_BELOW_PSQL)
        )
    # One that began to wait only after the reader had left says nothing about that.
    waited = [one for one in ours if one.after_s is not None and one.after_s <= one.account["waited_s"]]
    after = max((one.after_s for one in waited if one.after_s is not None), default=None)
    if after is not None:
        parts.append(
            against(f"done {after:.3f} s after the reader left", f"at most {AFTER_S}", after <= AFTER_S)
        )
    own = ms(max(one.account["worst_stall_ms"] for one in ours))
    just_after = [one.at_commit_ms for one in ours if one.at_commit_ms is not None]
    near = f", just after its commit the worst was {ms(max(just_after))} ms" if just_after else ""
    floor = f", without any tool the worst was {ms(noise)} ms" if noise is not None else ""
    return f"{load.name}: {', '.join(parts)}; by its own account at most {own} ms{near}{floor}"


def outcome(one: Result) -> str:
    """Return in words how a hard case ended."""
    count = one.account.get("attempts")
    tries = "" if count is None else f", asked {count} time{'' if count == 1 else 's'}"
    ended = "got in" if one.applied else "did not get in"
    said = f"\n    {one.why_not}" if one.why_not else ""
    return f"  {one.tool}: {ended}{tries}, {one.wall_s:.1f} s, worst stall {ms(one.latencies.worst)} ms{said}"


def parser() -> argparse.ArgumentParser:
    """Return the grammar of the command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    load = made.add_mutually_exclusive_group()
    load.add_argument("--light", action="store_true", help="only four clients that pause")
    load.add_argument("--saturated", action="store_true", help="only eight clients that never pause")
    made.add_argument(
        "--hard", action="store_true", help="the harder cases, by default with pgrunbook and psql"
    )
    made.add_argument("--cases", default="", help="with --hard: only cases whose name holds this text")
    made.add_argument("--seconds", type=float, default=5.0, help="how long the reader stays (default: 5)")
    made.add_argument("--rows", type=int, default=ROWS, help=f"rows of a table (default: {ROWS})")
    made.add_argument("--rounds", type=int, default=1, help="how often each tool is measured (default: 1)")
    made.add_argument("--tools", default="", metavar="A,B", help=f"some of: {','.join(known())}")
    made.add_argument("--folder", type=Path, help="where the server's data lie meanwhile (default: /tmp)")
    made.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return made


def chosen(names: str, *, hard: bool) -> list[Tool]:
    """Return the tools to measure that are here, and say which are not."""
    wanted = [name for name in names.split(",") if name] or (["pgrunbook", "psql"] if hard else known())
    # "psql, 2 s" may be written psql2s.
    short = {_short(tool.name): tool for tool in tools()}
    unknown = [name for name in wanted if _short(name) not in short]
    if unknown:
        raise SystemExit(f"no such tool: {', '.join(unknown)}; known: {', '.join(short)}")
    found = [short[_short(name)] for name in dict.fromkeys(wanted)]
    for tool in found:
        if missing(tool):
            print(f"{tool.name}: not installed and left out; to install: {missing(tool)}")
    return [tool for tool in found if not missing(tool)]


def _short(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and return 1 when a tool failed."""
    given = parser().parse_args(arguments)
    loads = [
        one for one in (LIGHT, SATURATED) if not (given.light or given.saturated) or getattr(given, one.name)
    ]
    cases = hard(given.rows) if given.hard else (one_reader(given.rows, given.seconds),)
    cases = tuple(one for one in cases if given.cases in one.name)
    measured: list[Result] = []
    with folder(given.folder) as home, started(home / "server", SETTINGS) as server:
        print(machine(server))
        choice = chosen(given.tools, hard=given.hard)
        for case, load in itertools.product(cases, loads):
            print(f"\n{case.name}; {load.name} traffic: {load.clients} clients, pause {load.pause_ms} ms")
            results = [
                measure(server, tool, case, load, home)
                for _ in range(given.rounds)
                for tool in (None, *choice)
            ]
            measured += results
            print(table(results))
            told = [
                outcome(one) for one in results if one.tool != NOTHING and (given.hard or not one.applied)
            ]
            print("\n".join([*told, verdict(results, load)]))
        where = machine(server)
    if given.json:
        figures = [dataclasses.asdict(one) for one in measured]
        given.json.write_text(json.dumps({"machine": where, "results": figures}, indent=2) + "\n")
    failed = [one for one in measured if one.failed]
    for one in failed:
        print(f"\nFAILED: {one.tool} did not apply the change ({one.case}, {one.load}):\n{one.said}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
