"""The cost of watching: transactions of 100 connections with the observers, or a panel, on and off by turns."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import signal
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import comm
import psycopg
from comm.base_comm import BaseComm
from figures import against, columns

from pgrunbook import patience, session, target
from pgrunbook import server as embedded
from pgrunbook.errors import LockNotTaken
from pgrunbook.header import LockClaim
from pgrunbook.lockmode import LockMode
from pgrunbook.news import News
from pgrunbook.observers import Watch
from pgrunbook.server import Server
from pgrunbook.session import Connection
from pgrunbook.stage import LOOKS, Stage
from pgrunbook.target import Target
from pgrunbook.views.step_panel import FRAME_S, StepPanel

__all__ = ["MODES", "Turns", "by_turns", "report"]

DATABASE, TABLE, SCALE = "bench", "pgbench_accounts", 10
TURN_S, MODES = 4, ("a step at work", "a step that waits")
# Meanwhile the sessions are opened and their caches filled.
SETTLING_S = 2
LOSS = 0.01


@dataclass(slots=True)
class Turns:
    """Transactions in each turn, and processor seconds that watching took while it was on.

    Where it is about the `panel`, the observers watch in all turns: the `base` seconds are theirs.
    """

    mode: str
    panel: bool = False
    on: list[int] = field(default_factory=list)
    off: list[int] = field(default_factory=list)
    server_s: float = 0.0
    client_s: float = 0.0
    base_server_s: float = 0.0
    base_client_s: float = 0.0
    frames: int = 0
    messages: int = 0

    @property
    def watched_s(self) -> float:
        """Return how long watching was on."""
        return TURN_S * len(self.on)

    @property
    def interval(self) -> tuple[float, float, float]:
        """Return the mean share of transactions lost, pair by pair, and the ends of its 95 % interval."""
        losses = [1 - on / off for on, off in zip(self.on, self.off, strict=True)]
        mean = statistics.fmean(losses)
        if len(losses) < 2:
            return mean, -math.inf, math.inf
        half = 1.96 * statistics.stdev(losses) / math.sqrt(len(losses))
        return mean, mean - half, mean + half


def by_turns(
    server: Server, mode: str, *, pairs: int, connections: int, home: Path, panel: bool = False
) -> Turns:
    """Return what pgbench did with watching on and off, in turns next to each other.

    With `panel` the observers are on in all of them, and what is on and off is the live panel of a notebook.
    """
    conninfo = embedded.create_database(server, DATABASE)
    bound = target.rehearsal(conninfo)
    pgbench = str(server.bin / "pgbench")
    subprocess.run([pgbench, "-i", "-q", "-s", str(SCALE), conninfo], capture_output=True, check=True)
    log = home / f"turns_{MODES.index(mode)}{'p' * panel}"
    command = [pgbench, "-n", "-S", "-M", "prepared", "-c", str(connections), "-T", "36000", "-l"]
    turns = Turns(mode, panel)
    with contextlib.ExitStack() as opened:
        clients = subprocess.Popen(
            [*command, "--aggregate-interval=1", f"--log-prefix={log}", conninfo],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        opened.callback(clients.wait)
        opened.callback(clients.kill)
        reader = opened.enter_context(psycopg.connect(conninfo))
        work = opened.enter_context(session.connect(bound, purpose="step"))
        if mode == MODES[1]:
            reader.execute(f"SELECT FROM {TABLE} LIMIT 1".encode())
        time.sleep(SETTLING_S)
        starts: list[tuple[bool, int]] = []
        now = math.ceil(time.time())
        for pair in range(pairs):
            # On, off; off, on: what drifts does not favour either.
            for on in (True, False) if pair % 2 else (False, True):
                time.sleep(max(0.0, now - time.time()))
                starts.append((on, now))
                now += TURN_S
                if on or panel:
                    _watch(turns, bound, work, until=now, on=on)
        time.sleep(max(0.0, now + 1 - time.time()))
        # Its own timer: it ends as if its time were over, and writes its log.
        clients.send_signal(signal.SIGALRM)
        said = clients.communicate()[1]
        if clients.returncode or "aborted" in said:
            raise SystemExit(f"FAILED: the traffic stopped: {said}")
    each_second: Counter[int] = Counter()
    for file in home.glob(f"{log.name}.*"):
        for line in file.read_text().splitlines():
            second, count = line.split()[:2]
            each_second[int(second)] += int(count)
    for on, start in starts:
        (turns.on if on else turns.off).append(sum(each_second[start + n] for n in range(TURN_S)))
    embedded.drop_database(server, DATABASE)
    return turns


def _watch(turns: Turns, bound: Target, work: Connection, *, until: float, on: bool) -> None:
    """Watch as a step does until that moment; where it waits, look for who is in the way as well."""
    news = News()
    watching: list[Connection] = []

    def connect() -> Connection:
        watching.append(session.connect(bound, purpose="watch"))
        return watching[-1]

    began = time.process_time()
    with (
        contextlib.closing(session.connect(bound, purpose="control")) as look,
        Watch(connect, work.info.backend_pid, [TABLE], news.sampled) as watch,
        drawing(news, turns) if on and turns.panel else contextlib.nullcontext(),
    ):
        news.at(Stage("migrate/001_a.sql", LOOKS, stall_budget_ms=100, takes_s=1.0))
        if turns.mode == MODES[1]:
            claims = [LockClaim(LockMode.ACCESS_EXCLUSIVE, TABLE)]
            # Stopped a little early: what is left of the turn is for the end of the session.
            with contextlib.suppress(LockNotTaken):
                patience.acquire(
                    work, look, claims,
                    stall_budget_ms=100, limit_s=until - time.time() - 0.15, on_wait=news.waits,
                )  # fmt: skip
                raise SystemExit("FAILED: a lock was taken that a reader holds")
        else:
            time.sleep(max(0.0, until - time.time() - 0.1))
        server_s = sum(_processor_s(conn.info.backend_pid) for conn in (look, *watching))
        if watch.observation.problem or not watch.observation.samples:
            raise SystemExit(f"FAILED: nothing was watched: {watch.observation.problem}")
    client_s = time.process_time() - began
    if on:
        turns.server_s, turns.client_s = turns.server_s + server_s, turns.client_s + client_s
    else:
        turns.base_server_s, turns.base_client_s = (
            turns.base_server_s + server_s,
            turns.base_client_s + client_s,
        )


@contextlib.contextmanager
def drawing(news: News, turns: Turns) -> Iterator[None]:
    """Draw a panel's frames as a notebook does, each message made ready for the browser."""

    class Wire(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, **_other: Any) -> None:
            # What opens the panel comes once, however long the step takes.
            turns.messages += msg_type == "comm_msg"
            json.dumps(data, default=str)

    make, comm.create_comm = comm.create_comm, Wire
    panel, ended = StepPanel("001 Add the note"), threading.Event()
    with contextlib.redirect_stdout(io.StringIO()):
        panel.show()

    def frames() -> None:
        while not ended.wait(FRAME_S):
            panel.update(news.frame, news.blockers)
            turns.frames += 1

    thread = threading.Thread(target=frames)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        comm.create_comm = make


