"""The lookout of a waiting gate: what it sees costs the database little, and no failure ends the wait."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from test_ticking import LIST

from pgrunbook import lookout, obstacles, session
from pgrunbook.errors import CannotConnect
from pgrunbook.gate import TERMINAL
from pgrunbook.lookout import Lookout
from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    conn.execute(throwaway.TABLE)
    chosen = throwaway.write(tmp_path / "changes", throwaway.changed({"checklist.md": LIST}))
    ends = datetime.now(UTC) + timedelta(hours=2)
    with throwaway.running(chosen, database, tmp_path, budgets=throwaway.tight(window_ends=ends)) as made:
        yield made


@contextlib.contextmanager
def leaving(made: Lookout) -> Iterator[Lookout]:
    try:
        yield made
    finally:
        made.leave()


@pytest.fixture
def out(run: Run, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lookout]:
    monkeypatch.setattr(lookout, "LOOK_S", 0.0)
    with leaving(Lookout(run, "001")) as made:
        yield made


def test_it_tells_who_is_in_the_way_what_is_open_and_how_long_the_window_is(
    out: Lookout, someone_else: Callable[[], Any]
) -> None:
    look = out.look()
    assert look.heard
    assert not look.told
    assert look.lines["in the way"] == "nobody"
    assert look.lines["checklist"] == "0 of 2 items ticked; OPEN: backup, staging; GO would be refused"
    assert str(look.lines["window"]).startswith("ends in ")
    others = [someone_else() for _ in range(6)]
    for one in others:
        one.begin_and_hold("SELECT 'it''s me' FROM things")

    def seen() -> list[str]:
        return list(out.look().lines["in the way"])

    # Young transactions are ordinary traffic.
    while len(found := seen()) < 9 or found[-1] != "and 2 more":
        pass
    assert f"pid {others[0].pid}" in found[0]
    assert found[1] == "role 'postgres'; last statement: SELECT 'it''s me' FROM things"


def test_a_remedy_and_the_rollback_have_nobody_in_their_way(run: Run) -> None:
    for name in ("10_doubled_codes", "rollback"):
        with leaving(Lookout(run, name)) as made:
            assert set(made.look().lines) == {"in the way", "window"}


def test_it_looks_seldom_and_is_named_as_ours(run: Run, conn: Conn) -> None:
    with leaving(Lookout(run, "001")) as made:
        first = made.look()
        assert made.look().lines is first.lines
        (row,) = conn.execute(
            "SELECT application_name, state FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook watch%'"
        )
        assert row["application_name"].startswith(f"pgrunbook watch {run.run_id}"[:63])
        assert row["state"] == "idle"


def test_a_lost_connection_is_told_and_made_again(out: Lookout, conn: Conn) -> None:
    out.look()
    conn.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook watch%'"
    )
    look = out.look()
    assert not look.heard
    assert str(look.lines["in the way"]).startswith("not known: ")
    assert out.look().lines["in the way"] == "nobody"


def test_a_server_that_answers_late_is_left_alone(
    out: Lookout, someone_else: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "TIMEOUT_MS", 50)
    out.run.binding.begin_writing()
    other = someone_else()
    other.begin_and_hold("LOCK TABLE pgrunbook.event IN ACCESS EXCLUSIVE MODE")
    look = out.look()
    assert not look.heard
    assert "canceling statement due to" in str(look.lines["in the way"])
    other.release()
    monkeypatch.setattr(lookout, "TIMEOUT_MS", 60_000)
    assert out.look().lines["in the way"] == "nobody"


def test_what_was_heard_counts_although_the_look_after_it_failed(
    out: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    out.run.decide_by_policy("10_doubled_codes")
    told = {"who": "bob", "go": False, "reason": "no backup", "how": TERMINAL, "script_sha256": ""}
    out.run.ledger.event(
        run_id=out.run.run_id,
        change=out.run.change.name,
        step="001_add_note",
        kind="gate",
        actor="bob",
        detail=told,
    )

    def late(_conn: object, _steps: object) -> None:
        raise psycopg.errors.QueryCanceled("canceling statement due to statement timeout")

    with monkeypatch.context() as patched:
        patched.setattr(obstacles, "obstacles", late)
        look = out.look()
        assert "canceling statement" in str(look.lines["in the way"])
        # Until it is taken in it is told again.
        assert out.look().told == look.told
    assert out.run.deciding.take_in(look.told)
    assert not out.run.deciding.take_in(look.told)
    assert not out.look().told


# -- connections that are long in coming --------------------------------------------------------------


def test_a_server_that_was_long_in_connecting_is_not_hung_up_on_at_once(
    out: Lookout, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect, hung_up = session.connect, []

    def slow(*arguments: Any, **options: Any) -> Any:
        conn = connect(*arguments, **options)
        # It took very long.
        out._began = float("-inf")
        return conn

    async def scene() -> bool:
        while (look := out.poll()) is None:
            await asyncio.sleep(0)
        return look.heard

    monkeypatch.setattr(lookout, "SILENT_S", 30.0)
    monkeypatch.setattr(session, "connect", slow)
    monkeypatch.setattr(session, "hang_up", hung_up.append)
    assert asyncio.run(scene())
    assert hung_up == []


@pytest.mark.parametrize("patient", [True, False])
def test_who_is_patient_waits_for_a_connection_that_has_to_be_made(
    run: Run, monkeypatch: pytest.MonkeyPatch, patient: bool
) -> None:
    monkeypatch.setattr(lookout, "CONNECT_S", 60.0)
    monkeypatch.setattr(lookout, "SILENT_S", 0.0)
    with leaving(Lookout(run, "001")) as made:
        look = asyncio.run(made.last(patient=patient))
    assert (look.heard, look.why) == (patient, "" if patient else "the server has not answered for 3 s")


def test_a_server_that_refuses_is_not_called_silent(out: Lookout, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = CannotConnect(where="here", reason="sorry, too many clients already", next_step="wait")

    def connect(*_: object, **__: object) -> None:
        raise refused

    monkeypatch.setattr(session, "connect", connect)
    look = asyncio.run(out.last(patient=True))
    assert (look.heard, look.why) == (False, str(refused).splitlines()[0])
