"""What each command of the command line does, over the same engine as the notebooks."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pgrunbook import change as changes
from pgrunbook import notebook, scaffold, server, session, standing, target
from pgrunbook.binding import library_version
from pgrunbook.errors import FAILED, REFUSED, RunbookError, StepCancelled
from pgrunbook.gate import Policy
from pgrunbook.ledger import Ledger
from pgrunbook.record import from_journal, from_ledger, records_folder, write_executed, write_record
from pgrunbook.run import ROLLBACK, Run, new_run_id
from pgrunbook.step import Cancelled
from pgrunbook.views import boards, table
from pgrunbook.views.facts import json_safe
from pgrunbook.views.view import View

__all__ = ["COMMANDS", "lab", "library_version", "say_error", "test"]

T = TypeVar("T")


def rehearse(given: argparse.Namespace) -> int:
    """Execute the change's notebook on the embedded server and write its record."""
    began = time.perf_counter()
    changes.load(given.change, root=changes.root_from(os.environ))
    path = notebook.path_of(given.change, within=notebook.folder(os.environ))
    run_id = new_run_id(given.change)
    progress = _Progress(given.json)
    progress.line("starting the embedded PostgreSQL")
    major = int(os.environ.get("PGRUNBOOK_POSTGRES", "18"))
    running = server.start(major)
    environment = {
        **os.environ,
        "PGRUNBOOK_TARGET": "",
        "PGRUNBOOK_RUN": run_id,
        "PGRUNBOOK_RECORDS": str(records_folder()),
    }
    try:
        log = records_folder() / run_id / "kernel.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        done = notebook.execute(path, environment=environment, log=log, on_section=progress.line)
    finally:
        server.stop(running)
    if given.save and done.finished:
        notebook.save(done.notebook, path)
    summary = from_journal(run_id)
    file = write_executed(done.notebook, summary)
    seconds = time.perf_counter() - began
    verdict = f"{given.change}: {summary.outcome if done.finished else f'stopped, {done.ename}'} after {seconds:.1f} s"
    _say(
        given,
        f"{done.evalue}\n{verdict}\nrecord: {file}".strip(),
        {
            "change": given.change,
            "run": run_id,
            "finished": done.finished,
            "outcome": summary.outcome,
            "error": done.evalue,
            "seconds": round(seconds, 1),
            "record": str(file),
            "files": list(summary.rehearsal),
        },
    )
    if done.finished:
        return 0
    return REFUSED if done.ename in ("GateClosed", "PreflightFailed", "PreflightMissing") else FAILED


def preflight(given: argparse.Namespace) -> int:
    """Audit; exit code 3 on NO-GO."""
    with _Opened(given) as run:
        board = run.preflight()
        view = boards.audit(board)
        facts = {
            "change": board.change,
            "verdict": "GO" if board.go else "NO-GO",
            "findings": [
                {
                    "check": f.label,
                    "title": f.title,
                    "stops": f.stops,
                    "rows": f.total,
                    "problem": f.problem,
                    "first": list(f.rows),
                }
                for f in board.findings
            ],
        }
        text = [view.text]
        for finding in (*board.failed, *board.warnings):
            text.append(f"\n{finding.label}: {finding.problem or finding.title}")
            if finding.rows:
                text.append(table.to_text(finding.rows, finding.columns, total=finding.total, cap=10))
            text.append(f"  effect: {finding.effect}\n  remedy: {finding.remedy}")
        _say(given, "\n".join(text), facts)
        return 0 if board.go else REFUSED


