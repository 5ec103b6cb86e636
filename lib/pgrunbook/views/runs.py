"""Runs as rows: the list of a ledger or a folder, and what one of them holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pgrunbook.dossier import Dossier
from pgrunbook.shelf import Entry
from pgrunbook.views import table
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import View

__all__ = ["facts", "in_words", "listed", "one"]

_INVARIANT = ("change", "target", "outcome", "stalls")
# Of the others it depends on what the observers happened to see.
_SECTIONS = ("approvals", "checks", "steps", "remedies", "verification", "rollbacks", "rehearsal", "scripts")


def in_words(entries: Sequence[Entry], *, where: str) -> str:
    """Return the list for a terminal."""
    if not entries:
        return f"no run {where}"
    rows = [
        {name: "-" if value is None else value for name, value in _row(entry).items() if name != "stalls"}
        for entry in entries
    ]
    return f"{_line(entries)}; {where}\n{table.to_text(rows, cap=None)}"


def listed(entries: Sequence[Entry], *, in_full: bool) -> View:
    """Return the list; without `in_full` only what does not vary between two rehearsals of the same."""
    rows = [_row(entry) for entry in entries]
    shown = rows if in_full else [{name: row[name] for name in _INVARIANT} for row in rows]
    line = _line(entries)
    html = table.to_html(shown, caption=line, cap=200) if rows else None
    return View(line, html=html, facts={"runs": facts(entries)})


def one(held: Dossier) -> View:
    """Return what the document of one run holds, section by section."""
    run = held.facts["run"]
    sections = {**held.facts, "scripts": held.scripts}
    rows = [{"section": name, "rows": len(sections[name])} for name in _SECTIONS]
    line = visible(f"{run.get('change', '')}, {run.get('target_kind', '')}: {run.get('outcome', '')}")
    html = table.to_html(rows, caption=f"{line}; what its record holds besides its events", cap=None)
    return View(line, html=html, facts={"run": run, "rows": {**_rows_of(held), "events": len(held.events)}})


def facts(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Return the list for machines."""
    return [
        {
            name: str(value) if name == "record" and value is not None else value
            for name, value in ((name, getattr(entry, name)) for name in entry.__slots__)
        }
        for entry in entries
    ]


def _rows_of(held: Dossier) -> dict[str, int]:
    return {name: len(value) for name, value in held.facts.items() if isinstance(value, list)}


def _line(entries: Sequence[Entry]) -> str:
    outcomes = Counter(visible(entry.outcome) for entry in entries)
    said = ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())[:6])
    return f"{counted(len(entries), 'run')}{f': {said}' if said else ''}"


def _row(entry: Entry) -> dict[str, object]:
    worst = entry.worst_stall_ms
    stalls = "OVER the budget" if (worst or 0) > entry.stall_budget_ms else "within the budget"
    return {
        "run": entry.run_id,
        "change": entry.change,
        "target": f"{entry.target} ({entry.target_kind})" if entry.target_kind else None,
        "operator": entry.operator or None,
        "started": f"{entry.started[:19].replace('T', ' ')}" if entry.started else None,
        "took": None if entry.took_s is None else duration(entry.took_s * 1000),
        "outcome": entry.outcome,
        "worst stall": None if worst is None else duration(worst),
        "stalls": "not known" if worst is None else stalls,
        "record": None
        if entry.record is None
        else f"{entry.record.name}{', signed' if entry.signed else ''}",
    }
