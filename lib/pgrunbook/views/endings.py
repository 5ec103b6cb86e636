"""The picture of how races ended: for each, which share of its permutations came to which outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pgrunbook.outcome import Result
from pgrunbook.views import style
from pgrunbook.views.style import Picture, label

__all__ = ["endings"]

_LOOKS: tuple[dict[str, Any], ...] = (
    {"facecolor": style.BLUE},
    {"facecolor": style.ORANGE, "hatch": "////"},
    {"facecolor": style.SKY, "hatch": ".."},
    {"facecolor": style.GREEN, "hatch": "xx"},
    {"facecolor": style.GREY},
)


@style.house
def endings(results: Sequence[Result]) -> Picture:
    """Return a bar for each race, cut by outcome, and beside it what the outcomes are."""
    if not results:
        return style.nothing("no race was run")
    fig = style.figure(12.4, 0.9 + 0.42 * len(results))
    style.title(fig, "How the permutations that can happen ended")
    axes = fig.subplots()
    for place, result in enumerate(results):
        began, total = 0.0, len(result.happened) or 1
        for number, outcome in enumerate(result.outcomes):
            share = 100 * len(outcome.interleavings) / total
            look = _LOOKS[min(number, len(_LOOKS) - 1)]
            (bar,) = axes.barh(
                place, share, left=began, height=0.62, edgecolor=style.INK, linewidth=0.6, **look
            )
            style.tip(bar, f"{result.race.name}: {outcome.label}, {len(outcome.interleavings)} of {total}")
            began += share
        style.aside(axes, place, label(_said(result), 100), quiet=not result.broken)
    axes.set_yticks(range(len(results)), labels=[label(result.race.name, 34) for result in results])
    axes.set_ylim(len(results) - 0.5, -0.55)
    axes.set_xlim(0, 100)
    style.plain_axes(axes, xlabel="% of permutations")
    said = "; ".join(f"{result.race.name}: {_said(result)}" for result in results[:40])
    return style.render(fig, alt=f"How the permutations ended: {said}.")


def _said(result: Result) -> str:
    ended = "; ".join(f"{one.label} ({len(one.interleavings)})" for one in result.outcomes)
    return f"NOT AS EXPECTED: {ended}" if result.broken else ended
