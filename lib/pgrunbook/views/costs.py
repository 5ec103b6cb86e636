"""What a change cost: queries before and after, who waited for whom, builds, sizes, as views."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgrunbook.change import Change
from pgrunbook.observers.locks import Wait
from pgrunbook.observers.progress import BuildSample
from pgrunbook.observers.size import SizeChange
from pgrunbook.step import Outcome
from pgrunbook.timing import Timing, misses
from pgrunbook.views import verdict
from pgrunbook.views.units import counted, size
from pgrunbook.views.view import SECTION, View

__all__ = ["builds", "locks", "sizes", "timings"]


def timings(before: Sequence[Timing], after: Sequence[Timing], change: Change) -> View:
    """Return the queries' cost before and after, as a picture; the verdict says whether they hold."""
    expected = {one.name: one.header.expect for one in change.timings}
    missed = [
        f"{timing.name}: {miss}" for timing in after for miss in misses(timing, expected.get(timing.name))
    ]
    if not after:
        later = len(change.timings) - len(before)
        line = f"{counted(len(before), 'query', 'queries')} timed before the change"
        line += f", {later} not: the change makes what they read" if later else ""
    elif missed:
        line = (
            f"{counted(len(after), 'query', 'queries')} timed, {counted(len(missed), 'expectation')} missed"
        )
    else:
        line = f"{counted(len(after), 'query', 'queries')} timed, every expectation holds"
    # What draws takes long to load: nobody should wait for it who sees no picture.
    from pgrunbook.views import charts

    picture = charts.timings(before, after)
    facts = {
        "before": [_figures(timing) for timing in before],
        "after": [_figures(timing) for timing in after],
        "missed": missed,
        "picture": picture.alt,
        SECTION: "timings",
    }
    return View(line, png=picture.png, svg=picture.svg, facts=facts)


def _figures(timing: Timing) -> dict[str, object]:
    return {
        "query": timing.name,
        "median ms": round(timing.median_ms, 4),
        "rows": timing.rows,
        "plan": " > ".join(timing.nodes),
        "buffers hit": timing.shared_hit,
        "buffers read": timing.shared_read,
    }


def locks(done: Sequence[Outcome], stall_budget_ms: int) -> View:
    """Return all lock waits of the steps of this run as one timeline, steps one after the other."""
    waits: list[Wait] = []
    held, offset, samples = [], 0.0, 0
    for one in done:
        length = one.observation.seconds * 1000
        waits.extend(replace(wait, at_ms=wait.at_ms + offset) for wait in one.observation.waits)
        if one.held_ms:
            held.append((offset + length - one.held_ms, offset + length, one.step.split("_")[0]))
        offset += length
        samples += one.observation.samples
    worst = max((one.worst_stall_ms for one in done), default=0.0)
    # A step may have a budget of its own, in its header: each is judged by its own.
    said = [verdict.stall_line(one.worst_stall_ms, one.stall_budget_ms) for one in done]
    calm = verdict.stall_line(None, stall_budget_ms)
    line = f"lock waits of {counted(len(done), 'step')}: {next((one for one in said if one != calm), calm)}"
    from pgrunbook.views import lock_waits, stalls, style

    ran = [one for one in done if one.observation.seconds]
    if waits and ran:
        timeline = lock_waits.part(waits, stall_budget_ms=stall_budget_ms, held=held)
        picture = style.picture(timeline, stalls.part(ran))
    elif ran:
        picture = style.picture(stalls.part(ran))
    else:
        picture = lock_waits.lock_waits(waits, stall_budget_ms=stall_budget_ms, samples=samples)
    facts = {
        "worst stall ms": round(worst, 1),
        "budget ms": stall_budget_ms,
        "samples": samples,
        "picture": picture.alt,
        SECTION: "waits",
    }
    return View(line, png=picture.png, svg=picture.svg, facts=facts)


def sizes(done: Sequence[Outcome]) -> View:
    """Return how the tables of the change and their indexes grew, from before the first step to after the last."""
    grown: dict[str, SizeChange] = {}
    for change in (change for one in done for change in one.observation.sizes):
        first = grown.get(change.name, change)
        grown[change.name] = replace(change, before_bytes=first.before_bytes)
    from pgrunbook.views import charts

    picture = charts.sizes(list(grown.values()))
    facts = {name: f"{size(one.before_bytes)}, then {size(one.after_bytes)}" for name, one in grown.items()}
    line = f"sizes on disk before and after {counted(len(done), 'step')}"
    return View(
        line, png=picture.png, svg=picture.svg, facts={**facts, "picture": picture.alt, SECTION: "sizes"}
    )


def builds(done: Sequence[Outcome]) -> View:
    """Return how the index builds of the change went, one after the other."""
    samples: list[BuildSample] = []
    offset = 0.0
    for one in done:
        samples.extend(replace(sample, at_ms=sample.at_ms + offset) for sample in one.observation.builds)
        offset += one.observation.seconds * 1000
    from pgrunbook.views import charts

    picture = charts.build_progress(samples)
    facts = {"samples": len(samples), "picture": picture.alt, SECTION: "builds"}
    line = f"index builds of {counted(len(done), 'step')}"
    return View(line, png=picture.png, svg=picture.svg, facts=facts)
