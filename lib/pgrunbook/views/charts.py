"""Pictures of what a change cost: lock waits, query times, index builds, sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator, NullLocator

from pgrunbook.views import style
from pgrunbook.views.lock_waits import Wait, lock_waits
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted, duration, percent, size

__all__ = ["Picture", "Progress", "Size", "Timing", "Wait", "build_progress", "lock_waits", "sizes", "timings"]

_LOG_FROM = 15  # a larger ratio of slowest to fastest needs a logarithmic axis


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


class Progress(Protocol):
    """One sample of a running build; time in ms since it began."""

    @property
    def at_ms(self) -> float: ...  # noqa: D102
    @property
    def phase(self) -> str: ...  # noqa: D102
    @property
    def done(self) -> int: ...  # noqa: D102
    @property
    def total(self) -> int: ...  # noqa: D102
    @property
    def waits_for(self) -> int | None: ...  # noqa: D102


class Size(Protocol):
    """One relation's size on disk, before and after."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def before_bytes(self) -> int: ...  # noqa: D102
    @property
    def after_bytes(self) -> int: ...  # noqa: D102


def _title(fig: object, text: str) -> None:
    fig.suptitle(text, x=0.008, ha="left", fontsize=10.5, fontweight="bold")  # type: ignore[attr-defined]


def _faster(before: float, after: float) -> str:
    """Return how two medians compare.

    >>> _faster(41.0, 0.05), _faster(1.0, 1.05), _faster(1.0, 2.0)
    ('820 times faster', 'about the same', '2 times slower')
    """
    if before <= 0 or after <= 0 or 0.9 < before / after < 1.12:
        return "about the same"
    ratio, word = (before / after, "faster") if after < before else (after / before, "slower")
    return f"{ratio:.3g} times {word}" if ratio < 1000 else f"{ratio:,.0f} times {word}"


@style.house
def timings(before: Sequence[Timing], after: Sequence[Timing]) -> Picture:
    """Return each query's median and range before and after, on a logarithmic axis where ranges need it."""
    firsts, seconds = {item.name: item for item in before}, {item.name: item for item in after}
    names = list(dict.fromkeys([*firsts, *seconds]))
    if not names:
        return _nothing("no query was timed")
    values = [max(ms, 1e-4) for item in (*before, *after) for ms in (*item.runs_ms, item.median_ms)]
    fig = style.figure(8.6, 1.35 + 0.56 * len(names))
    _title(fig, "Query times before and after")
    axes = fig.subplots()
    if max(values) / min(values) > _LOG_FROM:
        axes.set_xscale("log")
        axes.set_xlim(min(values) / 1.6, max(values) * 1.6)
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.set_xlim(0, max(values) * 1.12)
    said: list[str] = []
    for place, name in enumerate(names):
        first, second = firsts.get(name), seconds.get(name)
        for item, offset, colour, marker, when in (
            (first, -0.16, style.ORANGE, "o", "before"),
            (second, 0.16, style.BLUE, "D", "after"),
        ):
            if item is None:
                continue
            runs = [max(ms, 1e-4) for ms in (*item.runs_ms, item.median_ms)]
            axes.plot(
                [min(runs), max(runs)], [place + offset] * 2, color=colour, linewidth=2.4, alpha=0.55,
                solid_capstyle="butt",
            )
            (dot,) = axes.plot(
                [max(item.median_ms, 1e-4)],
                [place + offset],
                marker=marker,
                markersize=7.5,
                linestyle="",
                markerfacecolor=colour if when == "after" else "white",
                markeredgecolor=colour if when == "after" else style.INK,
                markeredgewidth=1.2,
            )
            style.tip(
                dot,
                f"{item.title or name}, {when}: median {duration(item.median_ms)}"
                f" of {counted(len(item.runs_ms), 'run')}, {counted(item.rows, 'row')},"
                f" {item.shared_hit:,} blocks from cache, {item.shared_read:,} read; {', '.join(item.nodes)}",
            )
        line, small = _comparison(first, second)
        said.append(f"{label(name)}: {line}")
        for text, y, colour in ((line, place - 0.15, style.INK), (small, place + 0.2, style.QUIET)):
            axes.annotate(
                text, (1.015, y), xycoords=("axes fraction", "data"), va="center", fontsize=8.3, color=colour
            )
    axes.set_yticks(range(len(names)), labels=[label(name, 30) for name in names])
    axes.set_ylim(len(names) - 0.5, -0.55)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    style.plain_axes(axes, xlabel="ms (median and range of runs)")
    dots = [
        axes.plot(
            [], [], marker="o", linestyle="", markersize=7, markerfacecolor="white",
            markeredgecolor=style.INK, label="before",
        )[0],
        axes.plot([], [], marker="D", linestyle="", markersize=7, color=style.BLUE, label="after")[0],
    ]
    fig.legend(handles=dots, loc="outside lower left", ncols=2, handletextpad=0.1)
    return style.render(fig, alt=f"Query times before and after. {'; '.join(said[:20])}.")


