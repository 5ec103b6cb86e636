"""Many sessions at the same jobs at once: no job runs twice, no more run than may, whatever the isolation."""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from conftest import Elsewhere
from psycopg import IsolationLevel, errors

Connection = psycopg.Connection[Any]
CROWD = 16

template, database = ground.template, ground.database


class Crowd:
    """Sessions that begin the same work at the same moment."""

    def __init__(self, conninfo: str, stack: contextlib.ExitStack, size: int = CROWD) -> None:
        self.connections = [
            stack.enter_context(contextlib.closing(psycopg.connect(conninfo, autocommit=True)))
            for _ in range(size)
        ]
        self._barrier = threading.Barrier(size)
        self._pool = stack.enter_context(ThreadPoolExecutor(size))

    def __call__(self, work: Callable[[Connection], Any]) -> list[Any]:
        """Return what each of them gave."""

        def one(conn: Connection) -> Any:
            self._barrier.wait(timeout=60)
            return work(conn)

        return list(self._pool.map(one, self.connections))


@pytest.fixture
def crowd(database: str) -> Iterator[Crowd]:
    with contextlib.ExitStack() as stack:
        yield Crowd(database, stack)


def one(conn: Connection, query: str, *parameters: Any) -> Any:
    with conn.cursor(row_factory=psycopg.rows.tuple_row) as cursor:
        found = cursor.execute(query.encode(), parameters).fetchone()
    assert found is not None
    return found[0]


def running(conn: Connection) -> int:
    number: int = one(conn, "SELECT count(*) FROM job_executions WHERE status = 'running'")
    return number


def finish_all(conn: Connection) -> None:
    conn.execute("SELECT complete_job(job_id, id) FROM job_executions WHERE status = 'running'")


# -- two


def test_who_asks_while_another_holds_its_claim_gets_the_next_job(
    conn: Connection, elsewhere: Elsewhere
) -> None:
    ground.job(conn, "first", due="-2 minutes")
    ground.job(conn, "second")
    elsewhere.begin_and_hold(ground.CLAIM)
    conn.execute("SET lock_timeout = '5s'")
    claimed = ground.claim(conn)
    assert claimed is not None
    assert claimed[0] == "second"
    assert ground.claim(conn) is None
    elsewhere.execute("ROLLBACK")
    claimed = ground.claim(conn)
    assert claimed is not None
    assert claimed[0] == "first"


def test_who_asks_and_starts_in_two_transactions_may_lose_the_job_but_never_runs_it_twice(
    conn: Connection, elsewhere: Elsewhere
) -> None:
    ground.job(conn, "job_sync_001")
    ask = "SELECT get_next_pending_job() AS id"
    assert one(conn, ask) == "job_sync_001"
    assert elsewhere.execute(ask) == [{"id": "job_sync_001"}]
    assert one(conn, "SELECT start_job('job_sync_001')") == 1
    assert elsewhere.execute("SELECT start_job('job_sync_001') AS execution") == [{"execution": None}]


def test_a_start_does_not_wait_for_who_starts_the_same_job(conn: Connection, elsewhere: Elsewhere) -> None:
    ground.job(conn, "job_sync_001")
    elsewhere.begin_and_hold("SELECT start_job('job_sync_001')")
    conn.execute("SET lock_timeout = '5s'")
    assert one(conn, "SELECT start_job('job_sync_001')") is None
    elsewhere.execute("ROLLBACK")
    assert one(conn, "SELECT start_job('job_sync_001')") is not None


