"""What every command shares: the run it opens, how it speaks, how it is stopped."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import psycopg

from pgrunbook import change as changes
from pgrunbook import places, server, target, window
from pgrunbook.errors import ReasonMissing, RunbookError
from pgrunbook.gate import Policy
from pgrunbook.observers import Observation
from pgrunbook.pace import Progress as Repaired
from pgrunbook.patience import Blocker
from pgrunbook.run import Run
from pgrunbook.step import Budgets
from pgrunbook.views.facts import json_safe

__all__ = [
    "EmbeddedServer",
    "Opened",
    "Progress",
    "interruptible",
    "not_empty",
    "say",
    "say_error",
    "stoppable",
]

T = TypeVar("T")


class Opened:
    """A run on the target that the environment names, closed at the end."""

    def __init__(self, given: argparse.Namespace) -> None:
        approve_all = getattr(given, "approve_all", False)
        if approve_all and not given.reason.strip():
            raise ReasonMissing
        change = changes.load(given.change, root=changes.root_from(os.environ))
        bound = target.from_environment(os.environ)
        policy = Policy.of(bound.kind, approve_all=approve_all)
        ends = None
        if hasattr(given, "window_ends"):
            # The way back is open when the window is over, too.
            over = given.command == "rollback"
            ends = window.read(given.window_ends, may_be_over=over)
            ends = ends or window.from_environment(os.environ, may_be_over=over)
        self.run = Run(
            change,
            bound,
            places.records(),
            policy,
            reason=getattr(given, "reason", ""),
            approvals_needed=getattr(given, "approvals", 1),
            budgets=Budgets(window_ends=ends),
        )

    def __enter__(self) -> Run:
        return self.run

    def __exit__(self, *_: object) -> None:
        self.run.close()


class EmbeddedServer:
    """The embedded server, for as long as it is needed."""

    def __enter__(self) -> server.Server:
        self.running = server.start(places.embedded_major())
        return self.running

    def __exit__(self, *_: object) -> None:
        server.stop(self.running)


class Progress:
    """Lines on standard error while a command works; silent for machines."""

    def __init__(self, silent: bool) -> None:
        self.silent = silent
        self.began = time.perf_counter()
        self._told = float("-inf")

    def waits(self, blockers: Sequence[Blocker], attempts: int) -> None:
        """Print who is in the way, at most once a second."""
        if not blockers:
            return
        more = f" and {len(blockers) - 1} more" if len(blockers) > 1 else ""
        asked = f"; asked {attempts} times so far" if attempts > 1 else ""
        self._seldom(f"waits, and nobody behind us: {blockers[0]}{more}{asked}")

    def samples(self, observation: Observation) -> None:
        """Print whom a build waits for, at most once a second."""
        last = observation.builds[-1] if observation.builds else None
        if last is not None and (last.awaited or last.waits_for):
            self._seldom(last.words)

    def repairs(self, done: Repaired) -> None:
        """Print how far a remedy or its undo is, at most once a second."""
        self._seldom(str(done))

    def _seldom(self, text: str) -> None:
        if time.perf_counter() - self._told >= 1:
            self._told = time.perf_counter()
            self.line(text)

    def line(self, text: str) -> None:
        """Print one line with the seconds since the start."""
        if self.silent:
            return
        try:
            print(f"[{time.perf_counter() - self.began:6.1f} s] {text}", file=sys.stderr, flush=True)
        except OSError:
            # Nobody reads any more: no reason to stop in the middle of a change, nor for Python to stumble
            # over what is left in its buffer when it ends.
            self.silent = True
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def not_empty(text: str) -> str:
    """Return the value of an option; an empty one, of a shell variable that is not set, is wrong usage.

    It would else mean what holds without the option: another target, no end of the window, any signer.
    """
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty; is a variable not set?")
    return text


def say(given: argparse.Namespace, text: str, facts: Mapping[str, object]) -> None:
    """Print the result: one JSON object where machines asked for it, else text."""
    print(json.dumps(json_safe(facts), indent=2) if given.json else text)


def say_error(error: RunbookError, *, as_json: bool) -> None:
    """Tell what went wrong: as JSON on standard output, or as text on standard error."""
    if as_json:
        found = {
            "error": type(error).__name__,
            "found": error.found,
            "details": list(error.details),
            "next": error.next_step,
        }
        print(json.dumps(found, indent=2))
    else:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Let SIGTERM end what runs inside as Ctrl-C does: by KeyboardInterrupt, so that everything is closed."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def interruptible(run: Run, work: Callable[[], T]) -> T:
    """Do the work in a thread; SIGINT and SIGTERM ask the server to stop and wait for the clean end.

    Raises KeyboardInterrupt where the work came to its end all the same: nothing else is to begin.
    """
    result: list[T] = []
    failure: list[BaseException] = []
    asked = threading.Event()

    def body() -> None:
        try:
            result.append(work())
        except BaseException as error:
            failure.append(error)

    def stop(_number: int, _frame: object) -> None:
        asked.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    thread = threading.Thread(target=body, name="pgrunbook-run")
    try:
        thread.start()
        while thread.is_alive():
            if asked.is_set():
                # Again and again: a request may come just before the statement that it means.
                with contextlib.suppress(psycopg.Error):
                    run.cancel()
            thread.join(0.1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if failure:
        raise failure[0]
    if asked.is_set():
        raise KeyboardInterrupt
    return result[0]
