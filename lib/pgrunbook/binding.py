"""The bond between a run and its target: connections, ledger, journal, and the hands that run scripts."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook import continuity, merging, pooler, session, versions
from pgrunbook.errors import ConnectionLost
from pgrunbook.journal import Journal
from pgrunbook.ledger import Ledger, hold_work_lock
from pgrunbook.observers import Observation
from pgrunbook.pace import Progress
from pgrunbook.patience import Blocker
from pgrunbook.session import Connection, ServerFacts
from pgrunbook.stage import Stage
from pgrunbook.step import Budgets, Cancelled
from pgrunbook.target import Target

__all__ = ["Binding", "tell"]

CHAIN_MS = 5_000
"""How long an event waits for others who write to the chain; then the journal keeps it until it can be told."""


@dataclass(slots=True)
class Binding:
    """One run's hold on one target.

    Nothing is written to the target before `begin_writing`; connections are made again when they are gone,
    and then it is made sure that they lead to the same database of the same cluster.
    """

    change: str
    target: Target
    run_id: str
    records: Path
    operator: str
    budgets: Budgets = field(default_factory=Budgets)
    scripts: Mapping[str, str] = field(default_factory=dict)
    """The text of each script of the change by its SHA-256, for the ledger's archive."""
    on_wait: Callable[[Sequence[Blocker], int], None] = lambda _blockers, _attempt: None
    on_sample: Callable[[Observation], None] = lambda _observation: None
    on_progress: Callable[[Progress], None] = lambda _progress: None
    on_stage: Callable[[Stage], None] = lambda _stage: None
    estimating: bool = False
    """Somebody watches and wants to know how long a job takes."""
    facts: ServerFacts = field(init=False)
    journal: Journal = field(init=False)
    news: list[str] = field(default_factory=list)
    """What became of the server, for the next outcome to tell."""
    _control: Connection | None = None
    _work: Connection | None = None
    _held: Connection | None = None
    _bound: bool = False
    _writing: bool = False
    _began: bool = False
    _keeping: threading.Lock = field(default_factory=threading.Lock)
    _cancelled: bool = False

    def __post_init__(self) -> None:
        """Connect, and read where we are; raises CannotConnect or NotPrimary."""
        self.journal = Journal(self.records / self.run_id)
        try:
            self.facts = session.bind(self.control, self.target)
            if pooler.between(self.control):
                pooler.refuse(self.control, self.work, where=self.target.where)
        except BaseException:
            self.close()
            raise
        self._bound = True
        known = self.facts.system_identifier != "unknown"
        cluster = self.facts.system_identifier if known else self.target.where
        self.journal.database = f"{cluster}/{self.facts.database_oid}"

    @property
    def control(self) -> Connection:
        """Return the connection for the ledger, looks and checks; made anew when it is gone.

        Raises OtherServer when the name leads elsewhere by now.
        """
        if not session.alive(self._control):
            self._writing = False
            self._control = self._connect("control")
        assert self._control is not None
        return self._control

    @property
    def work(self) -> Connection:
        """Return the connection that steps run on; made anew when it is gone. Raises OtherServer."""
        if not session.alive(self._work):
            self._work = self._connect("step")
        assert self._work is not None
        if self._writing and self._held is not self._work:
            hold_work_lock(self._work)
            self._held = self._work
        return self._work

    @property
    def ledger(self) -> Ledger:
        """Return the ledger over the control connection."""
        return Ledger(self.control, self.target)

    @property
    def writer(self) -> Ledger:
        """Return the ledger over the connection that holds the runner lock.

        Raises ConnectionLost when that one is gone: what was decided with it has to be decided again.
        """
        if self._control is None or not self._writing or not session.alive(self._control):
            raise ConnectionLost(where=self.target.where)
        return Ledger(self._control, self.target)

    @property
    def runner_pid(self) -> int | None:
        """Return the pid of the session that has to hold the runner lock, or None before the first was taken."""
        return session.pid(self._control) if self._began and self._control is not None else None

    def close(self) -> None:
        """End all connections; who comes next is not kept out by a server that has not noticed yet."""
        if self._writing and self._control is not None:
            Ledger(self._control, self.target).give_back_runner_lock()
        for conn in filter(None, (self._control, self._work)):
            conn.close()
        self.journal.close()

    def finish(self, outcome: str) -> None:
        """Write how the run ended; a run that wrote connects again for it."""
        if self._began:
            # Whoever stopped the last step did not mean this.
            self.resume()
            self.begin_writing()
        self.note("run finished", {"outcome": outcome})
        if self._writing:
            self.ledger.finish_run(self.run_id, outcome)

    def note(
        self, kind: str, detail: Mapping[str, object] | None = None, *, step: str = "", in_ledger: bool = True
    ) -> None:
        """Remember an event: in the ledger when this run writes it, and in the journal always."""
        detail, actor = self.target.mask.whole(detail or {}), self.operator
        number = self.journal.number()
        told = False
        if self._writing and in_ledger:
            try:
                tell(self.writer, **self._own, step=step, kind=kind, actor=actor, detail=detail, entry=number)
                told = True
            except (psycopg.Error, ConnectionLost):
                self._writing = False
        self.journal.write(kind, step=step, actor=actor, detail=detail, in_ledger=told, n=number)

    def note_later(self, kind: str, detail: Mapping[str, object], *, step: str) -> None:
        """Remember an event while the server does not answer: it is told when writing begins again."""
        self.note(kind, detail, step=step, in_ledger=False)

    def note_beside(
        self, ledger: Ledger, kind: str, detail: Mapping[str, object], *, step: str, actor: str
    ) -> str:
        """Remember an event over another connection, while those of this run are busy; safe from any thread.

        Returns why the ledger could not be told, empty where it was: then the journal keeps it, and it is told when
        writing begins again.
        """
        detail = self.target.mask.whole(detail)
        number = self.journal.number()
        why = "this run has written nothing to it"
        if self._began:
            try:
                tell(ledger, **self._own, step=step, kind=kind, actor=actor, detail=detail, entry=number)
                why = ""
            except psycopg.Error as error:
                why = self.target.redacted(str(error)).strip().splitlines()[0]
        with self._keeping:
            self.journal.write(kind, step=step, actor=actor, detail=detail, in_ledger=not why, n=number)
        return why

    def begin_writing(self) -> None:
        """Become the only runner, install the ledger, and merge what journals held for the server.

        Returns once no session of another runner works any more. Raises TransactionPooler, LedgerRefused or RunnerBusy.
        """
        ledger = self.ledger
        if not self._writing:
            pooler.refuse(ledger.conn, self.work, where=self.target.where)
            ledger.take_runner_lock()
        try:
            ledger.await_workers(own=self._work, checkpoint=self.checkpoint)
            if not self._writing:
                self._begin(ledger)
            elif self.journal.pending():
                # Whoever holds the chain is not waited for here either: then it is told the next time.
                with contextlib.suppress(psycopg.Error):
                    self._merge(ledger, wait_ms=CHAIN_MS)
        except BaseException:
            if not self._writing:
                # Who was refused is in nobody's way.
                ledger.give_back_runner_lock()
            raise

    def _begin(self, ledger: Ledger) -> None:
        ledger.install()
        ledger.open_run(
            run_id=self.run_id,
            change=self.change,
            operator=self.operator,
            version=versions.library(),
            facts=self.facts,
        )
        ledger.keep(self.scripts)
        merged = merging.merge_left(ledger, self.journal)
        self._merge(ledger)
        self._writing = self._began = True
        for run_id, entries in merged.items():
            self.note("journal merged", {"run": run_id, "entries": entries})

    @property
    def _own(self) -> dict[str, str]:
        return {"run_id": self.run_id, "change": self.change}

    def _merge(self, ledger: Ledger, *, wait_ms: int = 0) -> None:
        """Tell the ledger what this run's journal holds for it; what comes meanwhile comes after it."""
        with self._keeping:
            merging.merge(ledger, self.journal, **self._own, wait_ms=wait_ms)

    def cancel(self) -> None:
        """Ask the running step to stop; safe from any thread. The server is asked too."""
        self._cancelled = True
        if self._work is not None and not self._work.closed:
            self._work.cancel_safe(timeout=5)

    def break_off(self, *, at_once: bool) -> None:
        """End what the connections wait for, from any thread: their statement is cancelled, or they are hung up on."""
        for conn in filter(None, (self._control, self._work)):
            if at_once:
                session.hang_up(conn)
            elif not conn.closed:
                with contextlib.suppress(psycopg.Error):
                    conn.cancel_safe(timeout=1)

    def checkpoint(self) -> None:
        """Raise Cancelled when somebody asked to stop."""
        if self._cancelled:
            raise Cancelled

    def resume(self) -> None:
        """Forget an earlier request to stop."""
        self._cancelled = False

    def told_news(self) -> tuple[str, ...]:
        """Return what became of the server, once."""
        news, self.news = tuple(self.news), []
        return news

    def _connect(self, purpose: str) -> Connection:
        conn = session.connect(self.target, purpose=f"{purpose} {self.run_id}")
        if not self._bound:
            return conn
        try:
            now = session.bind(conn, self.target)
            said = continuity.compare(self.facts, now, where=self.target.where)
        except BaseException:
            conn.close()
            raise
        if said:
            # A session that still stands may be one to the old primary: none may outlive the change.
            for old in (self._control, self._work):
                if old is not None:
                    old.close()
        self.facts = now
        for sentence in said:
            self.news.append(sentence)
            self.note("server changed", {"what": sentence})
        return conn


def tell(ledger: Ledger, **event: Any) -> None:
    """Append an event as `Ledger.event` does, but do not wait for long; raises psycopg.Error."""
    with ledger.conn.transaction():
        # A commit of which nothing was heard may hold the chain for as long as the server is at it.
        ledger.conn.execute(f"SET LOCAL lock_timeout = {CHAIN_MS}".encode())
        ledger.event(**event)
