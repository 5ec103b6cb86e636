"""The bond between a run and its target: what is remembered where, and that no secret is."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import running, statuses

from pgrunbook import binding as bindings
from pgrunbook import ledger as ledgers
from pgrunbook import server as embedded
from pgrunbook import suite
from pgrunbook.binding import Binding
from pgrunbook.errors import ConnectionLost, RunnerBusy, StepFailed
from pgrunbook.journal import Journal
from pgrunbook.run import Run
from pgrunbook.step import Cancelled
from pgrunbook.target import Kind, Target

if TYPE_CHECKING:
    from conftest import Elsewhere

SECRET = "hunter2-secret"


@pytest.fixture
def bound(database: str, tmp_path: Path) -> Iterator[Binding]:
    made = Binding("700_x", Target(Kind.LIVE, f"{database} password={SECRET}"), "run-1", tmp_path, "ann")
    with contextlib.closing(made):
        yield made


def test_nothing_is_written_before_the_first_decision(bound: Binding) -> None:
    bound.note("looked", {"rows": 3})
    assert not bound.ledger.exists
    assert [entry["kind"] for entry in bound.journal.pending()] == ["looked"]
    bound.begin_writing()
    bound.begin_writing()
    assert bound.journal.pending() == []
    (event,) = bound.ledger.events(run_id="run-1")
    assert (event["kind"], event["detail"]["rows"], event["actor"]) == ("looked", 3, "ann")
    assert event["detail"]["journal_at"]


def test_no_secret_is_remembered_however_deep_it_hides(bound: Binding) -> None:
    bound.begin_writing()
    bound.note("odd", {"a": SECRET, "b": [f"x{SECRET}y", {"c": (SECRET, 1)}], "d": 7})
    (event,) = bound.ledger.events(run_id="run-1")
    assert event["detail"].pop("journal_entry") == 2
    assert event["detail"] == {"a": "***", "b": ["x***y", {"c": ["***", 1]}], "d": 7}
    assert SECRET not in bound.journal.path.read_text()
    assert SECRET not in repr(bound)


def test_what_the_server_could_not_be_told_is_merged_when_it_is_back(bound: Binding) -> None:
    bound.begin_writing()
    bound.note("before")
    bound.control.execute("ALTER TABLE pgrunbook.event RENAME TO hidden")
    bound.note("meanwhile")
    bound.control.execute("ALTER TABLE pgrunbook.hidden RENAME TO event")
    assert [entry["kind"] for entry in bound.journal.pending()] == ["meanwhile"]
    bound.begin_writing()
    bound.note("after")
    assert [event["kind"] for event in bound.ledger.events()] == ["before", "meanwhile", "after"]


def test_what_could_not_be_told_beside_is_told_when_writing_begins_again(
    bound: Binding, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bindings, "CHAIN_MS", 50)
    bound.begin_writing()
    with throwaway.looking(bound.target.conninfo) as conn:
        beside = ledgers.Ledger(conn, bound.target)
        elsewhere.begin_and_hold(ledgers.HOLD_CHAIN)
        for number in (1, 2):
            why = bound.note_beside(beside, "blocker ended", {"pid": number}, step="001", actor="bob")
            assert why == "canceling statement due to lock timeout"
        # Who holds the chain then is waited for no longer, and nothing is lost.
        bound.begin_writing()
        assert [entry["detail"]["pid"] for entry in bound.journal.pending()] == [1, 2]
        elsewhere.release()
        assert bound.note_beside(beside, "blocker ended", {"pid": 3}, step="001", actor="bob") == ""
    for _ in range(2):
        bound.begin_writing()
    assert bound.journal.pending() == []
    events = bound.ledger.events(run_id="run-1")
    assert [(event["detail"]["pid"], event["actor"]) for event in events] == [
        (3, "bob"),
        (1, "bob"),
        (2, "bob"),
    ]
    assert all(event["detail"].get("journal_at") for event in events[1:])


def test_what_the_ledger_could_not_be_told_then_is_told_when_writing_begins_again(bound: Binding) -> None:
    bound.begin_writing()
    bound.note("observed", in_ledger=False)
    assert bound.ledger.events(run_id="run-1") == []
    bound.begin_writing()
    assert bound.journal.pending() == []
    assert [event["kind"] for event in bound.ledger.events(run_id="run-1")] == ["observed"]


def test_an_event_beside_whose_answer_was_lost_is_told_once(
    bound: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.begin_writing()
    tell = ledgers.Ledger.event

    def lost(ledger: ledgers.Ledger, **options: Any) -> None:
        tell(ledger, **options)
        ledger.conn.execute("COMMIT")
        ledger.conn.close()
        raise psycopg.OperationalError(f"the connection is lost, password={SECRET}")

    with monkeypatch.context() as patched, throwaway.looking(bound.target.conninfo) as conn:
        patched.setattr(ledgers.Ledger, "event", lost)
        beside = ledgers.Ledger(conn, bound.target)
        why = bound.note_beside(beside, "blocker ended", {}, step="001", actor="bob")
    assert why == "the connection is lost, password=***"
    bound.begin_writing()
    assert [event["kind"] for event in bound.ledger.events(run_id="run-1")] == ["blocker ended"]
    assert bound.journal.pending() == []


def test_what_is_noted_beside_during_a_merge_is_not_lost(
    bound: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.begin_writing()
    with throwaway.looking(bound.target.conninfo) as conn:
        conn.close()
        gone = ledgers.Ledger(conn, bound.target)
        bound.note_beside(gone, "blocker ended", {"pid": 1}, step="001", actor="bob")
        pending = Journal.pending
        with ThreadPoolExecutor(1) as pool:
            others: list[Future[str]] = []
            looks: list[int] = []

            def and_then(journal: Journal) -> list[dict[str, Any]]:
                found = pending(journal)
                looks.append(len(found))
                # The first look asks whether there is anything to merge.
                if len(looks) == 2:
                    others.append(
                        pool.submit(
                            bound.note_beside, gone, "blocker ended", {"pid": 2}, step="001", actor="bob"
                        )
                    )
                    # It waits for the merge; where it did not, this would give it the time to come in between.
                    with contextlib.suppress(TimeoutError):
                        others[0].result(0.2)
                return found

            with monkeypatch.context() as patched:
                patched.setattr(Journal, "pending", and_then)
                bound.begin_writing()
            assert others[0].result(10)
    assert [entry["detail"]["pid"] for entry in bound.journal.pending()] == [2]
    bound.begin_writing()
    assert [event["detail"]["pid"] for event in bound.ledger.events(run_id="run-1")] == [1, 2]


def test_who_comes_after_a_closed_run_is_let_in_at_once(bound: Binding) -> None:
    other = Binding("700_x", bound.target, "run-2", bound.records, "bob")
    with contextlib.closing(other):
        bound.begin_writing()
        with pytest.raises(RunnerBusy, match=r"'pgrunbook control run-1'|pgrunbook control run-1 \(pid "):
            other.begin_writing()
        bound.close()
        other.begin_writing()


def test_a_request_to_stop_holds_until_it_is_forgotten(bound: Binding) -> None:
    # Before anything was connected, and while nothing runs.
    bound.cancel()
    assert bound.work.execute("SELECT 1 AS one").fetchone() == {"one": 1}
    bound.cancel()
    with pytest.raises(Cancelled):
        bound.checkpoint()
    bound.resume()
    bound.checkpoint()


def test_connections_are_made_anew_when_they_are_gone(bound: Binding) -> None:
    first = bound.work
    assert bound.work is first
    with psycopg.connect(bound.target.conninfo, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", (first.info.backend_pid,))
    assert bound.work is not first
    assert first.closed


def test_nothing_is_begun_on_what_a_lost_connection_decided(bound: Binding) -> None:
    with pytest.raises(ConnectionLost):
        _ = bound.writer
    bound.begin_writing()
    assert bound.writer.exists
    # As by a server that has seen it end.
    bound.control.execute("SELECT pg_advisory_unlock_all()")
    bound.control.close()
    # A look connects again, but does not make this run the only one.
    assert bound.ledger.exists
    with pytest.raises(ConnectionLost):
        _ = bound.writer
    bound.begin_writing()
    assert bound.writer.exists


def test_what_happens_while_the_server_is_gone_is_remembered(
    bound: Binding, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound.begin_writing()
    bound.control.close()
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "connect", lambda *_, **__: pytest.fail("it connects"))
        bound.note("alone")
    assert [entry["kind"] for entry in bound.journal.pending()] == ["alone"]


def test_a_session_that_works_for_another_runner_is_waited_for_and_named(
    bound: Binding, monkeypatch: pytest.MonkeyPatch, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    # The other runner's control connection is gone, its work session is not.
    elsewhere.execute("SET application_name TO 'pgrunbook step run-0'")
    elsewhere.execute("SELECT pg_advisory_lock_shared(7239847, 3)")
    with monkeypatch.context() as patched:
        patched.setattr(ledgers, "WORKERS_S", 0.1)
        with pytest.raises(RunnerBusy, match=r"pgrunbook step run-0 \(pid \d+, role 'postgres'\)"):
            bound.begin_writing()
    # Who was refused is in nobody's way.
    other = Binding("700_x", bound.target, "run-2", bound.records, "bob")
    with contextlib.closing(other), ThreadPoolExecutor(1) as pool:
        begun = pool.submit(other.begin_writing)
        held = "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND classid = 7239847 AND objid = 1"
        eventually(lambda: elsewhere.execute(held))
        assert not begun.done()
        elsewhere.execute("SELECT pg_advisory_unlock_shared(7239847, 3)")
        begun.result(60)


# --- a COMMIT whose answer never comes ---------------------------------------------------------------------

HANGING = {
    "migrate/001_add_note.sql": throwaway.FILES["migrate/001_add_note.sql"].replace(
        "ALTER", "SET LOCAL synchronous_commit TO on;\nALTER"
    )
}
COMMITTING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"


@pytest.fixture
def waiting(major: int) -> Iterator[embedded.Server]:
    """A server whose commits wait for a standby that never comes, where somebody asks for that."""
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    running = embedded.start(major, folder=folder)
    with psycopg.connect(embedded.create_database(running, "shop"), autocommit=True) as conn:
        conn.execute(throwaway.TABLE)
        conn.execute("ALTER DATABASE shop SET synchronous_commit TO local")
        conn.execute("ALTER SYSTEM SET synchronous_standby_names TO 'nobody'")
        conn.execute("SELECT pg_reload_conf()")
    yield running
    embedded.stop(running)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def cut_off_in_commit(
    waiting: embedded.Server, folder: Path, eventually: Callable[..., Any]
) -> Iterator[tuple[Run, Future[list[str]], psycopg.Connection[Any]]]:
    """Give a run whose connection died while the server was committing."""
    database = waiting.conninfo_for("shop")
    chosen = throwaway.write(folder, throwaway.changed(HANGING))
    with (
        psycopg.connect(database, autocommit=True) as admin,
        running(chosen, database, folder / "records") as made,
        ThreadPoolExecutor(1) as pool,
    ):
        going = pool.submit(throwaway.apply, made, "001")
        eventually(lambda: admin.execute(COMMITTING).fetchall(), 20)
        work = made.binding._work
        assert work is not None
        with socket.socket(fileno=os.dup(work.pgconn.socket)) as line:
            line.shutdown(socket.SHUT_RDWR)
        yield made, going, admin


def _let_go(admin: psycopg.Connection[Any]) -> None:
    admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
    admin.execute("SELECT pg_reload_conf()")


def test_a_commit_that_the_server_finishes_later_is_done(
    waiting: embedded.Server, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    with cut_off_in_commit(waiting, tmp_path, eventually) as (made, going, admin):
        eventually(lambda: made.binding._work is not None and made.binding._work.closed)
        assert not going.done()
        _let_go(admin)
        assert going.result(60) == ["apply"]
        assert statuses(made)[0] == "done"
        assert throwaway.apply(made, "001") == ["already done"]


def test_a_commit_of_which_nothing_is_heard_is_decided_by_the_next_apply(
    waiting: embedded.Server,
    tmp_path: Path,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ledgers, "WORKERS_S", 0.3)
    with cut_off_in_commit(waiting, tmp_path, eventually) as (made, going, admin):
        with pytest.raises(StepFailed) as caught:
            going.result(60)
        assert "whether the server committed is not known here; its ledger is\n" in str(caught.value)
        assert statuses(made)[0] == "running"
        # The server is still at it: nobody may do it again.
        with pytest.raises(RunnerBusy, match="pgrunbook step"):
            throwaway.apply(made, "001")
        monkeypatch.undo()
        _let_go(admin)
        eventually(lambda: not admin.execute(COMMITTING).fetchall())
        assert throwaway.apply(made, "001") == ["already done"]
        done = [event for event in made.ledger.events() if event["kind"] == "apply done"]
        assert len(done) == 1
