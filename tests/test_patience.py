"""Taking locks: nobody stalls behind us, whatever is in the way; and whatever happens, nothing is left held."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus

from pgrunbook import patience, session, target
from pgrunbook.errors import LockNotTaken, quoted
from pgrunbook.header import LockClaim
from pgrunbook.lockmode import LockMode
from pgrunbook.patience import POLICY, Acquired, Attempt, Blocker
from pgrunbook.session import Connection
from pgrunbook.step import Budgets
from pgrunbook.traffic import Traffic

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
BUDGET_MS = 100
ON_T = (LockClaim(LockMode.ACCESS_EXCLUSIVE, "t"),)
SOON = (Attempt(20, 5),) * 3


class Asking:
    """Two sessions of a runner: one that takes locks and whose requests are written down, one that looks."""

    def __init__(self, work: Connection, look: Connection) -> None:
        self.work, self.look = work, look
        self.requests: list[str] = []
        self.waits: list[tuple[list[Blocker], int]] = []
        self.cancelled = threading.Event()
        real = work.execute

        def execute(query: Any, *rest: Any, **options: Any) -> Any:
            text = query.decode() if isinstance(query, bytes) else query
            if "LOCK TABLE" in text:
                self.requests.append(text)
            return real(query, *rest, **options)

        work.execute = execute  # type: ignore[method-assign]

    def checkpoint(self) -> None:
        if self.cancelled.is_set():
            raise Stopped

    def acquire(self, locks: Sequence[LockClaim] = ON_T, **options: Any) -> Acquired:
        options = {"stall_budget_ms": BUDGET_MS, "checkpoint": self.checkpoint, "limit_s": 20, **options}
        return patience.acquire(
            self.work, self.look, locks, on_wait=lambda who, n: self.waits.append((list(who), n)), **options
        )

    def in_background(self, pool: ThreadPoolExecutor, **options: Any) -> Future[Acquired]:
        return pool.submit(self.acquire, **options)

    def nothing_is_left(self) -> bool:
        held = "SELECT count(*) FROM pg_locks WHERE pid = %s AND locktype = 'relation'"
        idle = self.work.info.transaction_status is TransactionStatus.IDLE
        return idle and session.value(self.look, held, (self.work.info.backend_pid,)) == 0


class Stopped(Exception):
    """The operator's wish."""


@pytest.fixture
def asking(database: str, conn: Conn) -> Iterator[Asking]:
    conn.execute("CREATE TABLE t (a int)")
    bound = target.rehearsal(database)
    with (
        contextlib.closing(session.connect(bound, purpose="step")) as work,
        contextlib.closing(session.connect(bound, purpose="control")) as look,
    ):
        yield Asking(work, look)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    made = ThreadPoolExecutor()
    yield made
    # A test that failed must not wait for what it left waiting: the other sessions end after this.
    made.shutdown(wait=False, cancel_futures=True)


