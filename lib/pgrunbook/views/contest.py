"""The contest of numbering methods as a picture: codes per second, waits, duplicates and gaps of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

from pgrunbook.views import style
from pgrunbook.views.contest_outcome import (
    Kind,
    Result,
    figures,
    kind_of,
    methods,
    names_of_prefixes,
    outcome,
    rate,
    verdict,
)
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["chart", "contest"]

_COLOURS = {
    Kind.CLEAN: style.BLUE,
    Kind.GAPS: style.GREEN,
    Kind.DUPLICATES: style.VERMILLION,
    Kind.NOTHING: style.GREY,
    Kind.YARDSTICK: style.QUIET,
}
_HATCHES = {Kind.GAPS: "....", Kind.DUPLICATES: "////"}
_DASHES = {Kind.CLEAN: "-", Kind.GAPS: "-.", Kind.DUPLICATES: ":", Kind.NOTHING: ":", Kind.YARDSTICK: "--"}
_HOLLOW = {Kind.DUPLICATES, Kind.YARDSTICK}
_MARKERS = "oD^svP<>*p"
_HEADS = ("codes per second", "p99 of one creation, ms")
_ROW = 0.24  # inches of a line of the table


def contest(results: Sequence[Result]) -> View:
    """Return the contest as a picture; the verdict tells which methods gave duplicates and which left gaps."""
    picture = chart(results)
    facts = {"results": [figures(one) for one in results], "picture": picture.alt}
    return View(verdict(results), png=picture.png, svg=picture.svg, facts=facts)


@style.house
def chart(results: Sequence[Result]) -> Picture:
    """Return bars for one number of writers, lines over the writers for several, with a table below."""
    if not results:
        return style.nothing("no method was measured")
    several = len({(one.writers, one.prefixes) for one in results}) > 1
    said = [
        f"{one.method}, {counted(one.writers, 'writer')}, {names_of_prefixes(one.prefixes)}: {_said(one)}"
        for one in results
    ]
    alt = f"{verdict(results)}. {'; '.join(said)}"
    return style.render(_lines(results) if several else _bars(results), alt=alt)


def _said(one: Result) -> str:
    return f"{rate(one.codes_per_second)} codes/s, p99 {one.p99_ms:.3g} ms, {outcome(one)}"


def _bars(results: Sequence[Result]) -> Figure:
    first = results[0]
    fig = style.figure(9.6, 1.2 + 0.36 * len(results))
    amount = counted(first.wanted, "class", "classes")
    where = f"{counted(first.writers, 'writer')}, {names_of_prefixes(first.prefixes)}"
    style.title(fig, f"{amount}, {where}")
    rates, waits = fig.subplots(1, 2, sharey=True, width_ratios=[3, 2])
    for row, one in enumerate(results):
        kind = kind_of([one])
        for axes, value, text in (
            (rates, one.codes_per_second, rate(one.codes_per_second)),
            (waits, one.p99_ms, f"{one.p99_ms:.3g}"),
        ):
            (bar,) = axes.barh(
                row, value, height=0.62, color=_COLOURS[kind], hatch=_HATCHES.get(kind), edgecolor="white"
            )
            style.tip(bar, f"{one.method}: {_said(one)}, p50 {one.p50_ms:.3g} ms, max {one.max_ms:.3g} ms")
            axes.annotate(text, (value, row), (3, 0), textcoords="offset points", va="center", fontsize=8.3)
        style.aside(waits, row, outcome(one), quiet=kind in (Kind.YARDSTICK, Kind.NOTHING))
    rates.set_yticks(range(len(results)), labels=[label(one.method) for one in results])
    rates.invert_yaxis()
    for axes, head in zip((rates, waits), _HEADS, strict=True):
        style.plain_axes(axes, xlabel=head)
        axes.margins(x=0.22)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.locator_params(axis="x", nbins=5)
    return fig


def _lines(results: Sequence[Result]) -> Figure:
    places = sorted({one.prefixes for one in results})
    below = _ROW * (len(methods(results)) + 3)
    fig = style.figure(5.2 * max(2, len(places)), 7.0 + below)
    style.title(fig, "Numbering classes: speed and waits by the number of writers")
    grid = fig.add_gridspec(3, len(places), height_ratios=[3.2, 3.2, below])
    for row, head in enumerate(_HEADS):
        beside: Axes | None = None
        for column, prefixes in enumerate(places):
            beside = axes = fig.add_subplot(grid[row, column], sharey=beside)
            axes.set_title(f"{names_of_prefixes(prefixes)}: {head}", loc="left", fontsize=9, color=style.INK)
            here = {
                method: sorted((one for one in mine if one.prefixes == prefixes), key=lambda one: one.writers)
                for method, mine in methods(results).items()
            }
            _panel(axes, here, waits=bool(row))
    _table(fig.add_subplot(grid[2, :]), results, places)
    return fig


def _panel(axes: Axes, results: dict[str, list[Result]], *, waits: bool) -> None:
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.grid(True, axis="y")
    # The first that keeps its promise is the one to use.
    best = next((method for method, points in results.items() if kind_of(points) is Kind.CLEAN), "")
    ends: list[tuple[float, Line2D, str]] = []
    for number, (method, all_points) in enumerate(results.items()):
        # A logarithmic axis has no zero.
        points = [one for one in all_points if one.codes and one.p99_ms and one.codes_per_second]
        if not points:
            continue
        kind = kind_of(points)
        heights = [one.p99_ms if waits else one.codes_per_second for one in points]
        (line,) = axes.plot(
            [one.writers for one in points],
            heights,
            color=_COLOURS[kind],
            linestyle=_DASHES[kind],
            linewidth=2.6 if method == best else 1.3,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=5.5,
            markerfacecolor="white" if kind in _HOLLOW else _COLOURS[kind],
        )
        style.tip(line, f"{method}: " + "; ".join(f"{one.writers}: {_said(one)}" for one in points))
        ends.append((heights[-1], line, method))
    at = sorted({one.writers for points in results.values() for one in points})
    axes.set_xticks(at, labels=[str(one) for one in at])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(at[0] / 1.25, at[-1] * 1.25)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("writers")
    _names(axes, ends)


def _names(axes: Axes, ends: Sequence[tuple[float, Line2D, str]]) -> None:
    """Write the names right of the lines' ends, evenly apart and in their order."""
    for place, (height, line, method) in enumerate(sorted(ends, key=lambda end: end[0])):
        y = (place + 0.5) / len(ends)
        axes.annotate(
            "",
            xy=(1.0, height),
            xycoords=("axes fraction", "data"),
            xytext=(1.055, y),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": style.GREY, "linewidth": 0.6},
        )
        key = axes.add_artist(Line2D([1.075], [y]))
        key.update_from(line)
        key.set_transform(axes.transAxes)
        key.set_clip_on(False)
        axes.annotate(
            label(method), (1.1, y), xycoords="axes fraction", va="center", fontsize=8, color=style.INK
        )


