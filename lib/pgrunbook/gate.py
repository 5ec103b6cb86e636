"""Gates: recorded decisions that let a step start."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from pgrunbook.change import Change
from pgrunbook.errors import GateClosed
from pgrunbook.target import Kind

__all__ = ["ROLLBACK", "TERMINAL", "Decision", "Gates", "Policy", "is_step", "person", "subject"]

ROLLBACK = "rollback"
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


def is_step(change: Change, name: str) -> bool:
    """Return whether a gate's name means a step, not the rollback or a remedy of the change."""
    return name != ROLLBACK and name not in {script.name for script in change.remedies}


def subject(change: Change, name: str) -> tuple[str, str]:
    """Return the full name and the script's SHA-256 of what a gate is about; raises UnknownName."""
    if name == ROLLBACK:
        return name, ""
    if not is_step(change, name):
        return name, change.remedy(name).sha256
    step = change.step(name)
    return step.name, step.migrate.sha256