def apply(given: argparse.Namespace) -> int:
    """Audit, rehearse, apply what is not applied yet, verify, record."""
    progress = _Progress(given.json)
    with _Opened(given) as run:
        shown: list[tuple[str, View]] = []

        def show(heading: str, view: View) -> None:
            shown.append((heading, view))
            progress.line(view.text)

        try:
            board = run.preflight()
            show("Preflight", boards.audit(board))
            board.require_go()
            run.decide_by_policy(run.change.steps[0].name)
            if not given.no_rehearsal:
                with _embedded() as running:
                    show("Rehearsal", boards.rehearsal(run.rehearse(running)))
            show("Queries before", boards.timings(run.time_queries(after=False), (), run.change))
            for step in run.change.steps:
                run.decide_by_policy(step.name)
                show(
                    step.name,
                    boards.outcomes(
                        [_interruptible(run, lambda name=step.name: run.apply(name))], run.change
                    ),
                )
            findings = run.verify()
            show("Verification", boards.verification(findings))
            show("Queries after", boards.timings(run.timed_before, run.time_queries(after=True), run.change))
            show("Lock waits", boards.locks(run.outcomes, run.budgets.stall_ms))
            broken = any(finding.total or finding.problem for finding in findings)
            run.finish("verification failed" if broken else "done")
        finally:
            file = write_record(run, shown)
        facts = {
            "change": run.change.name,
            "run": run.run_id,
            "steps": run.status(),
            "record": str(file),
            "verified": not broken,
        }
        _say(
            given, f"{run.change.name}: {'VERIFICATION FAILED' if broken else 'done'}\nrecord: {file}", facts
        )
        return FAILED if broken else 0


def remedy(given: argparse.Namespace) -> int:
    """Preview, apply or undo a remedy."""
    with _Opened(given) as run:
        if given.preview:
            found = run.preview_remedy(given.name)
            rows = [
                {"key": dict(r.key), "before": dict(r.before), "after": r.after and dict(r.after)}
                for r in found.repairs
            ]
            _say(
                given,
                boards.preview(found).text + "\n" + table.to_text(rows, cap=20),
                {"rows": rows, "undo_proved": found.undo_proved},
            )
            return 0 if found.undo_proved else FAILED
        run.decide_by_policy(given.name)
        if given.undo:
            undone = _interruptible(run, lambda: run.undo_remedy(given.name))
            _say(
                given,
                boards.undone(undone).text,
                {"restored": undone.restored, "left_alone": list(undone.refused)},
            )
            return FAILED if undone.refused else 0
        done = _interruptible(run, lambda: run.apply_remedy(given.name))
        run.finish(f"remedy {given.name} applied")
        _say(
            given,
            boards.repaired(done).text,
            {"rows": done.repairs, "batches": done.batches, "table": done.table},
        )
        return 0


def verify(given: argparse.Namespace) -> int:
    """Ask whether the promise of each applied step holds now; exit code 1 when one does not."""
    with _Opened(given) as run:
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
        _say(given, "\n".join(text), facts)
        return FAILED if broken else 0


def rollback(given: argparse.Namespace) -> int:
    """Undo applied steps in reverse order, down to but not including `--to`."""
    with _Opened(given) as run:
        if given.to:
            run.change.step(given.to)
        run.decide_by_policy(ROLLBACK)
        try:
            done = _interruptible(run, lambda: run.roll_back(given.to))
            run.finish(f"rolled back to {given.to}" if given.to else "rolled back")
        finally:
            file = write_record(run, [])
        text = f"{boards.outcomes(done, run.change).text}\nrecord: {file}"
        _say(given, text, {"change": run.change.name, "steps": run.status(), "record": str(file)})
        return 0


def status(given: argparse.Namespace) -> int:
    """Show what the ledger says of each step of one change or of all; writes nothing anywhere."""
    root = changes.root_from(os.environ)
    bound = target.from_environment(os.environ)
    facts: dict[str, Any] = {"target": bound.where, "changes": {}}
    text = []
    with session.connect(bound, purpose="status") as conn:
        session.bind(conn, bound, for_change=False)
        ledger = Ledger(conn, bound)
        for name in [given.change] if given.change else changes.names(root):
            rows = standing.table(changes.load(name, root=root), ledger.steps(name))
            facts["changes"][name] = rows
            text += [
                boards.status(rows, name).text,
                table.to_text(rows, ["step", "status", "finished", "note"]),
                "",
            ]
        facts["chain"] = str(ledger.check_chain()) if ledger.exists else ""
    _say(
        given,
        "\n".join([f"{bound.where}; event chain: {facts['chain'] or 'not begun'}", "", *text]).rstrip(),
        facts,
    )
    return 0


def record(given: argparse.Namespace) -> int:
    """Write the HTML record of a run from the ledger alone."""
    bound = target.from_environment(os.environ)
    with session.connect(bound, purpose="record") as conn:
        session.bind(conn, bound, for_change=False)
        file, summary = from_ledger(Ledger(conn, bound), change=given.change, run_id=given.run)
    _say(
        given,
        f"{summary.run_id}: {summary.outcome}\nrecord: {file}",
        {"run": summary.run_id, "record": str(file)},
    )
    return 0


