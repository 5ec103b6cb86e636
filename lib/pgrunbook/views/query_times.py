"""The picture of query times before and after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted, duration

__all__ = ["Timing", "timings"]

_LOG_FROM = 15  # a larger ratio of slowest to fastest needs a logarithmic axis
_FASTEST = 1e-4  # ms; a logarithmic axis has no zero
_RUN: dict[str, Any] = {"marker": "|", "color": style.INK, "markersize": 8, "markeredgewidth": 0.8}


class Timing(Protocol):
    """One query, run several times; times in ms, blocks of 8 kB."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def title(self) -> str: ...  # noqa: D102
    @property
    def runs_ms(self) -> tuple[float, ...]: ...  # noqa: D102
    @property
    def median_ms(self) -> float: ...  # noqa: D102
    @property
    def nodes(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def shared_hit(self) -> int: ...  # noqa: D102
    @property
    def shared_read(self) -> int: ...  # noqa: D102


@style.house
def timings(before: Sequence[Timing], after: Sequence[Timing]) -> Picture:
    """Return each query's median and range before and after, on a logarithmic axis where ranges need it."""
    firsts, seconds = {item.name: item for item in before}, {item.name: item for item in after}
    names = list(dict.fromkeys([*firsts, *seconds]))
    if not names:
        return style.nothing("no query was timed")
    fig = style.figure(8.6, 1.3 + 0.66 * len(names))
    style.title(fig, "Query times before and after")
    axes = fig.subplots()
    _scale(axes, [ms for item in (*before, *after) for ms in _runs(item)])
    said = []
    for place, name in enumerate(names):
        first, second = firsts.get(name), seconds.get(name)
        if first:
            _dot(axes, first, place - 0.16, when="before")
        if second:
            _dot(axes, second, place + 0.16, when="after")
        line, plans, blocks = _comparison(first, second)
        style.aside(axes, place - 0.26, line)
        style.aside(axes, place, plans, quiet=True)
        style.aside(axes, place + 0.26, blocks, quiet=True)
        said.append(f"{label(name)}: {line}; {plans}; {blocks}")
    axes.set_yticks(range(len(names)), labels=[label(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.55)
    style.time_axis(axes, axes.get_xlim()[1])
    keys = [
        Line2D([], [], linestyle="", label=f"median {when}", **_marker(when)) for when in ("before", "after")
    ]
    keys.append(Line2D([], [], linestyle="", label="each run", **_RUN))
    fig.legend(handles=keys, loc="outside lower left", ncols=3, handletextpad=0.1)
    return style.render(fig, alt=f"Query times before and after. {'; '.join(said[:20])}.")


def _runs(item: Timing) -> list[float]:
    return [max(ms, _FASTEST) for ms in (*item.runs_ms, item.median_ms)]


def _scale(axes: Axes, values: Sequence[float]) -> None:
    if max(values) / min(values) > _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 1.6, max(values) * 1.6)
    else:
        axes.set_xlim(0, max(values) * 1.12)


def _marker(when: str) -> dict[str, Any]:
    if when == "before":
        return {"marker": "o", "color": style.INK, "markersize": 7.5, "markerfacecolor": "white"}
    return {"marker": "D", "color": style.BLUE, "markersize": 7}


def _dot(axes: Axes, item: Timing, y: float, *, when: str) -> None:
    runs = _runs(item)
    colour = style.ORANGE if when == "before" else style.BLUE
    axes.plot([min(runs), max(runs)], [y, y], color=colour, linewidth=2.4, alpha=0.55, solid_capstyle="butt")
    axes.plot(runs[:-1], [y] * len(runs[:-1]), linestyle="", **_RUN)
    dot = Line2D([runs[-1]], [y], linestyle="", **_marker(when))
    axes.add_line(dot)
    style.tip(
        dot,
        f"{item.title or item.name}, {when}: median {duration(item.median_ms)}"
        f" of {counted(len(item.runs_ms), 'run')}, {counted(item.rows, 'row')},"
        f" {item.shared_hit:,} blocks from cache, {item.shared_read:,} read; {', '.join(item.nodes)}",
    )


def _faster(before: float, after: float) -> str:
    """Return how two medians compare.

    >>> _faster(41.0, 0.05), _faster(1.0, 1.05), _faster(1.0, 2.0)
    ('820 times faster', 'about the same', '2 times slower')
    """
    if before <= 0 or after <= 0:
        # Too short to be measured: there is no ratio.
        return "about the same" if before == after else "faster" if after < before else "slower"
    if 0.9 < before / after < 1.12:
        return "about the same"
    ratio, word = (before / after, "faster") if after < before else (after / before, "slower")
    return f"{ratio:.3g} times {word}" if ratio < 1000 else f"{ratio:,.0f} times {word}"


def _comparison(first: Timing | None, second: Timing | None) -> tuple[str, str, str]:
    """Return one line of times, one of plans and one of blocks."""
    if first is None or second is None:
        only = first or second
        assert only is not None
        when = "before" if second is None else "after"
        times = f"{duration(only.median_ms)}, timed only {when}"
        return times, label(" + ".join(only.nodes), 40), _blocks(only)
    times = f"{duration(first.median_ms)} → {duration(second.median_ms)}"
    plans = label(" + ".join(first.nodes), 26), label(" + ".join(second.nodes), 26)
    line = f"{times}, {_faster(first.median_ms, second.median_ms)}"
    blocks = _blocks(first), _blocks(second)
    return (
        line,
        plans[0] if plans[0] == plans[1] else f"{plans[0]} → {plans[1]}",
        blocks[0] if blocks[0] == blocks[1] else f"{blocks[0].removesuffix(' blocks')} → {blocks[1]}",
    )


def _blocks(timing: Timing) -> str:
    read = f", {timing.shared_read:,} of them read" if timing.shared_read else ""
    return f"{counted(timing.shared_hit + timing.shared_read, 'block')}{read}"
