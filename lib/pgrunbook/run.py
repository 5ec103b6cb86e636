"""One execution of a change against one target: audit, remedy, rehearse, apply, verify, roll back."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pgrunbook import explain, preflight, rehearsal, remedy, rollback, session, standing
from pgrunbook.apply import apply_step
from pgrunbook.binding import Binding, library_version
from pgrunbook.change import Change, Script
from pgrunbook.errors import GateClosed, PreflightMissing, StepCancelled
from pgrunbook.explain import Timing
from pgrunbook.gate import Decision, Gates, Policy
from pgrunbook.journal import Journal
from pgrunbook.ledger import Chain, Ledger, Status
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import Rehearsal
from pgrunbook.server import Server
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.step import Budgets, Cancelled, Outcome
from pgrunbook.target import Target

__all__ = ["ROLLBACK", "Run", "new_run_id", "operator_name"]

ROLLBACK = "rollback"


def operator_name() -> str:
    """Return who is at the keyboard: PGRUNBOOK_OPERATOR, else the name of the system's user."""
    return os.environ.get("PGRUNBOOK_OPERATOR") or getpass.getuser()


def new_run_id(change: str) -> str:
    """Return a name for a run that sorts by time and never repeats."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{change}-{secrets.token_hex(2)}"


@dataclass(slots=True)
class Run:
    """A change, a target, an operator, and everything that happens between them.

    Nothing is written to the target before the first gate, remedy or step; each call opens the
    connections that it needs again when they are gone.
    """

    change: Change
    target: Target
    records: Path
    policy: Policy
    operator: str = field(default_factory=operator_name)
    reason: str = ""
    approvals_needed: int = 1
    budgets: Budgets = field(default_factory=Budgets)
    still_here: Callable[[], bool] = lambda: True
    run_id: str = ""
    board: Board | None = None
    rehearsal: Rehearsal | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    timed_before: tuple[Timing, ...] = ()
    timed_after: tuple[Timing, ...] = ()
    gates: Gates = field(init=False)
    binding: Binding = field(init=False)

    def __post_init__(self) -> None:
        """Connect, and read where we are; raises CannotConnect or NotPrimary."""
        self.run_id = self.run_id or new_run_id(self.change.name)
        self.gates = Gates(self.approvals_needed)
        self.binding = Binding(
            self.change.name, self.target, self.run_id, self.records, self.operator, budgets=self.budgets
        )
        self.binding.note(
            "run opened",
            {
                "change": self.change.name,
                "title": self.change.title,
                "target": self.target.where,
                "target_kind": self.target.kind.value,
                "operator": self.operator,
                "server": f"PostgreSQL {self.facts.version}",
                "cluster": self.facts.cluster,
                "version": library_version(),
                "stall_budget_ms": self.budgets.stall_ms,
                "scripts": {script.label: script.sha256 for script in _scripts(self.change)},
            },
        )

    @property
    def facts(self) -> ServerFacts:
        """Return who and where the run's sessions are."""
        return self.binding.facts

    @property
    def control(self) -> Connection:
        """Return the connection for the ledger, looks and checks."""
        return self.binding.control

    @property
    def work(self) -> Connection:
        """Return the connection that steps run on."""
        return self.binding.work

    @property
    def ledger(self) -> Ledger:
        """Return the ledger of the target."""
        return self.binding.ledger

    @property
    def journal(self) -> Journal:
        """Return the run's journal on disk."""
        return self.binding.journal

    def close(self) -> None:
        """End all connections; the runner lock goes with them."""
        self.binding.close()

    def cancel(self) -> None:
        """Ask the running step or remedy to stop; safe from any thread."""
        self.binding.cancel()

    def preflight(self) -> Board:
        """Return the board: what stands in the way of this change now."""
        self.board = preflight.audit(self.control, self.change)
        self.binding.note(
            "preflight",
            {
                "verdict": "GO" if self.board.go else "NO-GO",
                "checks": [_finding_facts(finding) for finding in self.board.findings],
            },
        )
        return self.board

    def preview_remedy(self, name: str) -> remedy.Preview:
        """Return what a remedy would do, tried in a transaction that is rolled back."""
        found = remedy.preview(self.work, self.control, self.change.remedy(name))
        self.binding.note(
            "remedy previewed", {"remedy": name, "rows": len(found.repairs), "undo_proved": found.undo_proved}
        )
        return found

    def apply_remedy(self, name: str) -> remedy.Applied:
        """Run a remedy whose gate is open; what it replaces goes to quarantine."""
        script = self.change.remedy(name)
        self._may_go_on(name, script.sha256)
        self.binding.note("remedy started", {"remedy": name, "file": script.label, "sha256": script.sha256})
        with self._stopping(name):
            done = remedy.apply(
                self.work,
                script,
                run_id=self.run_id,
                change=self.change.name,
                checkpoint=self.binding.checkpoint,
            )
        self.binding.note(
            "remedy applied",
            {"remedy": name, "table": done.table, "rows": done.repairs, "batches": done.batches},
        )
        return done

    def undo_remedy(self, name: str) -> remedy.Undone:
        """Give back what a remedy with an open gate replaced; rows that others changed since are left alone."""
        script = self.change.remedy(name)
        self._may_go_on(name, script.sha256)
        with self._stopping(name):
            done = remedy.undo(self.work, script, change=self.change.name, checkpoint=self.binding.checkpoint)
        self.binding.note(
            "remedy undone", {"remedy": name, "rows": done.restored, "left_alone": list(done.refused)[:50]}
        )
        return done

    def rehearse(self, server: Server) -> Rehearsal:
        """Return what every file does to a clone of the target's schema on the embedded server."""
        # As it works here: in the clone "$user" would be another role.
        path = session.value(
            self.control,
            "SELECT string_agg(quote_ident(s), ', ' ORDER BY n)"
            " FROM unnest(current_schemas(false)) WITH ORDINALITY AS here (s, n)",
        )
        name = f"rehearsal_{self.change.name[:30]}_{secrets.token_hex(3)}"
        self.rehearsal = rehearsal.rehearse(
            self.change, self.target, server, name=name, search_path=path or ""
        )
        self.binding.note(
            "rehearsed",
            {
                "locks": [
                    {"file": f.file, "declared": list(f.declared), "observed": list(f.observed)}
                    for f in self.rehearsal.files
                ],
                "not_restored": list(self.rehearsal.not_restored),
                "holds": self.rehearsal.holds,
                "server": f"PostgreSQL {self.rehearsal.server_version}",
            },
        )
        return self.rehearsal

    def require_ready(self, name: str) -> None:
        """Raise PreflightMissing or PreflightFailed when a GO to `name` would be refused anyway."""
        if name != ROLLBACK and not self._is_remedy(name):
            self._require_audit()

    def decide(self, name: str, *, go: bool, who: str, reason: str, how: str) -> Decision:
        """Record a decision about a step, a remedy or the rollback, before anything acts on it.

        Raises PreflightFailed or PreflightMissing for a GO to a step while the board does not say GO.
        """
        if go:
            self.require_ready(name)
        self.binding.begin_writing()
        decision = Decision(self._full_name(name), go, who, reason, how, self._sha256(name))
        self.binding.note("gate", {"who": who, **decision.facts}, step=decision.step)
        self.gates.record(decision)
        return decision

    def decide_by_policy(self, name: str) -> Decision:
        """Record the decision that the policy takes where nobody can be asked; raises GateClosed."""
        if self.policy is Policy.REHEARSAL:
            return self.decide(
                name, go=True, who=self.operator, reason="a rehearsal approves itself", how=self.policy.value
            )
        if self.policy is Policy.APPROVE_ALL and self.reason:
            return self.decide(name, go=True, who=self.operator, reason=self.reason, how=self.policy.value)
        raise GateClosed(step=self._full_name(name), reason="nobody is here to ask, and no policy was set")

    def apply(self, name: str) -> Outcome:
        """Apply one step, or say that it is done; the ledger, the catalog and the server decide together.

        Raises GateClosed, StepOutOfOrder, ScriptChanged, OtherCluster, PreflightFailed, StepFailed,
        StepCancelled, LockNotTaken; each leaves the step as it was.
        """
        chosen = self.change.step(name)
        self._require_audit()
        self._may_go_on(chosen.name, chosen.migrate.sha256)
        with self._stopping(chosen.name):
            outcome = apply_step(self.binding, self.change, chosen)
        self.outcomes.append(outcome)
        return outcome

    def roll_back(self, to: str | None = None) -> list[Outcome]:
        """Undo applied steps in reverse order, down to but not including `to`; all of them without it."""
        keep = self.change.step(to).name if to else None
        self._may_go_on(ROLLBACK, "")
        with self._stopping(ROLLBACK):
            undone = rollback.roll_back(self.binding, self.change, keep=keep)
        self.outcomes.extend(undone)
        return undone

    def verify(self) -> list[Finding]:
        """Return what each applied step's verify file finds now."""
        done = {
            name for name, row in self.ledger.steps(self.change.name).items() if row.status is Status.DONE
        }
        findings = [preflight.run_check(self.control, s.verify) for s in self.change.steps if s.name in done]
        self.binding.note("verified", {"checks": [_finding_facts(finding) for finding in findings]})
        return findings

    def time_queries(self, *, after: bool) -> tuple[Timing, ...]:
        """Return the cost of the change's timing queries now, kept as before or after."""
        timings = tuple(explain.measure(self.control, script) for script in self.change.timings)
        if after:
            self.timed_after = timings
        else:
            self.timed_before = timings
        self.binding.note(
            "timed",
            {
                "when": "after" if after else "before",
                "queries": [
                    {"name": t.name, "median_ms": round(t.median_ms, 4), "rows": t.rows, "plan": t.nodes[0]}
                    for t in timings
                ],
            },
        )
        return timings

    def status(self) -> list[dict[str, Any]]:
        """Return one row a step: what the ledger says of it; reads only."""
        rows = self.ledger.steps(self.change.name)
        return standing.table(self.change, rows)

    def check_chain(self) -> Chain | None:
        """Return the state of the event chain, or None without a ledger; raises ChainBroken."""
        return self.ledger.check_chain() if self.ledger.exists else None

    def finish(self, outcome: str) -> None:
        """Write how the run ended."""
        self.binding.finish(outcome)

    def _may_go_on(self, name: str, sha256: str) -> None:
        full = self._full_name(name)
        if not self.still_here():
            raise GateClosed(step=full, reason="the kernel is shutting down")
        self.gates.require(full, sha256)
        self.binding.resume()
        self.binding.begin_writing()

    @contextlib.contextmanager
    def _stopping(self, name: str) -> Iterator[None]:
        """Say who was stopped where a job had not begun or had just ended."""
        try:
            yield
        except Cancelled:
            raise StepCancelled(
                step=name, left="what was done before is kept, nothing else was begun"
            ) from None

    def _require_audit(self) -> None:
        if self.board is None:
            raise PreflightMissing(change=self.change.name)
        self.board.require_go()

    def _full_name(self, name: str) -> str:
        return name if name == ROLLBACK or self._is_remedy(name) else self.change.step(name).name

    def _is_remedy(self, name: str) -> bool:
        return any(script.name == name for script in self.change.remedies)

    def _sha256(self, name: str) -> str:
        if name == ROLLBACK:
            return ""
        if self._is_remedy(name):
            return self.change.remedy(name).sha256
        return self.change.step(name).migrate.sha256


def _scripts(change: Change) -> list[Script]:
    steps = [script for s in change.steps for script in (s.migrate, s.verify, *s.rollback)]
    return [*change.preflight, *change.remedies, *steps, *change.timings]


def _finding_facts(finding: Finding) -> dict[str, object]:
    return {
        "label": finding.label,
        "title": finding.title,
        "severity": finding.severity.value,
        "rows": finding.total,
        "problem": finding.problem,
        "sample": [{key: str(value) for key, value in row.items()} for row in finding.rows[:5]],
    }
