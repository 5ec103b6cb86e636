"""One execution of a change against one target: audit, remedy, rehearse, apply, verify, roll back."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pgrunbook import events, explain, preflight, prospect, repair, rollback, standing, violation
from pgrunbook.audits import Audits
from pgrunbook.binding import Binding
from pgrunbook.chain import Chain
from pgrunbook.change import Change, Step
from pgrunbook.deciding import Deciding
from pgrunbook.errors import GateClosed, PreflightFailed, StepCancelled, WindowTooShort
from pgrunbook.gate import ROLLBACK, Decision, Gates, Policy, goes_back, subject, undo_of, undone, way_back
from pgrunbook.identity import new_run_id, operator_name
from pgrunbook.ledger import Ledger, Status
from pgrunbook.patience import Blocker
from pgrunbook.preflight import Board, Finding
from pgrunbook.rehearsal import Rehearsal
from pgrunbook.remedy import Applied, Preview
from pgrunbook.server import Server
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.step import Budgets, Cancelled, Outcome
from pgrunbook.target import Target
from pgrunbook.ticking import Ticking
from pgrunbook.timing import Timing
from pgrunbook.undoing import Undone

__all__ = ["ROLLBACK", "Run"]


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
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None
    run_id: str = ""
    rehearsal: Rehearsal | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    timed_before: tuple[Timing, ...] = ()
    timed_after: tuple[Timing, ...] = ()
    blockers: tuple[Blocker, ...] = ()
    """Who was in the way at the last look, while something waits."""
    doing: str = ""
    """The step, the remedy or the rollback that runs now."""
    gates: Gates = field(init=False)
    binding: Binding = field(init=False)
    audits: Audits = field(init=False)
    checklist: Ticking = field(init=False)
    deciding: Deciding = field(init=False)

    def __post_init__(self) -> None:
        """Connect, and read where we are; raises CannotConnect or NotPrimary."""
        self.run_id = self.run_id or new_run_id(self.change.name)
        self.operator, self.reason = map(self.target.redacted, (self.operator, self.reason))
        self.gates = Gates(self.approvals_needed)
        self.binding = Binding(
            self.change.name, self.target, self.run_id, self.records, self.operator, budgets=self.budgets,
            scripts={one.sha256: one.text for one in self.change.scripts},
        )  # fmt: skip
        self.binding.on_wait = self._waits
        self.audits = Audits(self.change, self.binding)
        self.checklist = Ticking(self.change, self.binding)
        self.deciding = Deciding(self.change, self.binding, self.gates, self.audits, self.checklist)
        with contextlib.ExitStack() as opening:
            # A run that cannot begin leaves no session.
            opening.callback(self.close)
            opened = events.opened(
                self.change, self.target, self.facts, operator=self.operator, stall_ms=self.budgets.stall_ms,
                window_ends=self.budgets.window, approvals=self.approvals_needed,
            )  # fmt: skip
            self.binding.note("run opened", opened)
            opening.pop_all()

    @property
    def board(self) -> Board | None:
        """Return what the last audit found."""
        return self.audits.board

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

    def close(self) -> None:
        """End all connections; the runner lock goes with them."""
        try:
            self.deciding.leave("the notebook was closed before anybody answered")
        finally:
            self.binding.close()

    def cancel(self) -> None:
        """Ask the running step or remedy to stop; safe from any thread."""
        self.binding.cancel()

    def preflight(self) -> Board:
        """Return the board: what stands in the way of this change now."""
        return self.audits.take()

    def preview_remedy(self, name: str) -> Preview:
        """Return what a remedy would do, tried in a transaction that is rolled back."""
        return repair.preview(self.binding, self.change.remedy(name))

    def apply_remedy(self, name: str) -> Applied:
        """Run a remedy whose gate is open; what it replaces goes to quarantine. Raises WindowEnded."""
        self._may_go_on(name)
        # A GO to undo it was given to fewer rows.
        self.deciding.withdraw(undo_of(name), why="the remedy was begun")
        with self._stopping(name):
            return repair.apply(self.binding, self.change, self.change.remedy(name))

    def undo_remedy(self, name: str) -> Undone:
        """Give back what a remedy replaced, where the gate of its undo is open; rows changed since are left alone."""
        self._may_go_on(undo_of(name))
        # Run All must not repair again, on the strength of an earlier GO, what somebody has given back.
        self.deciding.withdraw(name, why="its undo was begun")
        with self._stopping(name):
            done = repair.undo(self.binding, self.change, self.change.remedy(name))
        self.deciding.withdraw(undo_of(name), why="it was undone")
        return done

    def preview_undo(self, name: str) -> Undone:
        """Return what undo would give back, leave alone and be forbidden, tried and taken back."""
        self.binding.resume()
        with self._stopping(name):
            return repair.preview_undo(self.binding, self.change.remedy(name))

    def remaining(self) -> tuple[Step, ...]:
        """Return the steps whose promise does not hold yet; reads only."""
        return prospect.remaining(self.binding, self.change)

    def rehearse(self, server: Server) -> Rehearsal:
        """Return what every file of the remaining steps does to a clone of the target's schema."""
        self.rehearsal = prospect.rehearse(self.binding, self.change, server)
        return self.rehearsal

    def require_ready(self, name: str) -> None:
        """Raise PreflightMissing, PreflightFailed or ItemsOpen when a GO to `name` would be refused anyway."""
        self.deciding.require_ready(name)

    def decide(self, name: str, *, go: bool, who: str, reason: str, how: str) -> Decision:
        """Record a decision about a step, a remedy or the rollback, before anything acts on it.

        Raises PreflightFailed or PreflightMissing for a GO to a step while the board does not say GO, and
        ItemsOpen while items of the checklist that it waits for are open.
        """
        who, reason = map(self.target.redacted, (who, reason))
        return self.deciding.decide(name, go=go, who=who, reason=reason, how=how)

    def decide_by_policy(self, name: str) -> Decision:
        """Record the decision that the policy takes where nobody can be asked; raises GateClosed."""
        return self.deciding.decide_by_policy(name, self.policy, self.reason, who=self.operator)

    def apply(self, name: str) -> Outcome:
        """Apply one step, or say that it is done; the ledger, the catalog and the server decide together.

        Raises GateClosed, StepOutOfOrder, ScriptChanged, OtherCluster, PreflightFailed, RowsInTheWay, StepFailed,
        StepCancelled, LockNotTaken, WindowTooShort, WindowEnded; each leaves the step as it was.
        """
        chosen = self.change.step(name)
        try:
            rows = self.ledger.steps(self.change.name)
            to_run = standing.is_to_run(chosen, rows)
            self.audits.require(chosen.name, asked_now=to_run)
        except PreflightFailed:
            # What the GO was given on is true no more.
            self.deciding.withdraw(chosen.name, why="the board says NO-GO since")
            raise
        self._may_go_on(chosen.name)
        self.checklist.require(chosen)
        if to_run:
            # A GO to roll back was given to fewer steps.
            self.deciding.withdraw(
                *filter(goes_back, list(self.gates.decisions)), why=f"{chosen.name} was begun"
            )
        with self._stopping(chosen.name):
            outcome = violation.apply(
                self.binding, self.change, chosen, audits=self.audits, deciding=self.deciding,
                still_open=lambda: self._require_open(chosen.name),
            )  # fmt: skip
        self.outcomes.append(outcome)
        return outcome

    def roll_back(self, to: str | None = None) -> list[Outcome]:
        """Undo applied steps in reverse order, down to but not including `to`; all of them without it.

        The gate has to be open for exactly that: "rollback", or "rollback to" the step that stays.
        """
        keep = self.change.step(to).name if to else None
        name = way_back(keep)
        self._may_go_on(name)
        # Run All must not do again, on the strength of an earlier GO, what somebody undoes now.
        self.deciding.withdraw(*(one.name for one in undone(self.change, name)), why="a rollback was begun")
        with self._stopping(ROLLBACK):
            done = rollback.roll_back(self.binding, self.change, keep=keep)
        self.outcomes.extend(done)
        self.deciding.withdraw(name, why="it was done")
        return done

    def verify(self) -> list[Finding]:
        """Return what each applied step's verify file finds now."""
        done = {
            name for name, row in self.ledger.steps(self.change.name).items() if row.status is Status.DONE
        }
        findings = [preflight.run_check(self.control, s.verify) for s in self.change.steps if s.name in done]
        self.binding.note("verified", events.verified(findings))
        return findings

    def time_queries(self, *, after: bool) -> tuple[Timing, ...]:
        """Return the cost of the change's timing queries now, kept as before or after."""
        if after:
            timings = tuple(explain.measure(self.control, script) for script in self.change.timings)
            self.timed_after = timings
        else:
            timings = self.timed_before = explain.measure_before(self.control, self.change.timings)
        self.binding.note("timed", events.timed(timings, self.change.timings, after=after))
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

    def _may_go_on(self, name: str) -> None:
        if not self.still_here():
            raise GateClosed(step=subject(self.change, name)[0], reason="the kernel is shutting down")
        self._require_open(name)
        self.binding.resume()
        with self._stopping(name):
            self.binding.begin_writing()

    def _require_open(self, name: str) -> None:
        self.deciding.hear()
        self.gates.require(*subject(self.change, name))

    @contextlib.contextmanager
    def _stopping(self, name: str) -> Iterator[None]:
        """Say who was stopped where a job had not begun or had just ended, and note a step that did not fit."""
        self.doing, self.audits.stale = name, True
        try:
            yield
        except Cancelled:
            raise StepCancelled(
                step=name, left="what was done before is kept, nothing else was begun"
            ) from None
        except WindowTooShort as refused:
            self.binding.note("apply refused", {"reason": str(refused)}, step=name)
            raise
        finally:
            self.doing, self.blockers = "", ()

    def _waits(self, blockers: Sequence[Blocker], attempts: int) -> None:
        self.blockers = tuple(blockers)
        self.on_wait(blockers, attempts)
