"""Commands for a target: audit, repair, apply, verify, undo, over the same engine as the notebooks."""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from pgrunbook import (
    approving,
    bearings,
    contracting,
    duplication,
    proving,
    race,
    records,
    repairing,
    session,
    standing,
    target,
    tick,
    workbench,
)
from pgrunbook import change as changes
from pgrunbook.blocking import blockers
from pgrunbook.errors import FAILED, REFUSED, PreflightFailed, RehearsalDiffers, RunbookError
from pgrunbook.gate import way_back
from pgrunbook.headless import EmbeddedServer, Opened, Progress, interruptible, say
from pgrunbook.laboratory import Laboratory
from pgrunbook.ledger import Ledger
from pgrunbook.loading import load_notebook_libraries
from pgrunbook.papers.command import papers
from pgrunbook.rehearsal import Rehearsal
from pgrunbook.run import Run
from pgrunbook.views import bearings as board
from pgrunbook.views import boards, costs, table
from pgrunbook.views import races as outcomes
from pgrunbook.views.view import View

__all__ = ["COMMANDS"]

# pgrunbook.record is imported where it is needed: the libraries behind it take seconds to load.


def preflight(given: argparse.Namespace) -> int:
    """Audit; exit code 3 on NO-GO."""
    with Opened(given) as run:
        board = run.preflight()
        view = boards.audit(board)
        facts = {
            "change": board.change,
            "verdict": "GO" if board.go else "NO-GO",
            "goes_until": board.goes_until,
            "findings": [
                {
                    "check": f.label,
                    "title": f.title,
                    "severity": f.severity.value,
                    "stops": f.stops,
                    "before": f.before,
                    "rows": f.total,
                    "problem": f.problem,
                    "unproved": f.unproved,
                    "cost": f.cost,
                    "first": list(f.rows),
                }
                for f in board.findings
            ],
        }
        text = [view.text]
        for finding in (*board.failed, *board.warnings):
            found = finding.problem or (
                f"not proved: {finding.unproved}" if finding.unproved else finding.title
            )
            text.append(f"\n{finding.label}: {found}")
            if finding.rows:
                text.append(table.to_text(finding.rows, finding.columns, total=finding.total, cap=10))
            text.append(f"  effect: {finding.effect}\n  remedy: {finding.remedy}")
        say(given, "\n".join(text), facts)
        return 0 if board.go else REFUSED


def apply(given: argparse.Namespace) -> int:
    """Audit, rehearse, apply what is not applied yet, verify, record."""
    load_notebook_libraries()
    from pgrunbook.record import write_record

    progress = Progress(given.json)
    with Opened(given) as run:
        ticks = tick.named(run.change, given.tick, may_be_after=False)
        run.on_wait, run.binding.on_sample = progress.waits, progress.samples
        if run.budgets.window:
            progress.line(f"window ends {run.budgets.window}")
        shown: list[tuple[str, View]] = []

        def show(heading: str, view: View) -> None:
            shown.append((heading, view))
            progress.line(view.text)

        try:
            board = run.preflight()
            show("Preflight", boards.audit(board))
            first, *others = run.change.steps
            board.require_go(first.name)
            tick.tick_all(run, ticks)
            asked = approving.opened(run, first.name, progress)
            if run.remaining() and not given.no_rehearsal:
                with EmbeddedServer() as running:
                    done = run.rehearse(running)
                show("Rehearsal", boards.rehearsal(done))
                _require_as_declared(done)
            if run.change.timings:
                show("Queries before", costs.timings(run.time_queries(after=False), (), run.change))
            for step in (first, *others):
                try:
                    if not (asked if step is first else approving.opened(run, step.name, progress)):
                        continue
                    outcome = interruptible(run, functools.partial(run.apply, step.name))
                except PreflightFailed:
                    if run.board is not None:
                        show(f"Preflight before {step.number}", boards.audit(run.board))
                    raise
                show(step.name, boards.outcomes([outcome], run.change))
            findings = run.verify()
            show("Verification", boards.verification(findings))
            if run.change.timings:
                timed = run.time_queries(after=True)
                show("Queries after", costs.timings(run.timed_before, timed, run.change))
            show("Lock waits", costs.locks(run.outcomes, run.budgets.stall_ms))
            if any(one.observation.builds for one in run.outcomes):
                show("Index builds", costs.builds(run.outcomes))
            show("Sizes", costs.sizes(run.outcomes))
            broken = any(finding.total or finding.problem for finding in findings)
            run.finish("verification failed" if broken else "done")
        except BaseException:
            _record_all_the_same(run, shown, progress)
            raise
        written = write_record(run, shown)
        facts = {
            "change": run.change.name,
            "run": run.run_id,
            "steps": run.status(),
            **written.facts,
            "verified": not broken,
        }
        verdict = f"{run.change.name}: {'VERIFICATION FAILED' if broken else 'done'}"
        say(given, "\n".join([verdict, *written.lines]), facts)
        return FAILED if broken else 0


