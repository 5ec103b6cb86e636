"""The picture of who waited for locks, for how long, and how that compares with the stall budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from pgrunbook.spells import Span
from pgrunbook.views import style
from pgrunbook.views.style import Part, Picture, label
from pgrunbook.views.units import counted, duration
from pgrunbook.views.wait_bars import BEHIND as _BEHIND
from pgrunbook.views.wait_bars import OTHER as _OTHER
from pgrunbook.views.wait_bars import OURS as _OURS
from pgrunbook.views.wait_bars import Bar, Wait, collapse

__all__ = ["lock_waits", "part"]

# (fill, hatch, legend); the order is the order of concern.
_SIDES = {
    _BEHIND: (style.RUST, "", "waited behind us"),
    _OURS: (style.SKY, "////", "our step waited"),
    _OTHER: (style.FAINT, "\\\\\\\\", "waited for someone else"),
}
_BACK = "held back"
_SIDES[_BACK] = ("white", "||||", "our step looked and did not ask")
_HELD: dict[str, Any] = {"facecolor": style.ORANGE, "alpha": 0.4, "lw": 0}
_US, _NOBODY = "our step", 0
_MOST_ROWS, _TOLD = 20, 10
_LEVELS = 3  # of labels above the timeline


def _verdict(bars: Sequence[Bar], stall_budget_ms: float) -> str:
    worst = max((bar.waited_ms for bar in bars if bar.side == _BEHIND), default=None)
    if worst is None:
        return f"nobody waited behind us (stall budget {duration(stall_budget_ms)})"
    over = worst > stall_budget_ms
    return (
        f"worst stall {duration(worst)}, {'OVER' if over else 'within'}"
        f" the stall budget of {duration(stall_budget_ms)}"
    )


def lock_waits(
    waits: Sequence[Wait],
    *,
    stall_budget_ms: float,
    held: Sequence[Span] = (),
    held_back: Sequence[Span] = (),
    samples: int | None = None,
) -> Picture:
    """Return the timeline of lock waits, one row a session, beside the longest wait of each.

    `held` says when our step held its locks, `held_back` when it looked and did not ask, because of somebody:
    (start, end, label), in ms since the step began, as in `waits`. `samples` is how often was looked; a picture
    without waits states it.
    """
    if not waits and not held_back:
        return _calm(stall_budget_ms, samples)
    return style.picture(part(waits, stall_budget_ms=stall_budget_ms, held=held, held_back=held_back))


def part(
    waits: Sequence[Wait],
    *,
    stall_budget_ms: float,
    held: Sequence[Span] = (),
    held_back: Sequence[Span] = (),
) -> Part:
    """Return the timeline for a picture of several; there has to be a wait, or somebody we held back for."""
    sessions: dict[int, list[Bar]] = {}
    for start, end, why in held_back:
        says = f"{_US} looked and did not ask for {duration(end - start)}, because of {why}"
        sessions.setdefault(_NOBODY, []).append(Bar(_NOBODY, _US, start, end, _BACK, says))
    for bar in collapse(waits):
        sessions.setdefault(bar.pid, []).append(bar)
    # Who stood behind us is never left out for somebody who waited longer for others.
    by_concern = sorted(
        sessions,
        key=lambda pid: (
            pid != _NOBODY,
            all(bar.side != _BEHIND for bar in sessions[pid]),
            -max(bar.waited_ms for bar in sessions[pid]),
        ),
    )
    shown = sorted(by_concern[:_MOST_ROWS], key=lambda pid: (pid != _NOBODY, sessions[pid][0].start_ms, pid))
    return Part(
        1.75 + 0.27 * len(shown),
        lambda fig: _draw(fig, sessions, shown, held, stall_budget_ms=stall_budget_ms),
    )


def _draw(
    fig: FigureBase,
    sessions: dict[int, list[Bar]],
    shown: Sequence[int],
    held: Sequence[Span],
    *,
    stall_budget_ms: float,
) -> str:
    bars = [bar for row in sessions.values() for bar in row]
    rows = [sessions[pid] for pid in shown]
    verdict = _verdict(bars, stall_budget_ms)
    style.title(fig, f"Lock waits: {verdict}")
    when, longest = fig.subplots(1, 2, sharey=True, width_ratios=(3.2, 1))
    _timeline(when, rows, held)
    _lengths(longest, rows, stall_budget_ms)
    when.set_yticks(range(len(shown)), labels=_names(shown, sessions))
    when.set_ylim(len(shown) - 0.4, -0.6)
    present = {bar.side for bar in bars}
    handles = [
        Patch(facecolor=fill, hatch=hatch, edgecolor=style.INK, lw=0.6, label=says)
        for side, (fill, hatch, says) in _SIDES.items()
        if side in present
    ]
    if held:
        handles.append(Patch(**_HELD, label="our step held its locks"))
    fig.legend(handles=handles, loc="outside lower left", ncols=3, handlelength=1.6)
    if hidden := len(sessions) - len(shown):
        when.set_xlabel(f"{when.get_xlabel()}; {counted(hidden, 'more session')} not drawn")
    worst = [max(row, key=lambda bar: bar.waited_ms).says for row in rows[:_TOLD]]
    people = len(sessions) - (_NOBODY in sessions)
    who = f" of {counted(people, 'session')}" if people else ""
    return f"Timeline of lock waits{who}: {verdict}; {'; '.join(worst)}."


def _names(shown: Sequence[int], sessions: dict[int, list[Bar]]) -> list[str]:
    plain = [label(sessions[pid][0].who, 26) for pid in shown]
    return [
        f"{name} ({pid})" if plain.count(name) > 1 else name for pid, name in zip(shown, plain, strict=True)
    ]


def _timeline(axes: Axes, rows: Sequence[Sequence[Bar]], held: Sequence[Span]) -> None:
    edges = [edge for row in rows for bar in row for edge in (bar.start_ms, bar.end_ms)]
    edges += [edge for start, end, _ in held for edge in (start, end)]
    low, high = min([0.0, *edges]), max(edges)
    reach = max(high - low, 1.0)
    thinnest = reach * 0.004  # one pixel or so: a wait of 2 ms in a step of minutes must still be seen
    for start, end, says in held:
        right = max(end, start + thinnest)
        band = axes.axvspan(start, right, **_HELD)
        style.tip(band, f"{says}: held its locks for {duration(end - start)}")
    _name_held(axes, held, low=low, reach=reach)
    for place, row in enumerate(rows):
        for bar in row:
            fill, hatch, _ = _SIDES[bar.side]
            (patch,) = axes.barh(
                place,
                max(bar.waited_ms, thinnest),
                left=bar.start_ms,
                height=0.62,
                facecolor=fill,
                hatch=hatch,
                edgecolor=style.INK,
                linewidth=0.6,
            )
            style.tip(patch, bar.says)
    axes.set_xlim((low - reach * 0.01), (high + reach * 0.02))
    style.time_axis(axes, reach, xlabel="since the step began")


def _name_held(axes: Axes, held: Sequence[Span], *, low: float, reach: float) -> None:
    """Write above the bands what they are, as far as there is room: their tooltips say all of it."""
    taken: list[tuple[int, float, float]] = []
    for start, end, says in held:
        text = f"{label(says, 30)}, {duration(end - start)}" if len(held) <= 4 else label(says, 12)
        wide = (len(text) + 1) * 0.015  # of the axes, about
        left = (start - low) / reach
        left = min(left, (end - low) / reach - wide) if left > 0.6 else left
        for level in range(_LEVELS):
            if all(one[0] != level or left >= one[2] or left + wide <= one[1] for one in taken):
                break
        else:
            continue
        taken.append((level, left, left + wide))
        axes.annotate(
            text,
            ((low + left * reach), 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3 + 11 * level),
            textcoords="offset points",
            fontsize=8,
            color=style.QUIET,
        )


def _lengths(axes: Axes, rows: Sequence[Sequence[Bar]], stall_budget_ms: float) -> None:
    tops = [max(row, key=lambda bar: bar.waited_ms) for row in rows]
    # That we held back stalls nobody: it must not make the stalls look small.
    stalls = [bar for bar in tops if bar.side != _BACK]
    reach = max([stall_budget_ms, *(bar.waited_ms for bar in stalls)])
    for place, bar in enumerate(tops):
        fill, hatch, _ = _SIDES[bar.side]
        length = bar.waited_ms if bar.side != _BACK else 0.0
        (patch,) = axes.barh(
            place,
            length,
            height=0.62,
            facecolor=fill,
            hatch=hatch,
            edgecolor=style.INK,
            linewidth=0.6,
        )
        style.tip(patch, bar.says)
        axes.annotate(
            duration(bar.waited_ms),
            (length, place),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
        )
    axes.axvline(stall_budget_ms, color=style.INK, linestyle=(0, (4, 2.5)), linewidth=1.3)
    far = stall_budget_ms > reach * 0.5
    axes.annotate(
        f"budget {duration(stall_budget_ms)}",
        (stall_budget_ms, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="right" if far else "left",
        fontsize=8,
        color=style.INK,
    )
    axes.set_xlim(0, reach * 1.35)
    style.time_axis(axes, reach * 1.35, xlabel="longest wait", ticks=3, zero=False)
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
