"""Signals: only the very session that was shown is ended, on request, and it is kept who asked."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway

from pgrunbook import patience, session, signalling, target
from pgrunbook.errors import BlockerStays
from pgrunbook.header import LockClaim
from pgrunbook.lockmode import LockMode
from pgrunbook.patience import POLICY, Blocker
from pgrunbook.run import Run
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Eventually = Callable[..., Any]
LOCKS = (LockClaim(LockMode.ACCESS_EXCLUSIVE, "things"),)


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def in_the_way(look: Connection) -> Blocker:
    (one,) = patience.blockers(look, LOCKS)
    return one


def refusal(look: Connection, shown: Blocker, *, statement_only: bool = False) -> str:
    with pytest.raises(BlockerStays) as caught:
        signalling.end(look, shown, statement_only=statement_only)
    return str(caught.value)


def is_alive(one: Elsewhere) -> bool:
    try:
        return bool(one.execute("SELECT 1 AS x"))
    except psycopg.Error:
        return False


# -- what is done ------------------------------------------------------------------------------------


def test_an_idle_transaction_ends_with_its_session(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    shown = in_the_way(look)
    done = signalling.end(look, shown, statement_only=False)
    assert (done.blocker.pid, done.gone) == (elsewhere.pid, True)
    assert str(done) == f"pid {elsewhere.pid}: its session was ended, it is out of the way"
    assert patience.blockers(look, LOCKS) == []
    assert not is_alive(elsewhere)


def test_a_running_statement_is_cancelled_and_its_session_lives(
    look: Connection, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    slow = elsewhere.submit("SELECT pg_sleep(60) FROM things")
    eventually(lambda: patience.blockers(look, LOCKS))
    done = signalling.end(look, in_the_way(look), statement_only=True)
    assert done.gone
    with pytest.raises(psycopg.errors.QueryCanceled):
        slow.result(60)
    assert is_alive(elsewhere)


# -- whom it leaves alone ----------------------------------------------------------------------------


def test_a_transaction_that_ended_meanwhile_is_not_ended_again(
    look: Connection, elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    shown = in_the_way(look)
    elsewhere.release()
    gone = f"pid {elsewhere.pid} was left alone: that session or its transaction is gone\n"
    assert refusal(look, shown).startswith(gone)
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    assert refusal(look, shown).startswith(gone)
    assert is_alive(elsewhere)


def test_a_pid_that_is_another_session_by_now_is_left_alone(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    shown = in_the_way(look)
    assert shown.backend_start
    for other in (
        dataclasses.replace(shown, backend_start="2020-01-01 00:00:00+00"),
        dataclasses.replace(shown, transaction="99/1234"),
        dataclasses.replace(shown, transaction="", backend_start=""),
    ):
        assert "that session or its transaction is gone" in refusal(look, other)
        # The statement that acts compares again: between the look and the signal a pid may change hands.
        if other.transaction or other.backend_start:
            assert session.rows(look, "end_session", {**_asked(other), "statement_only": False}) == []
    assert is_alive(elsewhere)


def _asked(one: Blocker) -> dict[str, object]:
    return {"pid": one.pid, "transaction": one.transaction, "backend_start": one.backend_start}


def test_an_idle_session_runs_no_statement_that_could_be_cancelled(
    look: Connection, elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    assert refusal(look, in_the_way(look), statement_only=True) == (
        f"pid {elsewhere.pid} was left alone: it runs no statement that could be cancelled\n"
        "  next: end its session, or ask its owner to end the transaction"
    )
    assert is_alive(elsewhere)


def test_a_session_of_ours_is_left_alone(look: Connection, database: str) -> None:
    with session.connect(target.rehearsal(database), purpose="step of a colleague") as ours:
        ours.execute("BEGIN")
        ours.execute("SELECT count(*) FROM things")
        shown = in_the_way(look)
        # Even where it is not shown by its name.
        for one in (shown, dataclasses.replace(shown, application_name="app")):
            assert "it is a session of pgrunbook itself\n  next: cancel that run" in refusal(look, one)
        assert ours.execute("SELECT 1 AS x").fetchone() == {"x": 1}
        ours.execute("ROLLBACK")


def test_a_prepared_transaction_is_told_with_the_statement_that_ends_it() -> None:
    prepared = Blocker(
        None, "app", "", "prepared transaction 'it''s'", "prepared", "things", "RowExclusiveLock", 1.0, ""
    )
    assert signalling.stays(prepared, statement_only=False) == (
        "a prepared transaction has no session",
        "its owner runs COMMIT PREPARED 'it''s' or ROLLBACK PREPARED 'it''s'",
    )


@pytest.mark.parametrize(
    ("backend", "query", "why"),
    [
        (
            "autovacuum worker",
            "autovacuum: VACUUM public.things (to prevent wraparound)",
            "it vacuums against wraparound",
        ),
        ("walsender", "START_REPLICATION", "it is a walsender, nobody's session"),
        ("background writer", "", "it is a background writer, nobody's session"),
    ],
)
def test_what_serves_the_server_is_left_alone(backend: str, query: str, why: str) -> None:
    one = Blocker(7, "", "", backend, "active", "things", "ShareUpdateExclusiveLock", 1.0, query)
    found = signalling.stays(one, statement_only=False)
    assert found is not None
    assert found[0].startswith(why)


def test_an_ordinary_autovacuum_may_be_cancelled() -> None:
    one = Blocker(7, "", "", "autovacuum worker", "active", "t", "x", 1.0, "autovacuum: VACUUM public.t")
    assert signalling.stays(one, statement_only=True) is None


def test_a_role_that_may_not_signal_is_told_what_it_needs(
    look: Connection, database: str, elsewhere: Elsewhere
) -> None:
    with (
        throwaway.role(look) as owner,
        throwaway.role(look, "GRANT SELECT ON things TO {}") as name,
        contextlib.closing(psycopg.connect(f"{database} user={owner}", autocommit=True)) as held,
        session.connect(target.rehearsal(f"{database} user={name}"), purpose="x") as conn,
    ):
        look.execute(f"GRANT SELECT ON things TO {owner}")
        held.execute("BEGIN")
        held.execute("SELECT count(*) FROM things")
        shown = in_the_way(conn)
        assert shown.backend_start == ""
        said = refusal(conn, shown)
        assert f"role '{name}' may not signal sessions of '{owner}': permission denied" in said
        assert said.endswith(f'let an administrator run: GRANT pg_signal_backend TO "{name}"')
        assert held.execute("SELECT 1").fetchone() == (1,)
        look.execute(f"GRANT pg_signal_backend TO {name}")
        assert signalling.end(conn, shown, statement_only=False).gone


# -- in a run ----------------------------------------------------------------------------------------


def end_for(run: Run, pid: int, *, who: str, statement_only: bool = False) -> signalling.Ended:
    found = signalling.among(run.blockers, pid)
    return signalling.end_for(run.binding, found, step=run.doing, statement_only=statement_only, who=who)


@pytest.fixture
def waiting(
    look: Connection, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> Iterator[tuple[Run, Any]]:
    """A run whose first step waits for somebody, and the future of that step."""
    elsewhere.begin_and_hold("SELECT count(*), 'secret' FROM things")
    budgets = throwaway.tight(patience_s=60, policy=POLICY)
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path, budgets=budgets) as run:
        seen = threading.Event()
        run.on_wait = lambda _blockers, _attempt: seen.set()
        run.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            step = pool.submit(run.apply, "001")
            assert seen.wait(60)
            try:
                yield run, step
            finally:
                if not step.done():
                    run.cancel()


def test_a_step_gets_in_at_once_when_its_blocker_is_ended_and_the_ledger_says_who_asked(
    waiting: tuple[Run, Any], elsewhere: Elsewhere
) -> None:
    run, step = waiting
    assert [one.pid for one in run.blockers] == [elsewhere.pid]
    done = end_for(run, elsewhere.pid, who="ann")
    assert done.gone
    assert step.result(60).note == "apply"
    (event,) = [one for one in run.ledger.events(run_id=run.run_id) if one["kind"].startswith("blocker")]
    assert (event["kind"], event["step"], event["actor"]) == ("blocker ended", "001_add_note", "ann")
    detail = {key: value for key, value in event["detail"].items() if key != "journal_entry"}
    assert detail == {
        "who": "ann",
        "pid": elsewhere.pid,
        "user": "postgres",
        "application": "",
        "state": "idle in transaction",
        "query": "SELECT count(*), 'secret' FROM things",
        "done": True,
        "gone": True,
    }
    assert run.check_chain()
    assert "blocker ended" in [entry["kind"] for entry in run.binding.journal.entries()]
    # When nothing waits any more nobody is in the way.
    with pytest.raises(BlockerStays, match="it is not in the way"):
        end_for(run, elsewhere.pid, who="ann")


@pytest.mark.parametrize("before", [True, False], ids=["asked", "out of the way"])
def test_a_session_that_was_asked_to_go_is_recorded_also_where_the_answer_is_not_heard(
    waiting: tuple[Run, Any], elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch, before: bool
) -> None:
    run, step = waiting
    rows, looks = session.rows, []

    def lost(conn: Connection, name: str, parameters: Any = None) -> Any:
        found = rows(conn, name, parameters)
        looks.append(name)
        if name == "end_session" if before else looks.count("session_now") == 2:
            conn.close()
            raise psycopg.OperationalError("the connection is lost")
        return found

    monkeypatch.setattr(session, "rows", lost)
    done = end_for(run, elsewhere.pid, who="ann")
    monkeypatch.undo()
    assert done.gone is None
    assert str(done).endswith(": the server was asked to end its session, and its answer was not heard")
    assert step.result(60).note == "apply"
    run.binding.begin_writing()
    (event,) = [one for one in run.ledger.events(run_id=run.run_id) if one["kind"].startswith("blocker")]
    assert (event["kind"], event["actor"], event["detail"]["gone"]) == ("blocker ended", "ann", None)


def test_a_blocker_that_was_left_alone_is_recorded_with_the_reason(
    waiting: tuple[Run, Any], elsewhere: Elsewhere
) -> None:
    run, step = waiting
    with pytest.raises(BlockerStays, match="it runs no statement"):
        end_for(run, elsewhere.pid, who="bob", statement_only=True)
    with pytest.raises(BlockerStays, match="it is not in the way"):
        end_for(run, 1, who="bob")
    elsewhere.release()
    assert step.result(60).note == "apply"
    found = [one for one in run.ledger.events(run_id=run.run_id) if one["kind"].startswith("blocker")]
    assert [(one["kind"], one["actor"], one["detail"]["reason"]) for one in found] == [
        ("blocker not ended", "bob", "it runs no statement that could be cancelled")
    ]
    assert is_alive(elsewhere)


def test_the_targets_password_in_a_statement_is_not_kept(
    look: Connection, database: str, tmp_path: Path
) -> None:
    bound = target.rehearsal(f"{database} password=topsecret")
    shown = Blocker(1, "app", "", "client backend", "active", "things", "x", 1.0, "SELECT 'topsecret'", "9/9")
    with throwaway.running(throwaway.write(tmp_path), bound, tmp_path) as run:
        run.decide_by_policy("001")
        with pytest.raises(BlockerStays):
            signalling.end_for(run.binding, shown, step="001_add_note", statement_only=False, who="ann")
        last = run.ledger.events(run_id=run.run_id)[-1]
        assert (last["kind"], last["detail"]["query"]) == ("blocker not ended", "SELECT '***'")
        assert "topsecret" not in run.binding.journal.path.read_text(encoding="utf-8")