def _record_all_the_same(run: Run, shown: Sequence[tuple[str, View]], progress: Progress) -> None:
    """Write the record of a run that failed, but let nothing hide why it did."""
    load_notebook_libraries()
    from pgrunbook.record import write_record

    with contextlib.suppress(RunbookError, psycopg.Error, OSError):
        for line in write_record(run, shown).lines:
            progress.line(line)


def _require_as_declared(done: Rehearsal) -> None:
    differences = [
        f"{file.file}: declared {'; '.join(file.declared) or 'none'}, took {'; '.join(file.observed) or 'none'}"
        for file in done.differing
    ]
    differences += [f"the way back: {line}" for line in done.not_restored]
    if differences:
        raise RehearsalDiffers(change=done.change, differences=differences)


def verify(given: argparse.Namespace) -> int:
    """Ask whether the promise of each applied step holds now; exit code 1 when one does not. Or about a record."""
    if proving.names_file(given.change):
        return proving.verify(given)
    with Opened(given) as run:
        findings = run.verify()
        broken = [finding for finding in findings if finding.total or finding.problem]
        chain = run.check_chain()
        text = [boards.verification(findings).text, f"event chain: {chain or 'not begun'}"]
        text += [f"{f.label}: {f.problem or table.to_text(f.rows, f.columns, total=f.total)}" for f in broken]
        facts = {
            "change": run.change.name,
            "steps": [{"step": f.name, "rows": f.total, "problem": f.problem} for f in findings],
            "chain": str(chain or ""),
        }
        say(given, "\n".join(text), facts)
        return FAILED if broken else 0


def rollback(given: argparse.Namespace) -> int:
    """Undo applied steps in reverse order, down to but not including `--to`."""
    load_notebook_libraries()
    from pgrunbook.record import write_record

    with Opened(given) as run:
        if given.to is not None:
            # An empty name, of a shell variable that is not set, must not undo everything.
            run.change.step(given.to)
        progress = Progress(given.json)
        approving.opened(run, way_back(given.to), progress)
        run.on_wait, run.binding.on_sample = progress.waits, progress.samples
        try:
            done = interruptible(run, lambda: run.roll_back(given.to))
            run.finish(f"rolled back to {given.to}" if given.to else "rolled back")
        except BaseException:
            _record_all_the_same(run, [], progress)
            raise
        written = write_record(run, [])
        warned = [f"  {one}" for outcome in done for one in outcome.warnings]
        text = "\n".join([boards.outcomes(done, run.change).text, *warned, *written.lines])
        say(given, text, {"change": run.change.name, "steps": run.status(), **written.facts})
        return 0


def status(given: argparse.Namespace) -> int:
    """Show what the ledger says of each step of one change or of all; writes nothing anywhere."""
    root = changes.root_from(os.environ)
    bound = target.from_environment(os.environ)
    facts: dict[str, Any] = {"target": bound.where, "changes": {}}
    text = []
    with session.connect(bound, purpose="status") as conn:
        server_facts = session.bind(conn, bound, for_change=False)
        ledger = Ledger(conn, bound)
        for name in [given.change] if given.change else changes.names(root):
            change = changes.load(name, root=root)
            rows = standing.table(change, ledger.steps(name))
            facts["changes"][name] = rows
            found = bearings.of_change(ledger, change, server_facts.cluster)
            facts.setdefault("resume", {})[name] = found.line
            shown = ["step", "status", "when", "by", "took", "worst stall", "why"]
            text += [board.view(found, live=True).text, table.to_text(board.rows(found), shown)]
            if ticks := tick.of_last_run(ledger, change):
                facts.setdefault("checklists", {})[name] = ticks.facts
                text.append(ticks.text)
            text.append("")
        facts["chain"] = str(ledger.check_chain()) if ledger.exists else ""
    say(
        given,
        "\n".join([f"{bound.where}; event chain: {facts['chain'] or 'not begun'}", "", *text]).rstrip(),
        facts,
    )
    return 0


def races(given: argparse.Namespace) -> int:
    """Run races on the embedded server; exit code 1 when an expectation is broken."""
    with EmbeddedServer() as running:
        laboratory = Laboratory.on(running)
        with contextlib.closing(laboratory):
            results = [laboratory.run(name) for name in given.names or race.names(laboratory.root)]
    if given.save:
        for result in results:
            (Path(given.save) / f"{result.race.name}.out").write_text(
                outcomes.in_full(result), encoding="utf-8"
            )
    broken = [f"{result.race.name}: {miss}" for result in results for miss in result.broken]
    text = [outcomes.in_full(result) for result in results] if given.names else [outcomes.summary(results)]
    say(
        given, "\n".join([*text, *broken]).rstrip(), {"races": [outcomes.facts(result) for result in results]}
    )
    return FAILED if broken else 0


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "rehearse": workbench.rehearse,
    "preflight": preflight,
    "apply": apply,
    "remedy": repairing.remedy,
    "verify": verify,
    "rollback": rollback,
    "blockers": blockers,
    "status": status,
    "approve": approving.approve,
    "tick": tick.tick,
    "record": proving.record,
    "records": records.records,
    "compare": records.compare,
    "races": races,
    "duplicates": duplication.show,
    "new-remedy": duplication.new_remedy,
    "contracts": contracting.contracts,
    "papers": papers,
    "new": workbench.new,
}
