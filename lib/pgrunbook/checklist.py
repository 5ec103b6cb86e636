"""A checklist: what people make sure of before a change, before one of its steps, and after it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pgrunbook.errors import BadChecklist, UnknownName

__all__ = [
    "AFTER",
    "BEFORE",
    "TAKEN_BACK",
    "TICKED",
    "UNDONE",
    "Checked",
    "Checklist",
    "Item",
    "Tick",
    "checked",
    "parse",
]

BEFORE, AFTER = "before", "after"
NOTHING = "-"
# The kinds of events that say what became of an item.
TICKED, TAKEN_BACK = "ticked", "tick taken back"
UNDONE = "rollback done"

_HEADING = re.compile(r"## (Before|After|Before (\d{3}[a-z]?))")
_ITEM = re.compile(r"- \[(.)\] (?:([^\s:]+): +)?(.*)")
_KEY = re.compile(r"[a-z][a-z0-9_]{0,39}")
_LONGEST = 400
_MOMENTS = "write `## Before`, `## Before 013` with the number of a step, or `## After`"
_FORM = "write it as `- [ ] backup: A backup was restored today.`"

Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to make sure of. `step` is the one that it stands before, the first for `before`; none after."""

    key: str
    text: str
    when: str
    step: str = ""

    @property
    def sha256(self) -> str:
        """Return the hash of the text: a tick is for this text and no other."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def facts(self) -> dict[str, str]:
        """Return the item for the ledger."""
        return {"key": self.key, "text": self.text, "when": self.when, "step": self.step}

    def holds_up(self, step: str) -> bool:
        """Return whether a step may not begin without it: `before` is for whatever a run begins with."""
        return self.when == BEFORE or self.step == step


@dataclass(frozen=True, slots=True)
class Checklist:
    """The items of a change in the order of its file; a change without the file has none."""

    items: tuple[Item, ...] = ()

    @property
    def moments(self) -> tuple[str, ...]:
        """Return when there is something to tick: `before`, `before 013`, `after`."""
        return tuple(dict.fromkeys(item.when for item in self.items))

    def of(self, when: str) -> tuple[Item, ...]:
        """Return the items of a moment; raises UnknownName."""
        found = tuple(item for item in self.items if item.when == " ".join(when.casefold().split()))
        if not found:
            raise UnknownName(kind="moment of the checklist", name=when, known=self.moments)
        return found

    def item(self, key: str) -> Item:
        """Return the item of that key; raises UnknownName."""
        for item in self.items:
            if item.key == key:
                return item
        raise UnknownName(kind="item of the checklist", name=key, known=[one.key for one in self.items])


@dataclass(frozen=True, slots=True)
class Tick:
    """Who made sure of an item, when (UTC), and what they said about it."""

    who: str
    at: str
    remark: str = ""
    how: str = ""


@dataclass(frozen=True, slots=True)
class Checked:
    """An item and its tick; without one it is open, and `why` says why it is again."""

    item: Item
    tick: Tick | None = None
    why: str = ""

    @property
    def row(self) -> dict[str, str]:
        """Return the item as a row of the record."""
        tick = self.tick
        return {
            "when": self.item.when,
            "item": self.item.key,
            "text": self.item.text,
            "state": "ticked" if tick else f"OPEN{f', {self.why}' if self.why else ''}",
            "by": tick.who if tick else NOTHING,
            "at": tick.at if tick else NOTHING,
            "remark": (tick.remark if tick else "") or NOTHING,
            "how": tick.how if tick else NOTHING,
        }


def checked(items: Iterable[Item], events: Sequence[Event]) -> tuple[Checked, ...]:
    """Return the items with their ticks, as the events of one run tell them.

    A tick holds until it is taken back, the item's text is another, or what the item stands before is rolled
    back; with any rollback for what comes after the change. A tick without a name is none.
    """
    return tuple(_checked(item, events) for item in items)


def _checked(item: Item, events: Sequence[Event]) -> Checked:
    found = Checked(item)
    for event in events:
        kind, detail = event["kind"], event["detail"]
        if kind == UNDONE:
            undone = event["step"]
            if found.tick and (item.when == AFTER or item.step == undone):
                found = Checked(item, why=f"{undone} was rolled back since")
        elif kind in (TICKED, TAKEN_BACK) and detail.get("item") == item.key:
            who = " ".join(str(detail.get("who", "")).split())
            if kind == TAKEN_BACK:
                found = Checked(item, why=f"taken back by {who}")
            elif detail.get("text_sha256") != item.sha256:
                found = Checked(item, why="edited after it was ticked")
            elif who:
                at = str(detail.get("journal_at") or event["at"])
                found = Checked(
                    item, Tick(who, at, str(detail.get("remark", "")), str(detail.get("how", "")))
                )
    return found


def parse(text: str, *, file: str, steps: Sequence[str]) -> Checklist:
    """Return the checklist that a file holds, for a change with these steps.

    Raises BadChecklist for the first line that is neither the title, a moment, an item nor the rest of one.
    """
    reading = _Reading(file, steps)
    for number, line in enumerate(text.splitlines(), 1):
        reading.line(number, line.rstrip())
    return reading.end()


class _Reading:
    """A file while it is read; what it finds wrong it refuses at once."""

    def __init__(self, file: str, steps: Sequence[str]) -> None:
        self.file, self.steps = file, steps
        self.number = 0
        self.when = self.step = ""
        self.seen: dict[str, int] = {}
        self.items: list[Item] = []
        self.lines: dict[str, int] = {}

    def line(self, number: int, line: str) -> None:
        """Read one line."""
        self.number = number
        if not line or (line.startswith("# ") and not self.seen):
            return
        if line.startswith("#"):
            self.heading(line)
        elif line.startswith("  ") and self.items and self.items[-1].when == self.when:
            item = self.items.pop()
            self.add(Item(item.key, f"{item.text} {' '.join(line.split())}", item.when, item.step))
        else:
            self.item(line)

    def heading(self, line: str) -> None:
        """Begin a moment."""
        found = _HEADING.fullmatch(line)
        if not found:
            self.refuse(f"{line!r} is not a moment", _MOMENTS)
        self.filled()
        self.when, number = found[1].casefold(), found[2]
        if self.when in self.seen:
            self.refuse(f"`{line}` was in line {self.seen[self.when]} already", "put the items together")
        self.seen[self.when] = self.number
        self.step = "" if self.when == AFTER else next(iter(self.steps), "")
        if number:
            named = [step for step in self.steps if step.partition("_")[0] == number]
            if not named:
                known = ", ".join(step.partition("_")[0] for step in self.steps)
                self.refuse(f"there is no step {number} to stand before", f"name one of: {known}")
            self.step = named[0]

    def item(self, line: str) -> None:
        """Begin an item."""
        found = _ITEM.fullmatch(line)
        if not found:
            self.refuse(f"{line[:60]!r} is no item", _FORM + ", and indent the lines that go on with it")
        box, key, text = found.groups()
        if box != " ":
            self.refuse(
                f"the box of an item holds {box!r}", "leave it empty: ticks are kept in the ledger of a run"
            )
        if not self.when:
            self.refuse("an item stands before any moment", _MOMENTS)
        if not _KEY.fullmatch(key or ""):
            found_key = f"{key!r} is no key" if key else "an item has no key"
            self.refuse(found_key, f"{_FORM}; a key is of a-z, 0-9 and _, 40 at most")
        if key in self.lines:
            self.refuse(
                f"the key {key!r} was in line {self.lines[key]} already", "give each item its own key"
            )
        self.lines[key] = self.number
        self.add(Item(key, " ".join(text.split()), self.when, self.step))

    def add(self, item: Item) -> None:
        """Keep an item, or one more line of it."""
        if not item.text:
            self.refuse(f"item {item.key!r} says nothing", _FORM)
        if len(item.text) > _LONGEST:
            self.refuse(
                f"item {item.key!r} has {len(item.text)} characters, {_LONGEST} at most",
                "say it shorter: people have to read it in a maintenance window",
            )
        self.items.append(item)

    def filled(self) -> None:
        """Refuse a moment that nothing follows."""
        if self.when and not any(item.when == self.when for item in self.items):
            self.number = self.seen[self.when]
            self.refuse(f"`{self.when}` has no item", "write one, or take the heading out")

    def end(self) -> Checklist:
        """Return what was read."""
        self.filled()
        if not self.items:
            self.number = 0
            self.refuse("there is no item in it", f"{_MOMENTS}, and items below it; or take the file out")
        return Checklist(tuple(self.items))

    def refuse(self, found: str, next_step: str) -> NoReturn:
        """Raise BadChecklist for the line that is read."""
        raise BadChecklist(file=self.file, line=self.number, found=found, next_step=next_step)
