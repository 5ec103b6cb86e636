"""The inspection of a record: what its file proves by itself, and the first thing that differs."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pgrunbook import dossier, record, seal
from pgrunbook.dossier import Dossier, Event
from pgrunbook.errors import BadDossier, NoRecord, RecordDiffers
from pgrunbook.views.admitted import foreign
from pgrunbook.views.units import counted

__all__ = ["HEAD", "Inspection", "inspect", "naming"]

# What nothing but the seal covers: what the operator saw, as it was drawn.
_EVIDENCE = (
    ("<!-- evidence: headings -->", "<!-- end of evidence: headings -->"),
    ("<!-- evidence -->", "<!-- end of evidence -->"),
)
_BROKEN = "the ledger's chain is broken at event "
HEAD = re.compile(r"unbroken, ([0-9][0-9,]{0,24}) events?, head ([0-9a-f]{12})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What was found of a file whose seal, events and scripts hold."""

    file: str
    sha256: str
    """Of the whole file."""
    held: Dossier
    says: dict[str, str]
    """One sentence for each part that holds."""
    seen: bool
    """Whether it shows evidence, which nothing in its facts proves."""
    mismatch: RecordDiffers | None
    """Where the page or the summary is not what the events give."""


def inspect(path: Path) -> Inspection:
    """Return what the file of a record proves by itself: the HTML, or the JSON of the same facts.

    Raises NoRecord, BadDossier or RecordDiffers with the first thing that differs, and OSError.
    """
    data, file = path.read_bytes(), str(path)
    if path.suffix.lower() == ".json":
        return _inspect_json(data, file)
    sealed = seal.held(data, file=file)
    if sealed.broken:
        raise RecordDiffers(file=file, found=sealed.broken, details=_place(sealed, file))
    if sealed.facts is None:
        raise RecordDiffers(
            file=file, found=f"its facts, from byte {sealed.facts_from:,} on, cannot be read or are missing"
        )
    held = dossier.read(sealed.facts, file=f"the facts in {file}")
    says = {"seal": f"every byte is as it was sealed, SHA-256 of the file {sealed.sha256}"}
    says |= _proved(held, file)
    mismatch, seen = _shown(sealed, held, file)
    if mismatch is None:
        only = "; the evidence is sealed, and not in the facts" if seen else ""
        says["page"] = f"it shows what the facts give{only}"
    return Inspection(file=file, sha256=sealed.sha256, held=held, says=says, seen=seen, mismatch=mismatch)


def naming(event: Event) -> str:
    """Return an event in words."""
    return f"event {event.id:,} ({event.kind}{f' {event.step}' if event.step else ''})"


def _inspect_json(data: bytes, file: str) -> Inspection:
    if not data:
        raise NoRecord(file=file, found="it is empty")
    try:
        text = data.decode("utf-8", "surrogateescape")
        held = dossier.read(text, file=file)
    except BadDossier as error:
        raise NoRecord(file=file, found=error.found.partition(": ")[2]) from None
    says = {"seal": "JSON has none", **_proved(held, file)}
    mismatch = _follows(held, text, file)
    if mismatch is None:
        says["facts"] = "they follow from the events"
    return Inspection(
        file=file,
        sha256=hashlib.sha256(data).hexdigest(),
        held=held,
        says=says,
        seen=False,
        mismatch=mismatch,
    )


def _proved(held: Dossier, file: str) -> dict[str, str]:
    """Return what holds of events and scripts; raises RecordDiffers."""
    return {"events": _events(held, file), "scripts": _scripts(held, file)}


def _events(held: Dossier, file: str) -> str:
    events = held.events
    if held.source != "ledger":
        return _journal(held, file)
    for event in events:
        if hashlib.sha256(event.hashed.encode("utf-8", "surrogateescape")).hexdigest() != event.hash:
            raise RecordDiffers(file=file, found=f"the contents of {naming(event)} do not give its hash")
        if event.run_id != held.run_id:
            raise RecordDiffers(file=file, found=f"{naming(event)} is of another run, {event.run_id}")
    gaps = 0
    for before, event in itertools.pairwise(events):
        if event.id <= before.id:
            raise RecordDiffers(file=file, found=f"{naming(event)} stands behind {naming(before)}")
        if event.id > before.id + 1:
            gaps += 1
        elif event.previous_hash != before.hash:
            raise RecordDiffers(
                file=file, found=f"{naming(event)} does not hold the hash of the one before, {naming(before)}"
            )
    if head := HEAD.fullmatch(held.chain):
        _head(int(head[1].replace(",", "")), head[2], events, file)
    elif held.chain and not held.chain.startswith(_BROKEN):
        raise RecordDiffers(
            file=file, found="what it says of the ledger's chain is nothing that is written there"
        )
    between = f"; {counted(gaps, 'gap')}, where events of other runs stand in the ledger" if gaps else ""
    return f"{counted(len(events), 'hash', 'hashes')} computed again and linked{between}"


def _journal(held: Dossier, file: str) -> str:
    """Return what holds of events that only a journal tells: it has nothing that could pass for a proof."""
    hashes = any(one.hash is not None or one.previous_hash is not None for one in held.events)
    if held.source != "journal" or held.chain not in (dossier.NOT_BEGUN, dossier.NOT_READ) or hashes:
        raise RecordDiffers(file=file, found="it claims hashes or a chain that no ledger gave")
    return f"{counted(len(held.events), 'event')} of the journal, which has no hashes: nothing proves them"


