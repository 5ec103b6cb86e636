"""Gates: recorded decisions that let a step start."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pgrunbook.change import Change, Script, Step
from pgrunbook.errors import GateClosed
from pgrunbook.target import Kind

__all__ = [
    "ROLLBACK",
    "TERMINAL",
    "Decision",
    "Gates",
    "Policy",
    "goes_back",
    "is_step",
    "person",
    "scripts",
    "subject",
    "undo_of",
    "undone",
    "way_back",
]

ROLLBACK = "rollback"
BACK_TO, UNDO = "rollback to ", "undo "
TERMINAL = "pgrunbook approve"
"""How somebody decided who is not at the screen of the run."""


class Policy(Enum):
    """What happens at a gate when nobody is there to ask."""

    CLOSED = "closed"
    """Stays closed: what a live target without a person gets."""
    REHEARSAL = "rehearsal"
    """Opens, and says that a rehearsal approved itself."""
    APPROVE_ALL = "approve all"
    """Opens with the reason that the operator gave on the command line."""

    @classmethod
    def of(cls, kind: Kind, *, approve_all: bool = False) -> Policy:
        """Return the policy that a kind of target gets."""
        if kind is Kind.REHEARSAL:
            return cls.REHEARSAL
        return cls.APPROVE_ALL if approve_all else cls.CLOSED

    def why(self, reason: str) -> str:
        """Return why it says GO, given the operator's reason, or nothing: it does not."""
        if self is Policy.REHEARSAL:
            return "a rehearsal approves itself"
        return reason if self is Policy.APPROVE_ALL else ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who let a step start, or not, and why; valid for one run and one text of the script."""

    step: str
    go: bool
    who: str
    reason: str
    how: str
    script_sha256: str

    @property
    def facts(self) -> Mapping[str, object]:
        """Return the decision for the ledger."""
        return {"go": self.go, "reason": self.reason, "how": self.how, "script_sha256": self.script_sha256}


@dataclass(slots=True)
class Gates:
    """The decisions of one run; every question fails closed."""

    approvals_needed: int = 1
    decisions: dict[str, list[Decision]] = field(default_factory=dict)

    def record(self, decision: Decision) -> None:
        """Add a decision; a NO-GO takes back every GO for that step."""
        if decision.go:
            self.decisions.setdefault(decision.step, []).append(decision)
        else:
            self.decisions[decision.step] = [decision]

    def hear(self, decision: Decision) -> None:
        """Add what somebody decided at another terminal.

        A GO from there counts beside one that was given to the same text at the screen, and never alone: what
        came before a gate was asked, or was withdrawn, is worth nothing.
        """
        asked = [one for one in self.decisions.get(decision.step, []) if one.go and one.how != TERMINAL]
        if not decision.go or any(one.script_sha256 == decision.script_sha256 for one in asked):
            self.record(decision)

    def last(self, step: str) -> Decision | None:
        """Return what was decided last about a step."""
        return self.decisions.get(step, [None])[-1]

    def require_unopposed(self, step: str, *, seen: Decision | None = None) -> None:
        """Raise GateClosed where somebody at another terminal has said NO-GO, and nobody GO since.

        `seen` is the last decision that was before the eyes of whoever says GO now: that one they may override.
        """
        last = self.last(step)
        if last is not None and last is not seen and not last.go and last.how == TERMINAL:
            raise GateClosed(step=step, reason=f"{last.who} said NO-GO ({last.reason})")

    def withdraw(self, *steps: str) -> None:
        """Forget what was decided about these: what was undone needs a new GO to be done again."""
        for step in steps:
            self.decisions.pop(step, None)

    def require(self, step: str, script_sha256: str) -> Decision:
        """Return the decision that opened a step's gate.

        Raises GateClosed when nobody decided, somebody said no, fewer people approved than the run
        asks for (a name is one person however it is spelled, see `person`), or the script was edited after it
        was approved.
        """
        decided = self.decisions.get(step, [])
        if not decided:
            raise GateClosed(step=step, reason="nobody approved it in this run")
        if not decided[-1].go:
            raise GateClosed(step=step, reason=f"{decided[-1].who} said NO-GO ({decided[-1].reason})")
        if decided[-1].script_sha256 != script_sha256:
            raise GateClosed(step=step, reason="the script was edited after it was approved")
        people = {
            person(decision.who): decision.who
            for decision in decided
            if decision.go and decision.script_sha256 == script_sha256 and person(decision.who)
        }
        if not people:
            raise GateClosed(step=step, reason="nobody put a name to its approval")
        if len(people) < self.approvals_needed and decided[-1].how != Policy.REHEARSAL.value:
            raise GateClosed(
                step=step,
                reason=f"{len(people)} of {self.approvals_needed} people approved it"
                f" ({', '.join(sorted(people.values()))})",
            )
        return decided[-1]


def person(who: str) -> str:
    """Return what two spellings of one name have in common: case, blanks and invisible signs do not count.

    It is the name that tells people apart: a team may well share a database role. The record shows the role.

    >>> person(" Ann  LEE") == person("ann\u200b lee") == "ann lee"
    True
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", who).casefold())
    seen = (sign for sign in plain if sign.isspace() or not unicodedata.category(sign).startswith("C"))
    return " ".join("".join(seen).split())


def way_back(to: str | None) -> str:
    """Return the name of the gate of a rollback, of all steps or down to one that stays.

    >>> way_back(None), way_back("002")
    ('rollback', 'rollback to 002')
    """
    return f"{BACK_TO}{to}" if to else ROLLBACK


def undo_of(remedy: str) -> str:
    """Return the name of the gate of a remedy's undo, which is another than that of the remedy.

    >>> undo_of("10_duplicate_codes")
    'undo 10_duplicate_codes'
    """
    return f"{UNDO}{remedy}"


def goes_back(name: str) -> bool:
    """Return whether a gate's name means a rollback, however far."""
    return name == ROLLBACK or name.startswith(BACK_TO)


def is_step(change: Change, name: str) -> bool:
    """Return whether a gate's name means a step, not a rollback, nor a remedy of the change or its undo."""
    remedies = {script.name for script in change.remedies}
    return not (goes_back(name) or name.startswith(UNDO) or name in remedies)


def undone(change: Change, name: str) -> tuple[Step, ...]:
    """Return the steps that a rollback may undo, the last first; raises UnknownName."""
    keep = change.step(name.removeprefix(BACK_TO)) if name != ROLLBACK else None
    first = change.steps.index(keep) + 1 if keep else 0
    return tuple(reversed(change.steps[first:]))


def scripts(change: Change, name: str) -> tuple[Script, ...]:
    """Return the files that a GO is about, in the order in which they run; raises UnknownName."""
    if goes_back(name):
        return tuple(script for step in undone(change, name) for script in step.rollback)
    if is_step(change, name):
        return (change.step(name).migrate,)
    return (change.remedy(name.removeprefix(UNDO)),)


def subject(change: Change, name: str) -> tuple[str, str]:
    """Return the full name of what a gate is about, and the SHA-256 of its text; raises UnknownName.

    That of a rollback is the SHA-256 of what `sha256sum` says of its files, in the order in which they run.
    """
    files = scripts(change, name)
    if goes_back(name):
        listed = "".join(f"{one.sha256}  {one.label}\n" for one in files)
        keep = change.step(name.removeprefix(BACK_TO)).name if name != ROLLBACK else None
        return way_back(keep), hashlib.sha256(listed.encode()).hexdigest()
    if is_step(change, name):
        return change.step(name).name, files[0].sha256
    return name, files[0].sha256
