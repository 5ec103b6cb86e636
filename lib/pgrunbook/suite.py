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
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pgrunbook import errors, server
from pgrunbook.tally import Outcome, counts, summary, table

ROOT: Final = Path(__file__).resolve().parents[2]
LANE_SECONDS: Final = 2400
FAULT_SECONDS: Final = 3600
CELL_SECONDS: Final = 120
# pytest's exit code: all ran, and some failed.
SOME_FAILED: Final = 1
# More than these are no accident of a busy machine.
FEW: Final = 3
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
    again: tuple[str, ...] = ()
    """The command that runs a few tests that failed once more, in a process of their own."""


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
        lane = _tests("tests on 18", "not faults", reports / "tests.xml", "tests", "lib", "-k", expression)
        return [dataclasses.replace(lane, again=())]
    return list(lanes(ROOT, reports))


def _python(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *arguments)


def _tests(name: str, marks: str, junit: Path, *arguments: str, major: int = 18) -> Lane:
    which = ("-o", f"cache_dir={junit.with_suffix('')}", "-q", "-m", marks, *(arguments or ("tests", "lib")))
    first = _python("pytest", f"--junitxml={junit}", *which)
    failed = ("--last-failed", "--last-failed-no-failures=none")
    again = _python("pytest", f"--junitxml={_second(junit)}", *failed, *which)
    return Lane(name, (first,), major=major, junit=junit, again=again)


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
    passed, failed, skipped = counts(lane.junit)
    again = 0
    if lane.again and lane.junit and codes == [SOME_FAILED] and 0 < failed <= FEW:
        print(f"--- {failed} failed: once more, alone ---", file=out, flush=True)
        codes = [_exit_code(lane.again, environment(lane.major, lane.apart), lane.seconds, out)]
        again, failed, _ = counts(_second(lane.junit))
        passed += again
    green = not lane.refusal and not any(codes)
    seconds = time.monotonic() - began
    print(f"=== {lane.name}: {'passed' if green else 'FAILED'} in {seconds:.0f} s ===", file=out, flush=True)
    return Outcome(lane.name, green, seconds, passed, failed if green else max(failed, 1), skipped, again)


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


def _second(junit: Path) -> Path:
    return junit.with_stem(f"{junit.stem}-again")