def _processor_s(pid: int) -> float:
    # The first figure is nanoseconds; the ticks in /proc/PID/stat are too coarse for a short turn.
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def report(found: list[Turns]) -> None:
    """Print what watching costs beside its target."""
    rows, verdicts = [], []
    for one in found:
        mean, low, high = one.interval
        a_second = statistics.median(one.off) / TURN_S
        rows.append(
            [
                f"{one.mode}{', its panel' * one.panel}",
                f"{a_second:,.0f}",
                f"{mean:+.2%}",
                f"{low:+.2%} .. {high:+.2%}",
                f"{(one.server_s - one.base_server_s) / one.watched_s / (os.cpu_count() or 1):.2%}",
                f"{(one.client_s - one.base_client_s) / one.watched_s / (os.cpu_count() or 1):.2%}",
                f"{one.frames / one.watched_s:.1f}, {one.messages / one.watched_s:.1f}" if one.panel else "",
            ]
        )
        sure = "" if high <= LOSS or low > LOSS else ", but the noise is larger than that"
        verdicts.append(against(f"{rows[-1][0]}: {mean:+.2%}", f"at most {LOSS:.0%}", mean <= LOSS) + sure)
    heads = [
        "",
        "transactions/s",
        "lost",
        "95 % interval",
        "of all processors: server",
        "client",
        "frames, messages/s",
    ]
    print(columns(heads, rows))
    print("\n".join(verdicts))
