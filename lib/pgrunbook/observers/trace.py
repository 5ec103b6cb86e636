"""The trace of a step: what its observers saw, small enough for an event, and read again from there."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pgrunbook.observers import Observation
from pgrunbook.observers.locks import Side, Wait
from pgrunbook.observers.progress import Awaited, BuildSample
from pgrunbook.observers.size import SizeChange

__all__ = ["MOST_BUILDS", "MOST_WAITS", "collapse", "facts", "observation"]

MOST_WAITS = 200
"""Waits of one step that are kept: all behind us first, then the longest. Of the others, number and longest."""
MOST_BUILDS = 100
"""Looks at a build that are kept, spread evenly over each of its phases, with its first and last."""

_WAITS = ("pid", "who", "from_ms", "to_ms", "wants", "on", "held up by", "side")
_BUILDS = ("at_ms", "phase", "done", "total", "waits for", "who")
# The order of concern.
_SIDES = (Side.BEHIND_US, Side.OURS, Side.OTHER)


def collapse(waits: Sequence[Wait]) -> list[Wait]:
    """Return one `Wait` a wait, in order of time: samples of one session that overlap are one, as bad as its worst.

    It ends where it was seen last, and `waited_ms` goes back to where it began.
    """
    found: list[Wait] = []
    for wait in sorted(waits, key=lambda one: (one.pid, one.at_ms - one.waited_ms, one.at_ms)):
        last = found[-1] if found else None
        if last is None or last.pid != wait.pid or wait.at_ms - wait.waited_ms > last.at_ms:
            found.append(wait)
            continue
        end = max(last.at_ms, wait.at_ms)
        found[-1] = replace(
            wait,
            at_ms=end,
            waited_ms=end - (last.at_ms - last.waited_ms),
            blockers=tuple(dict.fromkeys((*last.blockers, *wait.blockers))),
            side=min(last.side, wait.side, key=_SIDES.index),
        )
    return sorted(found, key=lambda one: (one.at_ms - one.waited_ms, one.pid))


def facts(seen: Observation) -> dict[str, Any]:
    """Return what was seen, without what was not; times in milliseconds since the step began."""
    waits = collapse(seen.waits)
    worst = sorted(waits, key=lambda one: (_SIDES.index(one.side) > 0, -one.waited_ms))
    kept = {id(one) for one in worst[:MOST_WAITS]}
    builds = _thinned(seen.builds)
    found: dict[str, Any] = {
        "samples": seen.samples,
        "watched_ms": round(seen.seconds * 1000, 1),
        "waits": waits and {"columns": _WAITS, "rows": [_wait(one) for one in waits if id(one) in kept]},
        "waits_left_out": [
            {"side": side.value, "waits": len(of), "longest_ms": round(of[0].waited_ms, 1)}
            for side in _SIDES
            if (of := [one for one in worst[MOST_WAITS:] if one.side is side])
        ],
        "builds": builds and {"columns": _BUILDS, "rows": [_build(one) for one in builds]},
        "builds_left_out": len(seen.builds) - len(builds),
        "sizes": {one.name: [one.before_bytes, one.after_bytes] for one in seen.sizes},
        "problem": seen.problem,
    }
    return {name: value for name, value in found.items() if value or name in ("samples", "watched_ms")}


def observation(told: Mapping[str, Any]) -> Observation:
    """Return the observation that `facts` told, as far as it was kept."""
    return Observation(
        samples=int(told.get("samples", 0)),
        waits=tuple(
            Wait(
                at_ms=row["to_ms"],
                pid=row["pid"],
                who=row["who"],
                waited_ms=row["to_ms"] - row["from_ms"],
                wants=row["wants"],
                relation=row["on"],
                blockers=tuple(row["held up by"]),
                side=Side(row["side"]),
            )
            for row in _rows(told.get("waits"))
        ),
        builds=tuple(
            BuildSample(
                at_ms=row["at_ms"],
                phase=row["phase"],
                done=row["done"],
                total=row["total"],
                waits_for=row["waits for"],
                awaited=(Awaited(row["waits for"], row["who"]),) if row["who"] else (),
            )
            for row in _rows(told.get("builds"))
        ),
        sizes=tuple(
            SizeChange(name, before, after) for name, (before, after) in sorted(told.get("sizes", {}).items())
        ),
        seconds=float(told.get("watched_ms", 0)) / 1000,
        problem=str(told.get("problem", "")),
    )


def _rows(table: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]] if table else []


def _wait(one: Wait) -> list[object]:
    began, ended = round(one.at_ms - one.waited_ms, 1), round(one.at_ms, 1)
    return [one.pid, one.who, began, ended, one.wants, one.relation, list(one.blockers), one.side.value]


def _build(one: BuildSample) -> list[object]:
    who = one.awaited[0].who if one.awaited else ""
    return [round(one.at_ms, 1), one.phase, one.done, one.total, one.waits_for, who]


def _thinned(builds: Sequence[BuildSample]) -> list[BuildSample]:
    if len(builds) <= MOST_BUILDS:
        return list(builds)
    phases = [
        list(group) for _, group in itertools.groupby(builds, key=lambda one: (one.phase, one.waits_for))
    ]
    # A build that goes to and fro more often than that has its beginning and its end told.
    phases = (
        phases[: MOST_BUILDS // 4] + phases[-(MOST_BUILDS // 4) :]
        if len(phases) * 2 > MOST_BUILDS
        else phases
    )
    room = max(2, MOST_BUILDS // len(phases))
    return [one for phase in phases for one in _spread(phase, room)]


def _spread(phase: Sequence[BuildSample], room: int) -> list[BuildSample]:
    if len(phase) <= room:
        return list(phase)
    last = len(phase) - 1
    return [phase[round(place * last / (room - 1))] for place in range(room)]
