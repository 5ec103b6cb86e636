"""Merging: what journals hold and the ledger does not, told once; also for runs that died."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pgrunbook.errors import JournalRefused
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger

__all__ = ["merge", "merge_left"]


def merge(ledger: Ledger, journal: Journal, *, run_id: str, change: str, wait_ms: int = 0) -> int:
    """Tell the ledger what a journal holds for it, in one transaction; return how many entries that was.

    Waits `wait_ms` for others who write to the chain, or as the session does.

    Each keeps its number and its time. A connection that dies in the COMMIT does no harm: the ledger refuses
    a number that it has.
    """
    pending = journal.pending()
    with ledger.conn.transaction():
        if wait_ms:
            ledger.conn.execute(f"SET LOCAL lock_timeout = {wait_ms}".encode())
        for entry in pending:
            ledger.event(
                run_id=run_id,
                change=change,
                step=entry["step"],
                kind=entry["kind"],
                actor=entry["actor"],
                detail={**entry["detail"], "journal_at": entry["at"]},
                entry=entry.get("n"),
            )
    journal.write("merged", detail={"entries": len(pending)}, in_ledger=True)
    return len(pending)


def merge_left(ledger: Ledger, own: Journal) -> Mapping[str, int]:
    """Merge the journals of runs that wrote to this very database and are over; return entries by run.

    Journals of live runs, of other databases and of runs that only looked are left alone, as are those that
    this operator may not read.
    """
    merged = {}
    for folder in _siblings(own.path.parent):
        journal = Journal(folder)
        with journal.taken_over() as over, contextlib.suppress(JournalRefused):
            if over and journal.pending() and _belongs(journal, ledger, own.database):
                journal.database = own.database
                merged[folder.name] = merge(ledger, journal, run_id=folder.name, change=_change(journal))
    return merged


def _siblings(folder: Path) -> Iterable[Path]:
    return sorted(file.parent for file in folder.parent.glob("*/journal.jsonl") if file.parent != folder)


def _belongs(journal: Journal, ledger: Ledger, database: str) -> bool:
    """Return whether a run wrote to this database; after a failover its ledger row may be lost."""
    entries = journal.entries()
    here = bool(database) and all(entry.get("database") == database for entry in entries)
    return here and (
        any(entry["kind"] == "merged" for entry in entries) or ledger.knows(journal.path.parent.name)
    )


def _change(journal: Journal) -> str:
    opened = (entry["detail"].get("change") for entry in journal.entries() if entry["kind"] == "run opened")
    return str(next(opened, ""))
