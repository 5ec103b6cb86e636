"""The suite: everything the project checks about itself, lane by lane, as `pgrunbook test` runs it."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pgrunbook import errors, server

ROOT: Final = Path(__file__).resolve().parents[2]
LANE_SECONDS: Final = 2400
FAULT_SECONDS: Final = 3600
CELL_SECONDS: Final = 120
# The embedded server has no 15; where the system has one, the faults are fired at it too.
DEBIANS_15: Final = Path("/usr/lib/postgresql/15/bin/postgres")
MEMORY: Final = Path("/dev/shm")
ROOM: Final = 4 * 1024**3  # bytes
# The operator's other PG* and PGRUNBOOK_* variables name servers; a test must never get to see one.
KEPT: Final = frozenset({"PGRUNBOOK_CHANGES"})


@dataclass(frozen=True, slots=True)
class Lane:
    """One part of the suite: commands that run one after the other, all of which must succeed."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    major: int = 18
    junit: Path | None = None
    kernels: bool = False
    seconds: int = LANE_SECONDS
    refusal: str = ""
    beside: bool = False
    """It runs while those before it do: each mostly waits, for its server, a lock, a page or a kernel."""
    apart: str = ""
    """Its own temporary folder, where another of its version runs meanwhile: the embedded server lies there."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a lane ended; a red lane always counts at least one failure."""

    name: str
    green: bool
    seconds: float
    passed: int = 0
    failed: int = 0
    skipped: int = 0


def run(argv: Sequence[str]) -> int:
    """Run the suite and return the exit code; the last line says how many tests passed and failed.

    `-k EXPRESSION` runs the matching tests on PostgreSQL 18 only. Raises NothingToTest.
    """
    parser = argparse.ArgumentParser(prog="pgrunbook test", description="check everything, lane by lane")
    parser.add_argument(
        "-k", metavar="EXPRESSION", dest="expression", help="only the tests that match, on 18"
    )
    parser.add_argument(
        "--faults",
        action="store_true",
        help="only the tests that kill processes and servers, or take minutes",
    )
    options = parser.parse_args(argv)
    if not (ROOT / "tests").is_dir():
        next_step = "run ./pgrunbook test in a checkout of the project"
        raise errors.NothingToTest(found=f"{ROOT} is not a checkout of the project", next_step=next_step)
    with scratch() as reports:
        outcomes = _run_all(_chosen(options.expression, options.faults, reports))
    print("\n".join(["", *table(outcomes), "", summary(outcomes)]), flush=True)
    return 0 if all(outcome.green for outcome in outcomes) else errors.FAILED


