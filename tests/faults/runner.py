"""Runners in processes of their own: one process loads the library and forks a real one for each."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass
class Runner:
    """One process that runs a change."""

    stable: Stable
    pid: int
    said: Path
    code: int | None = None

    def ended(self, timeout: float = 60) -> int:
        """Wait for its end and return its exit code, negative for a signal."""
        until = time.monotonic() + timeout
        while self.code is None:
            self.code = self.stable.ask({"wait": self.pid})["code"]
            if self.code is None:
                assert time.monotonic() < until, f"the runner does not end:\n{self.text}"
                time.sleep(0.01)
        return self.code

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    @property
    def text(self) -> str:
        return self.said.read_text(errors="replace")


@dataclass
class Stable:
    """Forks runners."""

    folder: Path
    number: int = 0
    alive: list[Runner] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_: object) -> None:
        for runner in self.alive:
            if runner.code is None:
                with contextlib.suppress(ProcessLookupError):
                    runner.signal(signal.SIGKILL)
        self.process.kill()
        self.process.communicate()

    def ask(self, order: dict[str, Any]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def start(self, conninfo: str, records: Path, changes: Path, *order: str) -> Runner:
        """Start a runner: `apply CHANGE STEP...`, `rollback CHANGE TO`, or `cli` and a command line."""
        self.number += 1
        said = self.folder / f"said-{self.number}"
        environment = {
            "PGRUNBOOK_TARGET": conninfo,
            "PGRUNBOOK_CHANGES": str(changes),
            "PGRUNBOOK_RECORDS": str(records),
            "PGRUNBOOK_OPERATOR": "ann",
        }
        pid = self.ask({"order": order, "said": str(said), "environment": environment})["pid"]
        self.alive.append(Runner(self, pid, said))
        return self.alive[-1]


def serve() -> None:
    from pgrunbook import cli
    from pgrunbook.loading import load_notebook_libraries

    load_notebook_libraries()
    import pgrunbook.record

    assert pgrunbook.record
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            pid, status = os.waitpid(order["wait"], os.WNOHANG)
            print(json.dumps({"code": os.waitstatus_to_exitcode(status) if pid else None}), flush=True)
            continue
        pid = os.fork()
        if pid == 0:
            os.environ.update(order["environment"])
            said = os.open(order["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for descriptor in (1, 2):
                os.dup2(said, descriptor)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            code = 70
            try:
                what, *rest = order["order"]
                code = cli.main(rest) if what == "cli" else drive(what, *rest)
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        print(json.dumps({"pid": pid}), flush=True)


def drive(way: str, name: str, *steps: str) -> int:
    """Do what the commands do around a run, without the pictures and the record, which take a second."""
    import psycopg

    from pgrunbook import change, places, target
    from pgrunbook.errors import RunbookError
    from pgrunbook.gate import Policy, way_back
    from pgrunbook.headless import interruptible, say_error, stoppable
    from pgrunbook.run import Run
    from pgrunbook.telling import told

    try:
        with stoppable(), contextlib.ExitStack() as closing:
            chosen = change.load(name, root=change.root_from(os.environ))
            bound = target.from_environment(os.environ)
            run = Run(chosen, bound, places.records(), Policy.APPROVE_ALL, reason="CHG-1")
            closing.callback(run.close)
            if way == "apply":
                run.preflight().require_go()
                for step in steps or [one.name for one in chosen.steps]:
                    for waits in run.checklist.holding_up(chosen.step(step)):
                        run.checklist.tick(waits.item.key, who="ann", how="apply --tick")
                    run.decide_by_policy(step)
                    done = interruptible(run, functools.partial(run.apply, step))
                    print(done.step, done.status.value, done.note, *done.notices, sep=" | ")
            else:
                to = steps[0] if steps else None
                run.decide_by_policy(way_back(to))
                for done in interruptible(run, lambda: run.roll_back(to)):
                    print(done.step, done.status.value, done.note, *done.notices, sep=" | ")
            run.finish("done")
    except (RunbookError, psycopg.Error, OSError, KeyboardInterrupt) as failure:
        error = told(failure)
        say_error(error, as_json=False)
        return error.exit_code
    return 0


if __name__ == "__main__":
    serve()
