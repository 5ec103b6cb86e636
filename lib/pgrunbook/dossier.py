"""The facts of one run as one JSON document: every event is whole, so that its hash can be computed offline."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from pgrunbook import legible
from pgrunbook.errors import BadDossier
from pgrunbook.history import NOTHING, summarise

__all__ = ["FORMAT", "VERSION", "Dossier", "Event", "from_journal", "from_ledger", "make", "read"]

FORMAT: Final = "pgrunbook record"
VERSION: Final = 1
NOT_BEGUN: Final = "not begun: nothing was written to the target; told by the journal alone"
NOT_READ: Final = "not read: the ledger could not be reached any more; told by the journal alone"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One event; `detail` is JSON to the letter, hashes are None where only the journal holds it."""

    id: int
    at: str
    run_id: str
    change: str
    step: str
    kind: str
    actor: str
    detail: str
    previous_hash: str | None = None
    hash: str | None = None

    @property
    def hashed(self) -> str:
        """Return the text whose SHA-256 is the event's hash, as the server writes that array (8.14.1)."""
        words = (self.run_id, self.change, self.step, self.kind, self.actor)
        return f"[{_json([self.previous_hash, self.id, self.at, *words])[1:-1]}, {self.detail}]"

    @property
    def told(self) -> dict[str, Any]:
        """Return the event as a history reads it: time in milliseconds, detail as values, as far as it can be read."""
        at = f"{self.at[:-4]}Z" if len(self.at) == 27 else self.at
        known = {} if self.hash is None else {"hash": self.hash}
        words = {"kind": self.kind, "step": self.step, "actor": self.actor, "detail": _values(self.detail)}
        return dict(legible.read({"at": at, **words, **known}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dossier:
    """The document: what a run did as `history` tells it, the scripts it used, and all of its events."""

    run_id: str
    source: str
    """`ledger`, or `journal` where the ledger was never reached or is out of reach."""
    chain: str
    """What was found when the event chain was computed again."""
    facts: Mapping[str, Any]
    scripts: Sequence[Mapping[str, Any]]
    events: Sequence[Event]

    @property
    def text(self) -> str:
        """Return the document; the same run gives the same bytes, one row a line."""
        parts = [
            f'"format": {_json(FORMAT)}',
            f'"format_version": {VERSION}',
            f'"source": {_json(self.source)}',
            f'"chain": {_json(self.chain)}',
            *(f"{_json(name)}: {_block(value)}" for name, value in self.facts.items()),
            f'"scripts": {_block(self.scripts)}',
            f'"events": {_lines([_event(one) for one in self.events])}',
        ]
        return "{\n  " + ",\n  ".join(parts) + "\n}\n"

    @property
    def title(self) -> str:
        """Return the title of the change, else its name."""
        return str(self.facts["run"].get("title") or self.facts["run"].get("change") or "")

    @property
    def remade(self) -> Dossier:
        """Return what the events, chain and scripts of this document give when it is made anew."""
        texts = {one["sha256"]: one["text"] for one in self.scripts if one["text"] is not None}
        return make(self.run_id, self.events, source=self.source, chain=self.chain, texts=texts)

    @property
    def summary(self) -> dict[str, Any]:
        """Return the facts as `history` tells them of these events now, for a page."""
        texts = {one["sha256"]: one["text"] for one in self.scripts if one["text"] is not None}
        told = summarise(self.run_id, [one.told for one in self.events], chain=self.chain)
        return {**told, "texts": texts}


def make(
    run_id: str, events: Sequence[Event], *, source: str, chain: str, texts: Mapping[str, str] | None = None
) -> Dossier:
    """Return the document of a run; `texts` holds scripts as they were sent, by SHA-256."""
    told = summarise(run_id, [one.told for one in events], chain=chain)
    del told["events"], told["chain"]
    scripts = [{**row, "text": (texts or {}).get(row["sha256"])} for row in _rows(told.pop("scripts"))]
    run = {name: value for name, value in told.items() if not isinstance(value, tuple)}
    facts = {"run": run, **{name: _rows(value) for name, value in told.items() if name not in run}}
    return Dossier(
        run_id=run_id, source=source, chain=chain, facts=facts, scripts=scripts, events=tuple(events)
    )


def from_ledger(
    run_id: str, rows: Iterable[Mapping[str, Any]], *, chain: str, texts: Mapping[str, str] | None = None
) -> Dossier:
    """Return the document of a run from the rows of `Ledger.run`."""
    return make(run_id, [Event(**row) for row in rows], source="ledger", chain=chain, texts=texts)


def from_journal(run_id: str, entries: Sequence[Mapping[str, Any]]) -> Dossier:
    """Return the document of a run whose ledger is out of reach, from the entries of its journal."""
    own = [entry for entry in entries if entry["kind"] != "merged"]
    change = next((str(legible.read(entry)["detail"].get("change", "")) for entry in own), "")
    events = [
        Event(
            id=entry.get("n", number),
            at=entry["at"],
            run_id=run_id,
            change=change,
            step=entry["step"],
            kind=entry["kind"],
            actor=entry["actor"],
            detail=_json(entry["detail"]),
        )
        for number, entry in enumerate(own, 1)
    ]
    return make(run_id, events, source="journal", chain=NOT_BEGUN if len(own) == len(entries) else NOT_READ)


def read(text: str, *, file: str) -> Dossier:
    """Return a document from its text; `read(text, file=...).text` is the same text where nobody touched it.

    Raises BadDossier, naming `file` and what is wrong with it.
    """

    def bad(found: str) -> BadDossier:
        return BadDossier(file=file, found=found)

    try:
        held = json.loads(
            text,
            parse_float=_Literal,
            parse_int=_Literal,
            parse_constant=_no_number,
            object_pairs_hook=_once,
        )
    except (ValueError, RecursionError) as error:
        raise bad(f"it is no JSON: {error}") from None
    if not isinstance(held, dict) or held.get("format") != FORMAT:
        raise bad(f'it has no "format": "{FORMAT}"')
    if _exact(held.get("format_version")) != str(VERSION):
        raise bad(f"its format_version is {_exact(held.get('format_version'))}, this library reads {VERSION}")
    run, events, scripts = (held.get(name) for name in ("run", "events", "scripts"))
    run_id = run.get("run_id") if isinstance(run, dict) else None
    for name, wanted in (
        ("source", held.get("source")),
        ("chain", held.get("chain")),
        ("run.run_id", run_id),
    ):
        if not isinstance(wanted, str) or isinstance(wanted, _Literal):
            raise bad(f"{name} is not a text")
    if not isinstance(events, list):
        raise bad("events is not a list")
    if not isinstance(scripts, list) or not all(
        isinstance(one, dict) and {"file", "sha256", "text"} <= one.keys() for one in scripts
    ):
        raise bad("scripts is not a list of objects with file, sha256 and text")
    own = {"format", "format_version", "source", "chain", "scripts", "events"}
    try:
        made = Dossier(
            run_id=str(run_id),
            source=held["source"],
            chain=held["chain"],
            facts=_values(_exact({name: value for name, value in held.items() if name not in own})),
            scripts=_values(_exact(scripts)),
            events=tuple(_read_event(one, number, bad) for number, one in enumerate(events, 1)),
        )
        made.text.encode("utf-8", "surrogateescape")
    except RecursionError:
        raise bad("it is nested too deeply") from None
    except UnicodeEncodeError:
        raise bad("it holds half of a character") from None
    return made


class _Literal(str):
    """A number as it was written: 1.10 is not 1.1 to a hash."""

    __slots__ = ()


def _read_event(held: Any, number: int, bad: Any) -> Event:
    names = [one.name for one in fields(Event)]
    if not isinstance(held, dict) or sorted(held) != sorted(names):
        raise bad(f"event {number} does not hold exactly {', '.join(names)}")
    for name, value in held.items():
        literal = isinstance(value, _Literal)
        fits = {
            "id": literal and value.isdecimal() and len(value) < 20,
            # Whatever somebody put there: the hash tells whether it is what the ledger had.
            "detail": True,
            "hash": value is None or (isinstance(value, str) and not literal),
            "previous_hash": value is None or (isinstance(value, str) and not literal),
        }.get(name, isinstance(value, str) and not literal)
        if not fits:
            raise bad(f"{name} of event {number} is {_exact(value)[:80]}")
    return Event(**{**held, "id": int(held["id"]), "detail": _exact(held["detail"])})


def _event(event: Event) -> str:
    values = {one.name: getattr(event, one.name) for one in fields(Event)}
    texts = {name: value if name == "detail" else _json(value) for name, value in values.items()}
    return "{" + ", ".join(f'"{name}": {value}' for name, value in texts.items()) + "}"


def _json(value: object) -> str:
    """Return JSON as the server writes jsonb: a blank after comma and colon, nothing escaped that need not be."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False)


def _exact(value: object) -> str:
    """Return what was read with its numbers as they were written."""
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json(key)}: {_exact(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_exact(inner) for inner in value) + "]"
    return _json(value)


def _values(text: str) -> Any:
    """Return JSON as values; a number that no double holds stays a text."""

    def number(literal: str, kind: type[int] | type[float]) -> float | str:
        return kind(literal) if math.isfinite(float(literal)) else literal

    return json.loads(
        text, parse_float=lambda one: number(one, float), parse_int=lambda one: number(one, int)
    )


def _no_number(literal: str) -> None:
    raise ValueError(f"{literal} is no number")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object whose names are there once: of two values, one would be hidden."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"the name {_json(name)[:80]} is there twice in one object")
        found[name] = value
    return found


def _rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows for machines: names without blanks, null for nothing."""
    return [
        {name.replace(" ", "_"): None if value == NOTHING else value for name, value in row.items()}
        for row in rows
    ]


def _block(value: Any) -> str:
    return _lines([_json(one) for one in value]) if isinstance(value, list) else _json(value)


def _lines(rows: Sequence[str]) -> str:
    return "[\n    " + ",\n    ".join(rows) + "\n  ]" if rows else "[]"
