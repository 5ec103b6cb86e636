"""Live traffic by pgbench, and how long each of its transactions took."""

from __future__ import annotations

import math
import os
import signal
import statistics
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from pgrunbook.server import Server

__all__ = ["LIGHT", "SATURATED", "Latencies", "Load", "Pgbench", "Transaction", "corrected", "percentile"]

LONGEST_S = 3600


@dataclass(frozen=True, slots=True)
class Load:
    """How many clients ask, and how long each pauses after an answer."""

    name: str
    clients: int
    pause_ms: int


LIGHT = Load("light", clients=4, pause_ms=10)
SATURATED = Load("saturated", clients=8, pause_ms=0)


@dataclass(frozen=True, slots=True)
class Transaction:
    """One transaction of a client: when it ended (seconds since 1970) and how long it took, waits included."""

    ended: float
    ms: float


class Pgbench:
    """Clients in processes of their own, so that no interpreter stands between them and the clock."""

    def __init__(
        self, server: Server, conninfo: str, load: Load, scripts: Sequence[str], folder: Path
    ) -> None:
        """Start them; each takes one of the scripts at random, again and again, until told to stop."""
        self._load = load
        self._log = folder / "pgbench_log"
        command: list[str | Path] = [server.bin / "pgbench", "--no-vacuum", "--protocol=prepared", "--log"]
        command += [f"--log-prefix={self._log}", f"--client={load.clients}", f"--time={LONGEST_S}"]
        for number, script in enumerate(scripts):
            file = folder / f"client_{number}.sql"
            pause = f"\\sleep {load.pause_ms} ms\n" if load.pause_ms else ""
            file.write_text(f"{script}\n{pause}", encoding="utf-8")
            command += ["-f", file]
        # The disk's own hiccups are not what is measured.
        environment = {**os.environ, "PGOPTIONS": "-c synchronous_commit=off"}
        self._process = subprocess.Popen(
            [*command, conninfo],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def transactions(self) -> list[Transaction]:
        """Stop them and return what they did; raises RuntimeError when one had an error."""
        # Its own timer: it ends as if its time were over, and writes its log.
        self._process.send_signal(signal.SIGALRM)
        said = self._process.communicate()[1]
        if self._process.returncode or "aborted" in said:
            raise RuntimeError(f"the traffic failed: {said.strip()}")
        found = []
        for file in self._log.parent.glob(f"{self._log.name}.*"):
            for line in file.read_text().splitlines():
                # client, number, microseconds, script, seconds and microseconds of the end
                columns = line.split()
                ended = int(columns[4]) + int(columns[5]) / 1e6
                found.append(Transaction(ended, max(0.0, int(columns[2]) / 1000 - self._load.pause_ms)))
        return sorted(found, key=lambda one: one.ended)

    def __enter__(self) -> Self:
        """Return itself; at the end of `with` nothing runs any more."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End them at once where they still run."""
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Latencies:
    """What clients felt, in milliseconds; the percentiles are corrected for those who could not ask."""

    count: int
    worst: float
    p999: float
    p99: float
    median: float
    over_25: int
    over_50: int
    over_100: int

    @classmethod
    def of(cls, transactions: Iterable[Transaction], load: Load) -> Latencies:
        """Return the figures of these transactions."""
        raw = [one.ms for one in transactions]
        if not raw:
            raise RuntimeError("the traffic did nothing")
        median = statistics.median(raw)
        all_ms = corrected(raw, every_ms=load.pause_ms + median)
        over = [sum(ms > limit for ms in raw) for limit in (25, 50, 100)]
        return cls(len(raw), max(raw), percentile(all_ms, 0.999), percentile(all_ms, 0.99), median, *over)


def corrected(latencies: Sequence[float], *, every_ms: float) -> list[float]:
    """Return the latencies with those added that a stalled client would have had, had it gone on asking.

    A client that waits for four seconds sends nothing meanwhile, and a plain percentile counts it once.

    >>> corrected([1, 35], every_ms=10)
    [1, 35, 25, 15, 5]
    """
    every_ms = max(every_ms, 0.05)
    added = []
    for one in latencies:
        left = one - every_ms
        while left > 0:
            added.append(left)
            left -= every_ms
    return [*latencies, *added]


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is not below this share of the values.

    >>> percentile([4, 1, 2, 3], 0.5), percentile([4, 1, 2, 3], 0.99)
    (2, 4)
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
