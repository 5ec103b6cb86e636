"""The board of a run as a view: every step done, next or blocked, and where to go on."""

from __future__ import annotations

from pgrunbook.bearings import Bearings, Place
from pgrunbook.views import table
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import View

__all__ = ["rows", "view"]

NOTHING = "-"


def view(found: Bearings, *, live: bool) -> View:
    """Return the board; times, names and sessions vary, so that a rehearsal keeps them in the facts."""
    done = sum(place.done for place in found.places)
    said = f"{found.change}: {done} of {counted(len(found.places), 'step')} done"
    shown = rows(found)
    last = "what became of it" if live else "why"
    kept = [
        {
            **{name: row[name] for name in ("step", "title", "status")},
            last: _told(row) if live else row["why"],
        }
        for row in shown
    ]
    html = table.to_html(kept, caption=said)
    if found.remedies:
        states = [{"remedy": name, "status": state} for name, state in found.remedies.items()]
        html += table.to_html(states, caption="remedies, in whatever run")
    if live and found.here:
        html += table.to_html([{"in the way of the next step now": one} for one in found.here])
    facts = {
        "steps": shown,
        "remedies": dict(found.remedies),
        "resume": found.line,
        "in the way": list(found.here),
    }
    return View(f"{said}\n{visible(found.line)}", html=html, facts=facts)


def rows(found: Bearings) -> list[dict[str, object]]:
    """Return one row a step: what became of it, when, by whom, how long it took and the worst stall."""
    return [_row(place) for place in found.places]


def _told(row: dict[str, object]) -> str:
    """Return a row's last columns as one: eight of them are too many for a page beside its folders.

    >>> _told({"why": "-", "when": "02:00 UTC", "by": "ann", "took": "1 s", "worst stall": "6 ms"})
    '02:00 UTC by ann, took 1 s, worst stall 6 ms'
    >>> _told({"why": "gate closed", "when": "-", "by": "-", "took": "-", "worst stall": "-"})
    'gate closed'
    """
    by = f" by {row['by']}" if row["by"] != NOTHING else ""
    parts = [f"{row['when']}{by}"] if row["when"] != NOTHING else []
    parts += [f"{name} {row[name]}" for name in ("took", "worst stall") if row[name] != NOTHING]
    why = [str(row["why"])] if row["why"] != NOTHING else []
    return "; ".join([*why, *[", ".join(parts)] * bool(parts)]) or NOTHING


def _row(place: Place) -> dict[str, object]:
    return {
        "step": place.step.name,
        "title": place.step.migrate.header.title,
        "status": place.state,
        "why": place.why or NOTHING,
        "when": place.at or NOTHING,
        "by": place.by or NOTHING,
        "took": NOTHING if place.seconds is None else duration(place.seconds * 1000),
        "worst stall": NOTHING if place.worst_stall_ms is None else duration(float(place.worst_stall_ms)),
    }