def _comparison(first: Timing | None, second: Timing | None) -> tuple[str, str]:
    """Return one line of times and one of plans."""
    if first is None or second is None:
        only = first or second
        assert only is not None
        when = "before" if second is None else "after"
        return f"{duration(only.median_ms)}, timed only {when}", label(" + ".join(only.nodes), 40)
    line = (
        f"{duration(first.median_ms)} → {duration(second.median_ms)}, {_faster(first.median_ms, second.median_ms)}"
    )
    plans = label(" + ".join(first.nodes), 26), label(" + ".join(second.nodes), 26)
    return line, plans[0] if plans[0] == plans[1] else f"{plans[0]} → {plans[1]}"


@style.house
def build_progress(samples: Sequence[Progress]) -> Picture:
    """Return how far a build was in each of its phases, and where it waited for another session."""
    if not samples:
        return _nothing("the build was over before it was looked at")
    ordered = sorted(samples, key=lambda sample: sample.at_ms)
    phases = list(dict.fromkeys(sample.phase for sample in ordered))
    last = ordered[-1].at_ms
    scale, unit = (60_000.0, "min") if last > 300_000 else (1000.0, "s") if last > 2000 else (1.0, "ms")
    fig = style.figure(8.6, 1.4 + 0.42 * len(phases))
    _title(fig, f"Index build: {counted(len(phases), 'phase')} in {duration(last)}")
    axes = fig.subplots()
    any_wait = False
    for place, phase in enumerate(phases):
        own = [sample for sample in ordered if sample.phase == phase]
        later = [sample.at_ms for sample in ordered if sample.at_ms > own[-1].at_ms]
        start, end = own[0].at_ms if place else 0.0, min(later, default=own[-1].at_ms)
        end = max(end, start + max(last, 1.0) * 0.004)
        measured = any(sample.total > 0 for sample in own)
        floor = place + 0.34
        (frame,) = axes.barh(
            place, (end - start) / scale, left=start / scale, height=0.68, facecolor=style.FAINT,
            edgecolor=style.GREY, linewidth=0.6,
        )
        style.tip(frame, f"{phase}: {duration(end - start)}")
        if measured:
            height = [0.68 * min(sample.done / sample.total, 1) if sample.total > 0 else 0.0 for sample in own]
            at = [start, *(sample.at_ms for sample in own), end]
            tops = [floor - high for high in (0.0 if not place else height[0], *height, height[-1])]
            axes.fill_between(
                [ms / scale for ms in at], [floor] * len(at), tops, facecolor=style.BLUE, linewidth=0
            )
        waited = [sample for sample in own if sample.waits_for is not None]
        if waited:
            any_wait = True
            (bar,) = axes.barh(
                place, (end - start) / scale, left=start / scale, height=0.68, facecolor=style.ORANGE,
                hatch="////", edgecolor=style.INK, linewidth=0.6,
            )
            pids = ", ".join(str(pid) for pid in dict.fromkeys(sample.waits_for for sample in waited))
            style.tip(bar, f"{phase}: waited for pid {pids}, up to {duration(end - start)}")
        furthest = max((sample.done / sample.total for sample in own if sample.total > 0), default=None)
        text = duration(end - start) + (f", last seen at {min(furthest, 1):.0%}" if furthest is not None and not waited else "")
        if waited:
            text += f", waited for pid {waited[-1].waits_for}"
        axes.annotate(
            text, (1.015, place), xycoords=("axes fraction", "data"), va="center", fontsize=8.3, color=style.INK
        )
    axes.set_yticks(range(len(phases)), labels=[label(phase, 44) for phase in phases])
    axes.set_ylim(len(phases) - 0.45, -0.6)
    axes.set_xlim(0, max(last, 1.0) / scale * 1.02)
    style.plain_axes(axes, xlabel=f"{unit} since the build began")
    handles = [Patch(facecolor=style.BLUE, label="part done"), Patch(facecolor=style.FAINT, label="time in phase")]
    if any_wait:
        handles.append(
            Patch(
                facecolor=style.ORANGE, hatch="////", edgecolor=style.INK, lw=0.6,
                label="waited for another session (nobody waits for this)",
            )
        )
    fig.legend(handles=handles, loc="outside lower left", ncols=3)
    return style.render(
        fig, alt=f"Index build of {duration(last)} in {counted(len(phases), 'phase')}: {', '.join(phases)}."
    )


