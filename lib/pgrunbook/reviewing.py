"""The records of a target, or of two rehearsals made for the purpose, as notebook 900 shows them."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pgrunbook import change as changes
from pgrunbook import comparison, kernel, places, records, samples, server, session, shelf
from pgrunbook.comparison import Comparison
from pgrunbook.dossier import Dossier
from pgrunbook.errors import ChainBroken, UnknownName
from pgrunbook.gate import Policy
from pgrunbook.ledger import Ledger
from pgrunbook.loading import load_notebook_libraries
from pgrunbook.run import ROLLBACK, Run
from pgrunbook.server import Server
from pgrunbook.session import Connection
from pgrunbook.shelf import Entry
from pgrunbook.step import Budgets
from pgrunbook.target import Target
from pgrunbook.telling import telling
from pgrunbook.views import runs
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pgrunbook.patience import Blocker

__all__ = ["Records"]


@telling
class Records:
    """Runs for a notebook: `Records.open()`. Reads the target's ledger, or makes two runs of its own."""

    def __init__(self, running: Server | None) -> None:
        """Use a running server for rehearsals; None where a target is named."""
        self.server = running
        self._sample: Target | None = None

    @classmethod
    def open(cls) -> Records:
        """Return the records of the target that the environment names, else of rehearsals on the embedded server."""
        if os.environ.get("PGRUNBOOK_TARGET", "").strip():
            return cls(None)
        opened = cls(server.start(places.embedded_major()))
        samples.sweep(opened._running)
        # Before the server itself is stopped: what was registered last is done first.
        atexit.register(opened.close)
        return opened

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
        text = "no target is named: these are rehearsals, made here"
        if self.server is None:
            with self._ledger() as ledger:
                text = f"LIVE: {ledger.target.where}; its ledger is read, nothing is written"
        return View(text)._repr_mimebundle_()

    def close(self) -> None:
        """Drop the database of the rehearsals."""
        if self._sample is not None:
            with contextlib.suppress(Exception):
                samples.remove(self._running, self._sample)
            self._sample = None

    @property
    def _running(self) -> Server:
        assert self.server is not None, "a target is named: nothing is rehearsed"
        return self.server

    def rehearse(self, change: str) -> View:
        """Run a change twice in one sample database, the second time past a reader; with a target do nothing."""
        if self.server is None:
            return View("not rehearsed: the target has runs of its own")
        load_notebook_libraries()
        from pgrunbook.record import write_record

        chosen = changes.load(change, root=changes.root_from(os.environ))
        self.close()
        self._sample = samples.make(self.server, chosen, planted=[])
        for last in (False, True):
            made = Run(
                chosen,
                self._sample,
                places.records(),
                Policy.of(self._sample.kind),
                # These runs are there to be compared, on whatever machine: a slow one is no news.
                budgets=Budgets(stall_ms=1000, hold_ms=5000),
            )
            with contextlib.closing(made):
                made.preflight()
                made.rehearse(self.server)
                made.time_queries(after=False)
                for step in chosen.steps:
                    made.decide_by_policy(step.name)
                    # A build waits in another way, and tells of it elsewhere.
                    waits = last and step.migrate.header.in_transaction
                    with self._reader(made, chosen.tables[:1] if waits else ()):
                        made.apply(step.name)
                made.verify()
                made.time_queries(after=True)
                if not last:
                    made.decide_by_policy(ROLLBACK)
                    made.roll_back(None)
                made.finish("done" if last else "rolled back")
                write_record(made, [])
        return View(f"{change}: rehearsed twice, rolled back the first time, past a reader the second")

    @contextlib.contextmanager
    def _reader(self, run: Run, tables: Sequence[str]) -> Iterator[None]:
        """Keep a reader's transaction open on the tables until the run was seen to wait for it, or is done."""
        if not tables or self._sample is None:
            yield
            return
        with session.connect(self._sample, purpose="traffic") as conn:
            conn.execute("BEGIN")
            for table in tables:
                conn.execute(f"LOCK TABLE {table} IN ACCESS SHARE MODE".encode())

            def seen(blockers: Sequence[Blocker], _attempts: int) -> None:
                if blockers and not conn.closed:
                    _end(conn)

            run.on_wait = seen
            yield

    @contextlib.contextmanager
    def _ledger(self) -> Iterator[Ledger]:
        if self.server is None:
            with records.ledger_of_target() as ledger:
                assert ledger is not None, "the target was named when this was opened"
                yield ledger
        elif self._sample is None:
            raise UnknownName(kind="run", name="the last one", known=[])
        else:
            with session.connect(self._sample, purpose="records") as conn:
                yield Ledger(conn, self._sample)

    def runs(self, change: str | None = None) -> View:
        """Return the runs, the last one first."""
        return runs.listed(self._entries(change), in_full=kernel.attended() or self.server is None)

    def _entries(self, change: str | None = None) -> list[Entry]:
        with self._ledger() as ledger:
            return shelf.in_ledger(ledger, change=change, folder=places.records())

    def facts(self, run: str | None = None) -> View:
        """Return what the record of a run holds, by its name or file; of the last one without.

        Raises UnknownName where there is none, and what `shelf.load` raises of a file.
        """
        entries = [] if run else self._entries()
        if not run and not entries:
            raise UnknownName(kind="run", name="the last one", known=[])
        return runs.one(self._held(run or entries[0].run_id))

    def differences(self, first: str | None = None, second: str | None = None) -> View:
        """Return what differs between two runs of one change, in words; the last two without names."""
        from pgrunbook.views import comparison as side_by_side

        return side_by_side.differences(self._compared(first, second))

    def costs(self, first: str | None = None, second: str | None = None) -> View:
        """Return how long the steps of two runs took and how long anybody stalled, as a picture."""
        from pgrunbook.views import comparison as side_by_side

        return side_by_side.costs(self._compared(first, second))

    def check(self) -> View:
        """Return whether every hash is that of its event, in the ledger and in the facts of each run alone.

        Raises ChainBroken.
        """
        entries = self._entries()
        with self._ledger() as ledger:
            ledger.check_chain()
            for entry in entries:
                for event in shelf.find(entry.run_id, folder=places.records(), ledger=ledger).events:
                    if hashlib.sha256(event.hashed.encode()).hexdigest() != event.hash:
                        raise ChainBroken(event=event.id, found="its contents do not give its hash")
        return View(f"{counted(len(entries), 'run')}: the chain is unbroken, and every event gives its hash")

    def _held(self, name: str) -> Dossier:
        with self._ledger() as ledger:
            return shelf.find(name, folder=places.records(), ledger=ledger)

    def _compared(self, first: str | None, second: str | None) -> Comparison:
        if first is None or second is None:
            entries = self._entries()
            same = [one.run_id for one in entries if one.change == entries[0].change]
            if len(same) < 2:
                raise UnknownName(kind="second run of that change", name="the one before", known=[])
            first, second = first or same[1], second or same[0]
        return comparison.compare(self._held(first), self._held(second))


def _end(conn: Connection) -> None:
    conn.execute("ROLLBACK")
