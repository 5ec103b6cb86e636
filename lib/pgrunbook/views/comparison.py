"""Two runs side by side: what differs in words, and a picture of how long steps took and who stalled."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from pgrunbook.comparison import Comparison, Step
from pgrunbook.views import style, table
from pgrunbook.views.facts import json_safe
from pgrunbook.views.style import Picture, label
from pgrunbook.views.text import visible
from pgrunbook.views.units import duration
from pgrunbook.views.view import View

__all__ = ["costs", "differences", "facts", "in_words", "picture"]

_LOG_FROM = 15  # a larger ratio of slowest to fastest needs a logarithmic axis
_LEAST_MS = 0.1  # a logarithmic axis has no zero
_FIRST: dict[str, Any] = {"marker": "o", "color": style.INK, "markersize": 7.5, "markerfacecolor": "white"}
_SECOND: dict[str, Any] = {"marker": "D", "color": style.BLUE, "markersize": 7}


def differences(found: Comparison) -> View:
    """Return what differs, part by part; nothing in it is a time, so that it is the same for the same runs."""
    rows = [{"part": part.name, "verdict": part.verdict} for part in found.parts]
    line = _line(found)
    html = [table.to_html(rows, caption=line, cap=None)]
    html += [table.to_html(part.rows, caption=part.name, cap=50) for part in found.parts if part.rows]
    return View(line, html="\n".join(html), facts=facts(found))


def costs(found: Comparison) -> View:
    """Return how long each step took in both runs, and the worst stall, as a picture."""
    drawn = picture(found)
    sides = ("first", found.first), ("second", found.second)
    over = [which for which, side in sides if side.over]
    lost = [which for which, side in sides if side.over is None]
    said = [f"OVER the budget in the {' and the '.join(over)}"] if over else []
    said += [f"not known in the {' and the '.join(lost)}"] if lost else []
    stalls = ", ".join(said) or "within the budget in both"
    line = f"{visible(found.change)}: {len(found.steps)} steps in two runs; stalls {stalls}"
    return View(line, png=drawn.png, svg=drawn.svg, facts=facts(found))


def in_words(found: Comparison) -> str:
    """Return everything for a terminal, times included."""
    lines = [_line(found)]
    for which, side in (("first ", found.first), ("second", found.second)):
        lines.append(f"  {which} {side.run_id}: {side.target} ({side.target_kind}), {side.outcome}")
    lines += [
        "",
        table.to_text([{"part": one.name, "verdict": one.verdict} for one in found.parts], cap=None),
    ]
    for part in found.parts:
        if part.rows:
            lines += ["", f"{part.name}:", table.to_text(part.rows, cap=50)]
    if found.steps:
        rows = [
            {
                "step": step.name,
                "first": _figure(step.seconds[0], 1000),
                "second": _figure(step.seconds[1], 1000),
                "ratio": "-" if step.ratio is None else f"{step.ratio:.2f}",
                "first held": _figure(step.held_ms[0]),
                "second held": _figure(step.held_ms[1]),
                "first stalled": _figure(step.worst_stall_ms[0]),
                "second stalled": _figure(step.worst_stall_ms[1]),
            }
            for step in found.steps
        ]
        lines += ["", "times of steps, locks held, worst stalls:", table.to_text(rows, cap=None)]
    if found.queries:
        medians = [
            {
                "query": query.name,
                "first before": _figure(query.before_ms[0]),
                "first after": _figure(query.after_ms[0]),
                "second before": _figure(query.before_ms[1]),
                "second after": _figure(query.after_ms[1]),
            }
            for query in found.queries
        ]
        lines += ["", "medians of queries:", table.to_text(medians, cap=None)]
    return "\n".join(lines)


def facts(found: Comparison) -> dict[str, object]:
    """Return the comparison for machines."""
    sides = {
        which: {name: getattr(side, name) for name in side.__slots__}
        for which, side in (("first", found.first), ("second", found.second))
    }
    return {
        "change": found.change,
        **sides,
        "differing": found.differing,
        "parts": [
            {"part": one.name, "differs": one.differs, "verdict": one.verdict, "rows": json_safe(one.rows)}
            for one in found.parts
        ],
        "steps": [
            {**{name: getattr(step, name) for name in step.__slots__}, "ratio": step.ratio}
            for step in found.steps
        ],
        "queries": [{name: getattr(one, name) for name in one.__slots__} for one in found.queries],
    }


def _line(found: Comparison) -> str:
    kinds = f"{found.first.target_kind or 'unknown'} against {found.second.target_kind or 'unknown'}"
    named = found.differing
    verdict = (
        f"{', '.join(named)} differ"
        if len(named) > 1
        else f"{named[0]} differs"
        if named
        else "nothing differs"
    )
    return visible(f"{found.change}, {kinds}: {verdict}")


@style.house
def picture(found: Comparison) -> Picture:
    """Return the time of each step and its worst stall, first run and second."""
    steps = [step for step in found.steps if step.seconds != (None, None)]
    if not steps:
        return style.nothing("no step ran in either run")
    fig = style.figure(9.2, 1.5 + 0.5 * len(steps))
    style.title(fig, f"Times and stalls of {label(found.change, 40)}, two runs")
    times, stalls = fig.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _panel(times, steps, "seconds", 1000, log=True)
    budget = max(found.first.stall_budget_ms, found.second.stall_budget_ms)
    _panel(stalls, steps, "worst_stall_ms", 1, log=False)
    worst = max((value for step in steps for value in step.worst_stall_ms if value is not None), default=0.0)
    if budget:
        stalls.axvline(budget, color=style.VERMILLION, linewidth=1.2, linestyle=(0, (4, 2)))
        stalls.annotate(
            f"budget {duration(budget)}",
            (budget, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(-3, 3),
            textcoords="offset points",
            ha="right",
            fontsize=8,
            color=style.VERMILLION,
        )
    stalls.set_xlim(-0.05 * max(budget, worst, 1), max(budget, worst, 1) * 1.08)
    times.set_yticks(range(len(steps)), labels=[label(step.name, 34) for step in steps])
    times.set_ylim(len(steps) - 0.5, -0.6)
    style.plain_axes(times, xlabel="time of the step, waits included")
    style.plain_axes(stalls, xlabel="worst stall, ms")
    keys = [
        Line2D([], [], linestyle="", label=f"{which}: {side.target_kind}, {label(side.outcome, 30)}", **look)
        for which, side, look in (("first", found.first, _FIRST), ("second", found.second, _SECOND))
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=2, handletextpad=0.1)
    said = "; ".join(
        f"{label(step.name)} {_pair(step.seconds, 1000)}, worst stall {_pair(step.worst_stall_ms)}"
        for step in steps[:20]
    )
    return style.render(fig, alt=f"Times and stalls of two runs, first and second: {said}.")


def _panel(axes: Axes, steps: Sequence[Step], key: str, unit: float, *, log: bool) -> None:
    """Draw one figure of every step: both runs as points, with a line between them."""
    drawn = [
        [
            None if value is None else max(value * unit, _LEAST_MS if log else 0)
            for value in getattr(step, key)
        ]
        for step in steps
    ]
    every = [value for pair in drawn for value in pair if value is not None]
    if log and every and max(every) / min(every) > _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(min(every) / 1.8, max(every) * 1.8)
        axes.xaxis.set_minor_locator(NullLocator())
    elif log and every:
        axes.set_xlim(0, max(every) * 1.12)
    if log:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    for place, (step, pair) in enumerate(zip(steps, drawn, strict=True)):
        ends = [value for value in pair if value is not None]
        if len(ends) == 2:
            axes.plot(ends, [place - 0.13, place + 0.13], color=style.GREY, linewidth=1.2, zorder=1)
        for value, offset, look, which in zip(
            pair, (-0.13, 0.13), (_FIRST, _SECOND), ("first", "second"), strict=True
        ):
            if value is not None:
                dot = Line2D([value], [place + offset], linestyle="", zorder=2, **look)
                axes.add_line(dot)
                style.tip(dot, f"{step.name}, {which}: {duration(value)}")


def _figure(value: float | None, unit: float = 1) -> str:
    return "-" if value is None else duration(value * unit)


def _pair(values: tuple[float | None, float | None], unit: float = 1) -> str:
    return f"{_figure(values[0], unit)} and {_figure(values[1], unit)}"
