"""The shelf: the runs that a ledger knows, and those whose records or journals lie in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pgrunbook import dossier, legible, seal, signature
from pgrunbook.dossier import Dossier
from pgrunbook.errors import NoRecord, UnknownName
from pgrunbook.history import heading
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger

__all__ = ["FACTS", "PAGE", "Entry", "find", "in_folder", "in_ledger", "load"]

PAGE: Final = "record.html"
FACTS: Final = "record.json"
# What a list tells is made of these alone; the rest of a detail may be large.
_KEYS: Final = (
    "change",
    "title",
    "target",
    "target_kind",
    "operator",
    "outcome",
    "verdict",
    "worst_stall_ms",
    "stall_budget_ms",
    "journal_at",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One run on the shelf; times are UTC texts."""

    run_id: str
    change: str
    target: str
    target_kind: str
    operator: str
    started: str
    took_s: float | None
    outcome: str
    good: bool
    worst_stall_ms: float | None
    stall_budget_ms: float
    record: Path | None
    """The page or its facts, where they lie in the records folder."""
    signed: bool
    """Whether a signature lies beside the page; who signed it is for `verify` to say."""


def in_ledger(ledger: Ledger, *, change: str | None, folder: Path) -> list[Entry]:
    """Return the runs that a ledger knows, of one change or of all, the last one first."""
    events: dict[str, list[dict[str, Any]]] = {}
    for row in ledger.briefs(change=change, keys=_KEYS):
        events.setdefault(row["run_id"], []).append(dict(legible.heads(row)))
    found = [_entry(_heading(run, own), run, own[0]["change"], folder) for run, own in events.items()]
    return found[::-1]


def _heading(run_id: str, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    unread = sum(1 for event in events if legible.UNREAD in event)
    told = heading(run_id, events)
    return {**told, "outcome": f"{told['outcome']}{_not_read(unread)}"}


def _not_read(count: int) -> str:
    return f" ({count:,} event{'s' if count > 1 else ''} cannot be read)" if count else ""


def in_folder(folder: Path, *, change: str | None) -> list[Entry]:
    """Return the runs whose record or journal lies in a folder, of one change or of all, the last one first.

    One that cannot be read says so as its outcome: it must not hide the others.
    """
    found = []
    for own in sorted(folder.iterdir() if folder.is_dir() else []):
        if not any((own / name).is_file() for name in (FACTS, PAGE, "journal.jsonl")):
            continue
        try:
            held = load(own)
            told, unread = held.facts["run"], len(held.facts.get("unread", []))
            run = {**told, "outcome": f"{told['outcome']}{_not_read(unread)}"}
            entry = _entry(run, held.run_id, held.events[0].change if held.events else "", folder, own)
        except Exception as error:  # whatever somebody made of a file
            outcome = f"cannot be read: {getattr(error, 'found', error)}"
            entry = _entry({"outcome": outcome}, own.name, "", folder)
        if change in (None, entry.change):
            found.append(entry)
    return sorted(found, key=lambda one: (one.started, one.run_id), reverse=True)


def load(path: Path) -> Dossier:
    """Return the facts of a run: from its record (page or JSON), or from its folder.

    Raises BadDossier, NoRecord, and OSError.
    """
    if path.is_dir():
        for name in (FACTS, PAGE):
            if (path / name).is_file():
                return load(path / name)
        return dossier.from_journal(path.name, Journal(path).entries())
    if path.suffix.lower() == ".json":
        return dossier.read(path.read_text(encoding="utf-8", errors="surrogateescape"), file=str(path))
    sealed = seal.held(path.read_bytes(), file=str(path))
    if sealed.facts is None:
        raise NoRecord(file=str(path), found="its facts cannot be read")
    return dossier.read(sealed.facts, file=str(path))


def find(name: str, *, folder: Path, ledger: Ledger | None) -> Dossier:
    """Return the facts of a run by its name, from a ledger or from the folder, or from a record's file.

    The ledger comes first: a file may be older. Raises UnknownName, and what `load` raises.
    """
    name = name.replace("\0", "")
    if ledger is not None and (rows := ledger.run(name)):
        return dossier.from_ledger(name, rows, chain="")
    path = Path(name)
    if path.is_file() or (path.is_dir() and any((path / one).is_file() for one in (FACTS, PAGE))):
        return load(path)
    own = folder / path
    if name not in ("", ".", "..") and own.parent == folder and own.is_dir():
        return load(own)
    known = [one.run_id for one in in_ledger(ledger, change=None, folder=folder)] if ledger else []
    known = known or [one.run_id for one in in_folder(folder, change=None)]
    raise UnknownName(kind="run or record", name=name, known=known[:10])


def _entry(run: Mapping[str, Any], run_id: str, change: str, folder: Path, own: Path | None = None) -> Entry:
    own = own or folder / run_id
    # What a ledger calls a run may lead anywhere.
    inside = own.parent == folder and ".." not in own.parts and "\0" not in run_id
    files = [own / name for name in (PAGE, FACTS) if inside and run_id and (own / name).is_file()]
    return Entry(
        run_id=run_id,
        change=str(run.get("change") or change),
        target=str(run.get("target", "")),
        target_kind=str(run.get("target_kind", "")),
        operator=str(run.get("operator", "")),
        started=str(run.get("started", "")),
        took_s=_took_s(run),
        outcome=str(run.get("outcome", "")),
        good=bool(run.get("good")),
        worst_stall_ms=run.get("worst_stall_ms"),
        stall_budget_ms=float(run.get("stall_budget_ms") or 0),
        record=files[0] if files else None,
        signed=bool(files) and signature.beside(own / PAGE).is_file(),
    )


def _took_s(run: Mapping[str, Any]) -> float | None:
    """Return how long a run took, in seconds; None where its times are none."""
    try:
        first, last = (datetime.fromisoformat(str(run[name])) for name in ("started", "finished"))
        return (last - first).total_seconds()
    except (KeyError, ValueError, TypeError):
        return None