@pytest.mark.parametrize(
    "end", ["complete_job(%s, %s)", "fail_job(%s, %s, 'no recipe')"], ids=["well", "badly"]
)
@pytest.mark.parametrize(
    "delete", ["scheduled_jobs WHERE id = 'job_sync_001'", "users WHERE id = 1"], ids=["job", "user"]
)
def test_a_job_that_ends_while_it_is_deleted_waits_and_neither_is_a_deadlock(
    conn: Connection, elsewhere: Elsewhere, eventually: Callable[..., Any], end: str, delete: str
) -> None:
    ground.job(conn, "job_sync_001", user_id=1)
    claimed = ground.claim(conn)
    # As far as a DELETE of many has come before it goes on to their executions.
    elsewhere.begin_and_hold("SELECT FROM scheduled_jobs FOR UPDATE")
    with psycopg.connect(conn.info.dsn, autocommit=True) as worker, ThreadPoolExecutor(1) as aside:
        ending = aside.submit(worker.execute, f"SELECT {end}".encode(), claimed)
        eventually(lambda: one(conn, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
        elsewhere.execute(f"DELETE FROM {delete}")
        elsewhere.execute("COMMIT")
        with pytest.raises(errors.ObjectNotInPrerequisiteState):
            ending.result(timeout=30)
    assert one(conn, "SELECT count(*) FROM job_executions") == 0


@pytest.mark.parametrize(
    "locked",
    ["SELECT FROM scheduled_jobs WHERE id = 'lost' FOR UPDATE", "SELECT FROM job_executions FOR UPDATE"],
    ids=["job", "execution"],
)
def test_who_asks_does_not_wait_for_who_has_a_lock_on_a_job_whose_worker_is_lost(
    conn: Connection, elsewhere: Elsewhere, locked: str
) -> None:
    ground.job(conn, "lost")
    assert ground.claim(conn) == ("lost", 1)
    ground.age(conn, "lost", "1 hour")
    ground.job(conn, "other")
    elsewhere.begin_and_hold(locked)
    # A lock_timeout would be taken for a job that cannot be given back.
    conn.execute("SET statement_timeout = '5s'")
    assert ground.claim(conn) == ("other", 2)
    elsewhere.execute("ROLLBACK")
    assert ground.claim(conn) is None
    assert one(conn, "SELECT status FROM job_executions WHERE id = 1") == "failed"


@pytest.mark.parametrize(("end", "expected"), [("ROLLBACK", "second"), ("COMMIT", None)])
def test_the_last_slot_is_waited_for_until_it_is_known_who_has_it(
    conn: Connection, elsewhere: Elsewhere, eventually: Callable[..., Any], end: str, expected: str | None
) -> None:
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "first", due="-2 minutes")
    ground.job(conn, "second")
    conn.execute("BEGIN")
    assert ground.claim(conn) == ("first", 1)
    waiting = elsewhere.submit(ground.CLAIM)
    eventually(lambda: one(conn, "SELECT cardinality(pg_blocking_pids(%s))", elsewhere.pid) == 1)
    conn.execute(end.encode())
    [found] = waiting.result(timeout=60)
    assert (found["execution"] is not None) == (expected is not None)
    assert found["id"] == "second"
    assert running(conn) == 1
    # Who lost the slot holds the job no longer.
    finish_all(conn)
    assert ground.claim(conn) is not None


def test_two_who_ask_at_once_give_a_job_back_once(conn: Connection, crowd: Crowd) -> None:
    for number in range(40):
        name = ground.job(conn, f"job_{number}")
        claimed = ground.claim(conn)
        assert claimed is not None
        conn.execute(
            "UPDATE job_executions SET lease_until = now() - interval '1 second' WHERE status = 'running'"
        )
        crowd(lambda session: one(session, "SELECT get_next_pending_job()"))
        assert one(conn, "SELECT error_count FROM scheduled_jobs WHERE id = %s", name) == 1
        assert one(conn, "SELECT status FROM job_executions WHERE id = %s", claimed[1]) == "failed"


# -- as many as may


def test_of_sixteen_who_claim_at_once_exactly_five_get_a_job(conn: Connection, crowd: Crowd) -> None:
    conn.execute(
        "INSERT INTO scheduled_jobs (id, job_type, frequency_type, frequency_config, scheduled_for)"
        " SELECT 'job_' || number, 'auto_sync', 'every_n_hours', '{\"hours\": 1}', now() - interval '1 day'"
        " FROM generate_series(1, 20) AS number"
    )
    for _ in range(60):
        claims = [claimed for claimed in crowd(ground.claim) if claimed]
        assert len({name for name, _ in claims}) == len(claims) == running(conn) == 5
        assert one(conn, "SELECT count(*) FROM scheduled_jobs WHERE status = 'running'") == 5
        finish_all(conn)
        conn.execute("UPDATE scheduled_jobs SET scheduled_for = now() - interval '1 day'")


def test_of_sixteen_who_start_different_jobs_by_hand_exactly_five_do(conn: Connection, crowd: Crowd) -> None:
    names = itertools.count()
    for number in range(CROWD):
        ground.job(
            conn, f"job_{number}", due="1 day", frequency_type="every_n_hours", frequency_config={"hours": 1}
        )
    for _ in range(30):
        numbers = crowd(
            lambda session: one(session, "SELECT start_job(%s, 'manual')", f"job_{next(names) % CROWD}")
        )
        assert len([number for number in numbers if number]) == running(conn) == 5
        finish_all(conn)


def test_of_sixteen_who_start_the_same_job_one_does(conn: Connection, crowd: Crowd) -> None:
    for number in range(30):
        name = ground.job(conn, f"job_{number}")
        numbers = crowd(lambda session, name=name: one(session, "SELECT start_job(%s)", name))
        assert len([number for number in numbers if number]) == running(conn) == 1
        finish_all(conn)


def test_while_more_run_than_may_since_the_cap_was_lowered_nothing_starts(conn: Connection) -> None:
    for number in range(9):
        ground.job(conn, f"job_{number}")
    claims = [ground.claim(conn) for _ in range(5)]
    ground.configure(conn, max_concurrent_jobs=2)
    for left, claimed in zip((5, 4, 3, 2), claims, strict=False):
        assert (ground.claim(conn), one(conn, "SELECT start_job('job_8', 'manual')")) == (None, None)
        assert running(conn) == left
        assert claimed is not None
        conn.execute("SELECT complete_job(%s, %s)", claimed)
    assert running(conn) == 1
    assert ground.claim(conn) is not None
    assert ground.claim(conn) is None


def test_whichever_slots_are_taken_as_many_jobs_start_as_may(conn: Connection) -> None:
    for number in range(8):
        ground.job(conn, f"job_{number}", due="1 day")
    wrong = []
    for cap in range(6):
        for taken in itertools.chain.from_iterable(
            itertools.combinations(range(1, 6), size) for size in range(6)
        ):
            with conn.transaction(force_rollback=True):
                ground.configure(conn, max_concurrent_jobs=cap)
                conn.cursor().executemany(
                    "INSERT INTO job_executions (job_id, trigger_type, slot, attempt_number, lease_until)"
                    " VALUES ('job_7', 'manual', %s, 1, now() + interval '1 hour')",
                    [(slot,) for slot in taken],
                )
                for number in range(6):
                    one(conn, "SELECT start_job(%s, 'manual')", f"job_{number}")
                if (now := running(conn)) != max(cap, len(taken)):
                    wrong.append((cap, taken, now))
    assert wrong == []


def test_a_crowd_that_comes_after_the_cap_was_lowered_does_not_break_it(
    conn: Connection, crowd: Crowd
) -> None:
    names = itertools.count()
    for number in range(CROWD):
        ground.job(
            conn, f"job_{number}", due="1 day", frequency_type="every_n_hours", frequency_config={"hours": 1}
        )
    ground.job(conn, "old", due="1 day")
    ground.configure(conn, max_concurrent_jobs=3)
    for taken in itertools.islice(itertools.cycle([(3, 4), (2, 5), (4, 5), (3,), (5, 6)]), 40):
        conn.cursor().executemany(
            "INSERT INTO job_executions (job_id, trigger_type, slot, attempt_number, lease_until)"
            " VALUES ('old', 'manual', %s, 1, now() + interval '1 hour')",
            [(slot,) for slot in taken],
        )
        crowd(lambda session: one(session, "SELECT start_job(%s, 'manual')", f"job_{next(names) % CROWD}"))
        assert running(conn) == 3
        finish_all(conn)


def test_with_a_cap_of_zero_nothing_starts_and_when_it_is_raised_it_does(conn: Connection) -> None:
    for number in range(9):
        ground.job(conn, f"job_{number}")
    for cap in (0, 1, 3, 8):
        ground.configure(conn, max_concurrent_jobs=cap)
        while ground.claim(conn):
            pass
        assert one(conn, "SELECT start_job('job_8', 'manual')") is None
        assert running(conn) == cap


# -- stricter isolation

STRICT = [IsolationLevel.REPEATABLE_READ, IsolationLevel.SERIALIZABLE]


@pytest.fixture
def strict(database: str, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A session whose transactions have the isolation of the test's parameter, and one snapshot for all they ask."""
    with contextlib.closing(psycopg.connect(database)) as connection:
        connection.isolation_level = request.param
        yield connection


@pytest.mark.parametrize("strict", STRICT, indirect=True)
def test_who_sees_a_job_that_another_has_started_since_gets_a_serialization_failure(
    conn: Connection, strict: Connection
) -> None:
    ground.job(conn, "job_sync_001")
    one(strict, "SELECT count(*) FROM scheduled_jobs")
    assert ground.claim(conn) == ("job_sync_001", 1)
    with pytest.raises(errors.SerializationFailure):
        ground.claim(strict)
    strict.rollback()
    assert ground.claim(strict) is None
    strict.commit()
    assert running(conn) == 1


@pytest.mark.parametrize("strict", STRICT, indirect=True)
def test_who_sees_a_slot_free_that_another_has_taken_since_gets_a_serialization_failure(
    conn: Connection, strict: Connection
) -> None:
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "first", due="-2 minutes")
    ground.job(conn, "second")
    one(strict, "SELECT count(*) FROM scheduled_jobs")
    assert ground.claim(conn) == ("first", 1)
    with pytest.raises(errors.SerializationFailure):
        one(strict, "SELECT start_job('second', 'manual')")
    strict.rollback()
    assert one(strict, "SELECT start_job('second', 'manual')") is None
    strict.commit()
    assert running(conn) == 1


@pytest.mark.parametrize("strict", STRICT, indirect=True)
def test_who_does_not_see_that_a_slot_is_free_again_gets_nothing(
    conn: Connection, strict: Connection
) -> None:
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "first", due="-2 minutes")
    ground.job(conn, "second")
    assert ground.claim(conn) == ("first", 1)
    one(strict, "SELECT count(*) FROM scheduled_jobs")
    finish_all(conn)
    assert ground.claim(strict) is None
    strict.commit()
    assert ground.claim(strict) is not None
    strict.commit()
    assert running(conn) == 1