def _table(axes: Axes, results: Sequence[Result], places: Sequence[int]) -> None:
    """Write the figures below: codes per second everywhere, duplicates, gaps and retries together."""
    axes.axis("off")
    at = sorted({one.writers for one in results})
    columns = [(prefixes, writers) for prefixes in places for writers in at]
    known = {(one.method, one.prefixes, one.writers): one for one in results}
    rows = [["", *[str(writers) for _, writers in columns], "duplicates", "gaps", "retries"]]
    for method, mine in methods(results).items():
        rows.append(
            [label(method), *[_cell(known.get((method, *column))) for column in columns], *_counts(mine)]
        )
    # Where each column ends; a little room in front of every group.
    width = 0.5 / len(columns)
    ends = [0.2 + width * (n + 1) + 0.03 * (n // len(at)) for n in range(len(columns))]
    ends = [0.0, *ends, *[ends[-1] + more for more in (0.11, 0.19, 0.27)]]
    height = 1 / (len(rows) + 2)
    look: dict[str, Any] = {"va": "center", "fontsize": 8.3, "transform": axes.transAxes}
    for line, cells in enumerate(rows):
        y, colour = 1 - height * (line + 1.5), style.INK if line else style.QUIET
        for end, cell in zip(ends, cells, strict=True):
            axes.text(end, y, cell, ha="right" if end else "left", color=colour, **look)
    for group, prefixes in enumerate(places):
        text = f"codes/s, {names_of_prefixes(prefixes)}, by writers"
        axes.text(ends[(group + 1) * len(at)], 1 - height / 2, text, ha="right", color=style.QUIET, **look)
    if any(one.stopped for one in results):
        axes.text(0, height / 2, "* stopped when its time was over", color=style.QUIET, **look)


def _cell(one: Result | None) -> str:
    return f"{rate(one.codes_per_second)}{'*' if one.stopped else ''}" if one else ""


def _counts(results: Sequence[Result]) -> list[str]:
    found = ["-", "-"]
    if kind_of(results) is not Kind.YARDSTICK:
        found = [f"{sum(each or 0 for each in column):,}" for column in _found(results)]
    return [*found, f"{sum(one.retries for one in results):,}"]


def _found(results: Sequence[Result]) -> tuple[list[int | None], list[int | None]]:
    return [one.duplicates for one in results], [one.gaps for one in results]
