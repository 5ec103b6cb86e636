"""How a command is stopped, how it speaks while it works, and what it leaves when it is stopped."""

from __future__ import annotations

import io
import shutil
import signal
import tempfile
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from operating import AT_ONCE, GO, Desk, Said, ended
from throwaway import NAME, changed, step

from pgrunbook import headless, suite
from pgrunbook import server as embedded
from pgrunbook.headless import Progress, interruptible, stoppable
from pgrunbook.patience import Blocker

if TYPE_CHECKING:
    from conftest import Elsewhere

Eventually = Callable[..., Any]
SIGNALS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
# Runs for a minute while table `slow` has a row.
SLOW = step(
    "SELECT pg_sleep(60) FROM slow;\nCREATE TABLE made (id int);",
    "SELECT 'made' AS missing WHERE to_regclass('made') IS NULL;",
    "DROP TABLE IF EXISTS made;",
    lock="none",
)
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
OTHERS_LOCKS = """
SELECT l.mode FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid)
 WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.pid <> pg_backend_pid() AND a.application_name LIKE 'pgrunbook %'"""


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        yield desk


def is_clean(desk: Desk, said: Said, eventually: Eventually) -> None:
    """One clear message, no traceback, and nothing of ours in the database."""
    assert (said.code, said.out) == (1, "")
    assert "Traceback" not in said.err
    assert "Exception" not in said.err
    assert said.err.count("\n  next: ") == 1
    eventually(lambda: not desk.ours)
    assert desk.ask(OTHERS_LOCKS) == []


def last_event(desk: Desk) -> str:
    told = "SELECT kind FROM pgrunbook.event WHERE kind NOT IN ('observed', 'record written') ORDER BY id DESC LIMIT 1"
    return "".join(desk.ask(told))


@SIGNALS
def test_a_signal_ends_the_wait_for_a_lock(
    desk: Desk, elsewhere: Elsewhere, eventually: Eventually, number: signal.Signals
) -> None:
    desk.write()
    elsewhere.begin_and_hold("LOCK TABLE things IN SHARE MODE")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.has_ledger and desk.statuses == ["running"], timeout=30)
    process.send_signal(number)
    said = ended(process)
    is_clean(desk, said, eventually)
    assert (
        "StepCancelled: 001_add_note was cancelled\n  the transaction was rolled back: nothing was left behind\n"
    ) in said.err
    assert (desk.statuses, last_event(desk)) == (["failed"], "apply cancelled")
    elsewhere.release()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk.statuses == ["done"] * 3


@SIGNALS
def test_a_signal_cancels_a_running_statement(
    desk: Desk, eventually: Eventually, number: signal.Signals
) -> None:
    desk.write(SLOW, sql="CREATE TABLE things (id int); CREATE TABLE slow AS SELECT 1 AS row")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.ask(SLEEPING), timeout=30)
    process.send_signal(number)
    said = ended(process)
    is_clean(desk, said, eventually)
    assert "StepCancelled: 001_only was cancelled\n" in said.err
    assert (desk.statuses, last_event(desk)) == (["failed"], "apply cancelled")
    with desk.looking() as conn:
        conn.execute("DELETE FROM slow")
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk.statuses == ["done"]


def test_a_signal_cancels_a_build_and_the_next_apply_builds_it(
    desk: Desk, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    desk.write()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("rollback", NAME, "--to", "001", *GO).code == 0
    elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
    process = desk.start("apply", NAME, *AT_ONCE)
    building = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %'"
    eventually(lambda: desk.ask(building), timeout=30)
    process.send_signal(signal.SIGINT)
    is_clean(desk, ended(process), eventually)
    assert desk.statuses == ["done", "failed", "rolled back"]
    elsewhere.release()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk.ask("SELECT indisvalid FROM pg_index WHERE indexrelid = 'things_code'::regclass") == [True]


def test_a_second_signal_does_no_harm(desk: Desk, eventually: Eventually) -> None:
    desk.write(SLOW, sql="CREATE TABLE things (id int); CREATE TABLE slow AS SELECT 1 AS row")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.ask(SLEEPING), timeout=30)
    process.send_signal(signal.SIGINT)
    eventually(lambda: not desk.ask(SLEEPING))
    process.send_signal(signal.SIGINT)
    is_clean(desk, ended(process), eventually)
    assert (desk.statuses, last_event(desk)) == (["failed"], "apply cancelled")