@pytest.mark.parametrize("strict", STRICT, indirect=True)
@pytest.mark.parametrize("end", ["ROLLBACK", "COMMIT"])
def test_the_last_slot_is_waited_for_in_stricter_isolation_too(
    conn: Connection, elsewhere: Elsewhere, strict: Connection, end: str, eventually: Callable[..., Any]
) -> None:
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "first", due="-2 minutes")
    ground.job(conn, "second")
    elsewhere.begin_and_hold(ground.CLAIM)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ground.claim, strict)
        pid = strict.info.backend_pid
        eventually(lambda: one(conn, "SELECT cardinality(pg_blocking_pids(%s))", pid) == 1)
        elsewhere.execute(end)
        if end == "ROLLBACK":
            claimed = waiting.result(timeout=60)
            assert claimed is not None
            assert claimed[0] == "second"
            strict.commit()
        else:
            with pytest.raises(errors.SerializationFailure):
                waiting.result(timeout=60)
    assert running(conn) == 1


@pytest.mark.parametrize("strict", STRICT, indirect=True)
def test_a_lost_worker_is_not_counted_twice_in_stricter_isolation(
    conn: Connection, strict: Connection
) -> None:
    ground.job(conn, "job_sync_001")
    assert ground.claim(conn) is not None
    conn.execute("UPDATE job_executions SET lease_until = now() - interval '1 second'")
    one(strict, "SELECT count(*) FROM scheduled_jobs")
    assert one(conn, "SELECT get_next_pending_job()") is None
    with pytest.raises(errors.SerializationFailure):
        one(strict, "SELECT get_next_pending_job()")
    strict.rollback()
    assert one(conn, "SELECT error_count FROM scheduled_jobs") == 1


