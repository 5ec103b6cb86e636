"""The bond between a run and its target: connections, ledger, journal, and the hands that run scripts."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pgrunbook import session, step
from pgrunbook.errors import StepCancelled
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger
from pgrunbook.observers import Observation
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.step import Budgets, Cancelled, Job, Outcome
from pgrunbook.target import Target

__all__ = ["Binding", "library_version"]


@dataclass(slots=True)
class Binding:
    """One run's hold on one target.

    Nothing is written to the target before `begin_writing`; connections are made again when they are gone.
    """

    change: str
    target: Target
    run_id: str
    records: Path
    operator: str
    budgets: Budgets = field(default_factory=Budgets)
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None
    on_sample: Callable[[Observation], None] = lambda _observation: None
    facts: ServerFacts = field(init=False)
    journal: Journal = field(init=False)
    _control: Connection | None = None
    _work: Connection | None = None
    _writing: bool = False
    _cancelled: bool = False

    def __post_init__(self) -> None:
        """Connect, and read where we are; raises CannotConnect or NotPrimary."""
        self.journal = Journal(self.records / self.run_id)
        try:
            self.facts = session.bind(self.control, self.target)
        except BaseException:
            self.close()
            raise

    @property
    def control(self) -> Connection:
        """Return the connection for the ledger, looks and checks; made anew when it is gone."""
        if not session.alive(self._control):
            self._control = session.connect(self.target, purpose=f"control {self.run_id}")
            self._writing = False
        assert self._control is not None
        return self._control

    @property
    def work(self) -> Connection:
        """Return the connection that steps run on; made anew when it is gone."""
        if not session.alive(self._work):
            self._work = session.connect(self.target, purpose=f"step {self.run_id}")
        assert self._work is not None
        return self._work

    @property
    def ledger(self) -> Ledger:
        """Return the ledger over the control connection."""
        return Ledger(self.control, self.target)

    def close(self) -> None:
        """End all connections; the runner lock goes with them."""
        for conn in (self._control, self._work):
            if conn is not None:
                conn.close()

    def finish(self, outcome: str) -> None:
        """Write how the run ended."""
        self.note("run finished", {"outcome": outcome})
        if self._writing:
            self.ledger.finish_run(self.run_id, outcome)

    def note(self, kind: str, detail: Mapping[str, object] | None = None, *, step: str = "") -> None:
        """Remember an event: in the ledger when this run writes it, and in the journal always."""
        detail = {key: _redacted(self.target, value) for key, value in (detail or {}).items()}
        told = False
        if self._writing:
            try:
                self.ledger.event(
                    run_id=self.run_id,
                    change=self.change,
                    step=step,
                    kind=kind,
                    actor=self.operator,
                    detail=detail,
                )
                told = True
            except psycopg.Error:
                self._writing = False
        self.journal.write(kind, step=step, actor=self.operator, detail=detail, in_ledger=told)

    def begin_writing(self) -> None:
        """Install the ledger, become the only runner, and merge what the journal held for the server.

        Raises LedgerRefused or RunnerBusy.
        """
        control = self.control
        if self._writing:
            return
        ledger = Ledger(control, self.target)
        ledger.take_runner_lock()
        ledger.install()
        ledger.open_run(
            run_id=self.run_id,
            change=self.change,
            operator=self.operator,
            version=library_version(),
            facts=self.facts,
        )
        pending = self.journal.pending()
        with control.transaction():
            for entry in pending:
                ledger.event(
                    run_id=self.run_id,
                    change=self.change,
                    step=entry["step"],
                    kind=entry["kind"],
                    actor=entry["actor"],
                    detail={**entry["detail"], "journal_at": entry["at"]},
                )
        self.journal.write("merged", detail={"entries": len(pending)}, in_ledger=True)
        self._writing = True

    def cancel(self) -> None:
        """Ask the running step to stop; safe from any thread. The server is asked too."""
        self._cancelled = True
        if self._work is not None and not self._work.closed:
            self._work.cancel_safe(timeout=5)

    def checkpoint(self) -> None:
        """Raise Cancelled when somebody asked to stop."""
        if self._cancelled:
            raise Cancelled

    def resume(self) -> None:
        """Forget an earlier request to stop."""
        self._cancelled = False

    def perform(self, job: Job) -> Outcome:
        """Run one script and return how it went; the journal knows before and after."""
        self.journal.write(
            f"{job.kind} starting",
            step=job.step,
            actor=self.operator,
            detail={"file": job.script.label},
            in_ledger=True,
        )
        hands = step.Hands(
            work=self.work,
            ledger=self.ledger,
            watch=lambda: session.connect(self.target, purpose=f"watch {self.run_id}"),
            run_id=self.run_id,
            actor=self.operator,
            budgets=self.budgets,
            checkpoint=self.checkpoint,
            on_wait=self.on_wait,
            on_sample=self.on_sample,
        )
        try:
            outcome = step.perform(job, hands)
        except BaseException as error:
            cancelled = isinstance(error, StepCancelled) or not isinstance(error, Exception)
            self.journal.write(
                f"{job.kind} {'cancelled' if cancelled else 'failed'}",
                step=job.step,
                actor=self.operator,
                detail={"reason": self.target.redacted(str(error))},
                in_ledger=hands.told,
            )
            raise
        self.journal.write(
            f"{job.kind} done", step=job.step, actor=self.operator, detail=outcome.facts, in_ledger=True
        )
        return outcome


def library_version() -> str:
    """Return the version of this library."""
    return importlib.metadata.version("pgrunbook")


def _redacted(target: Target, value: object) -> object:
    if isinstance(value, str):
        return target.redacted(value)
    if isinstance(value, Mapping):
        return {key: _redacted(target, inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_redacted(target, inner) for inner in value]
    return value