@SIGNALS
def test_a_signal_ends_an_audit(desk: Desk, eventually: Eventually, number: signal.Signals) -> None:
    check = "-- Slow\n-- effect: none\n\nSELECT pg_sleep(60) AS slept;\n"
    desk.write(changed({"preflight/20_slow.sql": check}))
    before = desk.catalog()
    process = desk.start("apply", NAME, *GO)
    eventually(lambda: desk.ask(SLEEPING), timeout=30)
    process.send_signal(number)
    said = ended(process)
    is_clean(desk, said, eventually)
    assert (
        "Stopped: the command was stopped: what was done before stays done, nothing else was begun\n"
        in said.err
    )
    assert desk.catalog() == before
    assert not desk.has_ledger


def test_a_signal_ends_a_rehearsal_and_its_clone_goes(desk: Desk, major: int, eventually: Eventually) -> None:
    files = step(
        "SELECT pg_sleep(60);\nALTER TABLE things ADD COLUMN note text;", lock="AccessExclusive on things"
    )
    desk.write(files)
    before = desk.catalog()
    running = embedded.start(major)
    try:
        with psycopg.connect(running.conninfo_for("postgres"), autocommit=True) as conn:
            clones = "SELECT datname FROM pg_database WHERE datname LIKE 'rehearsal\\_700%'"
            already = conn.execute(clones).fetchall()
            asleep = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname LIKE 'rehearsal\\_700%'"
            process = desk.start("apply", NAME, *GO)
            eventually(lambda: conn.execute(asleep).fetchall(), timeout=30)
            process.send_signal(signal.SIGINT)
            said = ended(process)
            is_clean(desk, said, eventually)
            assert "Stopped: the command was stopped" in said.err
            assert conn.execute(clones).fetchall() == already
    finally:
        embedded.stop(running)
    assert desk.catalog() == before


@SIGNALS
def test_a_signal_stops_a_remedy_between_two_attempts(
    desk: Desk, elsewhere: Elsewhere, eventually: Eventually, number: signal.Signals
) -> None:
    desk.write()
    with desk.looking() as conn:
        conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    elsewhere.begin_and_hold("SELECT FROM things WHERE id = 2 FOR UPDATE")
    process = desk.start("remedy", NAME, "10_doubled_codes", *GO)
    eventually(lambda: desk.has_ledger and last_event(desk) == "remedy started", timeout=30)
    process.send_signal(number)
    said = ended(process)
    is_clean(desk, said, eventually)
    assert "StepCancelled: 10_doubled_codes was cancelled\n" in said.err
    elsewhere.release()
    assert desk.ask("SELECT count(*) FROM things WHERE code = 'c1'") == [2]
    assert desk("remedy", NAME, "10_doubled_codes", *GO).code == 0


def test_the_connection_lost_in_a_step_is_one_message_and_the_record_tells_it(
    desk: Desk, eventually: Eventually
) -> None:
    desk.write(SLOW, sql="CREATE TABLE things (id int); CREATE TABLE slow AS SELECT 1 AS row")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.ask(SLEEPING), timeout=30)
    # All of them at once, as when the server is shut down; the step's own comes last.
    desk.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook %'"
        " ORDER BY application_name"
    )
    said = ended(process)
    is_clean(desk, said, eventually)
    assert "\nStepFailed: 001_only failed: migrate/001_only.sql: terminating connection" in said.err
    (record,) = desk.records.glob("*/record.html")
    assert f"record: {record}\n" in said.err
    assert "failed at 001_only" in record.read_text(encoding="utf-8")
    assert desk.statuses == ["running"]
    with desk.looking() as conn:
        conn.execute("DELETE FROM slow")
    assert desk("apply", NAME, *AT_ONCE).code == 0


@pytest.fixture
def doomed(major: int) -> Iterator[embedded.Server]:
    """A server that a test may stop."""
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    running = embedded.start(major, folder=folder)
    yield running
    embedded.stop(running)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
def test_a_server_that_stops_in_the_middle_of_a_step_is_one_message(
    doomed: embedded.Server, tmp_path: Path, eventually: Eventually
) -> None:
    desk = Desk(embedded.create_database(doomed, "shop"), tmp_path)
    desk.write(SLOW, sql="CREATE TABLE things (id int); CREATE TABLE slow AS SELECT 1 AS row")
    process = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.ask(SLEEPING), timeout=30)
    embedded.stop(doomed)
    said = ended(process)
    assert (said.code, said.out) == (1, "")
    assert "Traceback" not in said.err
    assert "\nStepFailed: 001_only failed: " in said.err
    assert said.err.count("\n  next: ") == 1
    (record,) = desk.records.glob("*/record.html")
    text = record.read_text(encoding="utf-8")
    assert "failed at 001_only" in text
    assert "the ledger could not be reached any more" in text
    gone = desk("status")
    assert gone.code == 1
    assert gone.err.startswith(
        "CannotConnect: cannot connect to database 'shop' on the local socket as 'postgres'\n"
    )
    embedded.start(doomed.major, folder=doomed.folder)
    with desk.looking() as conn:
        conn.execute("DELETE FROM slow")
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk.statuses == ["done"]