@pytest.fixture
def everybody_is_young(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make us ask past holders of any age, as past ordinary traffic."""
    monkeypatch.setattr(patience, "OLD_MS", 3_600_000.0)


def old(conn: Connection, *, than_ms: float = patience.OLD_MS) -> bool:
    return any(one.age_ms >= than_ms for one in patience.blockers(conn, ON_T))


def waiting(conn: Conn, pid: int, *, for_ms: float = 0) -> bool:
    found = conn.execute(
        "SELECT 1 FROM pg_locks WHERE pid = %s AND NOT granted"
        " AND clock_timestamp() - waitstart >= %s * interval '1 ms'",
        [pid, for_ms],
    )
    return found.fetchone() is not None


def holds(conn: Conn, pid: int, table: str) -> list[str]:
    found = conn.execute(
        "SELECT mode FROM pg_locks WHERE pid = %s AND granted AND relation = %s::regclass ORDER BY 1",
        [pid, table],
    )
    return [row["mode"] for row in found]


# --- somebody is in the way --------------------------------------------------------------------------------


def test_while_an_idle_reader_holds_the_table_we_do_not_ask_and_get_in_when_it_leaves(
    asking: Asking,
    conn: Conn,
    elsewhere: Elsewhere,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    eventually(lambda: old(asking.look))
    reader = someone_else()
    # It fails as soon as it has to queue for longer than the stall budget.
    reader.execute(f"SET lock_timeout = {BUDGET_MS}")
    taking = asking.in_background(pool)
    seen = 0
    while len(asking.waits) < 15 or seen <= 5:
        assert not waiting(conn, asking.work.info.backend_pid)
        reader.execute("SELECT * FROM t")
        seen += 1
        assert not taking.done()
    assert asking.requests == []
    assert {attempt for _, attempt in asking.waits} == {0}
    assert {one.pid for who, _ in asking.waits for one in who} == {elsewhere.pid}
    elsewhere.release()
    acquired = taking.result(timeout=60)
    assert acquired.attempts == 1
    assert acquired.waited_s > 0
    assert holds(conn, asking.work.info.backend_pid, "t") == ["AccessExclusiveLock"]


@pytest.mark.usefixtures("everybody_is_young")
def test_a_young_holder_is_asked_past_with_a_timeout(asking: Asking, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    told: list[int] = []
    with pytest.raises(LockNotTaken) as caught:
        # Told before each request, not after it.
        asking.acquire(policy=SOON, on_ask=lambda: told.append(len(asking.requests)))
    assert caught.value.attempts == len(asking.requests) == 3
    assert told == [0, 1, 2]
    assert caught.value.longest_ms == 20
    assert asking.nothing_is_left()


def test_traffic_that_never_pauses_is_no_obstacle(
    asking: Asking, conn: Conn, database: str, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    writer = tmp_path / "writer.sql"
    # A writer that waits longer than the budget fails, and is then found among the errors.
    writer.write_text(
        f"BEGIN; SET LOCAL lock_timeout = {BUDGET_MS}; INSERT INTO t VALUES (1); SELECT pg_sleep(0.004); COMMIT;"
    )
    traffic = Traffic([writer] * 4, lambda: session.connect(target.rehearsal(database), purpose="traffic"))
    with traffic:
        for _ in range(5):
            acquired = asking.acquire()
            assert holds(conn, asking.work.info.backend_pid, "t") == ["AccessExclusiveLock"]
            asking.work.execute("ROLLBACK")
            assert acquired.attempts >= 1
            rounds = traffic.rounds
            eventually(lambda rounds=rounds: traffic.rounds > rounds + 8)
    assert traffic.errors == []


def test_who_is_in_the_way_is_told_in_full(
    asking: Asking, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.execute("SET application_name = 'nightly \"report\"'")
    elsewhere.begin_and_hold("SELECT * FROM t")
    eventually(lambda: old(asking.look))
    with pytest.raises(LockNotTaken) as caught:
        asking.acquire(policy=SOON, limit_s=0.1)
    assert re.sub(r"\d+\.\d s", "N s", str(caught.value)) == (
        "could not take AccessExclusive on t in 0 attempts over N s; nobody had to wait behind us\n"
        f"  in the way: pid {elsewhere.pid} 'nightly \"report\"' holds AccessShareLock on t for N s,"
        " idle in transaction\n"
        "  next: wait for these sessions to end or end them, then apply the step again"
    )
    assert asking.nothing_is_left()


def test_a_prepared_transaction_is_named(
    asking: Asking, conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("INSERT INTO t VALUES (1)")
    elsewhere.execute("PREPARE TRANSACTION 'it''s mine'")
    eventually(lambda: old(asking.look))
    with pytest.raises(LockNotTaken) as caught:
        asking.acquire(policy=SOON, limit_s=0.1)
    assert [re.sub(r"\d+\.\d s", "N s", one) for one in caught.value.blockers] == [
        "prepared transaction 'it''s mine' holds RowExclusiveLock on t for N s, prepared"
    ]
    conn.execute("ROLLBACK PREPARED 'it''s mine'")
    assert asking.acquire().attempts == 1


# --- what the server hides from an ordinary role -----------------------------------------------------------


@pytest.fixture
def small(database: str, asking: Asking, conn: Conn) -> Iterator[Asking]:
    """A runner whose role owns the table and may see nothing of other roles' sessions."""
    conn.execute(
        "CREATE ROLE small LOGIN; ALTER TABLE t OWNER TO small; GRANT USAGE ON SCHEMA public TO small"
    )
    bound = target.rehearsal(make_conninfo(database, user="small"))
    with (
        contextlib.closing(session.connect(bound, purpose="step")) as work,
        contextlib.closing(session.connect(bound, purpose="control")) as look,
    ):
        yield Asking(work, look)
    conn.execute("DROP OWNED BY small; DROP ROLE small")


def test_a_session_whose_age_is_hidden_is_waited_for_too(
    small: Asking, conn: Conn, elsewhere: Elsewhere, pool: ThreadPoolExecutor, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    eventually(lambda: old(small.look))
    taking = small.in_background(pool)
    eventually(lambda: len(small.waits) >= 8)
    assert small.requests == []
    [one] = small.waits[-1][0]
    assert (one.pid, one.state, one.query) == (elsewhere.pid, "state hidden", "<insufficient privilege>")
    elsewhere.release()
    assert taking.result(timeout=60).attempts == 1


def test_traffic_whose_age_is_hidden_is_no_obstacle(
    small: Asking, conn: Conn, database: str, tmp_path: Path
) -> None:
    writer = tmp_path / "writer.sql"
    writer.write_text(
        f"BEGIN; SET LOCAL lock_timeout = {BUDGET_MS}; INSERT INTO t VALUES (1); SELECT pg_sleep(0.004); COMMIT;"
    )
    traffic = Traffic([writer] * 3, lambda: session.connect(target.rehearsal(database), purpose="traffic"))
    with traffic:
        assert small.acquire(limit_s=30).attempts >= 1
        small.work.execute("ROLLBACK")
    assert traffic.errors == []


# --- how we ask --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("everybody_is_young")
@pytest.mark.parametrize(("budget_ms", "longest"), [(100, 30), (40, 20), (10, 5), (1, 1)])
def test_no_request_is_without_a_timeout_or_longer_than_half_the_budget(
    asking: Asking, elsewhere: Elsewhere, budget_ms: int, longest: int
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    with pytest.raises(LockNotTaken) as caught:
        asking.acquire(policy=(Attempt(20, 1), Attempt(30, 1)), stall_budget_ms=budget_ms)
    assert len(asking.requests) == 2
    for request in asking.requests:
        found = re.search(
            r"; SET LOCAL lock_timeout = (\d+); SET LOCAL statement_timeout = (\d+); LOCK TABLE", request
        )
        assert found, request
        assert 0 < int(found[1]) == int(found[2]) <= max(1, budget_ms // 2)
    assert caught.value.longest_ms == longest


@pytest.mark.usefixtures("everybody_is_young")
@pytest.mark.parametrize(
    ("mode", "requests"),
    [(LockMode.ACCESS_EXCLUSIVE, 1), (LockMode.EXCLUSIVE, 2)],
    ids=["one mode", "two modes"],
)
def test_two_tables_share_one_timeout(
    asking: Asking,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
    mode: LockMode,
    requests: int,
) -> None:
    conn.execute("CREATE TABLE u (a int)")
    first, second = someone_else(), someone_else()
    first.begin_and_hold("SELECT * FROM t")
    second.begin_and_hold("LOCK TABLE u IN ROW SHARE MODE")
    both = (*ON_T, LockClaim(mode, "u"))
    taking = asking.in_background(pool, locks=both, policy=(Attempt(2000, 1),), stall_budget_ms=4000)
    eventually(lambda: waiting(conn, asking.work.info.backend_pid, for_ms=1000))
    released = time.perf_counter()
    first.release()
    with pytest.raises(LockNotTaken):
        taking.result(timeout=60)
    # With a timeout of its own the second lock would have been waited for all of 2000 ms.
    assert time.perf_counter() - released < 2
    assert len(asking.requests) == requests
    assert asking.nothing_is_left()


@pytest.mark.usefixtures("everybody_is_young")
def test_all_partitions_share_one_timeout(
    asking: Asking,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    conn.execute(
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        " CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)"
    )
    first, second = someone_else(), someone_else()
    first.begin_and_hold("SELECT * FROM p1")
    second.begin_and_hold("SELECT * FROM p2")
    claims = [LockClaim(LockMode.ACCESS_EXCLUSIVE, "p")]
    taking = asking.in_background(pool, locks=claims, policy=(Attempt(2000, 1),), stall_budget_ms=4000)
    eventually(lambda: waiting(conn, asking.work.info.backend_pid, for_ms=1000))
    released = time.perf_counter()
    first.release()
    with pytest.raises(LockNotTaken):
        taking.result(timeout=60)
    assert time.perf_counter() - released < 2
    assert asking.nothing_is_left()


def test_all_locks_are_taken_in_one_order(asking: Asking, conn: Conn) -> None:
    conn.execute("CREATE TABLE b (a int); CREATE TABLE a (a int)")
    claims = [LockClaim(LockMode.SHARE, name) for name in ("t", "b", "a")]
    for turned in (claims, claims[::-1], [claims[1], claims[2], claims[0]]):
        asking.requests.clear()
        asking.acquire(turned)
        asking.work.execute("ROLLBACK")
        assert locked(asking.requests) == ['"a", "b", "t" IN SHARE MODE']


def test_tables_come_before_modes_in_that_order(asking: Asking, conn: Conn) -> None:
    conn.execute("CREATE TABLE b (a int); CREATE TABLE a (a int)")
    modes = {"t": LockMode.SHARE, "b": LockMode.EXCLUSIVE, "a": LockMode.SHARE}
    asking.acquire([LockClaim(mode, name) for name, mode in modes.items()])
    assert locked(asking.requests) == [
        '"a" IN SHARE MODE',
        '"b" IN EXCLUSIVE MODE',
        '"t" IN SHARE MODE',
    ]
    assert asking.work.info.transaction_status is TransactionStatus.INTRANS
    for name, mode in modes.items():
        assert holds(conn, asking.work.info.backend_pid, name) == [mode.catalog]


def locked(requests: Sequence[str]) -> list[str]:
    return [found for one in requests for found in re.findall(r"LOCK TABLE (.*?);", one)]


@pytest.mark.parametrize("mode", LockMode)
def test_every_mode_can_be_taken(asking: Asking, conn: Conn, mode: LockMode) -> None:
    asking.acquire([LockClaim(mode, "t")])
    assert holds(conn, asking.work.info.backend_pid, "t") == [mode.catalog]


@pytest.mark.parametrize(
    "name",
    ["Odd Name", "odd.name", 'x"; DROP TABLE t; --', "größe", "select", "a''b", "100%s", "😀", "a\nb", "{}"],
)
def test_any_name_is_locked_and_looked_at(
    asking: Asking, conn: Conn, elsewhere: Elsewhere, name: str
) -> None:
    conn.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(f"My.{name}")))
    for parts in ([name], [f"My.{name}", name]):
        conn.execute(sql.SQL("CREATE TABLE {} (a int)").format(sql.Identifier(*parts)))
        written = ".".join(quoted(part) for part in parts)
        claim = LockClaim(LockMode.ACCESS_EXCLUSIVE, written)
        assert patience.split_name(written) == tuple(parts)
        elsewhere.begin_and_hold(f"LOCK TABLE {written} IN SHARE MODE")
        assert [one.pid for one in patience.blockers(asking.look, [claim])] == [elsewhere.pid]
        elsewhere.release()
        asking.acquire([claim])
        assert holds(conn, asking.work.info.backend_pid, written) == ["AccessExclusiveLock"]
        asking.work.execute("ROLLBACK")


def test_once_held_statements_have_no_timeout_of_ours_but_do_not_queue(asking: Asking) -> None:
    asking.acquire()
    assert session.value(asking.work, "SHOW statement_timeout") == "0"
    assert session.value(asking.work, "SHOW lock_timeout") in [f"{ms}ms" for ms in range(1, 11)]
    asking.work.execute("ROLLBACK")
    assert session.value(asking.work, "SHOW lock_timeout") == "0"


def test_a_step_without_locks_begins_a_transaction_that_does_not_queue(asking: Asking) -> None:
    assert asking.acquire([]).attempts == 1
    assert asking.work.info.transaction_status is TransactionStatus.INTRANS
    assert session.value(asking.work, "SHOW lock_timeout") == "10ms"
    asking.work.execute("ROLLBACK")


# --- giving up ---------------------------------------------------------------------------------------------


def test_the_operator_can_stop_it_while_it_waits(
    asking: Asking, elsewhere: Elsewhere, pool: ThreadPoolExecutor, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    eventually(lambda: old(asking.look))
    taking = asking.in_background(pool)
    eventually(lambda: len(asking.waits) >= 3)
    asking.cancelled.set()
    with pytest.raises(Stopped):
        taking.result(timeout=60)
    assert asking.requests == []
    assert asking.nothing_is_left()


def test_the_operator_can_stop_it_before_it_asks(asking: Asking) -> None:
    asking.cancelled.set()
    with pytest.raises(Stopped):
        asking.acquire()
    assert asking.requests == []
    assert asking.nothing_is_left()


@pytest.mark.usefixtures("everybody_is_young")
def test_the_operator_can_stop_it_in_the_pause_between_two_requests(
    asking: Asking, elsewhere: Elsewhere, pool: ThreadPoolExecutor, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    taking = asking.in_background(pool, policy=(Attempt(20, 60_000),) * 2)
    eventually(lambda: asking.waits)
    asking.cancelled.set()
    with pytest.raises(Stopped):
        taking.result(timeout=60)
    assert asking.nothing_is_left()


@pytest.mark.usefixtures("everybody_is_young")
def test_the_operator_can_stop_it_while_a_request_queues(
    asking: Asking, conn: Conn, elsewhere: Elsewhere, pool: ThreadPoolExecutor, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    taking = asking.in_background(pool, policy=(Attempt(60_000, 1),), stall_budget_ms=120_000)
    eventually(lambda: waiting(conn, asking.work.info.backend_pid))
    asking.work.cancel_safe()
    with pytest.raises(psycopg.errors.QueryCanceled):
        taking.result(timeout=60)
    assert asking.nothing_is_left()


def test_a_table_that_is_not_there_is_the_servers_own_error(asking: Asking) -> None:
    for name, error in {
        "missing": psycopg.errors.UndefinedTable,
        "no.such": psycopg.errors.InvalidSchemaName,
    }.items():
        with pytest.raises(error, match="does not exist"):
            asking.acquire([LockClaim(LockMode.SHARE, name)])
        assert asking.nothing_is_left()


def test_a_table_of_somebody_else_is_the_servers_own_error(small: Asking, conn: Conn) -> None:
    conn.execute("CREATE TABLE others (a int)")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        small.acquire([LockClaim(LockMode.ACCESS_EXCLUSIVE, "others")])
    assert small.nothing_is_left()


@pytest.mark.usefixtures("everybody_is_young")
def test_a_killed_session_is_an_error_and_leaves_nothing(
    asking: Asking, conn: Conn, elsewhere: Elsewhere, pool: ThreadPoolExecutor, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    pid = asking.work.info.backend_pid
    taking = asking.in_background(pool, policy=(Attempt(60_000, 1),), stall_budget_ms=120_000)
    eventually(lambda: waiting(conn, pid))
    conn.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(psycopg.OperationalError):
        taking.result(timeout=60)
    assert not waiting(conn, pid)


@pytest.mark.usefixtures("everybody_is_young")
def test_patience_ends_at_its_limit_also_between_requests(asking: Asking, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("SELECT * FROM t")
    began = time.perf_counter()
    with pytest.raises(LockNotTaken) as caught:
        asking.acquire(policy=(Attempt(5, 60_000),) * 100, limit_s=1)
    assert time.perf_counter() - began < 30
    assert caught.value.attempts == 1


def test_the_worst_case_is_the_sum_of_the_table() -> None:
    assert patience.worst_case(()) == 0
    assert patience.worst_case((Attempt(10, 0),) * 3) == 0.03
    # A quarter of an hour at most, however busy the table is.
    assert 60 < patience.worst_case() < 900


def test_no_row_of_the_policy_is_larger_than_the_stall_budget() -> None:
    assert POLICY
    assert max(row.lock_timeout_ms for row in POLICY) <= Budgets().stall_ms // 2
    assert min(row.lock_timeout_ms for row in POLICY) > 0
    assert [row.lock_timeout_ms for row in POLICY] == sorted(row.lock_timeout_ms for row in POLICY)


# --- autovacuum --------------------------------------------------------------------------------------------


@pytest.fixture
def vacuumed(asking: Asking, conn: Conn, eventually: Callable[..., Any]) -> Iterator[Callable[[], list[int]]]:
    """An autovacuum worker that is at table t for a long time; gives the pids of such workers."""
    conn.execute(
        "ALTER TABLE t SET (autovacuum_vacuum_threshold = 0, autovacuum_vacuum_insert_threshold = 1,"
        " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_cost_delay = 100,"
        " autovacuum_vacuum_cost_limit = 1);"
        " INSERT INTO t SELECT i FROM generate_series(1, 100000) AS i"
    )
    conn.execute("SELECT pg_stat_force_next_flush()")

    def workers() -> list[int]:
        found = conn.execute(
            "SELECT a.pid AS pid FROM pg_stat_activity AS a JOIN pg_locks AS l ON l.pid = a.pid AND l.granted"
            " AND l.relation = 't'::regclass WHERE a.backend_type = 'autovacuum worker'"
        ).fetchall()
        return [row["pid"] for row in found]

    with throwaway.autovacuum(conn):
        eventually(workers, timeout=90)
        yield workers


@pytest.mark.slow
def test_an_ordinary_autovacuum_gives_way(
    asking: Asking, vacuumed: Callable[[], list[int]], eventually: Callable[..., Any]
) -> None:
    eventually(lambda: old(asking.look))
    [worker] = vacuumed()
    acquired = asking.acquire(limit_s=20)
    assert acquired.attempts >= 1
    assert worker not in vacuumed()
    [one] = asking.waits[0][0]
    assert one.who == f"pid {worker} (autovacuum worker)"
    asking.work.execute("ROLLBACK")


@pytest.fixture
def many_transactions_ago(asking: Asking, conn: Conn) -> None:
    """Let so many transactions pass that table t has to be vacuumed against wraparound."""
    conn.execute("ALTER TABLE t SET (autovacuum_freeze_max_age = 100000)")
    conn.execute("CREATE TABLE passing (a int)")
    # A subtransaction that writes takes a number of its own.
    conn.execute(
        "DO $$ BEGIN FOR i IN 1..100100 LOOP BEGIN INSERT INTO passing VALUES (i);"
        " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
    )


@pytest.mark.slow
@pytest.mark.usefixtures("many_transactions_ago")
def test_an_autovacuum_against_wraparound_is_left_to_its_work(
    asking: Asking, vacuumed: Callable[[], list[int]], eventually: Callable[..., Any]
) -> None:
    eventually(lambda: old(asking.look))
    [worker] = vacuumed()
    with pytest.raises(LockNotTaken) as caught:
        asking.acquire(limit_s=0.3)
    assert caught.value.attempts == 0
    assert vacuumed() == [worker]
    [one] = asking.waits[-1][0]
    assert one.query.endswith("(to prevent wraparound)")
