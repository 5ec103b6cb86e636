"""Gauges of a live panel: how much is done, and the worst stall beside its budget, each with its figure."""

from __future__ import annotations

from pgrunbook.views.units import duration

__all__ = ["share_gauge", "stall_gauge"]

_WIDTH, _HEIGHT = 420, 14
_FILL, _OVER, _INK, _FAINT = "#0072B2", "#A33B00", "#1f2328", "#e4e8ec"


def share_gauge(share: float | None) -> str:
    """Return a bar of how much is done, from 0 to 1; nothing where that is not known."""
    if share is None:
        return ""
    percent = int(100 * min(max(share, 0.0), 1.0))
    return _gauge(percent / 100, f"{percent} % done", fill=_FILL)


def stall_gauge(worst_ms: float, budget_ms: float) -> str:
    """Return a bar of the worst stall so far, with a mark at the budget; nothing for what stops nobody.

    >>> "worst stall so far 6 ms, budget 100 ms" in stall_gauge(6, 100), stall_gauge(0, 0)
    (True, '')
    """
    if not budget_ms:
        return ""
    over = worst_ms > budget_ms
    says = (
        f"worst stall so far {duration(worst_ms)}, {'OVER the ' if over else ''}budget {duration(budget_ms)}"
    )
    reach = 1.25 * max(worst_ms, budget_ms)
    return _gauge(worst_ms / reach, says, fill=_OVER if over else _FILL, mark=budget_ms / reach)


def _gauge(share: float, says: str, *, fill: str, mark: float | None = None) -> str:
    budget = ""
    if mark is not None:
        x = max(1.0, _WIDTH * mark)
        budget = f'<path d="M{x:.1f} 0V{_HEIGHT}" stroke="{_INK}" stroke-width="2" stroke-dasharray="3 2"/>'
    return (
        '<div style="display:flex;align-items:center;gap:.8em;margin:.2em 0">'
        f'<svg role="img" aria-label="{says}" width="{_WIDTH}" height="{_HEIGHT}"'
        f' viewBox="0 0 {_WIDTH} {_HEIGHT}" style="flex:none;max-width:50%">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="{_FAINT}"/>'
        f'<rect width="{_WIDTH * share:.1f}" height="{_HEIGHT}" fill="{fill}"/>{budget}</svg>'
        f"<span>{says}</span></div>"
    )
