"""Writes the record of a run, as a page and as JSON: from its views, its executed notebook, or the ledger alone."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import psycopg
from nbformat import NotebookNode

from pgrunbook import dossier, places
from pgrunbook.dossier import Dossier
from pgrunbook.errors import CannotConnect, ChainBroken, UnknownName
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.views.record import Summary, export, synthesize
from pgrunbook.views.view import View

__all__ = ["FACTS", "PAGE", "from_journal", "from_ledger", "write_executed", "write_record"]

PAGE = "record.html"
FACTS = "record.json"


def write_record(run: Run, shown: Sequence[tuple[str, View]]) -> Path:
    """Write the record of a run that is bound now, with what it showed as evidence; return the page.

    Its facts beside it hold the ledger's events, so that the page can be written again when the database is gone.
    """
    folder = run.records / run.run_id
    (folder / FACTS).unlink(missing_ok=True)
    held = _from_run(run) or _from_folder(folder, run.run_id)
    return _write(folder, synthesize(held.title, shown), held)


def _from_run(run: Run) -> Dossier | None:
    """Return what the ledger holds of a run; None where the journal knows more, because the server is gone."""
    try:
        if run.binding.journal.pending():
            return None
        rows = run.ledger.run(run.run_id)
        try:
            chain = str(run.check_chain())
        except ChainBroken as error:
            chain = str(error)
        return dossier.from_ledger(run.run_id, rows, chain=chain) if rows else None
    except (CannotConnect, psycopg.Error):
        return None


def from_journal(run_id: str) -> Summary:
    """Return the summary of a run from what lies in its folder, for a run whose database may be gone."""
    return Summary(**_from_folder(places.records() / run_id, run_id).summary)


def _from_folder(folder: Path, run_id: str) -> Dossier:
    kept = folder / FACTS
    if kept.exists():
        held = dossier.read(kept.read_text(encoding="utf-8"), file=str(kept))
        if held.source == "ledger":
            return held
    return dossier.from_journal(run_id, Journal(folder).entries())


def write_executed(notebook: NotebookNode, summary: Summary) -> Path:
    """Write the record of a run with its executed notebook as evidence; return the page."""
    folder = places.records() / summary.run_id
    return _write(folder, notebook, _from_folder(folder, summary.run_id))


def from_ledger(ledger: Ledger, *, change: str, run_id: str | None) -> tuple[Path, Summary]:
    """Write the record of a run from the ledger alone, the last one of the change without `run_id`.

    Returns the page and its summary. Raises UnknownName when the ledger knows no such run, ChainBroken
    when its events were altered.
    """
    runs = [str(row["run_id"]) for row in ledger.runs(change)]
    chosen = run_id or (runs[-1] if runs else "the last one")
    if chosen not in runs:
        raise UnknownName(kind=f"run of {change}", name=chosen, known=runs)
    held = dossier.from_ledger(chosen, ledger.run(chosen), chain=str(ledger.check_chain()))
    return _write(places.records() / chosen, synthesize(held.title, []), held), Summary(**held.summary)


def _write(folder: Path, notebook: NotebookNode, held: Dossier) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    page = export(notebook, Summary(**held.summary))
    for name, text in ((FACTS, held.text), (PAGE, page)):
        fresh = folder / f".{name}"
        fresh.write_text(text, encoding="utf-8")
        os.replace(fresh, folder / name)
    return folder / PAGE