class Obeying:
    """A run that remembers how often it was asked to stop."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def cancel(self) -> None:
        self.asked.set()
        raise psycopg.OperationalError("the server is gone")


def test_work_that_ends_before_it_can_be_stopped_is_not_followed_by_more() -> None:
    run = Obeying()

    def work() -> str:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
        assert run.asked.wait(60)
        return "done"

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt):
        interruptible(run, work)  # type: ignore[arg-type]
    assert signal.getsignal(signal.SIGTERM) == before


def test_what_the_work_raises_comes_through() -> None:
    def work() -> None:
        raise ValueError("odd")

    with pytest.raises(ValueError, match="odd"):
        interruptible(Obeying(), work)  # type: ignore[arg-type]
    assert interruptible(Obeying(), lambda: 7) == 7  # type: ignore[arg-type]


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), stoppable():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before


def test_progress_is_told_with_seconds_or_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    Progress(silent=True).line("nothing")
    progress = Progress(silent=False)
    monkeypatch.setattr("time.perf_counter", lambda: progress.began + 5)
    progress.line("half way")
    assert err.getvalue() == "[   5.0 s] half way\n"


def test_the_embedded_server_ends_with_its_use(major: int, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    monkeypatch.setenv("PGRUNBOOK_POSTGRES", str(major))
    monkeypatch.setattr(headless.server, "start", lambda wanted: used.append(f"start {wanted}"))
    monkeypatch.setattr(headless.server, "stop", lambda _running: used.append("stop"))
    with pytest.raises(KeyboardInterrupt), headless.EmbeddedServer():
        raise KeyboardInterrupt
    assert used == [f"start {major}", "stop"]


def test_who_is_waited_for_is_told_at_most_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    err, now = io.StringIO(), [100.0]
    monkeypatch.setattr("sys.stderr", err)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    one = Blocker(
        7, "app", "web", "client backend", "active", "things", "AccessShareLock", 3200.0, "SELECT 1"
    )
    progress = Progress(silent=False)
    progress.waits([], 0)
    for moment in (100.0, 100.5, 101.1):
        now[0] = moment
        progress.waits([one, one], 3)
    waits = (
        "waits, and nobody behind us: pid 7 'web' holds AccessShareLock on things for 3.2 s, active and 1 more;"
        " asked 3 times so far"
    )
    assert err.getvalue() == f"[   0.0 s] {waits}\n[   1.1 s] {waits}\n"


def test_whom_a_build_waits_for_is_told_on_the_terminal(
    desk: Desk, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    desk.write()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("rollback", NAME, "--to", "001", *GO).code == 0
    elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
    process = desk.start("apply", NAME, *AT_ONCE)
    building = "SELECT 1 FROM pg_stat_progress_create_index WHERE phase LIKE 'waiting for %'"
    eventually(lambda: desk.ask(building), timeout=30)
    assert process.stderr is not None
    said = iter(process.stderr.readline, "")
    assert "] waiting for " in next(line for line in said if f"pid {elsewhere.pid}" in line)
    elsewhere.release()
    assert ended(process).code == 0


def test_a_window_that_is_too_short_is_told_before_anything_runs(desk: Desk) -> None:
    desk.write()
    said = desk("apply", NAME, *AT_ONCE, "--window-ends", "2020-01-01 04:00")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("BadWindow: the window cannot end at '2020-01-01 04:00': it is over: ")
    assert not desk.has_ledger
    soon = (datetime.now(UTC) + timedelta(seconds=3)).isoformat(timespec="seconds")
    said = desk("apply", NAME, *AT_ONCE, PGRUNBOOK_WINDOW_ENDS=soon)
    assert (said.code, said.out) == (3, "")
    assert "window ends 20" in said.err
    assert "WindowTooShort: 001_add_note is not begun: the window ends at 20" in said.err
    assert desk.statuses == []
    # The option is heard before the environment, and the way back is open when the window is over.
    said = desk(
        "apply", NAME, *AT_ONCE, "--window-ends", "2100-01-01 04:00", PGRUNBOOK_WINDOW_ENDS="nonsense"
    )
    assert said.code == 0, said.err
    assert desk("rollback", NAME, *GO, PGRUNBOOK_WINDOW_ENDS="2020-01-01 04:00").code == 0