def new(given: argparse.Namespace) -> int:
    """Copy the template to a new change and its notebook."""
    root = changes.root_from(os.environ)
    template = Path(__file__).parents[2] / "sql" / "changes" / "_template"
    written = scaffold.create(given.name, root=root, template=template, notebooks=notebook.folder(os.environ))
    text = [f"created {file}" for file in written]
    text.append(
        f"next: fill in the SQL, then `pgrunbook test -k {given.name[:3]}` and `pgrunbook rehearse {given.name} --save`"
    )
    _say(given, "\n".join(text), {"change": given.name, "files": [str(file) for file in written]})
    return 0


def lab(arguments: Sequence[str]) -> int:
    """Open JupyterLab on the notebooks while the embedded server runs; further arguments go to JupyterLab."""
    with _embedded():
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            f"--ServerApp.root_dir={notebook.folder(os.environ)}",
            *arguments,
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        process = subprocess.Popen(command, env={**os.environ, "JUPYTER_PREFER_ENV_PATH": "1"})
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # JupyterLab got it too and asks its own question.
                continue


def test(arguments: Sequence[str]) -> int:
    """Run everything that CI runs."""
    from pgrunbook import suite

    return suite.run(list(arguments))


def say_error(error: RunbookError, *, as_json: bool) -> None:
    """Tell what went wrong: as JSON on standard output, or as text on standard error."""
    if as_json:
        found = {
            "error": type(error).__name__,
            "found": error.found,
            "details": list(error.details),
            "next": error.next_step,
        }
        print(json.dumps(found, ensure_ascii=False, indent=2))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "rehearse": rehearse,
    "preflight": preflight,
    "apply": apply,
    "remedy": remedy,
    "verify": verify,
    "rollback": rollback,
    "status": status,
    "record": record,
    "new": new,
}


class _Opened:
    """A run on the target that the environment names, closed at the end."""

    def __init__(self, given: argparse.Namespace) -> None:
        approve_all = getattr(given, "approve_all", False)
        if approve_all and not given.reason.strip():
            raise RunbookError(
                "--approve-all needs a reason", next_step="add --reason TEXT; it is kept in the record"
            )
        change = changes.load(given.change, root=changes.root_from(os.environ))
        bound = target.from_environment(os.environ)
        policy = Policy.of(bound.kind, approve_all=approve_all)
        self.run = Run(change, bound, records_folder(), policy, reason=getattr(given, "reason", ""))

    def __enter__(self) -> Run:
        return self.run

    def __exit__(self, *_: object) -> None:
        self.run.close()


class _embedded:  # noqa: N801 - reads as a phrase in a with statement
    """The embedded server, for as long as it is needed."""

    def __enter__(self) -> server.Server:
        self.running = server.start(int(os.environ.get("PGRUNBOOK_POSTGRES", "18")))
        return self.running

    def __exit__(self, *_: object) -> None:
        server.stop(self.running)


class _Progress:
    """Lines on standard error while a command works; silent for machines."""

    def __init__(self, silent: bool) -> None:
        self.silent = silent
        self.began = time.perf_counter()

    def line(self, text: str) -> None:
        if not self.silent:
            print(f"[{time.perf_counter() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)


def _say(given: argparse.Namespace, text: str, facts: Mapping[str, object]) -> None:
    print(json.dumps(json_safe(facts), ensure_ascii=False, indent=2) if given.json else text)


def _interruptible(run: Run, work: Callable[[], T]) -> T:
    """Do the work in a thread; SIGINT and SIGTERM ask the server to stop and wait for the clean end."""
    result: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            result.append(work())
        except BaseException as error:  # noqa: BLE001 - handed to the waiting thread
            failure.append(error)

    def stop(_number: int, _frame: object) -> None:
        threading.Thread(target=run.cancel, daemon=True).start()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=body, name="pgrunbook-run")
    try:
        thread.start()
        while thread.is_alive():
            thread.join(0.1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failure:
        if isinstance(failure[0], Cancelled):
            raise StepCancelled(step=run.change.name, left="nothing was left behind") from None
        raise failure[0]
    return result[0]
