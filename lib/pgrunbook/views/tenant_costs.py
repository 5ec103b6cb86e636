"""The picture of what row security costs: one bar a way of reading, on a logarithmic axis."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.ticker import FuncFormatter, NullLocator

from pgrunbook.views import style
from pgrunbook.views.style import Picture, label
from pgrunbook.views.units import duration

__all__ = ["tenant_costs"]

_LEAST = 0.01  # ms; a logarithmic axis has no zero


@style.house
def tenant_costs(medians_ms: Mapping[str, float]) -> Picture:
    """Return the median time of each way of reading one tenant's rows, in milliseconds."""
    if not medians_ms:
        return style.nothing("nothing was measured")
    fig = style.figure(8.6, 1.2 + 0.42 * len(medians_ms))
    style.title(fig, "One tenant's rows of 100,000: median time of a read")
    axes = fig.subplots()
    axes.set_xscale("log")
    for place, (way, median) in enumerate(medians_ms.items()):
        (bar,) = axes.barh(
            place, max(median, _LEAST), height=0.6, color=style.BLUE, edgecolor=style.INK, linewidth=0.6
        )
        said = duration(median)
        style.tip(bar, f"{way}: {said}")
        style.aside(axes, place, said)
    axes.set_yticks(range(len(medians_ms)), labels=[label(way, 44) for way in medians_ms])
    axes.set_ylim(len(medians_ms) - 0.5, -0.5)
    axes.set_xlim(_LEAST, max(*medians_ms.values(), 1.0) * 1.5)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: duration(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    style.plain_axes(axes)
    told = "; ".join(f"{way} {duration(median)}" for way, median in medians_ms.items())
    return style.render(fig, alt=f"Median time of a read of one tenant's rows: {told}.")
