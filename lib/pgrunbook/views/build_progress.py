"""The picture of an index build: its phases, how far each was seen, and whom it waited for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from matplotlib.axes import Axes
from matplotlib.figure import FigureBase
from matplotlib.patches import Patch

from pgrunbook.views import style
from pgrunbook.views.style import Part, Picture, label
from pgrunbook.views.units import counted, duration

__all__ = ["Progress", "build_progress", "part"]

_HIGH = 0.68  # of a row
_TOLD = 30  # phases in words
_WAITED: dict[str, Any] = {"facecolor": style.ORANGE, "hatch": "////"}


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


@dataclass(frozen=True, slots=True)
class _Phase:
    name: str
    start_ms: float
    end_ms: float
    samples: tuple[Progress, ...]

    @property
    def shares(self) -> list[float]:
        return [min(one.done / one.total, 1.0) if one.total > 0 else 0.0 for one in self.samples]

    @property
    def waited_for(self) -> tuple[int, ...]:
        return tuple(dict.fromkeys(one.waits_for for one in self.samples if one.waits_for is not None))

    @property
    def says(self) -> str:
        took = duration(self.end_ms - self.start_ms)
        if self.waited_for:
            return f"{took}, waited for pid {', '.join(map(str, self.waited_for[:3]))}"
        return f"{took}, last seen at {100 * max(self.shares):.0f} %" if any(self.shares) else took


def build_progress(samples: Sequence[Progress]) -> Picture:
    """Return how far a build was in each of its phases, and where it waited for another session."""
    if not samples:
        return style.nothing("the build was over before it was looked at")
    return style.picture(part(samples))


def part(samples: Sequence[Progress]) -> Part:
    """Return the chart of a build, for a picture of several; there has to be a sample."""
    phases = _phases(samples)
    return Part(1.4 + 0.42 * len(phases), lambda fig: _draw(fig, phases))


def _draw(fig: FigureBase, phases: Sequence[_Phase]) -> str:
    last = max(phases[-1].end_ms, 1.0)
    summary = f"{counted(len(phases), 'phase')} in {duration(phases[-1].end_ms)}"
    style.title(fig, f"Index build: {summary}")
    axes = fig.subplots()
    for place, phase in enumerate(phases):
        _row(axes, place, phase)
    axes.set_yticks(range(len(phases)), labels=[label(phase.name, 44) for phase in phases])
    axes.set_ylim(len(phases) - 0.45, -0.6)
    axes.set_xlim(0, last * 1.02)
    style.time_axis(axes, last, xlabel="since the build began")
    keys = [
        Patch(facecolor=style.BLUE, label="part done"),
        Patch(facecolor=style.FAINT, label="time in phase"),
    ]
    if any(phase.waited_for for phase in phases):
        says = "waited for another session (nobody waits for this)"
        keys.append(Patch(**_WAITED, edgecolor=style.INK, lw=0.6, label=says))
    fig.legend(handles=keys, loc="outside lower left", ncols=3)
    said = "; ".join(f"{phase.name} {phase.says}" for phase in phases[:_TOLD])
    return f"Index build, {summary}: {said}."


def _phases(samples: Sequence[Progress]) -> list[_Phase]:
    """Return the phases in order; one lasts until the next was seen, the first from the beginning."""
    ordered = sorted(samples, key=lambda sample: sample.at_ms)
    groups: list[list[Progress]] = []
    for sample in ordered:
        if groups and groups[-1][0].phase == sample.phase:
            groups[-1].append(sample)
        else:
            groups.append([sample])
    starts = [0.0, *(group[0].at_ms for group in groups[1:]), ordered[-1].at_ms]
    return [
        _Phase(group[0].phase, starts[place], starts[place + 1], tuple(group))
        for place, group in enumerate(groups)
    ]


def _row(axes: Axes, place: int, phase: _Phase) -> None:
    look = _WAITED if phase.waited_for else {"facecolor": style.FAINT}
    (frame,) = axes.barh(
        place,
        (phase.end_ms - phase.start_ms),
        left=phase.start_ms,
        height=_HIGH,
        edgecolor=style.INK if phase.waited_for else style.GREY,
        linewidth=0.6,
        **look,
    )
    style.tip(frame, f"{phase.name}: {phase.says}")
    if any(phase.shares) and not phase.waited_for:
        at = [phase.start_ms, *(one.at_ms for one in phase.samples), phase.end_ms]
        shares = [phase.shares[0] if place else 0.0, *phase.shares, phase.shares[-1]]
        floor = place + _HIGH / 2
        axes.fill_between(
            at,
            [floor] * len(at),
            [floor - _HIGH * share for share in shares],
            facecolor=style.BLUE,
            linewidth=0,
        )
    style.aside(axes, place, phase.says)
