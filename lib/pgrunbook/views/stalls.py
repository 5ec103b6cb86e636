"""The picture of the worst stall of each step beside its budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from pgrunbook.views import style
from pgrunbook.views.style import Part, Picture, label
from pgrunbook.views.units import duration

__all__ = ["Stall", "part", "stalls"]

_WITHIN: dict[str, Any] = {"facecolor": style.BLUE, "hatch": ""}
_OVER: dict[str, Any] = {"facecolor": style.ORANGE, "hatch": "////"}
_FAR = 15  # a worst stall of so many budgets needs a logarithmic axis
_LEAST_MS = 0.1


class Stall(Protocol):
    """The longest that anybody waited because of one step, and its budget, in ms; plain values."""

    @property
    def step(self) -> str: ...  # noqa: D102
    @property
    def worst_stall_ms(self) -> float: ...  # noqa: D102
    @property
    def stall_budget_ms(self) -> float: ...  # noqa: D102


def stalls(items: Sequence[Stall]) -> Picture:
    """Return the worst stall of each step, with a mark at its own budget."""
    return style.picture(part(items)) if items else style.nothing("no step has run")


def part(items: Sequence[Stall]) -> Part:
    """Return the chart for a picture of several; there has to be a step."""
    return Part(1.2 + 0.24 * len(items), lambda fig: _draw(fig, items))


def _draw(fig: FigureBase, items: Sequence[Stall]) -> str:
    over = [one for one in items if one.worst_stall_ms > one.stall_budget_ms]
    verdict = f"{len(over)} OVER their budget" if over else "all within their budgets"
    style.title(fig, f"Worst stall by step: {verdict}")
    axes = fig.subplots()
    budget = max(one.stall_budget_ms for one in items)
    reach = max(budget, *(one.worst_stall_ms for one in items))
    floor = 0.0
    if reach > _FAR * budget:
        axes.set_xscale("log")
        floor = _LEAST_MS
    least = floor * 0.1 or reach * 1e-3
    for place, one in enumerate(items):
        look = _OVER if one in over else _WITHIN
        (bar,) = axes.barh(
            place,
            max(one.worst_stall_ms - floor, least),
            left=floor,
            height=0.62,
            edgecolor=style.INK,
            linewidth=0.6,
            **look,
        )
        said = _says(one)
        style.tip(bar, f"{one.step}: {said}")
        axes.plot([one.stall_budget_ms] * 2, [place - 0.42, place + 0.42], color=style.INK, linewidth=1.8)
        style.aside(axes, place, said)
    axes.set_yticks(range(len(items)), labels=[label(one.step, 40) for one in items])
    axes.set_ylim(len(items) - 0.4, -0.6)
    axes.set_xlim(floor, reach * (2 if floor else 1.06))
    style.time_axis(axes, reach)
    keys = [
        Patch(**look, edgecolor=style.INK, lw=0.6, label=says)
        for look, says, there in (
            (_WITHIN, "within the budget", len(over) < len(items)),
            (_OVER, "OVER the budget", bool(over)),
        )
        if there
    ]
    keys.append(Patch(facecolor=style.INK, label="the step's stall budget"))
    fig.legend(handles=keys, loc="outside lower left", ncols=3)
    return f"Worst stall by step, {verdict}: {'; '.join(f'{one.step} {_says(one)}' for one in items)}."


def _says(one: Stall) -> str:
    over = "OVER " if one.worst_stall_ms > one.stall_budget_ms else ""
    return f"{duration(one.worst_stall_ms)}, {over}budget {duration(one.stall_budget_ms)}"
