"""The picture of who waited for locks, for how long, and how that compares with the stall budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from matplotlib.axes import Axes
from matplotlib.patches import Patch

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted, duration

__all__ = ["Bar", "Wait", "collapse", "lock_waits"]

_BEHIND, _OURS, _OTHER = "behind us", "ours", "other"
# (fill, hatch, legend); the order is the order of concern.
_SIDES = {
    _BEHIND: (style.VERMILLION, "", "waited behind us"),
    _OURS: (style.SKY, "////", "our step waited"),
    _OTHER: (style.FAINT, "\\\\\\\\", "waited for someone else"),
}
_MOST_ROWS = 20


class Wait(Protocol):
    """One sample of one session that waits for a lock; times in ms since the step began.

    Plain values: `observers.locks.Wait(**row)` of a row read from JSON will do. `side` is "ours", "behind us" or
    "other"; anything else is drawn as other.
    """

    @property
    def at_ms(self) -> float: ...  # noqa: D102
    @property
    def pid(self) -> int: ...  # noqa: D102
    @property
    def who(self) -> str: ...  # noqa: D102
    @property
    def waited_ms(self) -> float: ...  # noqa: D102
    @property
    def wants(self) -> str: ...  # noqa: D102
    @property
    def relation(self) -> str: ...  # noqa: D102
    @property
    def blockers(self) -> tuple[int, ...]: ...  # noqa: D102
    @property
    def side(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Bar:
    """One wait, however many samples saw it; times in ms since the step began."""

    pid: int
    who: str
    start_ms: float
    end_ms: float
    side: str
    says: str

    @property
    def waited_ms(self) -> float:
        """Return how long the wait was seen to last."""
        return self.end_ms - self.start_ms


def collapse(waits: Sequence[Wait]) -> tuple[Bar, ...]:
    """Return one bar a wait: samples of one session that overlap are one wait, as bad as its worst."""
    bars: list[Bar] = []
    for wait in sorted(waits, key=lambda wait: (wait.pid, wait.at_ms - wait.waited_ms, wait.at_ms)):
        start, side = wait.at_ms - wait.waited_ms, str(wait.side)
        side = side if side in _SIDES else _OTHER
        last = bars[-1] if bars else None
        if last and last.pid == wait.pid and start <= last.end_ms:
            worse = min(side, last.side, key=list(_SIDES).index)
            end = max(last.end_ms, wait.at_ms)
            bars[-1] = Bar(last.pid, last.who, last.start_ms, end, worse, _says(wait, end - last.start_ms))
        else:
            bars.append(Bar(wait.pid, wait.who, start, wait.at_ms, side, _says(wait, wait.waited_ms)))
    return tuple(bars)


def _says(wait: Wait, waited_ms: float) -> str:
    by = ", ".join(map(str, wait.blockers))
    return f"{wait.who} (pid {wait.pid}) waited {duration(waited_ms)} for {wait.wants} on {wait.relation}" + (
        f", held up by {by}" if by else ""
    )


def _verdict(bars: Sequence[Bar], stall_budget_ms: float) -> str:
    worst = max((bar.waited_ms for bar in bars if bar.side == _BEHIND), default=None)
    if worst is None:
        return f"nobody waited behind us (stall budget {duration(stall_budget_ms)})"
    over = worst > stall_budget_ms
    return (
        f"worst stall {duration(worst)}, {'OVER' if over else 'within'}"
        f" the stall budget of {duration(stall_budget_ms)}"
    )


@style.house
def lock_waits(
    waits: Sequence[Wait],
    *,
    stall_budget_ms: float,
    held: Sequence[tuple[float, float, str]] = (),
    samples: int | None = None,
) -> Picture:
    """Return the timeline of lock waits, one row a session, beside the longest wait of each.

    `held` says when our step held its locks: (start, end, label), in ms since the step began, as in `waits`.
    `samples` is how often was looked; a picture without waits states it.
    """
    bars = collapse(waits)
    if not bars:
        return _calm(stall_budget_ms, samples)
    sessions: dict[int, list[Bar]] = {}
    for bar in bars:
        sessions.setdefault(bar.pid, []).append(bar)
    by_length = sorted(sessions, key=lambda pid: -max(bar.waited_ms for bar in sessions[pid]))
    shown = sorted(by_length[:_MOST_ROWS], key=lambda pid: (sessions[pid][0].start_ms, pid))
    names = _names(shown, sessions)

    verdict = _verdict(bars, stall_budget_ms)
    fig = style.figure(8.6, 1.75 + 0.27 * len(shown))
    style.title(fig, f"Lock waits: {verdict}")
    when, longest = fig.subplots(1, 2, sharey=True, width_ratios=(3.2, 1))
    _timeline(when, [sessions[pid] for pid in shown], held)
    _lengths(longest, [sessions[pid] for pid in shown], stall_budget_ms)
    when.set_yticks(range(len(shown)), labels=names)
    when.set_ylim(len(shown) - 0.4, -0.6)
    present = {bar.side for bar in bars}
    handles = [
        Patch(facecolor=fill, hatch=hatch, edgecolor=style.INK, lw=0.6, label=says)
        for side, (fill, hatch, says) in _SIDES.items()
        if side in present
    ]
    if held:
        handles.append(Patch(facecolor=style.ORANGE, alpha=0.4, label="our step held its locks"))
    fig.legend(handles=handles, loc="outside lower left", ncols=len(handles), handlelength=1.6)
    hidden = len(sessions) - len(shown)
    if hidden:
        when.set_xlabel(
            f"{when.get_xlabel()}; {counted(hidden, 'more session')} not drawn, their waits shorter"
        )
    return style.render(fig, alt=f"Timeline of lock waits of {counted(len(sessions), 'session')}: {verdict}.")


def _names(shown: Sequence[int], sessions: dict[int, list[Bar]]) -> list[str]:
    plain = [label(sessions[pid][0].who, 26) for pid in shown]
    return [
        f"{name} ({pid})" if plain.count(name) > 1 else name for pid, name in zip(shown, plain, strict=True)
    ]


def _unit(reach_ms: float) -> tuple[float, str]:
    return (1000.0, "s") if reach_ms > 2500 else (1.0, "ms")


def _timeline(axes: Axes, rows: Sequence[Sequence[Bar]], held: Sequence[tuple[float, float, str]]) -> None:
    edges = [edge for row in rows for bar in row for edge in (bar.start_ms, bar.end_ms)]
    edges += [edge for start, end, _ in held for edge in (start, end)]
    low, high = min([0.0, *edges]), max(edges)
    reach = max(high - low, 1.0)
    scale, unit = _unit(reach)
    thinnest = reach * 0.004  # one pixel or so: a wait of 2 ms in a step of minutes must still be seen
    for start, end, says in held:
        right = max(end, start + thinnest)
        band = axes.axvspan(start / scale, right / scale, color=style.ORANGE, alpha=0.4, lw=0)
        style.tip(band, f"{says}: held its locks for {duration(end - start)}")
    if 0 < len(held) <= 4:
        for level, (start, end, says) in enumerate(held):
            near_end = start > low + reach * 0.6
            axes.annotate(
                f"{label(says, 30)}, {duration(end - start)}",
                ((end if near_end else start) / scale, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3 + 11 * level),
                textcoords="offset points",
                ha="right" if near_end else "left",
                fontsize=8,
                color=style.QUIET,
            )
    for place, row in enumerate(rows):
        for bar in row:
            fill, hatch, _ = _SIDES[bar.side]
            (patch,) = axes.barh(
                place,
                max(bar.waited_ms, thinnest) / scale,
                left=bar.start_ms / scale,
                height=0.62,
                facecolor=fill,
                hatch=hatch,
                edgecolor=style.INK,
                linewidth=0.6,
            )
            style.tip(patch, bar.says)
    axes.set_xlim((low - reach * 0.01) / scale, (high + reach * 0.02) / scale)
    style.plain_axes(axes, xlabel=f"{unit} since the step began")


def _lengths(axes: Axes, rows: Sequence[Sequence[Bar]], stall_budget_ms: float) -> None:
    tops = [max(row, key=lambda bar: bar.waited_ms) for row in rows]
    reach = max([stall_budget_ms, *(bar.waited_ms for bar in tops)])
    scale, unit = _unit(reach)
    for place, bar in enumerate(tops):
        fill, hatch, _ = _SIDES[bar.side]
        (patch,) = axes.barh(
            place,
            bar.waited_ms / scale,
            height=0.62,
            facecolor=fill,
            hatch=hatch,
            edgecolor=style.INK,
            linewidth=0.6,
        )
        style.tip(patch, bar.says)
        axes.annotate(
            duration(bar.waited_ms),
            (bar.waited_ms / scale, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )
    axes.axvline(stall_budget_ms / scale, color=style.INK, linestyle=(0, (4, 2.5)), linewidth=1.3)
    far = stall_budget_ms > reach * 0.5
    axes.annotate(
        f"budget {duration(stall_budget_ms)}",
        (stall_budget_ms / scale, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right" if far else "left",
        fontsize=8,
        color=style.INK,
    )
    axes.set_xlim(0, reach / scale * 1.35)
    style.plain_axes(axes, xlabel=f"longest wait, {unit}")
    axes.spines["left"].set_visible(True)


def _calm(stall_budget_ms: float, samples: int | None) -> Picture:
    budget = duration(stall_budget_ms)
    seen = "no lock waits" + (f" in {counted(samples, 'sample')}" if samples is not None else " seen")
    fig = style.figure(8.6, 1.0)
    axes = fig.subplots()
    axes.axis("off")
    axes.text(0, 0.55, "✓", va="center", fontsize=17, fontweight="bold", color=style.GREEN)
    axes.text(0.035, 0.6, seen, va="center", fontsize=12, fontweight="bold")
    axes.text(0.035, 0.12, f"nobody waited; the stall budget was {budget}", va="center", color=style.QUIET)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    return style.render(fig, alt=f"{seen}; stall budget {budget}.")
