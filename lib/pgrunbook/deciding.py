"""The decisions of a run: made at its screen or by its policy, and heard from other terminals."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass

import psycopg

from pgrunbook import session
from pgrunbook.audits import Audits
from pgrunbook.binding import Binding
from pgrunbook.change import Change
from pgrunbook.errors import GateClosed
from pgrunbook.gate import ROLLBACK, TERMINAL, Decision, Gates, Policy, is_step, subject
from pgrunbook.ledger import Ledger
from pgrunbook.session import Connection
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
    _heard: int = 0

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
        full, sha256 = subject(self.change, name)
        seen = self.gates.last(full)
        if go:
            self.require_ready(name)
            self._require_unedited(name)
        self.binding.begin_writing()
        # What came from elsewhere before this was about another question.
        self.hear()
        if go:
            self.gates.require_unopposed(full, seen=seen)
        decision = Decision(full, go, who, reason, how, sha256)
        self.binding.note("gate", {"who": who, **decision.facts}, step=decision.step)
        self.gates.record(decision)
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

    def hear(self, conn: Connection | None = None) -> bool:
        """Take in what others decided at their own terminals since the last time; return whether they did."""
        ledger = Ledger(conn, self.binding.target) if conn else self.binding.ledger
        rows, came = [], False
        # Whom the ledger lets read nothing it lets decide nothing either, and says so there.
        with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
            asked = {"after": self._heard, "run_id": self.binding.run_id}
            rows = session.rows(ledger.conn, "decisions_after", asked) if ledger.exists else []
        for row in rows:
            self._heard = row["id"]
            told = row["detail"]
            if told.get("how") == TERMINAL:
                words = (str(told.get(name, "")) for name in ("who", "reason", "how", "script_sha256"))
                self.gates.hear(Decision(row["step"], told.get("go") is True, *words))
                came = True
        return came

    def _require_unedited(self, name: str) -> None:
        if name == ROLLBACK:
            return
        script = self.change.step(name).migrate if is_step(self.change, name) else self.change.remedy(name)
        try:
            now = hashlib.sha256(script.path.read_bytes()).hexdigest()
        except OSError:
            now = ""
        if now != script.sha256:
            raise GateClosed(
                step=subject(self.change, name)[0],
                reason=f"{script.label} was edited after this run had read it: open the runbook again",
            )
