"""The decisions of a run: made at its screen or by its policy, and heard from other terminals."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from pgrunbook import session
from pgrunbook.audits import Audits
from pgrunbook.binding import Binding
from pgrunbook.change import Change
from pgrunbook.errors import GateClosed, RunbookError
from pgrunbook.gate import TERMINAL, Decision, Gates, Policy, is_step, scripts, subject
from pgrunbook.history import UNANSWERED, WITHDRAWN
from pgrunbook.job import Cancelled
from pgrunbook.ledger import Ledger
from pgrunbook.ticking import Ticking

__all__ = ["Deciding"]


@dataclass(slots=True)
class Deciding:
    """Who lets a run go on; the ledger keeps each decision before anything acts on it."""

    change: Change
    binding: Binding
    gates: Gates
    audits: Audits
    checklist: Ticking
    asked: str = ""
    """The gate whose question people have before their eyes."""
    _heard: int = 0
    _seen: set[str] = field(default_factory=set)
    _timeline: int = 0

    def require_ready(self, name: str) -> None:
        """Raise PreflightMissing, PreflightFailed or ItemsOpen when a GO to `name` would be refused anyway."""
        if is_step(self.change, name):
            step = self.change.step(name)
            self.audits.require(step.name)
            self.checklist.require(step)

    def decide(self, name: str, *, go: bool, who: str, reason: str, how: str) -> Decision:
        """Record a decision; raises as `require_ready`, and GateClosed where a GO is not to what is there now.

        The file is another than this run read, or a NO-GO came from elsewhere that nobody has seen yet.
        """
        if not go:
            return self.refuse(name, who=who, reason=reason, how=how)
        full, sha256 = subject(self.change, name)
        seen = self.gates.last(full)
        self.require_ready(name)
        self._require_unedited(name)
        # Whoever stopped the last step did not mean this.
        self.binding.resume()
        self.binding.begin_writing()
        # What came from elsewhere before this was about another question.
        self.hear()
        self.gates.require_unopposed(full, seen=seen)
        decision = Decision(full, go, who, reason, how, sha256)
        self.binding.note("gate", {"who": who, **decision.facts}, step=full)
        self.gates.record(decision)
        return decision

    def refuse(self, name: str, *, who: str, reason: str, how: str, server: bool = True) -> Decision:
        """Record a NO-GO: it closes the gate at once, whatever becomes of the server and of the record.

        Where the server does not answer, or refuses, the journal keeps it.
        """
        full, sha256 = subject(self.change, name)
        decision = Decision(full, False, who, reason, how, sha256)
        self.gates.record(decision)
        note = self._noting(server=server, hear=True)
        # Nothing that was heard only now came after it.
        self.gates.record(decision)
        note("gate", {"who": who, **decision.facts}, step=full)
        return decision

    def decide_by_policy(self, name: str, policy: Policy, reason: str, *, who: str) -> Decision:
        """Record the decision that a policy takes where nobody can be asked; raises GateClosed."""
        full, _ = subject(self.change, name)
        if not (why := policy.why(reason)):
            raise GateClosed(step=full, reason="nobody is here to ask, and no policy was set")
        self.hear()
        self.gates.require_unopposed(full)
        if is_step(self.change, name):
            self.checklist.tick_by_policy(policy, self.checklist.holding_up(self.change.step(name)))
        return self.decide(name, go=True, who=who, reason=why, how=policy.value)

    def hear(self) -> bool:
        """Take in what others decided at their own terminals since the last time; return whether they did."""
        return self.take_in(self.told(self.binding.ledger))

    def told(self, ledger: Ledger) -> list[dict[str, Any]]:
        """Return the events of what was decided since the last time; nothing is taken in yet. From any thread."""
        # Whom the ledger lets read nothing it lets decide nothing either, and says so there.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege), ledger.conn.transaction():
            if self._timeline != self.binding.facts.timeline:
                # A standby that was promoted without the last events gives their numbers again.
                self._timeline, self._heard = self.binding.facts.timeline, 0
            asked = {"after": self._heard, "run_id": self.binding.run_id}
            return session.rows(ledger.conn, "decisions_after", asked) if ledger.exists else []
        return []

    def take_in(self, rows: Sequence[Mapping[str, Any]]) -> bool:
        """Take in events that were told; return whether somebody at another terminal is among who decided."""
        came = False
        for row in rows:
            if row["hash"] in self._seen:
                continue
            self._seen.add(row["hash"])
            self._heard = row["id"]
            told = row["detail"]
            if told.get("how") == TERMINAL:
                words = (str(told.get(name, "")) for name in ("who", "reason", "how", "script_sha256"))
                self.gates.hear(Decision(row["step"], told.get("go") is True, *words))
                came = True
        return came

    def withdraw(self, *names: str, why: str) -> None:
        """Let no GO to these count any more; the ledger tells why, so that nobody elsewhere adds theirs to it."""
        known = [name for name in names if self.gates.last(name) is not None]
        self.gates.withdraw(*names)
        for name in known:
            self.binding.note(WITHDRAWN, {"reason": why}, step=name)

    def leave(self, reason: str, *, server: bool = True) -> None:
        """Record that the question that waits now was left without an answer; does nothing where none does.

        Where the server does not answer, or refuses, the journal keeps it.
        """
        if not (name := self.asked):
            return
        self.asked = ""
        full, sha256 = subject(self.change, name)
        note = self._noting(server=server)
        note(UNANSWERED, {"reason": reason, "script_sha256": sha256}, step=full)

    def _noting(self, *, server: bool, hear: bool = False) -> Callable[..., None]:
        """Return how to note what has to be kept in any case: the ledger's writer where the server lets us write."""
        if not server:
            return self.binding.note_later
        with contextlib.suppress(RunbookError, psycopg.Error, Cancelled):
            self.binding.begin_writing()
            if hear:
                self.hear()
        return self.binding.note

    def _require_unedited(self, name: str) -> None:
        for script in scripts(self.change, name):
            try:
                now = hashlib.sha256(script.path.read_bytes()).hexdigest()
            except OSError:
                now = ""
            if now != script.sha256:
                raise GateClosed(
                    step=subject(self.change, name)[0],
                    reason=f"{script.label} was edited after this run had read it: open the runbook again",
                )
