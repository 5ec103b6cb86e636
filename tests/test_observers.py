"""Watching a step: from a session of its own, and never at the step's expense."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from faults.proxy import Door, behind_a_door
from psycopg.conninfo import make_conninfo

from pgrunbook import observers, session, target
from pgrunbook.observers import Observation, Observer, Watch
from pgrunbook.observers.locks import Locks, Side, worst_stall_ms
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def connect(database: str, conn: Conn) -> Callable[[], Connection]:
    conn.execute("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) AS i")
    return lambda: session.connect(target.rehearsal(database), purpose="watch")


@pytest.fixture
def door(database: str, connect: Callable[[], Connection]) -> Iterator[Door]:
    """A door before the server; who waits for one that is shut does so for half a minute: then it is opened."""
    connect().close()
    with behind_a_door(database, Door) as (made, _):
        timer = threading.Timer(30, made.open.set)
        timer.start()
        yield made
        timer.cancel()


@pytest.fixture
def behind(database: str, door: Door) -> Callable[[], Connection]:
    bound = target.rehearsal(make_conninfo(database, host=str(door.folder)))
    return lambda: session.connect(bound, purpose="watch")


def watchers(conn: Conn) -> list[int]:
    found = conn.execute(
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'pgrunbook watch'"
    )
    return [row["pid"] for row in found]


def test_a_step_that_makes_others_wait_is_seen_with_all_observers(
    connect: Callable[[], Connection],
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    eventually: Callable[..., Any],
) -> None:
    ours, behind = someone_else(), someone_else()
    seen: list[Observation] = []
    with Watch(connect, ours.pid, ["t"], seen.append) as watch:
        ours.begin_and_hold("ALTER TABLE t ADD COLUMN b int")
        waiting = behind.submit("SELECT * FROM t")
        eventually(lambda: watch.observation.worst_stall_ms > 60)
        ours.execute("CREATE INDEX i ON t (a)")
        ours.release()
        waiting.result(timeout=60)
        assert watchers(conn)
    observation = watch.observation
    assert observation.problem == ""
    assert observation.samples >= 1
    assert {wait.side for wait in observation.waits} == {Side.BEHIND_US}
    assert {wait.pid for wait in observation.waits} == {behind.pid}
    assert all(wait.waited_ms > 0 and wait.at_ms > 0 for wait in observation.waits)
    assert observation.worst_stall_ms == worst_stall_ms(observation.waits) > 60
    assert {change.name: change.after_bytes > change.before_bytes for change in observation.sizes} == {
        "t": False,
        "t, indexes": True,
    }
    assert observation.seconds > 0.06
    assert [one.samples for one in seen] == sorted(one.samples for one in seen)
    eventually(lambda: watchers(conn) == [])
    assert [thread for thread in threading.enumerate() if thread.name == "pgrunbook-watch"] == []


def test_a_build_is_seen_while_it_is_held_up(
    connect: Callable[[], Connection], someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    writer, ours = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (0)")
    with Watch(connect, ours.pid, ["t"]) as watch:
        build = ours.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
        eventually(lambda: any(one.waits_for == writer.pid for one in watch.observation.builds))
        writer.release()
        build.result(timeout=60)
    observation = watch.observation
    assert observation.builds[0].phase == "waiting for writers before build"
    # It waits, but nobody behind it.
    assert observation.worst_stall_ms == 0
    assert {wait.side for wait in observation.waits} <= {Side.OURS}


def test_a_watch_whose_session_is_ended_says_so_and_the_step_goes_on(
    connect: Callable[[], Connection], conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    with Watch(connect, elsewhere.pid, ["t"]) as watch:
        eventually(lambda: watch.observation.samples >= 1)
        for pid in watchers(conn):
            conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        eventually(lambda: watch.observation.problem)
        elsewhere.execute("ALTER TABLE t ADD COLUMN b int")
    # Which of the two the library reads first is up to the network.
    assert re.search("terminating connection|server closed the connection", watch.observation.problem)
    assert "\n" not in watch.observation.problem
    assert watch.observation.samples >= 1
    assert [column.name for column in conn.execute("SELECT * FROM t LIMIT 0").description or ()] == ["a", "b"]


def test_a_watch_whose_server_does_not_answer_ends_with_the_step(
    door: Door,
    behind: Callable[[], Connection],
    elsewhere: Elsewhere,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Watch(behind, elsewhere.pid, ["t"]) as watch:
        eventually(lambda: watch.observation.samples >= 1)
        door.open.clear()
        eventually(lambda: door.held)
        monkeypatch.setattr(observers, "SILENT_S", 0.2)
    assert "server closed the connection" in watch.observation.problem
    assert not door.open.is_set()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_step_does_not_wait_for_a_last_or_a_first_look_that_hangs(
    moment: str, door: Door, behind: Callable[[], Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    look = getattr(Locks, moment)

    def silent(locks: Locks, conn: Connection) -> None:
        door.open.clear()
        conn.execute("SELECT 1")
        look(locks, conn)

    monkeypatch.setattr(Locks, moment, silent)
    if moment == "before":
        monkeypatch.setattr(observers, "SILENT_S", 1.0)
    with Watch(behind, 1, ["t"]) as watch:
        monkeypatch.setattr(observers, "SILENT_S", 1.0)
    assert "server closed the connection" in watch.observation.problem
    assert not door.open.is_set()


def test_a_watch_that_cannot_connect_says_so_and_the_step_goes_on(tmp_path: Path) -> None:
    nowhere = target.rehearsal(f"host={tmp_path} dbname=x")
    done = False
    with Watch(lambda: session.connect(nowhere, purpose="watch"), 1, ["t"]) as watch:
        done = True
    assert done
    assert watch.observation.problem == "cannot connect to the rehearsal database"
    assert watch.observation.samples == 0


def test_a_picture_that_cannot_be_drawn_ends_the_watch_and_not_the_step(
    connect: Callable[[], Connection], conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    def draw(_observation: Observation) -> None:
        raise ZeroDivisionError

    with Watch(connect, elsewhere.pid, ["t"], draw) as watch:
        eventually(lambda: watch.observation.problem)
        elsewhere.execute("SELECT 1")
    assert watch.observation.problem == "ZeroDivisionError"
    eventually(lambda: watchers(conn) == [])


def test_an_error_of_the_step_passes_through(
    connect: Callable[[], Connection], conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    with pytest.raises(psycopg.errors.UndefinedTable), Watch(connect, elsewhere.pid, ["t"]) as watch:
        elsewhere.execute("SELECT * FROM missing")
    assert watch.observation.problem == ""
    eventually(lambda: watchers(conn) == [])


def test_a_held_table_does_not_keep_the_step_from_starting(
    connect: Callable[[], Connection], elsewhere: Elsewhere
) -> None:
    elsewhere.begin_and_hold("LOCK TABLE t")
    with Watch(connect, elsewhere.pid, ["t"]) as watch:
        pass
    assert (watch.observation.problem, watch.observation.sizes) == ("", ())


def test_nothing_seen_is_no_stall() -> None:
    assert Observation() == Observation(0, (), (), (), 0.0, "")
    assert Observation().worst_stall_ms == 0


def test_every_observer_looks_before_during_and_after() -> None:
    watch = Watch(lambda: pytest.fail("must not connect"), 1, ["t"])
    for observer in watch.observers:
        for moment in ("before", "sample", "after"):
            assert callable(getattr(observer, moment))
    assert {name for name in vars(Observer) if not name.startswith("_")} == {"before", "sample", "after"}
