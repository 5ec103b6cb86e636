"""A forger's tools: take a record apart, alter it, compute every hash again and seal it anew."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

from pgrunbook import dossier, record, seal
from pgrunbook.dossier import Dossier, Event


def page_and_facts(file: Path) -> tuple[str, str]:
    """Return the two halves of a record."""
    sealed = seal.held(file.read_bytes(), file=str(file))
    assert sealed.facts is not None
    return sealed.page, sealed.facts


def reseal(file: Path, *, page: Callable[[str], str] = str, facts: Callable[[str], str] = str) -> None:
    """Alter the page or the facts, and seal the file again."""
    old_page, old_facts = page_and_facts(file)
    new_page, new_facts = page(old_page), facts(old_facts)
    assert (new_page, new_facts) != (old_page, old_facts), "nothing was forged"
    file.write_bytes(seal.close(new_page, new_facts))


def rewrite(
    file: Path,
    alter: Callable[[list[Event]], list[Event]],
    *,
    chain: str | None = None,
    texts: Mapping[str, str] | None = None,
) -> None:
    """Alter the events, chain them again, draw page and facts from them, and seal: nothing in the file tells."""
    _, facts = page_and_facts(file)
    held = dossier.read(facts, file=str(file))
    events = chained(alter(list(held.events)))
    own = {str(one["sha256"]): str(one["text"]) for one in held.scripts if one["text"] is not None}
    end = events[-1]
    if chain is None:
        chain = f"unbroken, {end.id:,} events, head {str(end.hash)[:12]}"
    forged = dossier.make(
        held.run_id, events, source="ledger", chain=chain, texts=own if texts is None else texts
    )
    save(file, forged)


def save(file: Path, held: Dossier) -> None:
    """Seal a file that is what its facts give."""
    file.write_bytes(seal.close(record.page_of(held), held.text))


def chained(events: list[Event]) -> list[Event]:
    """Return the events with hashes that fit, each linked to its neighbour."""
    done: list[Event] = []
    for event in events:
        beside = done and done[-1].id == event.id - 1
        linked = dataclasses.replace(event, previous_hash=done[-1].hash) if beside else event
        digest = hashlib.sha256(linked.hashed.encode()).hexdigest()
        done.append(dataclasses.replace(linked, hash=digest))
    return done
