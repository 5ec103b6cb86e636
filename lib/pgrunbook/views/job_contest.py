"""Pictures of pollers at work: jobs that ran twice, jobs that ran at a time, what asking for the next one costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted, duration

__all__ = ["Polled", "Tally", "at_once", "polling", "said", "span", "twice"]

_KEPT: dict[str, Any] = {"facecolor": style.BLUE, "hatch": ""}
_BROKEN: dict[str, Any] = {"facecolor": style.VERMILLION, "hatch": "////"}


class Tally(Protocol):
    """What pollers did with jobs that were all due."""

    @property
    def way(self) -> str: ...  # noqa: D102
    @property
    def pollers(self) -> int: ...  # noqa: D102
    @property
    def jobs(self) -> int: ...  # noqa: D102
    @property
    def executions(self) -> int: ...  # noqa: D102
    @property
    def repeated(self) -> int: ...  # noqa: D102
    @property
    def most(self) -> int: ...  # noqa: D102
    @property
    def lost(self) -> int: ...  # noqa: D102


class Polled(Protocol):
    """What one question for the next job cost while so many waited; medians in ms."""

    @property
    def waiting(self) -> int: ...  # noqa: D102
    @property
    def specified_ms(self) -> float: ...  # noqa: D102
    @property
    def ours_ms(self) -> float: ...  # noqa: D102


def said(one: Tally) -> str:
    """Return what came of it, in words."""
    twice = f"{counted(one.repeated, 'job')} ran twice or more, one of them {one.most} times"
    told = [
        f"{counted(one.executions, 'execution')} of {counted(one.jobs, 'job')}",
        twice if one.repeated else "none ran twice",
    ]
    if one.lost:
        told.append(f"{counted(one.lost, 'claim')} came too late")
    return ", ".join(told)


@style.house
def twice(tallies: Sequence[Tally]) -> Picture:
    """Return how many jobs ran once and how many more than once, by how their pollers claimed them."""
    if not tallies:
        return style.nothing("nobody claimed a job")
    fig = style.figure(9.6, 1.25 + 0.62 * len(tallies))
    style.title(
        fig, f"{counted(tallies[0].jobs, 'job')} due, {counted(tallies[0].pollers, 'poller')} at once"
    )
    axes = fig.subplots()
    for place, one in enumerate(tallies):
        left = 0
        for value, look in ((one.jobs - one.repeated, _KEPT), (one.repeated, _BROKEN)):
            if value:
                (bar,) = axes.barh(
                    place, value, left=left, height=0.56, edgecolor=style.INK, linewidth=0.6, **look
                )
                style.tip(bar, f"{one.way}: {said(one)}")
            left += value
        first, *more = said(one).split(", ", 1)
        style.aside(axes, place - 0.14, first, quiet=True)
        style.aside(axes, place + 0.16, more[0].replace(", one of them", ",\none of them") if more else "")
    axes.set_yticks(range(len(tallies)), labels=[label(one.way, 40) for one in tallies])
    axes.set_ylim(len(tallies) - 0.5, -0.5)
    axes.set_xlim(0, max(one.jobs for one in tallies))
    style.plain_axes(axes, xlabel="jobs")
    keys = [
        Patch(edgecolor=style.INK, lw=0.6, label=what, **look)
        for what, look in (("ran once", _KEPT), ("ran twice or more", _BROKEN))
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=2)
    told = "; ".join(f"{one.way}: {said(one)}" for one in tallies)
    return style.render(fig, alt=f"{counted(tallies[0].pollers, 'poller')} at once. {told}.")


@style.house
def at_once(rounds: Mapping[str, Sequence[int]], *, cap: int, pollers: int) -> Picture:
    """Return how many jobs ran at a time in every round, beside the cap, by how they were claimed."""
    if not any(rounds.values()):
        return style.nothing("no round was run")
    fig = style.figure(9.6, 1.3 + 0.62 * len(rounds))
    style.title(fig, f"Jobs that run at a time: {counted(pollers, 'poller')} at one moment, a cap of {cap}")
    axes = fig.subplots()
    for place, (way, found) in enumerate(rounds.items()):
        height = 0.72 / len(found)
        for number, value in enumerate(found):
            look = _BROKEN if value > cap else _KEPT
            at = place - 0.36 + height * (number + 0.5)
            (bar,) = axes.barh(at, value, height=height * 0.8, edgecolor=style.INK, linewidth=0.5, **look)
            style.tip(bar, f"{way}, round {number + 1}: {value} at a time")
        style.aside(axes, place, span(found))
    axes.axvline(cap, color=style.INK, linewidth=1.4, linestyle="--")
    axes.annotate(
        f"cap {cap}", (cap, 1.0), (3, 2), xycoords=("data", "axes fraction"), textcoords="offset points",
        fontsize=8.3, annotation_clip=False,
    )  # fmt: skip
    axes.set_yticks(range(len(rounds)), labels=[label(way, 40) for way in rounds])
    axes.set_ylim(len(rounds) - 0.5, -0.5)
    axes.set_xlim(0, max(pollers, cap) + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style.plain_axes(axes, xlabel="jobs that run at a time, one bar a round")
    told = "; ".join(f"{way}: {span(found)}" for way, found in rounds.items())
    return style.render(fig, alt=f"{counted(pollers, 'poller')} at one moment, a cap of {cap}. {told}.")


def span(found: Sequence[int]) -> str:
    """Return the least and the most of all rounds.

    >>> span((5, 5)), span((12, 15))
    ('5 in every round', '12 to 15')
    """
    least, most = min(found), max(found)
    return f"{least} in every round" if least == most else f"{least} to {most}"


@style.house
def polling(found: Sequence[Polled]) -> Picture:
    """Return what one question for the next job costs by how many wait, as built and as specified."""
    if not found:
        return style.nothing("nobody asked for a job")
    fig = style.figure(8.6, 3.6)
    style.title(fig, "One question for the next job, by how many are due")
    axes = fig.subplots()
    axes.set_xscale("log")
    axes.set_yscale("log")
    counts = [one.waiting for one in found]
    for name, times, look in (
        ("as specified", [one.specified_ms for one in found], {"color": style.VERMILLION, "marker": "s",
            "linestyle": "--", "markerfacecolor": "white"}),
        ("ours", [one.ours_ms for one in found], {"color": style.BLUE, "marker": "o", "linewidth": 2.4}),
    ):  # fmt: skip
        (line,) = axes.plot(counts, times, markersize=6, **look)
        style.tip(line, f"{name}: " + "; ".join(_at(*pair) for pair in zip(counts, times, strict=True)))
        axes.annotate(
            f"{name}, {duration(times[-1])}",
            (1.015, times[-1]),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=9,
            annotation_clip=False,
        )
    axes.set_xticks(counts, labels=[f"{one:,}" for one in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(True, axis="y")
    axes.set_xlabel("jobs that are due")
    axes.set_ylabel("median of one question")
    told = "; ".join(
        f"{one.waiting:,} due: {duration(one.ours_ms)}, as specified {duration(one.specified_ms)}"
        for one in found
    )
    return style.render(fig, alt=f"One question for the next job. {told}.")


def _at(waiting: int, ms: float) -> str:
    return f"{waiting:,} due: {duration(ms)}"
