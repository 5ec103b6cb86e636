"""A record beside the ledger that it tells of: event by event, and whether the ledger knows the file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields

from pgrunbook import archive
from pgrunbook.dossier import Event
from pgrunbook.errors import RecordDiffers, RecordElsewhere
from pgrunbook.history import WRITTEN
from pgrunbook.inspection import HEAD, Inspection, naming
from pgrunbook.ledger import Ledger
from pgrunbook.session import ServerFacts
from pgrunbook.views.units import counted

__all__ = ["match"]

_KNOWN = "the ledger knows it: "
# Before any of these a run opens itself in the ledger; decisions, previews and refusals may come earlier.
_WRITES = re.compile(
    r"(?:apply|rollback) (?:started|done|failed|cancelled)|remedy (?:started|applied|stopped|undone)"
)


def match(found: Inspection, ledger: Ledger, facts: ServerFacts) -> dict[str, str]:
    """Return what the ledger says of a file that was inspected, one sentence for each part.

    Raises RecordDiffers with the first event that is another one here, or with what the inspection found and the
    ledger does not vouch for; RecordElsewhere where this is not the ledger of the run; ChainBroken where the ledger
    itself was altered.
    """
    if not ledger.exists:
        raise RecordElsewhere(
            file=found.file, found=f"there is no ledger in {ledger.target.where} to compare it with"
        )
    cluster = _cluster(found, facts)
    here = {row["id"]: Event(**row) for row in ledger.run(found.held.run_id)}
    if not here and found.held.source == "ledger":
        raise RecordElsewhere(
            file=found.file,
            found=f"the ledger in {ledger.target.where} does not know run {found.held.run_id}",
        )
    says = {"cluster": cluster} if cluster else {}
    if found.held.source == "ledger":
        says["ledger"] = _events(found, here)
    elif here:
        raise _differs(
            found,
            f"it was written from the journal, and the ledger knows {counted(len(here), 'event')} of this run",
            next_step=f"write it again: `pgrunbook record {found.held.run_id}`",
        )
    elif wrote := next((one for one in found.held.events if _WRITES.fullmatch(one.kind)), None):
        raise _differs(
            found,
            f"it tells of {naming(wrote)}, and the ledger in {ledger.target.where} knows nothing of this run",
        )
    else:
        says["ledger"] = "it knows nothing of this run either"
    ledger.check_chain()
    _head(found, ledger)
    says["file"] = _known(found, here)
    if found.held.source == "ledger" and not says["file"].startswith(_KNOWN):
        _texts(found, ledger)
    return says


def _texts(found: Inspection, ledger: Ledger) -> None:
    """Raise RecordDiffers where the record leaves out the text of a script that the ledger keeps."""
    without = {str(one["sha256"]): one["file"] for one in found.held.scripts if one["text"] is None}
    for sha256 in archive.texts(ledger.conn, without):
        raise _differs(found, f"it leaves out the text of {without[sha256]}, which the ledger keeps")


def _cluster(found: Inspection, facts: ServerFacts) -> str:
    """Return a remark on the cluster; raises RecordElsewhere where it is another."""
    opened = next((e for e in found.held.events if e.kind == "run opened"), None)
    told = str(opened.told["detail"].get("cluster", "")) if opened else ""
    if not told or told.startswith("system unknown,") or facts.system_identifier == "unknown":
        return "this role may not see which cluster it is" if told else ""
    if told.partition(",")[0] != facts.cluster.partition(",")[0]:
        raise RecordElsewhere(
            file=found.file,
            found=f"it tells of another cluster ({told}) than this one ({facts.cluster})",
        )
    return "" if told == facts.cluster else f"the same one, on another timeline since: {facts.cluster}"


def _events(found: Inspection, here: Mapping[int, Event]) -> str:
    """Return how the events of the file are those of the ledger; raises RecordDiffers."""
    # Its chain may reach further than the last event that it holds: then that one was not the last.
    last = max([_count(found), *(event.id for event in found.held.events)])
    held = {event.id: event for event in found.held.events}
    for number in sorted(held.keys() | {n for n in here if n <= last}):
        own, other = held.get(number), here.get(number)
        if own is None and other is not None:
            raise _differs(found, f"it leaves out {naming(other)} of the ledger")
        elif own is not None and other is None:
            raise _differs(
                found, f"the ledger does not hold {naming(own)}: it was removed there, or put in here"
            )
        elif own is not None and other is not None and own != other:
            raise _differs(found, f"{naming(own)} is another one in the ledger", details=_how(own, other))
    later = [event for event in here.values() if event.id > last]
    came = (
        f"; {counted(len(later), 'event')} of this run came later, the last one {naming(later[-1])}"
        if later
        else ""
    )
    return f"{counted(len(held), 'event')}, each as the ledger has it{came}"


def _how(own: Event, other: Event) -> Sequence[str]:
    """Return which parts of an event are others, and whether the ledger's gives its own hash."""
    details = [
        f"{one.name}: {_short(getattr(own, one.name))} here, {_short(getattr(other, one.name))} in the ledger"
        for one in fields(Event)
        if getattr(own, one.name) != getattr(other, one.name)
    ]
    if hashlib.sha256(other.hashed.encode("utf-8", "surrogateescape")).hexdigest() != other.hash:
        details.append("the contents of the ledger's event do not give its hash: it was altered there")
    return details


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:80]}… ({len(text):,} characters)"


def _count(found: Inspection) -> int:
    """Return how many events the record's chain had; 0 where it does not say."""
    head = HEAD.fullmatch(found.held.chain)
    return int(head[1].replace(",", "")) if head else 0


def _head(found: Inspection, ledger: Ledger) -> None:
    """Compare what the record says of the whole chain with the ledger; raises RecordDiffers."""
    if head := HEAD.fullmatch(found.held.chain):
        count = _count(found)
        row = ledger.conn.execute("SELECT hash FROM pgrunbook.event WHERE id = %s", (count,)).fetchone()
        if count and (row is None or not row["hash"].startswith(head[2])):
            raise _differs(
                found,
                f"its chain ended at event {count:,}, head {head[2]}, and the ledger's has no such event",
            )
    elif found.held.source == "ledger":
        raise _differs(found, "it does not say where the ledger's chain ended, and the ledger's is unbroken")


def _known(found: Inspection, here: Mapping[int, Event]) -> str:
    """Return whether the ledger knows the file; raises RecordDiffers where it knows others, and not this one."""
    written = [(event, event.told["detail"]) for event in here.values() if event.kind == WRITTEN]
    for event, detail in written:
        if found.sha256 in (detail.get("sha256"), detail.get("facts_sha256")):
            drawn = "; another version of pgrunbook drew its page" if found.mismatch else ""
            return f"{_KNOWN}written {event.at} by {event.actor or 'nobody named'}{drawn}"
    if found.mismatch is not None:
        raise found.mismatch
    if not found.seen:
        others = f", only {counted(len(written), 'other')}" if written else ""
        return f"the ledger does not know it{others}; all that it says follows from the events up to its last one"
    if written:
        raise _differs(
            found,
            f"the ledger knows {counted(len(written), 'record')} of this run, and this file is none of them",
            details=[f"{event.at}: SHA-256 {detail.get('sha256')}" for event, detail in written[-3:]],
        )
    return "the ledger knows no record of this run; nothing but the seal proves the evidence"


def _differs(
    found: Inspection, what: str, *, details: Sequence[str] = (), next_step: str = ""
) -> RecordDiffers:
    return RecordDiffers(file=found.file, found=what, details=details, next_step=next_step)
