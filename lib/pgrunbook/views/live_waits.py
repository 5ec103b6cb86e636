"""The small picture of a step while it runs: who waits for whom, for how long, and where our own request stands."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from pgrunbook.spells import Spell
from pgrunbook.views.text import shorten, visible
from pgrunbook.views.units import duration

__all__ = ["BEHIND", "HELD_BACK", "HOLDS", "OURS", "live_waits", "reach"]

OURS, BEHIND, OTHER, HELD_BACK, HOLDS = "ours", "behind us", "other", "held back", "holds"
_SAYS = {
    OURS: "our request queues",
    BEHIND: "waits behind us",
    OTHER: "waits for somebody else",
    HELD_BACK: "we look and do not ask",
    HOLDS: "we hold our locks",
}
# Fill and the hatch over it: each is told from the others without its colour.
_LOOKS = {
    OURS: ("#56B4E9", "M0 6 6 0"),
    BEHIND: ("#A33B00", ""),
    OTHER: ("#e4e8ec", "M0 0 6 6"),
    HELD_BACK: ("#ffffff", "M3 0V6"),
    HOLDS: ("#E69F00", "M0 3H6"),
}
_MOST, _LEFT, _WIDTH, _RIGHT, _ROW, _TOP = 6, 180, 270, 170, 20, 4
_TOTAL = _LEFT + _WIDTH + _RIGHT
_KEYS = 3  # of the legend, side by side
_STEPS_S = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600)


def reach(end_ms: float) -> float:
    """Return how far the axis goes, in ms: in steps, so that the picture does not change with every moment.

    >>> reach(0), reach(1001), reach(61_000), reach(3_600_001)
    (1000.0, 2000.0, 120000.0, 7200000.0)
    """
    return float(
        next((s * 1000 for s in _STEPS_S if s * 1000 >= end_ms), -(-end_ms // 3_600_000) * 3_600_000)
    )


def live_waits(ours: Sequence[Spell], others: Sequence[Spell]) -> str:
    """Return the picture as SVG for a panel, or nothing while nobody waits: our own row, then the sessions.

    Of the others the last are shown, those behind us first. Names come from the database and are escaped.
    """
    if not ours and not others:
        return ""
    rows = _rows(ours, others)
    left_out = len({one.pid for one in others}) - sum(1 for name, _ in rows if name != _ME)
    end = reach(max(one.end_ms for one in (*ours, *others)))
    present = [side for side in _LOOKS if any(one.side == side for one in (*ours, *others))]
    height = _TOP + _ROW * len(rows) + 22 + 18 * -(-len(present) // _KEYS)
    said = says(ours, others)
    parts = [_hatches(present)]
    for place, (name, spells) in enumerate(rows):
        parts.append(_row(_TOP + _ROW * place, name, spells, end))
    parts.append(_axis(_TOP + _ROW * len(rows), end, left_out))
    parts.append(_legend(_TOP + _ROW * len(rows) + 24, present))
    return (
        f'<svg role="img" aria-label="{escape(said)}" viewBox="0 0 {_TOTAL} {height}" width="{_TOTAL}"'
        f' style="max-width:100%;background:#fff" font-family="sans-serif" font-size="12">'
        f"<desc>{escape(said)}</desc>{''.join(parts)}</svg>"
    )


_ME = "our step"


def says(ours: Sequence[Spell], others: Sequence[Spell]) -> str:
    """Return the picture in words, the longest first, with its figures."""
    lines = [f"{_ME}: {_SAYS[one.side]}, {duration(one.ms)}" for one in ours[-2:]]
    lines += [_told(one) for one in sorted(_worst(others).values(), key=_concern)[:_MOST]]
    return visible("; ".join(lines))


def _told(one: Spell) -> str:
    for_whom = f" for pid {', '.join(map(str, one.blockers[:3]))}" if one.blockers else ""
    return f"{shorten(one.who, 40)} (pid {one.pid}) {_SAYS.get(one.side, _SAYS[OTHER])}{for_whom}, {duration(one.ms)}"


def _concern(one: Spell) -> tuple[bool, float]:
    return one.side != BEHIND, -one.end_ms


def _worst(others: Sequence[Spell]) -> dict[int, Spell]:
    found: dict[int, Spell] = {}
    for one in others:
        if one.pid not in found or one.ms > found[one.pid].ms:
            found[one.pid] = one
    return found


def _rows(ours: Sequence[Spell], others: Sequence[Spell]) -> list[tuple[str, list[Spell]]]:
    shown = sorted(_worst(others).values(), key=_concern)[:_MOST]
    rows = [(_ME, list(ours))] if ours else []
    return rows + [
        (f"{one.who} ({one.pid})", [spell for spell in others if spell.pid == one.pid]) for one in shown
    ]


def _row(top: float, name: str, spells: Sequence[Spell], end: float) -> str:
    bars = []
    for one in spells:
        side = one.side if one.side in _LOOKS else OTHER
        x, width = _LEFT + _WIDTH * one.start_ms / end, max(2.0, _WIDTH * one.ms / end)
        fill, hatch = _LOOKS[side]
        place = f'x="{x:.1f}" y="{top + 3}" width="{width:.1f}" height="{_ROW - 6}" stroke="#1f2328"'
        bars.append(f'<rect {place} stroke-width=".6" fill="{fill}"/>')
        if hatch:
            bars.append(f'<rect {place} stroke-width=".6" fill="url(#{_id(side)})"/>')
    last = max(spells, key=lambda one: one.end_ms)
    for_whom = f" for pid {last.blockers[0]}" if last.blockers else ""
    more = f" +{len(last.blockers) - 1}" if len(last.blockers) > 1 else ""
    about = f"{duration(max(spells, key=lambda one: one.ms).ms)}{for_whom}{more}"
    weight = ' font-weight="bold"' if name == _ME else ""
    return (
        f'<text x="{_LEFT - 8}" y="{top + 14}" text-anchor="end"{weight}>{escape(visible(shorten_name(name)))}</text>'
        f'{"".join(bars)}<text x="{_LEFT + _WIDTH + 8}" y="{top + 14}">{escape(about)}</text>'
    )


def shorten_name(name: str) -> str:
    """Return a name that fits before its row; a pid at its end stays.

    >>> shorten_name("a" * 40 + " (4711)"), shorten_name("web (4711)")
    ('aaaaaaaaaaaaaaaaaa… (4711)', 'web (4711)')
    """
    if len(name) <= 26:
        return name
    head, _, tail = name.rpartition(" (")
    return f"{head[: 23 - len(tail)]}… ({tail}" if head else f"{name[:25]}…"


def _axis(top: float, end: float, left_out: int) -> str:
    marks = "".join(
        f'<text x="{_LEFT + _WIDTH * share:.0f}" y="{top + 14}" text-anchor="middle" fill="#59636e">'
        f"{escape(duration(end * share))}</text>"
        for share in (0, 0.5, 1)
    )
    more = (
        f'<text x="{_LEFT + _WIDTH + 40}" y="{top + 14}">and {left_out} more</text>' if left_out > 0 else ""
    )
    return f'<path d="M{_LEFT} {top + 1}H{_LEFT + _WIDTH}" stroke="#9aa4ae"/>{marks}{more}'


def _legend(top: float, present: Sequence[str]) -> str:
    parts = []
    for number, side in enumerate(present):
        x, y = 8 + _TOTAL // _KEYS * (number % _KEYS), top + 18 * (number // _KEYS)
        fill, hatch = _LOOKS[side]
        place = f'x="{x}" y="{y}" width="18" height="12" stroke="#1f2328" stroke-width=".6"'
        parts.append(f'<rect {place} fill="{fill}"/>')
        if hatch:
            parts.append(f'<rect {place} fill="url(#{_id(side)})"/>')
        parts.append(f'<text x="{x + 24}" y="{y + 10}">{_SAYS[side]}</text>')
    return "".join(parts)


def _id(side: str) -> str:
    return f"pgrunbook-live-{side.replace(' ', '-')}"


def _hatches(present: Sequence[str]) -> str:
    return (
        "<defs>"
        + "".join(
            f'<pattern id="{_id(side)}" width="6" height="6" patternUnits="userSpaceOnUse">'
            f'<path d="{_LOOKS[side][1]}" stroke="#1f2328" stroke-width=".8"/></pattern>'
            for side in present
            if _LOOKS[side][1]
        )
        + "</defs>"
    )