def _head(count: int, head: str, events: Sequence[Event], file: str) -> None:
    """Compare what the record says of the ledger's chain with the events it holds."""
    last = events[-1] if events else None
    if last and (count < last.id or (count == last.id and not (last.hash or "").startswith(head))):
        raise RecordDiffers(
            file=file,
            found=f"its chain of {counted(count, 'event')}, head {head}, does not end in {naming(last)}",
        )


def _scripts(held: Dossier, file: str) -> str:
    texts = 0
    for script in held.scripts:
        if script["text"] is None:
            continue
        texts += 1
        digest = hashlib.sha256(str(script["text"]).encode("utf-8", "surrogateescape")).hexdigest()
        if digest != script["sha256"]:
            raise RecordDiffers(file=file, found=f"the text of {script['file']} does not give its SHA-256")
    without = len(held.scripts) - texts
    return f"{counted(texts, 'text')} {'gives its' if texts == 1 else 'give their'} SHA-256" + (
        f"; of {without:,} only the SHA-256 is known" if without else ""
    )


def _shown(sealed: seal.Sealed, held: Dossier, file: str) -> tuple[RecordDiffers | None, bool]:
    """Return how facts or page are not what the events give, if they are not, and whether there is evidence."""
    mismatch = _follows(held, sealed.facts or "", file)
    if mismatch is not None:
        return mismatch, False
    try:
        fresh = record.page_of(held)
    except Exception as error:  # whatever a forger made of the events, it ends in one sentence
        return _differs(file, f"its events make no page ({type(error).__name__}: {error})"), False
    return _compare(sealed.page, fresh, file)


def _follows(held: Dossier, text: str, file: str) -> RecordDiffers | None:
    """Return how the facts are not what their events give, if they are not."""
    try:
        remade = held.remade
    except Exception as error:
        return _differs(file, f"its events tell no run ({type(error).__name__}: {error})")
    if remade.text == text:
        return None
    names = [name for name in remade.facts if held.facts.get(name) != remade.facts[name]]
    names += [name for name in held.facts if name not in remade.facts]
    if list(held.scripts) != list(remade.scripts):
        names.append("scripts")
    what = f"its facts ({', '.join(names)})" if names else "the form of its facts"
    return _differs(
        file, f"{what} do not follow from its events" if names else f"{what} is not the one written"
    )


def _differs(file: str, found: str) -> RecordDiffers:
    return RecordDiffers(
        file=file,
        found=found,
        next_step="compare it with the ledger (--target), which knows each record that was written;"
        " another version of pgrunbook, Python or matplotlib may have drawn it otherwise, and then the file alone"
        " cannot tell",
    )


def _compare(page: str, fresh: str, file: str) -> tuple[RecordDiffers | None, bool]:
    """Return where a page is not what its facts give, and whether it shows evidence besides."""
    seen, at = False, 0
    rest = fresh.rstrip() + "\n"
    for number, (begin, end) in enumerate(_EVIDENCE):
        part, _, rest = rest.partition(f"{begin}\n")
        own, _, rest = rest.partition(end)
        if (off := _first(page[at:], part + begin)) is not None:
            return _differs(file, _where(page, at + off)), seen
        start = at + len(part) + len(begin) + 1
        # The last one: nothing of the page may pass for evidence, and evidence holds no such comment.
        ends = page.find(end, start) if number < len(_EVIDENCE) - 1 else page.rfind(end)
        if ends < start:
            return _differs(file, _where(page, start)), seen
        if (found := foreign(page[start:ends], headings=number == 0)) is not None:
            what = f"its evidence holds what no record draws, {found[1]}: {_place_of(page, start + found[0])}"
            return _differs(file, what), seen
        seen = seen or page[start:ends].strip() != own.strip()
        at, rest = ends, end + rest
    off = _first(page[at:], rest, whole=True)
    return (None if off is None else _differs(file, _where(page, at + off))), seen


def _first(text: str, wanted: str, *, whole: bool = False) -> int | None:
    """Return the first character that is another, or None where the text begins as wanted, or is it."""
    if text == wanted if whole else text.startswith(wanted):
        return None
    same = (n for n, (one, other) in enumerate(zip(text, wanted, strict=False)) if one != other)
    return next(same, min(len(text), len(wanted)))


def _where(page: str, at: int) -> str:
    """Return from where on a page is another, in words."""
    return f"the page does not show what its facts give, {_place_of(page, at)}"


def _place_of(page: str, at: int) -> str:
    """Return a place of the page in words."""
    sections = re.findall(r'<section id="([\w-]+)">', page[:at])
    part = f"section {sections[-1]}" if sections else "the summary"
    line = page.count("\n", 0, at) + 1
    return f"from byte {len(page[:at].encode()):,} on (line {line:,}, {part})"


def _place(sealed: seal.Sealed, file: str) -> list[str]:
    """Return what can be told of the place where a broken file differs."""
    facts = f"the facts, from byte {sealed.facts_from:,} on, cannot be read"
    if sealed.facts is None:
        return [facts]
    try:
        held = dossier.read(sealed.facts, file="")
        _proved(held, file)
        mismatch, _ = _shown(sealed, held, file)
    except BadDossier:
        return [facts]
    except RecordDiffers as error:
        mismatch = error
    if mismatch is not None:
        return [mismatch.found.removeprefix(f"{file} is not as it was written: ")]
    return ["summary, tables and events are as their facts give them: it is the evidence, or the seal itself"]