# -- workers at work


def in_two_transactions(session: Connection) -> tuple[str, int] | None:
    name = one(session, "SELECT get_next_pending_job()")
    number = one(session, "SELECT start_job(%s)", name)
    return (name, number) if number else None


def persist(work: Callable[[], Any], collisions: Counter[str]) -> Any:
    """Do it again as long as the server answers that sessions collided."""
    for _ in range(10_000):
        try:
            return work()
        except (errors.SerializationFailure, errors.DeadlockDetected) as error:
            collisions[str(error.sqlstate)] += 1
    raise AssertionError("sessions collide for ever")


@pytest.mark.parametrize(
    ("isolation", "claim"),
    [
        (IsolationLevel.READ_COMMITTED, ground.claim),
        (IsolationLevel.READ_COMMITTED, in_two_transactions),
        (IsolationLevel.REPEATABLE_READ, ground.claim),
        (IsolationLevel.REPEATABLE_READ, in_two_transactions),
        (IsolationLevel.SERIALIZABLE, ground.claim),
    ],
)
def test_eight_workers_run_every_job_exactly_once_and_never_more_than_five_at_a_time(
    database: str,
    conn: Connection,
    isolation: IsolationLevel,
    claim: Callable[[Connection], tuple[str, int] | None],
) -> None:
    conn.execute(
        "INSERT INTO scheduled_jobs (id, job_type, frequency_type, priority, scheduled_for) SELECT 'job_' || number,"
        " 'auto_sync', 'once', (ARRAY['critical', 'high', 'medium', 'low'])[1 + number % 4], now() - interval '1 day'"
        " FROM generate_series(1, 200) AS number"
    )
    collisions: Counter[str] = Counter()
    at_once: list[int] = []

    def worker(session: Connection) -> None:
        session.execute(
            f"SET default_transaction_isolation = '{isolation.name.lower().replace('_', ' ')}'".encode()
        )
        while one(session, "SELECT count(*) FROM scheduled_jobs WHERE status <> 'completed'"):
            claimed = persist(lambda: claim(session), collisions)
            if claimed:
                at_once.append(running(session))
                complete = functools.partial(session.execute, "SELECT complete_job(%s, %s)", claimed)
                persist(complete, collisions)

    with contextlib.ExitStack() as stack:
        Crowd(database, stack, 8)(worker)
    assert conn.execute(
        "SELECT count(*) AS executions, count(DISTINCT job_id) AS jobs FROM job_executions"
    ).fetchone() == {
        "executions": 200,
        "jobs": 200,
    }
    assert 2 <= max(at_once) <= 5
    if isolation is IsolationLevel.READ_COMMITTED:
        assert collisions == {}
