"""Writes the record of a run, as a page and as JSON: from its views, its executed notebook, or the ledger alone."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from nbformat import NotebookNode

from pgrunbook import archive, dossier, places, seal
from pgrunbook.binding import tell
from pgrunbook.chain import Chain
from pgrunbook.dossier import Dossier
from pgrunbook.errors import BadDossier, ChainBroken, NoRecord, RecordDiffers, RunbookError, UnknownName
from pgrunbook.history import WRITTEN
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.run import Run
from pgrunbook.signature import beside
from pgrunbook.views.record import Summary, export, synthesize
from pgrunbook.views.view import View

__all__ = [
    "FACTS",
    "PAGE",
    "Written",
    "from_journal",
    "from_ledger",
    "page_of",
    "write_executed",
    "write_record",
]

PAGE = "record.html"
FACTS = "record.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """A record that was written."""

    page: Path
    summary: Summary
    unknown: str = ""
    """Why the ledger does not know the files, empty where it does or where there is none to know them."""
    next_step: str = ""
    kept: Path | None = None
    """Where the page lies now that was there before, with what the operator saw."""
    stands: str = ""
    """Why the page that was there is left as it is, empty where it was written anew."""

    @property
    def lines(self) -> list[str]:
        """Return where the page lies and what there is to say beside that, one sentence a line."""
        said = [f"not written anew: {self.stands}"] if self.stands else []
        said += [f"the one before it, with what the operator saw: {self.kept}"] if self.kept else []
        return [f"record: {self.page}", *said, *self.remarks]

    @property
    def remarks(self) -> list[str]:
        """Return what there is to say of the ledger, where it does not know the record."""
        if not self.unknown:
            return []
        return [f"the ledger does not know this record: {self.unknown}", f"  next: {self.next_step}"]

    @property
    def facts(self) -> dict[str, str]:
        """Return where the page lies, for machines, and what there is to say beside that."""
        kept = {"kept": str(self.kept or ""), "unknown_to_ledger": self.unknown}
        return {"record": str(self.page), **kept}


def write_record(run: Run, shown: Sequence[tuple[str, View]]) -> Written:
    """Write the record of a run that is bound now, with what it showed as evidence.

    Its facts beside it hold the ledger's events, so that the page can be written again when the database is gone. A
    page that is there is put aside. The ledger gets the hashes of both; where it cannot be told the journal keeps
    them until it can.
    """
    folder = run.records / run.run_id
    from_run = _from_run(run)
    # Facts of an earlier record are older than what the journal knows.
    held = from_run[0] if from_run else dossier.from_journal(run.run_id, Journal(folder).entries())
    page, kept = _write(folder, synthesize(held.title, shown), held)
    unknown = next_step = ""
    if from_run:
        unknown = run.binding.note_beside(
            from_run[1], WRITTEN, _hashes(held, page), step="", actor=run.operator
        )
        next_step = "the journal keeps that: the next run that writes to this database tells it"
    elif held.chain == dossier.NOT_READ:
        unknown = "it could not be told all of the run, or not be read: this is what the journal holds"
        next_step = f"when it can be: `pgrunbook record {run.run_id}`"
    return Written(
        page=page, summary=Summary(**held.summary), unknown=unknown, next_step=next_step, kept=kept
    )


def _from_run(run: Run) -> tuple[Dossier, Ledger] | None:
    """Return what the ledger holds of a run; None where the journal knows more, because that cannot be read now."""
    try:
        # A record that the ledger does not know yet tells nothing of the run.
        if any(one["kind"] != WRITTEN for one in run.binding.journal.pending()):
            return None
        state: Chain | ChainBroken | None
        try:
            state = run.check_chain()
        except ChainBroken as error:
            state = error
        ledger = run.ledger
        held = _whole(ledger, run.run_id, state)
        return (held, ledger) if held.events else None
    except (RunbookError, psycopg.Error):
        return None


def _whole(ledger: Ledger, run_id: str, state: Chain | ChainBroken | None) -> Dossier:
    """Return what the ledger holds of a run, with the text of each script that it keeps."""
    rows, chain = ledger.run(run_id), str(state)
    if isinstance(state, Chain):
        # What came since the chain was computed is in no record whose chain ends before it.
        rows = [row for row in rows if row["id"] <= state.events]
    held = dossier.from_ledger(run_id, rows, chain=chain)
    texts = archive.texts(ledger.conn, {str(one["sha256"]) for one in held.scripts})
    return dossier.make(run_id, held.events, source=held.source, chain=chain, texts=texts)


def from_journal(run_id: str) -> Summary:
    """Return the summary of a run from what lies in its folder, for a run whose database may be gone."""
    return Summary(**_from_folder(places.records() / run_id, run_id).summary)


def _from_folder(folder: Path, run_id: str) -> Dossier:
    kept = folder / FACTS
    if kept.exists():
        held = dossier.read(kept.read_text(encoding="utf-8", errors="surrogateescape"), file=str(kept))
        if held.source == "ledger":
            return held
    return dossier.from_journal(run_id, Journal(folder).entries())


def write_executed(notebook: NotebookNode, summary: Summary) -> Path:
    """Write the record of a run with its executed notebook as evidence; return the page."""
    folder = places.records() / summary.run_id
    # The page that its own cell wrote shows nothing that is not in the notebook.
    page, _ = _write(folder, notebook, _from_folder(folder, summary.run_id), keep=False)
    return page


def from_ledger(
    ledger: Ledger,
    *,
    change: str,
    run_id: str | None,
    actor: str = "",
    proved: Callable[[Path], bool] | None = None,
) -> Written:
    """Write the record of a run from the ledger alone, the last one of the change without `run_id`.

    `change` may be the run itself. The page that is there is put aside, since it alone holds what the operator saw;
    with `proved` it is left as it is where it holds and the ledger vouches for it; where the ledger knows no record of
    the run, `proved` has to say that the page is what its facts give. Where its role may write to the ledger, that gets
    the hashes of the files, told by `actor`. Raises UnknownName when the ledger knows no such run, ChainBroken when its
    events were altered.
    """
    chosen = _chosen(ledger, change, run_id)
    held = _whole(ledger, chosen, ledger.check_chain())
    folder, summary = places.records() / chosen, Summary(**held.summary)
    if proved and (stands := _stands(folder / PAGE, held, proved)):
        return Written(page=folder / PAGE, summary=summary, stands=stands)
    page, kept = _write(folder, synthesize(held.title, []), held)
    unknown = ""
    try:
        change, own = held.events[-1].change, _hashes(held, page)
        tell(ledger, run_id=held.run_id, change=change, kind=WRITTEN, actor=actor, detail=own)
    except psycopg.Error as error:
        unknown = str(error).splitlines()[0]
    again = "call again, as a role that may write to the ledger, while nobody holds it"
    return Written(page=page, summary=summary, unknown=unknown, next_step=again, kept=kept)


def _stands(page: Path, held: Dossier, proved: Callable[[Path], bool]) -> str:
    """Return why a page stands, empty where it does not: the ledger knows it, or knows none and has its events."""
    try:
        sealed = seal.held(page.read_bytes(), file=str(page))
        own = dossier.read(sealed.facts or "", file=str(page))
        if sealed.broken or own.source != "ledger" or own.events != held.events[: len(own.events)]:
            return ""
        written = [one.told["detail"].get("sha256") for one in held.events if one.kind == WRITTEN]
        if sealed.sha256 in written:
            return "the ledger vouches for the one that was there"
        unknown = (
            "the ledger knows no record of this run; the one that was there holds its events, and shows them"
        )
        return unknown if not written and proved(page) else ""
    except (OSError, NoRecord, BadDossier, RecordDiffers):
        return ""


def _chosen(ledger: Ledger, change: str, run_id: str | None) -> str:
    if run_id is None and ledger.run(change):
        return change
    runs = _runs(ledger, change)
    if not runs and run_id is None:
        raise UnknownName(kind="run or change in the ledger", name=change, known=_runs(ledger, None))
    chosen = run_id if run_id is not None else runs[-1]
    if chosen not in runs:
        raise UnknownName(kind=f"run of {change}", name=chosen, known=runs)
    return chosen


def _runs(ledger: Ledger, change: str | None) -> list[str]:
    """Return the runs of a change, or of all, in the order in which they began."""
    return list(dict.fromkeys(str(row["run_id"]) for row in ledger.briefs(change=change, keys=())))


def page_of(held: Dossier) -> str:
    """Return the page that the facts give by themselves, without evidence."""
    return export(synthesize(held.title, []), Summary(**held.summary))


def _write(
    folder: Path, notebook: NotebookNode, held: Dossier, *, keep: bool = True
) -> tuple[Path, Path | None]:
    """Write page and facts; return the page, and where another that was there was put aside if it is to be kept."""
    folder.mkdir(parents=True, exist_ok=True)
    page, facts, kept = folder / PAGE, held.text, None
    contents = seal.close(export(notebook, Summary(**held.summary)), facts)
    before = page.read_bytes() if page.is_file() else b""
    if before != contents:
        if keep and before:
            kept = page.with_stem(f"{page.stem}-{hashlib.sha256(before).hexdigest()[:12]}")
            _move(page, kept)
        # A signature or a print of what was there before says nothing of this one.
        for stale in (beside(page), page.with_suffix(".pdf")):
            stale.unlink(missing_ok=True)
    for name, written in ((FACTS, _bytes(facts)), (PAGE, contents)):
        fresh = folder / f".{name}"
        fresh.write_bytes(written)
        os.replace(fresh, folder / name)
    return page, kept


def _move(page: Path, to: Path) -> None:
    """Move a page with its signature and its print."""
    for old, new in (
        (beside(page), beside(to)),
        (page.with_suffix(".pdf"), to.with_suffix(".pdf")),
        (page, to),
    ):
        if old.is_file():
            os.replace(old, new)


def _bytes(text: str) -> bytes:
    # A script need not be UTF-8.
    return text.encode("utf-8", "surrogateescape")


def _hashes(held: Dossier, page: Path) -> Mapping[str, str]:
    """Return what the ledger is to know of the files, so that one that was forged and sealed again is found."""
    return {
        "file": page.name,
        "sha256": hashlib.sha256(page.read_bytes()).hexdigest(),
        "facts_sha256": hashlib.sha256(_bytes(held.text)).hexdigest(),
    }
