"""What an old snapshot does to a hot counter row: its dead versions cannot be removed, and every update passes them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import psycopg
from figures import columns, ms

from pgrunbook.server import Server
from pgrunbook.workloads import contest, numbering, pgbench
from pgrunbook.workloads.pgbench import Load, Transaction, Work

__all__ = ["Phase", "Pile", "measure", "report"]

WRITERS, WINDOWS = 16, 6


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of time: before the reader came, while its snapshot was open, or after it had gone."""

    name: str
    seconds: float
    codes: int
    p50_ms: float
    p99_ms: float

    @property
    def codes_per_second(self) -> float:
        """Return how many codes were given in a second."""
        return self.codes / self.seconds


@dataclass(frozen=True, slots=True)
class Pile:
    """One run: the phases, the share of updates that stayed on their page, and what lay there at the end."""

    fillfactor: int
    phases: tuple[Phase, ...]
    hot_share: float
    table_bytes: int
    index_bytes: int


def measure(server: Server, fillfactor: int, *, quiet_s: float, open_s: float) -> Pile:
    """Let sessions take codes of one prefix while a REPEATABLE READ reader comes, stays and goes."""
    method = numbering.GENERATOR_ALONE
    with contest.prepared(server, method) as conninfo:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            conn.execute(f"ALTER TABLE class_code_counters SET (fillfactor = {fillfactor})")
            conn.execute("CREATE TABLE kept AS TABLE class_code_counters")
            conn.execute(
                "TRUNCATE class_code_counters; INSERT INTO class_code_counters TABLE kept ORDER BY prefix"
            )
            conn.execute("SELECT pg_stat_reset()")
        load = Load(
            script=numbering.script(method),
            writers=WRITERS,
            seconds=max(1, round(2 * quiet_s + open_s)),
            variables=(("prefixes", 1),),
        )
        with ThreadPoolExecutor(1) as beside, psycopg.connect(conninfo) as reader:
            running = beside.submit(pgbench.run, server, conninfo, load, limit_s=4 * load.seconds + 30)
            time.sleep(quiet_s)
            reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            reader.execute("SELECT count(*) FROM class_code_counters")
            came = time.time()
            time.sleep(open_s)
            reader.rollback()
            went = time.time()
            work = running.result()
        with psycopg.connect(conninfo) as conn:
            found = conn.execute(
                "SELECT n_tup_hot_upd::float8 / greatest(n_tup_upd, 1), pg_table_size(relid),"
                " pg_indexes_size(relid) FROM pg_stat_user_tables WHERE relname = 'class_code_counters'"
            ).fetchone()
    assert found is not None
    return Pile(fillfactor, tuple(_phases(work, came, went)), *found)


def _phases(work: Work, came: float, went: float) -> list[Phase]:
    began = min((one.ended - one.ms / 1000 for one in work.transactions), default=came)
    ended = max((one.ended for one in work.transactions), default=went)
    step = (went - came) / WINDOWS
    edges = [("before", began, came)]
    edges += [
        (f"{step * n:.3g} to {step * (n + 1):.3g} s", came + step * n, came + step * (n + 1))
        for n in range(WINDOWS)
    ]
    edges.append(("after", went, ended))
    return [_phase(name, at, to, work.transactions) for name, at, to in edges if to > at]


def _phase(name: str, at: float, to: float, transactions: Sequence[Transaction]) -> Phase:
    times = sorted(one.ms for one in transactions if at <= one.ended < to)
    return Phase(name, to - at, len(times), contest.percentile(times, 0.5), contest.percentile(times, 0.99))


def report(piles: Sequence[Pile]) -> None:
    """Print the phases side by side, and what stayed on the page."""
    heads, rows = ["snapshot open for"], [[phase.name] for phase in piles[0].phases]
    for pile in piles:
        heads += [f"codes/s at {pile.fillfactor} %", "p50 ms", "p99 ms"]
        for row, phase in zip(rows, pile.phases, strict=True):
            row += [f"{phase.codes_per_second:,.0f}", ms(phase.p50_ms), ms(phase.p99_ms)]
    print(columns(heads, rows))
    for pile in piles:
        print(
            f"fillfactor {pile.fillfactor}: {pile.hot_share:.1%} of the updates HOT,"
            f" table {pile.table_bytes / 1024:,.0f} kB, index {pile.index_bytes / 1024:,.0f} kB at the end"
        )
