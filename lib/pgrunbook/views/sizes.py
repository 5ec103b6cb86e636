"""The picture of sizes on disk before and after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MultipleLocator

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import percent, size

__all__ = ["Size", "sizes"]

_MOST = 40
_INDEXES = ", indexes"
_BEFORE: dict[str, Any] = {"facecolor": "white", "hatch": "////"}
_AFTER: dict[str, Any] = {"facecolor": style.BLUE, "hatch": ""}


class Size(Protocol):
    """One relation's size on disk, before and after."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def before_bytes(self) -> int: ...  # noqa: D102
    @property
    def after_bytes(self) -> int: ...  # noqa: D102


@style.house
def sizes(items: Sequence[Size]) -> Picture:
    """Return the size of each relation before and after."""
    if not items:
        return style.nothing("no size was measured")
    most = sorted(items, key=lambda one: -abs(one.after_bytes - one.before_bytes))[:_MOST]
    left, items = len(items) - len(most), [one for one in items if one in most]
    fig = style.figure(8.6, 1.3 + 0.5 * len(items))
    style.title(fig, "Size on disk before and after")
    axes = fig.subplots()
    reach = max(max(item.before_bytes, item.after_bytes) for item in items) or 1
    for place, item in enumerate(items):
        for value, offset, look, when in (
            (item.before_bytes, -0.19, _BEFORE, "before"),
            (item.after_bytes, 0.19, _AFTER, "after"),
        ):
            if value:
                (bar,) = axes.barh(
                    place + offset,
                    value,
                    height=0.34,
                    edgecolor=style.INK,
                    linewidth=0.6,
                    **look,
                )
                style.tip(bar, f"{item.name}, {when}: {size(value)} ({value:,} bytes)")
        style.aside(axes, place, _change(item))
    axes.set_yticks(range(len(items)), labels=[_name(item.name) for item in items])
    axes.set_ylim(len(items) - 0.5, -0.55)
    axes.set_xlim(0, reach * 1.04)
    axes.xaxis.set_major_locator(MultipleLocator(_round_step(reach)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(int(value))))
    style.plain_axes(axes, xlabel=f"{left} more, which changed less, not drawn" if left else "")
    keys = [
        Patch(edgecolor=style.INK, lw=0.6, label=when, **look)
        for when, look in (("before", _BEFORE), ("after", _AFTER))
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=2)
    said = "; ".join(f"{item.name} {_change(item)}" for item in items[:20])
    return style.render(fig, alt=f"Size on disk before and after: {said}.")


def _name(name: str) -> str:
    """Return a name as a label; that it is about the indexes of a table is never cut off.

    >>> _name("a" * 40 + ", indexes"), _name("classes, indexes")
    ('aaaaaaaaaaaaaaaaaaaaaaaaa…, indexes', 'classes, indexes')
    """
    base, found, _ = name.rpartition(_INDEXES)
    return f"{label(base, 25)}{_INDEXES}" if found else label(name, 34)


def _change(item: Size) -> str:
    before, after = item.before_bytes, item.after_bytes
    if not before and after:
        return f"new, {size(after)}"
    return f"{size(before)} → {size(after)}, {percent(before, after)}"


def _round_step(reach: int) -> int:
    """Return a distance of grid lines, in bytes, that is a round number of kB, MB or GB.

    >>> _round_step(1_512_000_000) == 512 * 1024**2, _round_step(40_000) == 10 * 1024
    (True, True)
    """
    unit = 1
    while unit * 1024 <= reach:
        unit *= 1024
    smaller = [unit // 1024 * n for n in (64, 128, 256, 512)] if unit > 1 else []
    steps = [*smaller, *(unit * n for n in (1, 2, 5, 10, 20, 50, 100, 200))]
    return next((step for step in steps if reach / step <= 5), unit * 500)
