"""The runbook as a notebook uses it: each call is one part of a run and returns a view of it."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pgrunbook import change as changes
from pgrunbook import duplication, kernel, live, question, samples, server, session, target, window
from pgrunbook.bearings import of_run
from pgrunbook.checkoff import go_through
from pgrunbook.errors import GateClosed, PreflightFailed
from pgrunbook.gate import Policy, goes_back, subject, way_back
from pgrunbook.loading import load_notebook_libraries
from pgrunbook.papers.command import diagram
from pgrunbook.places import embedded_major, records
from pgrunbook.run import Run
from pgrunbook.server import Server
from pgrunbook.several import several, several_awaited
from pgrunbook.standing import words
from pgrunbook.step import Budgets
from pgrunbook.target import Kind
from pgrunbook.telling import telling
from pgrunbook.traffic import Traffic
from pgrunbook.views import bearings, boards, costs, verdict
from pgrunbook.views.view import View, pictured

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Runbook"]

T = TypeVar("T")
_open: list[Runbook] = []


@telling
class Runbook:
    """One run of a change, for a notebook: `Runbook.open("010_class_code")`.

    Without PGRUNBOOK_TARGET it is a rehearsal: the embedded server with the change's samples, obstacles
    planted. Every rule (gates, order, NO-GO) is kept by the library, not by the order of cells.
    """

    def __init__(self, run: Run, embedded: Callable[[], Server]) -> None:
        self.run = run
        self._embedded = embedded
        self.shown: list[tuple[str, View]] = []
        self._drawn: list[Any] = []

    @classmethod
    def open(
        cls,
        change: str, *,
        stall_budget_ms: int = 100, hold_budget_ms: int = 500, window_ends: str | datetime | None = None,
        approvals: int = 1, planted: list[str] | None = None, mask_literals: bool = False,
    ) -> Runbook:  # fmt: skip
        """Return the runbook of a change, bound to the target that the environment names.

        `window_ends` is when a live target's steps have to be done, "2026-11-22 04:00" or "04:00", by default
        what PGRUNBOOK_WINDOW_ENDS says. `planted` chooses the obstacles of a rehearsal by the names of their
        checks. `mask_literals`, or PGRUNBOOK_MASK_LITERALS=1, keeps the values in other sessions' statements out
        of everything. Raises BadChange, BadTarget, BadWindow, CannotConnect, NotPrimary, ServerWouldNotStart.
        """
        ends = window.read(window_ends)
        chosen = changes.load(change, root=changes.root_from(os.environ))
        embedded = functools.cache(lambda: server.start(embedded_major()))
        # Run All a second time opens a second one: the first must not keep the runner lock from it.
        _close_all()
        if os.environ.get("PGRUNBOOK_TARGET", "").strip():
            bound = target.from_environment(os.environ, mask_literals=mask_literals)
            ends = ends or window.from_environment(os.environ)
        else:
            samples.sweep(embedded())
            bound = samples.make(embedded(), chosen, planted=planted)
        run = Run(
            chosen, bound, records(), Policy.of(bound.kind), approvals_needed=approvals,
            budgets=Budgets(stall_ms=stall_budget_ms, hold_ms=hold_budget_ms, window_ends=ends),
            still_here=kernel.still_here, run_id=os.environ.get("PGRUNBOOK_RUN", ""),
        )  # fmt: skip
        _open.append(cls(run, embedded))
        return _open[-1]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
        run = self.run
        view = boards.binding(run.change, run.target, run.facts, run.run_id, run.operator, run.budgets.window)
        return view._repr_mimebundle_()

    def close(self) -> None:
        """End the connections; a rehearsal's database goes too."""
        self.run.close()
        if self.run.target.kind is Kind.REHEARSAL:
            with contextlib.suppress(Exception):
                samples.remove(self._embedded(), self.run.target)

    def preflight(self) -> View:
        """Return the board: GO or NO-GO, with the rows that stand in the way."""
        return self._shown("Preflight", boards.audit(self.run.preflight()))

    def preview(self, remedy: str) -> View:
        """Return what a remedy would do, row by row, tried and taken back."""
        return self._shown(f"Remedy {remedy}, preview", boards.preview(self.run.preview_remedy(remedy)))

    async def preview_undo(self, remedy: str) -> View:
        """Return what undo of a remedy would give back, leave alone and be forbidden; tried and taken back."""
        found = await self._live(f"undo of remedy {remedy}, tried", lambda: self.run.preview_undo(remedy))
        return self._shown(f"Remedy {remedy}, undo previewed", boards.undo_previewed(found))

    @several
    def sql(self, step: str) -> View:
        """Return the text of a step, or of several, as it will be sent to the server."""
        return boards.script(self.run.change.step(step).migrate)

    def status(self) -> View:
        """Return where each step stands, by ledger, catalog and server, and the call that goes on from here."""
        return self._shown("Status", bearings.view(of_run(self.run), live=self.run.target.kind is Kind.LIVE))

    def verify(self) -> View:
        """Return whether the promise of each applied step holds now."""
        return self._shown("Verification", boards.verification(self.run.verify()))

    def time_before(self) -> View:
        """Return the cost of the change's queries before it."""
        timed = self.run.time_queries(after=False)
        return self._shown("Queries before", costs.timings(timed, (), self.run.change))

    def time_after(self) -> View:
        """Return the cost of the change's queries before and after it."""
        timed = self.run.time_queries(after=True)
        return self._shown(
            "Queries before and after", costs.timings(self.run.timed_before, timed, self.run.change)
        )

    def lock_waits(self) -> View:
        """Return who waited for whom while the steps ran."""
        return self._shown("Lock waits", costs.locks(self.run.outcomes, self.run.budgets.stall_ms))

    def index_builds(self) -> View:
        """Return how the index builds of the steps went."""
        return self._shown("Index builds", costs.builds(self.run.outcomes))

    def sizes(self) -> View:
        """Return how tables and indexes grew over the steps."""
        return self._shown("Sizes", costs.sizes(self.run.outcomes))

    def read(self, query: str) -> pd.DataFrame:
        """Return what a SELECT finds in the target, read-only, as a table."""
        # The libraries behind it take half a second to load: nobody should wait for them at the first cell.
        from pgrunbook import reading

        return reading.select(self.run.target, query)

    def duplicates(self, table: str, key: str, *, export: bool = False, remedy: str = "", **how: Any) -> View:
        """Return totals and the largest groups of duplicates, and what would be done to each row.

        `how` is the rest of `duplication.Wanted`; `remedy` tells what its first batch does, `export` writes all
        groups beside the record. Raises BadKey, BadStrategy.
        """
        view = duplication.of_run(self.run, table, key, export=export, remedy=remedy, **how)
        return self._shown(f"Duplicates of {table}", view)

    def diagram(self) -> View:
        """Return the tables of the change and the foreign keys between them, as the target has them now."""
        return self._shown("Data model", diagram(self.run.change, self.run.target))

    @several_awaited
    async def gate(self, name: str) -> View:
        """Ask the operator for GO to a step, a remedy, "undo REMEDY", "rollback" or "rollback to STEP".

        Where nobody is there, the policy decides. What is done and a remedy that finds nothing need no answer.
        Raises GateClosed when it is no (but for a rollback: the change stays), PreflightFailed where the board says so.
        """
        if why := await question.found_settled(self.run, name):
            return self._shown(f"Gate {name}", View(f"gate {name} ... not asked: {why}"))
        try:
            made = await question.decided(self.run, name)
        except GateClosed as closed:
            if not goes_back(name):
                raise
            line = f"gate {name} ... closed, the change stays: {closed.reason}"
            return self._shown(f"Gate {name}", View(line))
        except PreflightFailed:
            self._show_board(name)
            raise
        return self._shown(f"Gate {name}", boards.decision(made))

    async def checklist(self, when: str) -> View:
        """Let people tick the items of "before", "before 013" or "after"; the gates refuse while theirs are open."""
        return self._shown(f"Checklist {when}", await go_through(self.run, when))

    async def rehearse(self) -> View:
        """Run the whole change on a clone of the target's schema and show the locks it took."""
        done = await self._live("rehearsal", lambda: self.run.rehearse(self._embedded()), stoppable=False)
        return self._shown("Rehearsal", boards.rehearsal(done))

    async def remedy(self, name: str) -> View:
        """Run a remedy whose gate is open, batch by batch; run the cell again to go on after a stop."""
        try:
            done = await self._live(f"remedy {name}", lambda: self.run.apply_remedy(name))
        except GateClosed:
            if not (why := question.settled(self.run, name)):
                raise
            return self._shown(f"Remedy {name}", View(f"remedy {name} ... {why}"))
        return self._shown(f"Remedy {name}", boards.repaired(done))

    async def undo(self, name: str) -> View:
        """Give back what a remedy replaced; the gate "undo" with its name has to be open."""
        done = await self._live(f"undo of remedy {name}", lambda: self.run.undo_remedy(name))
        return self._shown(f"Remedy {name}, undone", boards.undone(done))

    @several_awaited
    async def apply(self, step: str) -> View:
        """Apply a step, or several in order, whose gates are open; run the cell again to resume after anything."""
        chosen = self.run.change.step(step)
        title = chosen.migrate.header.title
        try:
            with self._traffic():
                done = await self._live(f"{chosen.number} {title}", lambda: self.run.apply(step))
        except PreflightFailed:
            self._show_board(chosen.number)
            raise
        except GateClosed:
            if not (why := await question.found_settled(self.run, step)):
                raise
            return self._shown(chosen.name, View(verdict.step_line(chosen.number, title, why)))
        return self._shown(chosen.name, boards.outcomes([done], self.run.change))

    async def roll_back(self, to: str | None = None) -> View:
        """Undo steps down to but not including `to`, where the gate for exactly that is open, else say that it is not.

        It is "rollback" or "rollback to 002". What is undone needs a new GO before it can be applied again.
        """
        try:
            self.run.gates.require(*subject(self.run.change, way_back(to)))
        except GateClosed:
            which = "" if to is None else f' "{way_back(to)}"'
            line = f"nothing rolled back: the gate{which} is closed, the change stays"
            return self._shown("Roll back", View(line))
        with self._traffic():
            done = await self._live("rollback", lambda: self.run.roll_back(to))
        return self._shown("Roll back", boards.outcomes(done, self.run.change))

    async def forward_again(self) -> View:
        """Apply again what a rehearsal has rolled back; a live target stays as the operator left it."""
        missing = [row["step"] for row in self.run.status() if row["status"] != "done"]
        if self.run.policy is not Policy.REHEARSAL or not missing:
            stays = "the change stays" if not missing else "what was rolled back stays so"
            return self._shown("Forward again", View(f"nothing to apply again: {stays}"))
        done = []
        with self._traffic():
            for step in missing:
                self.run.decide_by_policy(step)
                done.append(await self._live(step, functools.partial(self.run.apply, step)))
        return self._shown("Forward again", boards.outcomes(done, self.run.change))

    def record(self) -> View:
        """Write the HTML record of this run; where it lies is shown to whoever is there."""
        load_notebook_libraries()
        from pgrunbook.record import write_record

        self.run.finish(words(self.run.status(), acted=bool(self.run.outcomes)))
        written = write_record(self.run, self.shown)
        chain = self.run.check_chain()
        where, *others = written.lines if kernel.attended() else ["", *written.remarks]
        chained = f"event chain {'unbroken' if chain else 'not begun'}{where.removeprefix('record')}"
        facts = {"file": written.page.name, "run": self.run.run_id, "chain": str(chain)}
        return View("\n".join([f"record written, {chained}", *others]), facts=facts)

    def _show_board(self, step: str) -> None:
        """Let the record tell the board that stopped a step."""
        if self.run.board is not None:
            self._shown(f"Preflight before {step}", boards.audit(self.run.board))

    def _shown(self, heading: str, view: View) -> View:
        view = pictured(view, self._drawn)
        self.shown.append((heading, view))
        return view

    async def _live(self, name: str, work: Callable[[], T], *, stoppable: bool = True) -> T:
        return await live.perform(self.run, name, work, stoppable=stoppable, drawn=self._drawn.append)

    def _traffic(self) -> contextlib.AbstractContextManager[Any]:
        files = self.run.change.traffic
        if self.run.target.kind is not Kind.REHEARSAL or not files:
            return contextlib.nullcontext()
        return Traffic(files, lambda: session.connect(self.run.target, purpose="traffic"))


@atexit.register
def _close_all() -> None:
    while _open:
        _open.pop().close()
