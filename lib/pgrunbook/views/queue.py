"""The board of a queue of jobs: slots and their leases, who waits by priority, what failed, what is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from pgrunbook.views import style, table
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import View

__all__ = ["board", "chart"]

Rows = Sequence[Mapping[str, Any]]
_KINDS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "due": ("due now", {"facecolor": style.BLUE, "hatch": ""}),
    "again": ("tried again later", {"facecolor": style.ORANGE, "hatch": "////"}),
    "later": ("later", {"facecolor": "white", "hatch": ""}),
}
_HELD: dict[str, Any] = {"facecolor": style.GREEN, "hatch": ""}
_OVER: dict[str, Any] = {"facecolor": style.VERMILLION, "hatch": "////"}
_MOST_SLOTS, _LINE, _ERROR = 12, 0.2, 80


def board(
    *, enabled: bool, cap: int, errors: int, waiting: Rows, running: Rows, failed: Rows, upcoming: Rows
) -> View:
    """Return the board: counts in the line; what moves with time is in tables, picture and facts.

    `errors` counts the jobs that failed, of which `failed` may be the first.
    """
    line = _line(enabled, cap, errors, waiting, running)
    picture = chart(line, cap=cap, waiting=waiting, running=running, failed=failed, upcoming=upcoming)
    parts = {"running": running, "waiting": waiting, "failed": failed, "next": upcoming}
    html = "\n<br>\n".join(table.to_html(rows, caption=name) for name, rows in parts.items() if rows)
    return View(line, html=html, png=picture.png, svg=picture.svg, facts={**parts, "picture": picture.alt})


def _line(enabled: bool, cap: int, errors: int, waiting: Rows, running: Rows) -> str:
    due = sum(row["due"] for row in waiting)
    rest = sum(row["again"] + row["later"] for row in waiting)
    said = [
        f"{len(running)} of {counted(cap, 'slot')} taken",
        f"{counted(due, 'job')} due",
        f"{rest:,} later",
    ]
    if errors:
        said.append(f"{errors:,} with an error")
    if over := sum(row["lease_seconds"] < 0 for row in running):
        said.append(f"{counted(over, 'lease')} over")
    return f"queue {'on' if enabled else 'OFF'}: {', '.join(said)}"


@style.house
def chart(line: str, *, cap: int, waiting: Rows, running: Rows, failed: Rows, upcoming: Rows) -> Picture:
    """Return the same as a picture: bars of slots and of priorities, and two lists below."""
    slots = min(max([cap, 1, *(row["slot"] for row in running)]), _MOST_SLOTS)
    lists = {"failed": [_failure(row) for row in failed], "next": [_coming(row) for row in upcoming]}
    heights = [
        0.5 + 0.26 * slots,
        0.5 + 0.26 * len(waiting),
        *(_LINE * (max(len(told), 1) + 1) for told in lists.values()),
    ]
    fig = style.figure(9.6, 0.8 + sum(heights))
    style.title(fig, line)
    panels = fig.subplots(len(heights), 1, height_ratios=heights)
    _slots(panels[0], slots, running)
    _levels(panels[1], waiting)
    for axes, (head, told) in zip(panels[2:], lists.items(), strict=True):
        _list(axes, head, told)
    keys = [Patch(edgecolor=style.INK, lw=0.6, label=name, **look) for name, look in _KINDS.values()]
    keys += [
        Patch(edgecolor=style.INK, lw=0.6, label=name, **look)
        for name, look in (("lease left", _HELD), ("lease over", _OVER))
    ]
    fig.legend(handles=keys, loc="outside lower left", ncols=len(keys))
    words = [_held(row) for row in running] + lists["failed"] + lists["next"]
    return style.render(fig, alt=f"{line}. {'; '.join(words)}")


def _slots(axes: Axes, slots: int, running: Rows) -> None:
    style.plain_axes(axes)
    drawn = {row["slot"]: row for row in running if row["slot"] <= slots}
    for slot in range(1, slots + 1):
        if (row := drawn.get(slot)) is None:
            style.aside(axes, slot, "free", quiet=True)
            continue
        look = _HELD if row["lease_seconds"] >= 0 else _OVER
        (bar,) = axes.barh(
            slot, row["lease_seconds"], height=0.62, edgecolor=style.INK, linewidth=0.6, **look
        )
        style.tip(bar, f"slot {slot}: {_held(row)}, worker {row['worker']}")
        style.aside(axes, slot, _held(row))
    axes.set_yticks(range(1, slots + 1), labels=[f"slot {number}" for number in range(1, slots + 1)])
    axes.set_ylim(slots + 0.5, 0.5)
    leases = [row["lease_seconds"] for row in drawn.values()]
    axes.set_xlim(min([0.0, *leases]) * 1.04, max([1.0, *leases]) * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 1.5, 3, 6, 10]))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: duration(abs(value) * 1000) if value else "now")
    )
    if not drawn:
        axes.grid(False)
        axes.tick_params(axis="x", length=0, labelbottom=False)


def _levels(axes: Axes, waiting: Rows) -> None:
    style.plain_axes(axes)
    for place, row in enumerate(waiting):
        left = 0
        for kind, (name, look) in _KINDS.items():
            if row[kind]:
                (bar,) = axes.barh(
                    place, row[kind], left=left, height=0.62, edgecolor=style.INK, linewidth=0.6, **look
                )
                style.tip(bar, f"{row['priority']}: {row[kind]:,} {name}")
            left += row[kind]
        told = [f"{row[kind]:,} {name}" for kind, (name, _) in _KINDS.items() if row[kind]]
        style.aside(axes, place, ", ".join(told) or "nobody waits", quiet=not told)
    axes.set_yticks(range(len(waiting)), labels=[label(row["priority"]) for row in waiting])
    axes.set_ylim(max(len(waiting), 1) - 0.5, -0.5)
    axes.set_xlim(0, max([1, *(sum(row[kind] for kind in _KINDS) for row in waiting)]) * 1.04)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _list(axes: Axes, head: str, told: Sequence[str]) -> None:
    axes.axis("off")
    look: dict[str, Any] = {"va": "top", "fontsize": 8.3, "transform": axes.transAxes}
    axes.text(0, 1, head, color=style.QUIET, **look)
    lines = told or ["none"]
    for number, text in enumerate(lines, 1):
        axes.text(0.02, 1 - number / (len(lines) + 1), text, color=style.INK if told else style.QUIET, **look)


def _held(row: Mapping[str, Any]) -> str:
    left = row["lease_seconds"] * 1000
    lease = f"lease ends in {duration(left)}" if left >= 0 else f"lease over since {duration(-left)}"
    again = f", attempt {row['attempt']}" if row["attempt"] > 1 else ""
    return f"{label(row['job'], 24)} for {duration(row['running_seconds'] * 1000)}{again}, {lease}"


def _failure(row: Mapping[str, Any]) -> str:
    when = row["again_in_seconds"]
    again = "not again" if when is None else f"again in {duration(max(when, 0) * 1000)}"
    error = label(row["error"] or "", _ERROR)
    return f"{label(row['job'], 28)}, {counted(row['failures'], 'failure')}, {again}: {error}"


def _coming(row: Mapping[str, Any]) -> str:
    return f"{label(row['job'], 28)}, {row['priority']}, in {duration(row['in_seconds'] * 1000)}"