def place() -> Path:
    """Return the folder for the data of test servers: in memory, if there is room, or below /tmp.

    A database is a few hundred small files; on many disks to make and drop them takes longer than most tests.
    """
    temporary = Path(tempfile.gettempdir())
    if temporary.is_relative_to(MEMORY):
        return temporary
    if os.access(MEMORY, os.W_OK | os.X_OK):
        # A copy of the server's programs may have to lie beside its data.
        runs_programs = not os.statvfs(MEMORY).f_flag & os.ST_NOEXEC
        if runs_programs and shutil.disk_usage(MEMORY).free >= ROOM:
            return MEMORY
    # A socket's path has about 100 bytes, and some systems' temporary folders use half of them.
    return Path("/tmp") if Path("/tmp").is_dir() else temporary


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Give a folder in which this process and all lanes make their temporary files, and remove it."""
    with tempfile.TemporaryDirectory(prefix="pgrunbook-suite-", dir=place()) as made:
        # Started by root, a server runs as another user, who has to get through to its data.
        Path(made).chmod(0o711)
        before = tempfile.tempdir
        tempfile.tempdir = made
        try:
            yield Path(made)
        finally:
            tempfile.tempdir = before


def lanes(root: Path, reports: Path) -> Iterator[Lane]:
    """Yield all lanes of the suite for a checkout, in order."""
    concise = ("--output-format=concise", ".")
    yield Lane("style", (_python("ruff", "check", *concise), _python("ruff", "format", "--check", *concise)))
    yield Lane("types", (_python("mypy"),))
    yield _tests("tests on 18", "not faults and not browser", reports / "tests-18.xml")
    sixteen = _tests(
        "tests on 16",
        "not faults and not browser and not static",
        reports / "tests-16.xml",
        "tests",
        major=16,
    )
    yield dataclasses.replace(sixteen, beside=True)
    browser = _tests("tests in a browser", "browser", reports / "browser.xml", "tests")
    yield dataclasses.replace(browser, beside=True, apart="b")
    for major in (18, 16):
        name, report = f"faults on {major}, a sample", reports / f"faults-{major}.xml"
        lane = _tests(name, "sample", report, "tests/faults", major=major)
        yield dataclasses.replace(lane, beside=major == 16)
    # Twice on 18: what a run leaves behind must not change the next one.
    for number, major in enumerate((18, 16, 18), start=1):
        lane = _notebooks(root, number, major, reports / f"notebooks-{number}.xml")
        yield dataclasses.replace(lane, beside=major == 16)


def _chosen(expression: str | None, faults: bool, reports: Path) -> list[Lane]:
    if faults:
        if not any((ROOT / "tests" / "faults").glob("test_*.py")):
            next_step = "run pgrunbook test without --faults"
            raise errors.NothingToTest(found="tests/faults holds no tests", next_step=next_step)
        majors = (18, 16, *([15] if DEBIANS_15.exists() else []))
        every = [
            _tests(f"faults on {n}", "faults", reports / f"faults-{n}.xml", "tests", major=n) for n in majors
        ]
        return [dataclasses.replace(lane, seconds=FAULT_SECONDS) for lane in every]
    if expression is not None:
        return [_tests("tests on 18", "not faults", reports / "tests.xml", "tests", "lib", "-k", expression)]
    return list(lanes(ROOT, reports))


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _tests(name: str, marks: str, junit: Path, *arguments: str, major: int = 18) -> Lane:
    command = _python("pytest", f"--junitxml={junit}", "-q", "-m", marks, *(arguments or ("tests", "lib")))
    return Lane(name, (command,), major=major, junit=junit)


def _notebooks(root: Path, number: int, major: int, junit: Path) -> Lane:
    name = f"notebooks on {major}" + (", again" if number == 3 else "")
    files = [str(file.relative_to(root)) for file in sorted((root / "notebooks").glob("*.ipynb"))]
    if not files:
        return Lane(name, (), refusal="there are no notebooks in notebooks/")
    # Their text twins are Python files too: without the project's own options pytest would import them.
    options = ["-o", "addopts=", "-p", "no:cacheprovider", "-q", "-x", f"--timeout={2 * CELL_SECONDS}"]
    nbval = ["--nbval", "--nbval-current-env", f"--nbval-cell-timeout={CELL_SECONDS}", f"--junitxml={junit}"]
    return Lane(name, (_python("pytest", *options, *nbval, *files),), major=major, junit=junit, kernels=True)


def _run_all(chosen: Sequence[Lane]) -> list[Outcome]:
    """Run lanes in order; what those beside another have said is printed when all of them have ended."""
    groups: list[list[Lane]] = []
    for lane in chosen:
        if not lane.beside:
            groups.append([])
        groups[-1].append(lane)
    outcomes = []
    for first, *others in groups:
        with contextlib.ExitStack() as stack:
            pool = stack.enter_context(ThreadPoolExecutor(len(others) or 1))
            said = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in others]
            running = [pool.submit(_run, lane, out) for lane, out in zip(others, said, strict=True)]
            outcomes.append(_run(first))
            for one, out in zip(running, said, strict=True):
                outcomes.append(one.result())
                out.seek(0)
                print(out.read(), end="", flush=True)
    return outcomes


def _run(lane: Lane, out: IO[str] | None = None) -> Outcome:
    print(f"\n=== {lane.name} ===", file=out, flush=True)
    began = time.monotonic()
    if lane.refusal:
        print(lane.refusal, file=out, flush=True)
    codes = [
        _exit_code(command, environment(lane.major, lane.apart), lane.seconds, out)
        for command in lane.commands
    ]
    if lane.kernels:
        # nbval kills its kernels, which leaves their server running: the last to use it stops it.
        with contextlib.suppress(errors.RunbookError):
            server.stop(server.start(lane.major))
    green = not lane.refusal and not any(codes)
    passed, failed, skipped = counts(lane.junit)
    seconds = time.monotonic() - began
    print(f"=== {lane.name}: {'passed' if green else 'FAILED'} in {seconds:.0f} s ===", file=out, flush=True)
    return Outcome(lane.name, green, seconds, passed, failed if green else max(failed, 1), skipped)


def _exit_code(
    command: Sequence[str], environment: Mapping[str, str], seconds: int, out: IO[str] | None
) -> int:
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out and subprocess.STDOUT,
            timeout=seconds,
            check=False,
        ).returncode
    except subprocess.TimeoutExpired:
        print(f"stopped after {seconds} s: {' '.join(command)}", file=out, flush=True)
        return errors.FAILED


def environment(major: int, apart: str = "") -> dict[str, str]:
    """Return the environment of a lane: the operator's, without anything that names a server."""
    kept = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith("PG")}
    temporary = Path(tempfile.gettempdir(), apart)
    temporary.mkdir(mode=0o711, exist_ok=True)
    return {**kept, "PGRUNBOOK_POSTGRES": str(major), "TMPDIR": str(temporary)}


def counts(junit: Path | None) -> tuple[int, int, int]:
    """Return how many tests a pytest report says passed, failed (errors included) and were skipped."""
    if junit is None or not junit.exists():
        return 0, 0, 0
    total = failed = skipped = 0
    for suite in ElementTree.parse(junit).iter("testsuite"):
        total += int(suite.get("tests", 0))
        failed += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
        skipped += int(suite.get("skipped", 0))
    return total - failed - skipped, failed, skipped


def table(outcomes: Sequence[Outcome]) -> list[str]:
    r"""Return the lines of the closing table.

    >>> outcomes = [Outcome("types", True, 12.3), Outcome("tests on 18", False, 61.0, 99, 1, 2)]
    >>> print("\n".join(table(outcomes)))
    lane           result   passed   failed  skipped    seconds
    types          passed        0        0        0         12
    tests on 18    FAILED       99        1        2         61
    """
    width = max(len(outcome.name) for outcome in outcomes) + 4
    lines = [f"{'lane':{width}}result   passed   failed  skipped    seconds"]
    for one in outcomes:
        result = "passed" if one.green else "FAILED"
        figures = f"{one.passed:9}{one.failed:9}{one.skipped:9}{one.seconds:11.0f}"
        lines.append(f"{one.name:{width}}{result}{figures}")
    return lines


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the last line.

    >>> summary([Outcome("style", False, 0.1, failed=1), Outcome("tests on 18", True, 61.0, 99)])
    '99 passed, 1 failed'
    """
    passed, failed = (
        sum(column) for column in zip(*((one.passed, one.failed) for one in outcomes), strict=True)
    )
    return f"{passed} passed, {failed} failed"
