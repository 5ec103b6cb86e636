"""The picture of schedules over changes of the clocks: the time of day that stays, and the one that drifts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MultipleLocator

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label

__all__ = ["Course", "clock_changes"]

_OURS: dict[str, Any] = {"color": style.BLUE, "marker": "D", "markersize": 6, "linewidth": 2}
_STEPPED: dict[str, Any] = {
    "color": style.VERMILLION,
    "marker": "o",
    "markersize": 9,
    "markerfacecolor": "none",
    "linewidth": 1,
    "linestyle": ":",
}


class Course(Protocol):
    """Times of one schedule on the wall clock of its zone."""

    @property
    def zone(self) -> str: ...  # noqa: D102
    @property
    def clocks(self) -> str: ...  # noqa: D102
    @property
    def day(self) -> date: ...  # noqa: D102
    @property
    def changes(self) -> bool: ...  # noqa: D102
    @property
    def at(self) -> time: ...  # noqa: D102
    @property
    def ours(self) -> tuple[datetime, ...]: ...  # noqa: D102
    @property
    def stepped(self) -> tuple[datetime, ...]: ...  # noqa: D102


@style.house
def clock_changes(found: Sequence[Course]) -> Picture:
    """Return a panel for each zone and change: on which time of its wall clock a daily job is due, day by day."""
    if not found:
        return style.nothing("no schedule was asked for")
    zones = list(dict.fromkeys(one.zone for one in found))
    seasons = list(dict.fromkeys(one.clocks for one in found))
    fig = style.figure(9.6, 1.1 + 1.5 * len(zones))
    style.title(fig, f"Every day at {found[0].at:%H:%M}, over the days on which the clocks change")
    grid = fig.subplots(len(zones), len(seasons), squeeze=False, sharey=True)
    for one in found:
        _panel(grid[zones.index(one.zone)][seasons.index(one.clocks)], one)
    keys = [Line2D([], [], label="ours", **_OURS), Line2D([], [], label="steps of 24 hours", **_STEPPED)]
    fig.legend(handles=keys, loc="outside lower left", ncols=2)
    told = "; ".join(f"{_heading(one)}: {_said(one)}" for one in found)
    return style.render(fig, alt=f"Every day at {found[0].at:%H:%M}. {told}.")


def _panel(axes: Axes, one: Course) -> None:
    axes.set_title(_heading(one), loc="left", fontsize=9, color=style.INK)
    days = [moment.date().toordinal() for moment in one.ours]
    if one.changes:
        # At night: between two evenings.
        axes.axvline(one.day.toordinal() - 0.5, color=style.GREY, linestyle="--", linewidth=1)
    for times, look, name in ((one.stepped, _STEPPED, "steps of 24 hours"), (one.ours, _OURS, "ours")):
        # A step may end on another day of that zone: it is drawn where it was counted.
        heights = [
            _hours(moment) - 24 * (day - moment.toordinal()) for moment, day in zip(times, days, strict=True)
        ]
        (line,) = axes.plot(days, heights, **look)
        style.tip(line, f"{_heading(one)}, {name}: " + ", ".join(f"{moment:%d %b %H:%M}" for moment in times))
    axes.grid(True, axis="y")
    axes.set_xticks(days, labels=[f"{moment.day} {moment:%b}" for moment in one.ours], fontsize=7.5)
    middle = one.at.hour + one.at.minute / 60
    axes.set_ylim(middle - 1.6, middle + 1.6)
    axes.yaxis.set_major_locator(MultipleLocator(1))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{int(value):02d}:00"))


def _hours(moment: datetime) -> float:
    return moment.hour + moment.minute / 60


def _heading(one: Course) -> str:
    change = f"clocks go {one.clocks}" if one.changes else "clocks stay"
    return f"{label(one.zone)}, {change}"


def _said(one: Course) -> str:
    last = one.stepped[-1]
    return f"ours at {one.ours[-1]:%H:%M} after it, steps of 24 hours at {last:%H:%M}"
