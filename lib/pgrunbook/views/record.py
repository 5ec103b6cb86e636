"""The record: the one HTML file that is left of a run."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from nbformat import NotebookNode, v4

from pgrunbook.views import sections
from pgrunbook.views.exporter import RecordExporter
from pgrunbook.views.summary import Summary
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import View

__all__ = ["Summary", "export", "synthesize"]


def export(notebook: NotebookNode, summary: Summary) -> str:
    """Return the record as one self-contained HTML page: summary, evidence, scripts, events, versions.

    The page loads nothing and runs nothing. It depends on its input alone: the same notebook and summary give
    the same bytes. The notebook is not changed.
    """
    page = _page(summary)
    redrawn = {one.id: one.title for one in page["before"] if any(block.figure for block in one.blocks)}
    html, _ = RecordExporter(redrawn=redrawn).from_notebook_node(notebook, resources={"page": page})
    return str(html)


def synthesize(title: str, entries: Sequence[tuple[str, View]]) -> NotebookNode:
    """Return a notebook made of (heading, view) entries, for a record of a run that no notebook drove."""
    make: Any = v4
    if not entries:
        alone = "Nothing more was kept: this record tells what the ledger and the journal hold."
        return NotebookNode(make.new_notebook(cells=[make.new_markdown_cell(alone, id="title")]))
    cells = [make.new_markdown_cell(f"# {_literal(title)}", id="title")]
    for number, (heading, view) in enumerate(entries, 1):
        cells.append(make.new_markdown_cell(f"## {_literal(heading)}", id=f"heading-{number}"))
        output = make.new_output("display_data", data=view.data(), metadata=view.metadata())
        cells.append(make.new_code_cell("", id=f"entry-{number}", outputs=[output]))
    return NotebookNode(make.new_notebook(cells=cells))


def _literal(text: str) -> str:
    r"""Return text as Markdown that means the text and nothing else.

    >>> print(_literal("a *b* <c>"))
    a \*b\* \<c\>
    """
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", visible(text)) or "untitled"


def _page(summary: Summary) -> dict[str, Any]:
    """Return the summary in the template's words."""
    return {
        "run_id": summary.run_id,
        "change": summary.change,
        "title": summary.title or summary.change,
        "outcome": summary.outcome,
        "good": bool(summary.good),
        "stall": _stall(summary.worst_stall_ms, summary.stall_budget_ms),
        "facts": _facts(summary),
        "before": sections.before(summary),
        "after": sections.after(summary),
    }


def _stall(worst_ms: float | None, budget_ms: float) -> dict[str, object]:
    if worst_ms is None:
        return {
            "says": f"Stalls were not measured; the budget was {duration(budget_ms)}.",
            "percent": None,
            "over": False,
        }
    over = worst_ms > budget_ms
    stalled = f"Live traffic stalled for at most {duration(worst_ms)}" if worst_ms else "Nobody stalled"
    return {
        "says": f"{stalled}, {'OVER' if over else 'within'} the budget of {duration(budget_ms)}.",
        "percent": min(100, round(100 * worst_ms / budget_ms)) if budget_ms else 100,
        "over": over,
    }


def _facts(summary: Summary) -> list[tuple[str, str]]:
    return [
        ("Change", summary.change),
        ("Target", f"{summary.target} ({summary.target_kind})"),
        ("Server", summary.server),
        ("Operator", summary.operator),
        ("Started", _time(summary.started)),
        ("Finished", _time(summary.finished) if summary.finished else "not finished"),
        ("Took", _took(summary.started, summary.finished)),
        ("Window", f"until {summary.window_ends}" if summary.window_ends else "none was set"),
        ("Approved by", _approvers(summary)),
        ("Run", summary.run_id),
        ("Event chain", summary.chain or "not recorded"),
        *(
            [("Not read", f"{counted(len(summary.unread), 'event')}, shown as they stand")]
            if summary.unread
            else []
        ),
    ]


def _approvers(summary: Summary) -> str:
    """Return who said GO, each once."""
    people = dict.fromkeys(str(row.get("who")) for row in summary.approvals if row.get("decision") == "GO")
    return ", ".join(people) or "nobody"


def _parsed(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _time(text: str) -> str:
    """Return an ISO time for reading, to the second.

    >>> _time("2026-03-01T22:00:14.123456+00:00"), _time("2026-03-01T22:00:14Z"), _time("soon")
    ('2026-03-01 22:00:14 UTC', '2026-03-01 22:00:14 UTC', 'soon')
    """
    at = _parsed(text)
    if at is None:
        return text
    zone = "UTC" if at.utcoffset() is None or not at.utcoffset() else at.strftime("%z")
    return f"{at:%Y-%m-%d %H:%M:%S} {zone}"


def _took(started: str, finished: str | None) -> str:
    first, last = _parsed(started), _parsed(finished or "")
    if first is None or last is None or (first.utcoffset() is None) != (last.utcoffset() is None):
        return "unknown"
    return duration((last - first).total_seconds() * 1000)
