"""Looking: everybody who is in the way is seen, and who leaves is noticed at once."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrunbook import looking, session, target
from pgrunbook.header import LockClaim
from pgrunbook.lockmode import LockMode
from pgrunbook.looking import Blocker, Looks, blockers
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
ON_T = (LockClaim(LockMode.ACCESS_EXCLUSIVE, "t"),)


@pytest.fixture
def look(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t (a int)")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="control")) as made:
        yield made


@pytest.fixture
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let looks be so far apart that no test can wait for the next."""
    monkeypatch.setattr(looking, "_LEAST_S", 3600.0)
    monkeypatch.setattr(looking, "_MOST_WITH_GLANCES_S", 3600.0)


class Waiting:
    """A wait for the next look, in the background."""

    def __init__(self, looks: Looks, oldest: Blocker) -> None:
        self.glances = 0
        self._stopped = False
        self._pool = ThreadPoolExecutor(1)
        self.future: Future[None] = self._pool.submit(looks.wait, oldest, self._checkpoint)

    def _checkpoint(self) -> None:
        self.glances += 1
        if self._stopped:
            raise InterruptedError

    def __enter__(self) -> Waiting:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        self._pool.shutdown()


def test_only_who_conflicts_is_in_the_way(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    for mode in LockMode:
        found = blockers(look, [LockClaim(mode, "t")])
        assert bool(found) == mode.conflicts_with(LockMode.ACCESS_SHARE)
    elsewhere.execute("LOCK TABLE t IN ROW EXCLUSIVE MODE")
    [one] = blockers(look, ON_T)
    assert (one.pid, one.holds, one.relation) == (elsewhere.pid, "AccessShareLock, RowExclusiveLock", "t")
    assert blockers(look, ON_T, ours=elsewhere.pid) == []


def test_a_session_is_told_from_a_later_one_of_its_pid(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    [one] = blockers(look, ON_T)
    same = "SELECT backend_start = %s::timestamptz FROM pg_stat_activity WHERE pid = %s"
    assert session.value(look, same, (one.backend_start, one.pid)) is True


def test_the_oldest_comes_first(look: Connection, someone_else: Callable[[], Elsewhere]) -> None:
    sessions = [someone_else() for _ in range(3)]
    for one in sessions:
        one.begin_and_hold("SELECT * FROM t")
    assert [one.pid for one in blockers(look, ON_T)] == [one.pid for one in sessions]


def test_a_reader_of_a_partition_is_in_the_way_of_the_whole_table(
    look: Connection, conn: Conn, elsewhere: Elsewhere
) -> None:
    conn.execute(
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        " CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2) PARTITION BY LIST (a);"
        " CREATE TABLE p2a PARTITION OF p2 FOR VALUES IN (2)"
    )
    elsewhere.begin_and_hold("SELECT * FROM p2a")
    found = blockers(look, [LockClaim(LockMode.ACCESS_EXCLUSIVE, "p")])
    assert [(one.pid, one.relation) for one in found] == [(elsewhere.pid, "p2a")]
    assert blockers(look, [LockClaim(LockMode.ACCESS_EXCLUSIVE, "p1")]) == []


def test_prepared_transactions_are_told_apart(look: Connection, elsewhere: Elsewhere) -> None:
    for name in ("one", "two"):
        elsewhere.begin_and_hold("INSERT INTO t VALUES (1)")
        elsewhere.execute(f"PREPARE TRANSACTION '{name}'")
    try:
        elsewhere.begin_and_hold("SELECT * FROM t")
        found = blockers(look, ON_T)
        assert [one.backend for one in found] == [
            "prepared transaction 'one'",
            "prepared transaction 'two'",
            "client backend",
        ]
        assert [one.pid for one in found] == [None, None, elsewhere.pid]
        assert all(one.age_ms >= 0 for one in found)
    finally:
        elsewhere.release()
        for name in ("one", "two"):
            elsewhere.execute(f"ROLLBACK PREPARED '{name}'")


# --- between two looks -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("seldom")
def test_who_leaves_is_noticed_before_the_next_look(
    look: Connection, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    looks = Looks(look, ON_T, None)
    [oldest] = looks.take()
    with Waiting(looks, oldest) as waiting:
        eventually(lambda: waiting.glances >= 10)
        assert not waiting.future.done()
        elsewhere.release()
        waiting.future.result(timeout=60)


@pytest.mark.usefixtures("seldom")
def test_who_ends_their_session_is_noticed_too(
    look: Connection, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    looks = Looks(look, ON_T, None)
    [oldest] = looks.take()
    with Waiting(looks, oldest) as waiting:
        eventually(lambda: waiting.glances >= 3)
        elsewhere.connection.close()
        waiting.future.result(timeout=60)


@pytest.mark.usefixtures("seldom")
def test_who_has_come_back_in_a_younger_transaction_had_left(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    looks = Looks(look, ON_T, None)
    [now] = looks.take()
    with Waiting(looks, dataclasses.replace(now, age_ms=3_600_000.0)) as waiting:
        waiting.future.result(timeout=60)


def lasts(looks: Looks, oldest: Blocker) -> bool:
    """Tell whether a wait goes on until it is time for the next look."""
    began = time.perf_counter()
    looks.wait(oldest, lambda: None)
    return time.perf_counter() - began >= looking._MOST_S


def test_who_has_no_session_is_only_seen_by_a_look(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("INSERT INTO t VALUES (1)")
    elsewhere.execute("PREPARE TRANSACTION 'one'")
    looks = Looks(look, ON_T, None)
    [oldest] = looks.take()
    assert lasts(looks, dataclasses.replace(oldest, age_ms=3_600_000.0))
    elsewhere.execute("ROLLBACK PREPARED 'one'")


def test_whose_beginning_is_hidden_is_only_seen_by_a_look(
    database: str, look: Connection, conn: Conn, elsewhere: Elsewhere
) -> None:
    conn.execute("CREATE ROLE sees_little LOGIN")
    bound = target.rehearsal(make_conninfo(database, user="sees_little"))
    try:
        elsewhere.begin_and_hold("SELECT * FROM t")
        with contextlib.closing(session.connect(bound, purpose="control")) as little:
            looks = Looks(little, ON_T, None)
            [oldest] = looks.take()
            assert oldest.backend_start == ""
            assert lasts(looks, dataclasses.replace(oldest, age_ms=3_600_000.0))
    finally:
        conn.execute("DROP ROLE sees_little")


@pytest.mark.usefixtures("seldom")
def test_the_operator_can_stop_it_between_two_looks(
    look: Connection, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    looks = Looks(look, ON_T, None)
    [oldest] = looks.take()
    with Waiting(looks, oldest) as waiting:
        eventually(lambda: waiting.glances >= 1)
    with pytest.raises(InterruptedError):
        waiting.future.result(timeout=60)


def test_who_leaves_during_a_look_is_not_taken_for_a_hidden_one(
    look: Connection, elsewhere: Elsewhere
) -> None:
    elsewhere.execute(
        "CREATE PROCEDURE visit() LANGUAGE plpgsql AS"
        " $$ BEGIN FOR i IN 1..1000000 LOOP PERFORM FROM t; COMMIT; END LOOP; END $$"
    )
    elsewhere.submit("CALL visit()")
    looks = Looks(look, ON_T, None)
    seen = 0
    for _ in range(2000):
        seen += len(looks.take())
        assert looks.since == {}
    assert seen > 10
