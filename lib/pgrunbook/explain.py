"""What a query costs: EXPLAIN (ANALYZE, BUFFERS) many times, read as JSON."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import psycopg

from pgrunbook.change import Script
from pgrunbook.detail import shorten
from pgrunbook.errors import CheckFailed
from pgrunbook.session import Connection
from pgrunbook.timing import Timing

__all__ = ["measure", "measure_before"]

RUNS, LONGEST = 25, 10_000
"""Executions of a query, and characters of its plan that are kept."""
# A query may be about what the change makes.
_NOT_THERE_YET = (
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.UndefinedFunction,
    psycopg.errors.UndefinedObject,
)


def measure(conn: Connection, script: Script, *, runs: int = RUNS, timeout_ms: int = 10_000) -> Timing:
    """Return the cost of a timing file's query, from `runs` executions, fewer when they take too long.

    Each run is a rolled-back, read-only transaction of its own, and all of them together stop after
    `timeout_ms`, so that a slow query cannot hurt a live server (PostgreSQL manual, EXPLAIN). Raises
    CheckFailed with the server's reason.
    """
    ends = time.perf_counter() + timeout_ms / 1000
    times: list[float] = []
    plan: dict[str, Any] = {}
    try:
        while len(times) < runs and (not times or time.perf_counter() < ends):
            result = _explain(conn, script, "ANALYZE, BUFFERS, FORMAT JSON", timeout_ms)[0][0]
            times.append(float(result["Execution Time"]))
            plan = result["Plan"]
        again = time.perf_counter() + times[-1] / 1000 < ends
        text = "\n".join(_explain(conn, script, "ANALYZE, BUFFERS" if again else "COSTS", timeout_ms))
    except psycopg.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise CheckFailed(label=script.label, reason=reason) from error
    nodes = tuple(_describe(node) for node in _walk(plan))
    return Timing(
        name=script.name,
        title=script.header.title,
        runs_ms=tuple(times),
        rows=int(plan["Actual Rows"]),
        nodes=nodes,
        indexes=tuple(dict.fromkeys(node["Index Name"] for node in _walk(plan) if "Index Name" in node)),
        shared_hit=int(plan.get("Shared Hit Blocks", 0)),
        shared_read=int(plan.get("Shared Read Blocks", 0)),
        text=shorten(text, LONGEST),
    )


def _explain(conn: Connection, script: Script, options: str, timeout_ms: int) -> list[Any]:
    with conn.transaction(force_rollback=True):
        conn.execute("SET TRANSACTION READ ONLY")
        conn.execute(f"SET LOCAL statement_timeout = {int(timeout_ms)}")
        explain = f"EXPLAIN ({options}) {script.statements[0].text}".encode()
        return [next(iter(row.values())) for row in conn.execute(explain)]


def measure_before(conn: Connection, scripts: Iterable[Script]) -> tuple[Timing, ...]:
    """Return the cost of the queries that can run before the change; those about what it makes are left out.

    Raises CheckFailed where a query fails for any other reason.
    """
    found = []
    for script in scripts:
        try:
            found.append(measure(conn, script))
        except CheckFailed as failed:
            if not isinstance(failed.__cause__, _NOT_THERE_YET):
                raise
    return tuple(found)


def _walk(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", []):
        yield from _walk(child)


def _describe(node: dict[str, Any]) -> str:
    """Return a plan node in the words of EXPLAIN's text form.

    >>> _describe({"Node Type": "Index Scan", "Index Name": "i", "Relation Name": "t"})
    'Index Scan using i on t'
    """
    using = f" using {node['Index Name']}" if "Index Name" in node else ""
    on = f" on {node['Relation Name']}" if "Relation Name" in node else ""
    return f"{node['Node Type']}{using}{on}"
