"""Commands for the workshop: rehearse a change, begin a new one, open the notebooks, run the suite."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pgrunbook import change as changes
from pgrunbook import places, server
from pgrunbook.errors import FAILED, REFUSED
from pgrunbook.headless import EmbeddedServer, Progress, say
from pgrunbook.identity import new_run_id
from pgrunbook.journal import Journal
from pgrunbook.loading import load_notebook_libraries

__all__ = ["SETTINGS", "lab", "new", "rehearse", "test"]

SETTINGS = Path(__file__).parent / "jupyter"
"""A folder of JupyterLab's configuration: what is set where nobody has set anything else."""


def rehearse(given: argparse.Namespace) -> int:
    """Execute the change's notebook on the embedded server and write its record."""
    load_notebook_libraries()
    from pgrunbook import notebook
    from pgrunbook.record import from_journal, write_executed

    began = time.perf_counter()
    root = changes.root_from(os.environ)
    changes.load(given.change, root=root)
    path = notebook.path_of(given.change, within=places.notebooks())
    run_id = new_run_id(given.change)
    progress = Progress(given.json)
    progress.line("starting the embedded PostgreSQL")
    running = server.start(places.embedded_major())
    environment = {
        # Nothing that leads to another server.
        **{name: value for name, value in os.environ.items() if not re.match("PG(?!RUNBOOK_)", name)},
        # The kernel works in another folder.
        "PGRUNBOOK_CHANGES": str(root),
        "PGRUNBOOK_TARGET": "",
        "PGRUNBOOK_RUN": run_id,
        "PGRUNBOOK_RECORDS": str(places.records()),
    }
    try:
        log = places.records() / run_id / "kernel.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        done = notebook.execute(path, environment=environment, log=log, on_section=progress.line)
    finally:
        server.stop(running)
    if given.save and done.finished:
        notebook.save(done.notebook, path)
    summary = from_journal(run_id)
    file = write_executed(done.notebook, summary)
    # As the journal holds it: the database of the rehearsal has gone.
    entries = Journal(places.records() / run_id).entries()
    rehearsed: object = next((e["detail"] for e in reversed(entries) if e["kind"] == "rehearsed"), {})
    seconds = time.perf_counter() - began
    verdict = f"{given.change}: {summary.outcome if done.finished else f'stopped, {done.ename}'} after {seconds:.1f} s"
    say(
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
            "rehearsal": rehearsed,
        },
    )
    if done.finished:
        return 0
    return REFUSED if done.ename in ("GateClosed", "PreflightFailed", "PreflightMissing") else FAILED


def new(given: argparse.Namespace) -> int:
    """Copy the template to a new change and its notebook."""
    load_notebook_libraries()
    from pgrunbook import scaffold

    root = changes.root_from(os.environ)
    template = places.PROJECT / "sql" / "changes" / "_template"
    written = scaffold.create(given.name, root=root, template=template, notebooks=places.notebooks())
    text = [f"created {file}" for file in written]
    text.append(
        f"next: fill in the SQL, then `pgrunbook test -k {given.name[:3]}` and `pgrunbook rehearse {given.name} --save`"
    )
    say(given, "\n".join(text), {"change": given.name, "files": [str(file) for file in written]})
    return 0


def lab(arguments: Sequence[str]) -> int:
    """Open JupyterLab on the notebooks while the embedded server runs; further arguments go to JupyterLab."""
    with EmbeddedServer():
        command = [
            sys.executable,
            "-m",
            "jupyterlab",
            f"--ServerApp.root_dir={places.notebooks()}",
            *arguments,
        ]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.append("--allow-root")
        # It saves often: a panel that was saved comes back after a reload. What somebody has set is theirs.
        configs = os.pathsep.join(filter(None, [os.environ.get("JUPYTER_CONFIG_PATH"), str(SETTINGS)]))
        # Its kernels work in another folder.
        paths = {
            "JUPYTER_CONFIG_PATH": configs,
            "PGRUNBOOK_CHANGES": str(changes.root_from(os.environ)),
            "PGRUNBOOK_RECORDS": str(places.records()),
        }
        process = subprocess.Popen(command, env={**os.environ, **paths, "JUPYTER_PREFER_ENV_PATH": "1"})
        # Whoever ends us means JupyterLab; the server is stopped after it.
        before = signal.signal(signal.SIGTERM, lambda _number, _frame: process.terminate())
        try:
            while True:
                try:
                    return process.wait()
                except KeyboardInterrupt:
                    # JupyterLab got it too and asks its own question.
                    continue
        finally:
            signal.signal(signal.SIGTERM, before)


def test(arguments: Sequence[str]) -> int:
    """Run everything that CI runs."""
    from pgrunbook import suite

    return suite.run(list(arguments))
