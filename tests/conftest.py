"""What every test may ask for: a real server, a fresh database, a second session, patience."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg.rows import dict_row

from pgrunbook import approving, cli
from pgrunbook import server as embedded
from pgrunbook.errors import ApprovalRefused
from pgrunbook.run import Run
from pgrunbook.suite import DEBIANS_15, place

# A shell that starts the tests in the background lets them, and all that they start, ignore Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# By itself an example fails that takes longer than 200 ms, and one whose making is slow.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# An operator's PGHOST or PGRUNBOOK_TARGET must not reach a test.
for _name in [name for name in os.environ if re.match(r"PG(?!RUNBOOK_(POSTGRES|CHANGES)$)", name)]:
    del os.environ[_name]


# Where the system has a 15, the tests can run on it: PGRUNBOOK_POSTGRES=15.
if os.environ.get("PGRUNBOOK_POSTGRES") == "15" and DEBIANS_15.exists():
    _known = {15: DEBIANS_15.parent, **embedded._installations()}
    embedded._installations = lambda: _known  # type: ignore[assignment]


@pytest.fixture(scope="session")
def major() -> int:
    """The PostgreSQL major of this lane."""
    return int(os.environ.get("PGRUNBOOK_POSTGRES", "18"))


@pytest.fixture(scope="session")
def server(major: int) -> Iterator[embedded.Server]:
    """The lane's own server, in a folder of its own (short: a socket's path has about 100 bytes)."""
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=place()))
    running = embedded.start(major, folder=folder)
    with psycopg.connect(running.conninfo_for("postgres"), autocommit=True) as conn:
        # A worker of it would come by in the middle of some test, with locks and a snapshot.
        conn.execute("ALTER SYSTEM SET autovacuum TO off")
        conn.execute("SELECT pg_reload_conf()")
    yield running
    embedded.stop(running)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def database(server: embedded.Server) -> Iterator[str]:
    """The connection string of a fresh, empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield embedded.create_database(server, name)
    embedded.drop_database(server, name)


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    """An autocommit connection to the fresh database; its rows are dictionaries."""
    with contextlib.closing(psycopg.connect(database, autocommit=True, row_factory=dict_row)) as connection:
        yield connection


class Elsewhere:
    """A second session in its own thread, for locks that somebody else holds."""

    def __init__(self, conninfo: str) -> None:
        self.connection = psycopg.connect(conninfo, autocommit=True, row_factory=dict_row)
        self.pid = self.connection.info.backend_pid
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="elsewhere")

    def submit(self, sql: str, parameters: Any = None) -> Future[list[dict[str, Any]]]:
        """Start SQL that may block and return at once; the future gives its rows."""
        return self._thread.submit(self._run, sql, parameters)

    def execute(self, sql: str, parameters: Any = None) -> list[dict[str, Any]]:
        """Run SQL to its end and return its rows."""
        return self.submit(sql, parameters).result(timeout=60)

    def begin_and_hold(self, sql: str) -> None:
        """Open a transaction, run SQL in it and leave it open, idle."""
        self.execute("BEGIN")
        self.execute(sql)

    def release(self) -> None:
        """Commit the open transaction."""
        self.execute("COMMIT")

    def close(self) -> None:
        """End the session whatever it is doing."""
        idle = self._thread.submit(lambda: None)
        # Again and again: a request may come just before the statement that it means.
        while wait([idle], timeout=0.05).not_done:
            with contextlib.suppress(psycopg.Error):
                self.connection.cancel_safe(timeout=5)
        self._thread.shutdown()
        self.connection.close()

    def _run(self, sql: str, parameters: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def someone_else(database: str) -> Iterator[Callable[[], Elsewhere]]:
    """Make as many other sessions as a test needs."""
    sessions: list[Elsewhere] = []
    lock = threading.Lock()

    def make() -> Elsewhere:
        with lock:
            sessions.append(Elsewhere(database))
            return sessions[-1]

    yield make
    for session in sessions:
        session.close()


@pytest.fixture
def elsewhere(someone_else: Callable[[], Elsewhere]) -> Elsewhere:
    """One other session."""
    return someone_else()


@pytest.fixture
def terminal(run: Run, database: str, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """What bob types about a run at another terminal: terminal("001", "--no-go"); it returns why that was refused."""
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(run.change.folder.parent))
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)

    def typed(name: str = "001", *more: str, who: str = "bob", reason: str = "I read it") -> str:
        monkeypatch.setenv("PGRUNBOOK_OPERATOR", who)
        order = ["approve", run.change.name, name, "--reason", reason, *more]
        try:
            assert approving.approve(cli.parser().parse_args(order)) == 0
        except ApprovalRefused as refused:
            return refused.reason
        return ""

    return typed


@pytest.fixture
def eventually() -> Callable[..., Any]:
    """Ask again and again until a condition holds: eventually(lambda: ..., timeout=60) returns its answer.

    The timeout is no claim, it is when to give up: on a busy machine a process may take seconds to begin.
    """

    def poll(condition: Callable[[], Any], timeout: float = 30.0, *, interval: float = 0.01) -> Any:
        deadline = time.monotonic() + timeout
        while not (result := condition()):
            if time.monotonic() > deadline:
                pytest.fail(f"not within {timeout:g} s: last answer {result!r}")
            time.sleep(interval)
        return result

    return poll
