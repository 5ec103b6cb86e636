"""Writes the HTML record of a run: from its views, from its executed notebook, or from the ledger alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from nbformat import NotebookNode

from pgrunbook import places
from pgrunbook.errors import UnknownName
from pgrunbook.history import summarise
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.views.record import Summary, export, synthesize
from pgrunbook.views.view import View

__all__ = ["from_journal", "from_ledger", "write_executed", "write_record"]

_NAME = "record.html"


def write_record(run: Run, shown: Sequence[tuple[str, View]]) -> Path:
    """Write the record of a run that is bound now, with what it showed as evidence; return the file."""
    events = run.ledger.events(run_id=run.run_id) if run.ledger.exists else []
    chain = str(run.check_chain() or "")
    (run.records / run.run_id).mkdir(parents=True, exist_ok=True)
    (run.records / run.run_id / "chain.txt").write_text(chain, encoding="utf-8")
    summary = Summary(
        **summarise(run.run_id, events or run.journal.entries(), chain=chain or "the ledger was not reached")
    )
    return _write(run.records / run.run_id, synthesize(summary.title or summary.change, shown), summary)


def from_journal(run_id: str) -> Summary:
    """Return the summary of a run from its journal, for a run whose database may be gone."""
    folder = places.records() / run_id
    chain = folder / "chain.txt"
    entries = [entry for entry in Journal(folder).entries() if entry["kind"] != "merged"]
    said = chain.read_text(encoding="utf-8") if chain.exists() else ""
    return Summary(**summarise(run_id, entries, chain=said or "the ledger was not reached"))


def write_executed(notebook: NotebookNode, summary: Summary) -> Path:
    """Write the record of a run with its executed notebook as evidence; return the file."""
    return _write(places.records() / summary.run_id, notebook, summary)


def from_ledger(ledger: Ledger, *, change: str, run_id: str | None) -> tuple[Path, Summary]:
    """Write the record of a run from the ledger alone, the last one of the change without `run_id`.

    Returns the file and its summary. Raises UnknownName when the ledger knows no such run, ChainBroken
    when its events were altered.
    """
    events = ledger.events(change=change)
    runs = list(dict.fromkeys(str(event["run_id"]) for event in events))
    chosen = run_id or (runs[-1] if runs else "")
    if chosen not in runs:
        raise UnknownName(kind=f"run of {change}", name=chosen, known=runs)
    own = [event for event in events if event["run_id"] == chosen]
    summary = Summary(**summarise(chosen, own, chain=str(ledger.check_chain())))
    return _write(places.records() / chosen, synthesize(summary.title or change, []), summary), summary


def _write(folder: Path, notebook: NotebookNode, summary: Summary) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file, fresh = folder / _NAME, folder / f".{_NAME}"
    fresh.write_text(export(notebook, summary), encoding="utf-8")
    os.replace(fresh, file)
    return file
