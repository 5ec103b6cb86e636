"""How often a class gets a timestamp code: without faults, and while somebody holds the counter in bursts."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
from figures import against

from pgrunbook import change as changes
from pgrunbook import samples
from pgrunbook.server import Server
from pgrunbook.workloads.class_codes import ClassCodes

__all__ = ["Faults", "measure", "report"]

NAME, PREFIX = "020_class_code_generator", "77-REALLL-RLN-"
FORM = {"client_id": 77, "class_type": "REALLL", "class_subject": "RLN"}
WRITERS, LOCK_TIMEOUT_MS = 16, 50
HELD_S, FREE_S = 0.2, 0.2


@dataclass(frozen=True, slots=True)
class Faults:
    """What became of the creations; the counts are the table's, `counted` is what the metrics say."""

    held: bool
    wanted: int
    saved: int
    distinct: int
    sequential: int
    highest: int
    timestamps: int
    counted: int
    failed: int
    seconds: float
    p99_ms: float

    @property
    def wrong(self) -> list[str]:
        """Return what does not hold."""
        found = {
            f"{self.wanted - self.saved} of {self.wanted} classes were not saved": self.saved != self.wanted,
            f"{self.saved - self.distinct} codes are not unique": self.saved != self.distinct,
            f"{self.timestamps} timestamp codes, {self.counted} counted": self.timestamps != self.counted,
            f"{self.highest - self.sequential} numbers are missing": self.highest != self.sequential,
            "a fallback without a fault": bool(self.timestamps) and not self.held,
            "no lock timeout was injected": self.held and not self.timestamps,
        }
        return [said for said, wrong in found.items() if wrong]


def measure(server: Server, creations: int, *, held: bool) -> Faults:
    """Create so many classes of one prefix by sessions side by side; `held`: while its counter is held in bursts."""
    change = changes.load(NAME, root=changes.root_from({}))
    target = samples.make(server, change, planted=[])
    # One record for each fallback is right for an application, and too much for this screen.
    logging.getLogger("pgrunbook.class_codes").setLevel(logging.CRITICAL)
    try:
        with psycopg.connect(target.conninfo, autocommit=True) as conn:
            for step in change.steps:
                conn.execute(step.migrate.text.encode())
        codes = ClassCodes(lock_timeout_ms=LOCK_TIMEOUT_MS if held else 10_000)

        def create(times: int) -> None:
            with psycopg.connect(target.conninfo, autocommit=True) as mine:
                for _ in range(times):
                    codes.create(mine, FORM)

        began = time.perf_counter()
        holding = _bursts(target.conninfo) if held else contextlib.nullcontext()
        with holding, ThreadPoolExecutor(WRITERS) as writers:
            shares = [creations // WRITERS + (n < creations % WRITERS) for n in range(WRITERS)]
            for done in [writers.submit(create, share) for share in shares]:
                done.result()
        seconds = time.perf_counter() - began
        with psycopg.connect(target.conninfo) as conn:
            found = conn.execute(_COUNTED, {"prefix": PREFIX}).fetchone()
    finally:
        samples.remove(server, target)
        logging.getLogger("pgrunbook.class_codes").setLevel(logging.NOTSET)
    assert found is not None
    figures = codes.metrics.figures
    return Faults(
        held, creations, *found, figures.fallbacks, figures.failures, seconds=seconds, p99_ms=figures.p99_ms
    )


_COUNTED = """
SELECT count(*), count(DISTINCT class_code), count(number), coalesce(max(number), 0), count(*) - count(number)
FROM (
    SELECT class_code, substring(class_code FROM '^' || %(prefix)s || '([0-9]{1,18})$')::bigint AS number
    FROM classes WHERE starts_with(class_code, %(prefix)s)
) AS made
"""


@contextlib.contextmanager
def _bursts(conninfo: str) -> Iterator[None]:
    """Hold the counter's row again and again until the end; the first time it is held before this returns."""
    over, first = threading.Event(), threading.Event()

    def hold() -> None:
        with psycopg.connect(conninfo) as conn:
            # A number that nobody gets would be a gap: the row is held, not changed.
            while not over.is_set():
                conn.execute("SELECT FROM class_code_counters WHERE prefix = %s FOR UPDATE", [PREFIX])
                first.set()
                over.wait(HELD_S)
                conn.commit()
                over.wait(FREE_S)

    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute("INSERT INTO class_code_counters VALUES (%s, 0) ON CONFLICT DO NOTHING", [PREFIX])
    with ThreadPoolExecutor(1) as beside:
        holding = beside.submit(hold)
        try:
            while not first.wait(0.1) and not holding.done():
                pass
            yield
        finally:
            over.set()
        holding.result()


def report(results: list[Faults]) -> list[str]:
    """Print the results and return what does not hold."""
    wrong = []
    for one in results:
        rate = one.timestamps / max(one.saved, 1)
        target = "every class saved, every fallback counted" if one.held else "0"
        print(
            f"{'the counter held in bursts' if one.held else 'no fault'}:"
            f" {one.saved:,} of {one.wanted:,} saved in {one.seconds:.1f} s, p99 {one.p99_ms:.1f} ms,"
            f" {one.sequential:,} sequential, {one.timestamps:,} timestamps, {one.counted:,} counted;"
            f" {against(f'fallback rate {rate:.2%}', target, not one.wrong)}"
        )
        wrong += one.wrong
    return wrong
