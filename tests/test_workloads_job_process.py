"""A worker as a process: it runs jobs, ends at SIGTERM, and ends itself where nothing else stops a thread."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from conftest import Elsewhere

from pgrunbook import server as embedded
from pgrunbook.workloads import job_process

HANDLERS = """\
import time
def sync(execution):
    time.sleep(execution.parameters.get("s", 0))
    return "done"
HANDLERS = {"auto_sync": sync}
NOT_ONE = 7
"""


@pytest.fixture(scope="module")
def database(server: embedded.Server) -> Iterator[str]:
    with ground.scheduler(server) as name:
        yield server.conninfo_for(name)


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    (tmp_path / "kitchen_jobs.py").write_text(HANDLERS)
    library = str(Path(job_process.__file__).parents[2])
    environment = os.environ | {
        "PGRUNBOOK_TARGET": database,
        "PYTHONPATH": f"{library}{os.pathsep}{tmp_path}",
    }
    started: list[subprocess.Popen[str]] = []

    def begin() -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pgrunbook.workloads.job_process", "kitchen_jobs:HANDLERS"]
        started.append(
            subprocess.Popen(
                [*command, "--name", "kitchen"], env=environment, stderr=subprocess.PIPE, text=True
            )
        )
        return started[-1]

    yield begin
    for one in started:
        one.kill()
        one.communicate()


def status(conn: psycopg.Connection[dict[str, Any]], job: str) -> list[str]:
    found = conn.execute("SELECT status FROM job_executions WHERE job_id = %s ORDER BY id", (job,))
    return [row["status"] for row in found]


def test_it_runs_jobs_and_ends_when_told(
    conn: psycopg.Connection[dict[str, Any]],
    start: Callable[[], subprocess.Popen[str]],
    eventually: Callable[..., Any],
) -> None:
    process = start()
    ground.job(conn, "sync")
    eventually(lambda: status(conn, "sync") == ["completed"])
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def test_it_ends_itself_when_a_thread_does_not_stop(
    conn: psycopg.Connection[dict[str, Any]],
    elsewhere: Elsewhere,
    start: Callable[[], subprocess.Popen[str]],
    eventually: Callable[..., Any],
) -> None:
    ground.configure(conn, lease_seconds=2)
    process = start()
    ground.job(conn, "slow", parameters={"s": 3600})
    eventually(lambda: status(conn, "slow") == ["running"])
    elsewhere.begin_and_hold("SELECT FROM job_executions FOR UPDATE")
    assert process.wait(30) == job_process.ABANDONED
    elsewhere.release()


@pytest.mark.parametrize("what", ["kitchen_jobs:NOT_ONE", "kitchen_jobs"])
def test_what_is_no_mapping_of_handlers_is_refused(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kitchen_jobs.py").write_text("NOT_ONE = 7\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SystemExit):
        job_process.main([what])
    assert f"{what} is no mapping of job types to functions" in capsys.readouterr().err
    sys.modules.pop("kitchen_jobs", None)


def test_it_defaults_to_no_database(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty_jobs.py").write_text("HANDLERS = {}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    assert job_process.main(["empty_jobs"]) != 0
    assert "PGRUNBOOK_TARGET" in capsys.readouterr().err
