"""Writes the HTML record of a run: from its views, from its executed notebook, or from the ledger alone."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
from nbformat import NotebookNode

from pgrunbook import places
from pgrunbook.errors import CannotConnect, ChainBroken, UnknownName
from pgrunbook.history import summarise
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.views.record import Summary, export, synthesize
from pgrunbook.views.view import View

__all__ = ["from_journal", "from_ledger", "write_executed", "write_record"]

_NAME = "record.html"
_LEDGER = "ledger.json"


def write_record(run: Run, shown: Sequence[tuple[str, View]]) -> Path:
    """Write the record of a run that is bound now, with what it showed as evidence; return the file.

    The ledger's events are kept beside it, so that the record can be written again when the database is gone.
    """
    folder = run.records / run.run_id
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _LEDGER).unlink(missing_ok=True)
    if kept := _ledger(run):
        (folder / _LEDGER).write_text(json.dumps(kept, ensure_ascii=False, default=str), encoding="utf-8")
    summary = _from_folder(folder, run.run_id)
    return _write(folder, synthesize(summary.title or summary.change, shown), summary)


def _ledger(run: Run) -> dict[str, object]:
    """Return what the ledger holds of a run; nothing where the journal knows more, because the server is gone."""
    try:
        events = run.ledger.events(run_id=run.run_id)
        if not events or run.binding.journal.pending():
            return {}
        return {"chain": str(run.check_chain()), "events": events}
    except ChainBroken as error:
        return {"chain": str(error), "events": events}
    except (CannotConnect, psycopg.Error):
        return {}


def from_journal(run_id: str) -> Summary:
    """Return the summary of a run from what lies in its folder, for a run whose database may be gone."""
    return _from_folder(places.records() / run_id, run_id)


def _from_folder(folder: Path, run_id: str) -> Summary:
    kept = folder / _LEDGER
    if kept.exists():
        ledger = json.loads(kept.read_text(encoding="utf-8"))
        return Summary(**summarise(run_id, ledger["events"], chain=ledger["chain"]))
    entries = Journal(folder).entries()
    merged = [entry for entry in entries if entry["kind"] == "merged"]
    chain = "not read: the ledger could not be reached any more"
    if not merged:
        chain = "not begun: nothing was written to the target"
    return Summary(**summarise(run_id, [entry for entry in entries if entry not in merged], chain=chain))


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
    chosen = run_id or (runs[-1] if runs else "the last one")
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