@style.house
def sizes(items: Sequence[Size]) -> Picture:
    """Return the size of each relation before and after."""
    if not items:
        return _nothing("no size was measured")
    fig = style.figure(8.6, 1.3 + 0.5 * len(items))
    _title(fig, "Size on disk before and after")
    axes = fig.subplots()
    reach = max(max(item.before_bytes, item.after_bytes) for item in items) or 1
    for place, item in enumerate(items):
        for value, offset, fill, hatch, when in (
            (item.before_bytes, -0.19, "white", "////", "before"),
            (item.after_bytes, 0.19, style.BLUE, "", "after"),
        ):
            if not value:
                continue
            (bar,) = axes.barh(
                place + offset, value, height=0.34, facecolor=fill, hatch=hatch, edgecolor=style.INK, linewidth=0.6
            )
            style.tip(bar, f"{item.name}, {when}: {size(value)} ({value:,} bytes)")
        axes.annotate(
            f"{size(item.before_bytes)} → {size(item.after_bytes)}, {percent(item.before_bytes, item.after_bytes)}",
            (1.015, place),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8.3,
        )
    axes.set_yticks(range(len(items)), labels=[label(item.name, 34) for item in items])
    axes.set_ylim(len(items) - 0.5, -0.55)
    axes.set_xlim(0, reach * 1.04)
    axes.xaxis.set_major_locator(MultipleLocator(_round_step(reach)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(int(value))))
    style.plain_axes(axes)
    handles = [
        Patch(facecolor="white", hatch="////", edgecolor=style.INK, lw=0.6, label="before"),
        Patch(facecolor=style.BLUE, edgecolor=style.INK, lw=0.6, label="after"),
    ]
    fig.legend(handles=handles, loc="outside lower left", ncols=2)
    said = "; ".join(f"{item.name} {size(item.before_bytes)} to {size(item.after_bytes)}" for item in items[:20])
    return style.render(fig, alt=f"Size on disk before and after: {said}.")


def _round_step(reach: int) -> int:
    """Return a distance of grid lines that is a round number of kB, MB or GB.

    >>> _round_step(1_512_000_000) == 512 * 1024**2, _round_step(40_000) == 10 * 1024
    (True, True)
    """
    unit = 1
    while reach >= unit * 1024:
        unit *= 1024
    below = max(unit // 1024, 1)
    steps = [below * n for n in (1, 2, 5, 10, 20, 50, 128, 256, 512)] + [unit * n for n in (1, 2, 5, 10, 20, 50, 100, 200)]
    return next((step for step in steps if reach / step <= 5), unit * 500)


def _nothing(why: str) -> Picture:
    fig = style.figure(8.6, 0.7)
    axes = fig.subplots()
    axes.axis("off")
    axes.text(0, 0.5, why, va="center", fontsize=11, color=style.QUIET)
    return style.render(fig, alt=f"{why}.")
