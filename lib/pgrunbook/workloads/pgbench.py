"""Sessions at work: pgbench runs a script in many sessions at once, and tells how long each run took."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psycopg

from pgrunbook.errors import LoadFailed, ProgramMissing
from pgrunbook.server import Server

__all__ = ["Load", "Transaction", "Work", "run"]

MOST_TRIES: Final = 1_000_000  # as good as no limit; what bounds a run is its time
ENDING_S: Final = 5.0  # what ended sessions may take to say so


@dataclass(frozen=True, slots=True)
class Load:
    """A script in pgbench's language, and who runs it how often, or for how many seconds.

    `settings` are the server's, of each session; `variables` the script's, at its beginning.
    """

    script: str
    writers: int
    each: int = 0
    seconds: int = 0
    settings: tuple[tuple[str, str], ...] = ()
    variables: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Transaction:
    """One run of the script: when it ended (seconds since 1970), how long it took, how often it began anew.

    `number` counts from 1 within its session.
    """

    number: int
    ended: float
    ms: float
    retries: int


@dataclass(frozen=True, slots=True)
class Work:
    """What the sessions did; `stopped` when they were ended because their time was over."""

    transactions: tuple[Transaction, ...]
    stopped: bool

    @property
    def seconds(self) -> float:
        """Return the time from the first session's beginning to the last one's end."""
        if not self.transactions:
            return 0.0
        began = min(one.ended - one.ms / 1000 for one in self.transactions)
        return max(one.ended for one in self.transactions) - began


def run(server: Server, conninfo: str, load: Load, *, limit_s: float) -> Work:
    """Run the load to its end, or until `limit_s` is over, and return what was done.

    A transaction that PostgreSQL could not serialize, or chose to end a deadlock, is begun anew; the time it
    takes includes that. The same load draws the same random numbers each time. Raises ProgramMissing, and
    LoadFailed when a statement fails otherwise. PostgreSQL manual: pgbench.
    """
    program = server.bin / "pgbench"
    if not program.exists():
        raise ProgramMissing(program=program.name, folder=str(server.bin))
    # The application's name tells these sessions from all others when they have to be ended.
    with tempfile.TemporaryDirectory(prefix="pgrunbook-load-") as place:
        folder = Path(place)
        (folder / "script.sql").write_text(load.script, encoding="utf-8")
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        options = " ".join(f"-c {name}={value}" for name, value in load.settings)
        with (folder / "said").open("w+", encoding="utf-8") as said:
            process = subprocess.Popen(
                _command(program, conninfo, load, folder),
                env={**kept, "PGAPPNAME": folder.name, "PGOPTIONS": options},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
            )
            try:
                stopped = not _ended(process, limit_s)
                if stopped:
                    _end(process, conninfo, folder.name)
            finally:
                process.kill()
                process.wait()
            said.seek(0)
            lines = [line.strip() for line in said if "error:" in line]
        if process.returncode and not stopped:
            raise LoadFailed(program=program.name, code=process.returncode, said=lines[:5])
        return Work(tuple(_logged(folder)), stopped)


def _command(program: Path, conninfo: str, load: Load, folder: Path) -> list[str | Path]:
    amount = f"--transactions={load.each}" if load.each else f"--time={load.seconds}"
    return [
        program,
        "--no-vacuum",
        "--protocol=prepared",
        "--random-seed=1",
        f"--client={load.writers}",
        f"--jobs={min(load.writers, os.cpu_count() or 1)}",
        amount,
        f"--max-tries={MOST_TRIES}",
        "--log",
        f"--log-prefix={folder / 'log'}",
        *(f"--define={name}={value}" for name, value in load.variables),
        f"--file={folder / 'script.sql'}",
        conninfo,
    ]


def _ended(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(timeout=max(seconds, 0.0))
    except subprocess.TimeoutExpired:
        return False
    return True


def _end(process: subprocess.Popen[bytes], conninfo: str, name: str) -> None:
    """End the sessions rather than the program, which so still writes all of its log."""
    deadline = time.monotonic() + ENDING_S
    with psycopg.connect(conninfo, autocommit=True) as conn:
        while time.monotonic() < deadline:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", [name]
            )
            if _ended(process, 0.1):
                return


def _logged(folder: Path) -> Iterator[Transaction]:
    for file in folder.glob("log.*"):
        for line in file.read_text(encoding="utf-8").splitlines():
            if transaction := _transaction(line.split(" ")):
                yield transaction


def _transaction(columns: Sequence[str]) -> Transaction | None:
    """Return the transaction of one line of the log, if the line is whole and tells of one that was done.

    The columns: session, number, microseconds, script, seconds and microseconds of the end, retries.

    >>> _transaction("0 199 2241 0 1175850568 995598 2".split(" "))
    Transaction(number=199, ended=1175850568.995598, ms=2.241, retries=2)
    >>> _transaction("0 199 failed 0 1175850568 995598 2".split(" "))
    >>> _transaction("0 199 22".split(" "))
    """
    if len(columns) != 7 or not columns[2].isdigit():
        return None
    number, micros, _, ended, ended_micros, retries = map(int, columns[1:])
    return Transaction(number, ended + ended_micros / 1e6, micros / 1000, retries)
