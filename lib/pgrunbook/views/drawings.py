"""The pictures of a record, drawn again from what the ledger tells."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pgrunbook.timing import Timing
from pgrunbook.views.style import Picture
from pgrunbook.views.summary import Rows, Summary

if TYPE_CHECKING:
    from pgrunbook.observers.locks import Wait
    from pgrunbook.observers.size import SizeChange

__all__ = ["builds", "queries", "sizes", "stalls", "waits"]

_MOST_STALLS, _MOST_BUILDS = 60, 20
# What was observed is told by values whose modules read databases: they are loaded where something is drawn.


@dataclass(frozen=True, slots=True)
class _Stall:
    step: str
    worst_stall_ms: float
    stall_budget_ms: float


def stalls(summary: Summary) -> Picture | None:
    """Return the worst stall of each job that was watched, the worst of them where there are too many to draw."""
    rows = [
        _Stall(_text(row["step"]), _ms(row["worst stall ms"]), _ms(row["budget ms"]))
        for row in summary.stalls
    ]
    if len(rows) > _MOST_STALLS:
        least = sorted((one.worst_stall_ms for one in rows), reverse=True)[_MOST_STALLS - 1]
        rows = [one for one in rows if one.worst_stall_ms >= least][:_MOST_STALLS]
    # What draws takes long to load: nobody should wait for it who sees no picture.
    from pgrunbook.views import charts

    return charts.stalls(rows) if rows else None


def waits(summary: Summary) -> Picture | None:
    """Return the timeline of lock waits of all jobs that were watched, one job after the other."""
    if not summary.stalls:
        return None
    begins, held, end = {}, [], 0.0
    for row in summary.stalls:
        begins[row["job"]] = end
        end += _ms(row["watched ms"])
        if locked := _ms(row["locks held ms"]):
            held.append((end - locked, end, _text(row["step"]).split("_")[0]))
    seen = [_wait(row, begins[row["job"]]) for row in summary.waits if "from ms" in row]
    held_back = [
        (begins[row["job"]] + _ms(row["from ms"]), begins[row["job"]] + _ms(row["to ms"]), _text(row["who"]))
        for row in summary.in_the_way
        if row.get("from ms") is not None and row.get("to ms") is not None
    ]
    from pgrunbook.views import charts

    return charts.lock_waits(
        seen,
        stall_budget_ms=summary.stall_budget_ms,
        held=held,
        held_back=held_back,
        samples=sum(int(_ms(row["samples"])) for row in summary.stalls),
    )


def _wait(row: Mapping[str, object], begin: float) -> Wait:
    from pgrunbook.observers.locks import Side, Wait

    sides = {"waited behind us": Side.BEHIND_US, "our step waited": Side.OURS}
    return Wait(
        at_ms=begin + _ms(row["to ms"]),
        pid=int(_ms(row["pid"])),
        who=_text(row["who"]),
        waited_ms=_ms(row["waited ms"]),
        wants=_text(row["wants"]),
        relation=_text(row["on"]),
        blockers=tuple(int(pid) for pid in _text(row["held up by"]).split(", ") if pid.isdigit()),
        side=sides.get(_text(row["side"]), Side.OTHER),
    )


def builds(summary: Summary) -> list[tuple[str, Picture]]:
    """Return a picture for each job that built an index, with its step."""
    from pgrunbook.observers.progress import BuildSample
    from pgrunbook.views import charts

    found = []
    jobs = itertools.groupby(summary.builds, key=lambda row: (row["job"], _text(row["step"])))
    for (_, step), rows in itertools.islice(jobs, _MOST_BUILDS):
        samples = [
            BuildSample(
                _ms(row["at ms"]),
                _text(row["phase"]),
                int(_ms(row["done"])),
                int(_ms(row["total"])),
                None if row["waits for"] is None else int(_ms(row["waits for"])),
            )
            for row in rows
        ]
        found.append((step, charts.build_progress(samples)))
    return found


def sizes(summary: Summary) -> Picture | None:
    """Return how tables and their indexes grew, from before the first job to after the last, as far as is known."""
    from pgrunbook.observers.size import SizeChange
    from pgrunbook.views import charts

    grown: dict[str, SizeChange] = {}
    for row in summary.sizes:
        if row["before bytes"] is None or row["after bytes"] is None:
            continue
        name, after = _text(row["name"]), int(_ms(row["after bytes"]))
        before = grown[name].before_bytes if name in grown else int(_ms(row["before bytes"]))
        grown[name] = SizeChange(name, before, after)
    return charts.sizes(list(grown.values())) if grown else None


def queries(summary: Summary) -> Picture | None:
    """Return the times of the queries before and after."""
    from pgrunbook.views import charts

    if not summary.timings:
        return None
    return charts.timings(_timed(summary.timings, "before"), _timed(summary.timings, "after"))


def _timed(rows: Rows, when: str) -> Sequence[Timing]:
    return [
        Timing(
            name=_text(row["query"]),
            title=_text(row["title"]),
            runs_ms=tuple(map(_ms, _list(row["runs ms"]))),
            rows=int(_ms(row["rows"])),
            nodes=tuple(map(_text, _list(row["nodes"]))),
            indexes=(),
            shared_hit=int(_ms(row["blocks hit"])),
            shared_read=int(_ms(row["blocks read"])),
        )
        for row in rows
        if row["when"] == when
    ]


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return str(value)


def _ms(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
