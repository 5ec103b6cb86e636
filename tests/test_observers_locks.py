"""Lock waits: who waits, since when, behind whom, and whether that is because of us."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrunbook import session, target
from pgrunbook.observers.locks import Locks, Side, Wait, worst_stall_ms
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def look(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t (a int); CREATE TABLE u (a int); INSERT INTO t VALUES (1)")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="watch")) as made:
        yield made


def wait_for(conn: Conn, eventually: Callable[..., Any], *pids: int) -> None:
    def all_wait() -> bool:
        found = conn.execute("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted AND waitstart IS NOT NULL")
        return {row["pid"] for row in found} == set(pids)

    eventually(all_wait)


def sampled(look: Connection, ours: int) -> dict[int, Wait]:
    locks = Locks(ours)
    locks.before(look)
    locks.sample(look, 12.5)
    locks.after(look)
    assert locks.samples == 1
    return {wait.pid: wait for wait in locks.waits}


def test_nobody_waits_where_nobody_waits(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("LOCK TABLE t")
    assert sampled(look, elsewhere.pid) == {}


def test_each_waiting_session_has_its_side(
    look: Connection, conn: Conn, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    reader, ours, behind, further, other_holder, other = (someone_else() for _ in range(6))
    behind.execute("SET application_name = 'web\"<b>'")
    further.execute("SET application_name = ''")
    reader.begin_and_hold("SELECT * FROM t")
    other_holder.begin_and_hold("LOCK TABLE u")
    waiting = [ours.submit("ALTER TABLE t ADD COLUMN b int")]
    wait_for(conn, eventually, ours.pid)
    behind.execute("BEGIN")
    behind.execute("CREATE TABLE private (a int)")
    waiting.append(behind.submit("SELECT * FROM t"))
    wait_for(conn, eventually, ours.pid, behind.pid)
    # It waits for a table of the session that waits for us.
    waiting.append(further.submit("CREATE TABLE private (a int)"))
    waiting.append(other.submit("SELECT * FROM u"))
    wait_for(conn, eventually, ours.pid, behind.pid, further.pid, other.pid)
    found = sampled(look, ours.pid)
    assert {pid: wait.side for pid, wait in found.items()} == {
        ours.pid: Side.OURS,
        behind.pid: Side.BEHIND_US,
        further.pid: Side.BEHIND_US,
        other.pid: Side.OTHER,
    }
    assert {wait.at_ms for wait in found.values()} == {12.5}
    assert all(wait.waited_ms > 0 for wait in found.values())
    assert (found[behind.pid].who, found[further.pid].who) == ('web"<b>', "postgres")
    assert (found[ours.pid].wants, found[ours.pid].relation) == ("AccessExclusiveLock", "t")
    assert (found[behind.pid].wants, found[behind.pid].relation) == ("AccessShareLock", "t")
    assert found[ours.pid].blockers == (reader.pid,)
    assert found[behind.pid].blockers == (ours.pid,)
    assert found[further.pid].blockers == (behind.pid,)
    assert found[other.pid].blockers == (other_holder.pid,)
    for holder in (reader, other_holder):
        holder.release()
    for one in waiting[:2]:
        one.result(timeout=60)
    behind.execute("ROLLBACK")
    for one in waiting[2:]:
        one.result(timeout=60)


def test_a_wait_for_a_row_says_so(
    look: Connection, conn: Conn, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    ours, behind = someone_else(), someone_else()
    ours.begin_and_hold("UPDATE t SET a = 2")
    waiting = behind.submit("UPDATE t SET a = 3")
    wait_for(conn, eventually, behind.pid)
    [wait] = sampled(look, ours.pid).values()
    assert (wait.side, wait.relation, wait.wants) == (Side.BEHIND_US, "transactionid", "ShareLock")
    ours.release()
    waiting.result(timeout=60)


def test_a_role_that_may_not_see_other_sessions_sees_their_waits(
    database: str,
    look: Connection,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    eventually: Callable[..., Any],
) -> None:
    conn.execute("CREATE ROLE small LOGIN")
    try:
        ours, behind = someone_else(), someone_else()
        ours.begin_and_hold("LOCK TABLE t")
        waiting = behind.submit("SELECT * FROM t")
        wait_for(conn, eventually, behind.pid)
        bound = target.rehearsal(make_conninfo(database, user="small"))
        with contextlib.closing(session.connect(bound, purpose="watch")) as small:
            [wait] = sampled(small, ours.pid).values()
        assert (wait.pid, wait.side) == (behind.pid, Side.BEHIND_US)
        assert wait.waited_ms > 0
        ours.release()
        waiting.result(timeout=60)
    finally:
        conn.execute("DROP ROLE small")


def test_waits_in_other_databases_are_not_ours_to_tell(
    look: Connection, server: Any, conn: Conn, eventually: Callable[..., Any]
) -> None:
    with (
        contextlib.closing(psycopg.connect(server.conninfo_for("postgres"), autocommit=True)) as holder,
        contextlib.closing(psycopg.connect(server.conninfo_for("postgres"), autocommit=True)) as waiter,
    ):
        holder.execute("SELECT pg_advisory_lock(77)")
        waiter.pgconn.send_query(b"SELECT pg_advisory_lock(77)")
        wait_for(conn, eventually, waiter.info.backend_pid)
        assert sampled(look, holder.info.backend_pid) == {}
        holder.execute("SELECT pg_advisory_unlock(77)")


def wait(waited_ms: float, side: Side) -> Wait:
    return Wait(0, 1, "web", waited_ms, "AccessShareLock", "t", (2,), side)


def test_the_worst_stall_is_the_longest_wait_behind_us() -> None:
    assert worst_stall_ms([]) == 0
    assert worst_stall_ms([wait(900, Side.OURS), wait(800, Side.OTHER)]) == 0
    assert worst_stall_ms([wait(5, Side.BEHIND_US), wait(7.5, Side.BEHIND_US), wait(900, Side.OTHER)]) == 7.5
