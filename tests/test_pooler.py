"""Poolers: one that shares the server's sessions is refused, one that keeps them apart works."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pooling
import psycopg
import pytest
import throwaway
from throwaway import TABLE, running, write

from pgrunbook import pooler, session, target
from pgrunbook.errors import TransactionPooler
from pgrunbook.observers import Observation
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
needs_pgbouncer = pytest.mark.skipif(
    pooling.PGBOUNCER is None, reason="PgBouncer is not installed here; the stand-in is tested all the same"
)
SHARING = [
    pytest.param(lambda database: pooling.stand_in(database, shared=True), id="stand-in"),
    pytest.param(
        lambda database: pooling.pgbouncer(database, "transaction"), id="pgbouncer", marks=needs_pgbouncer
    ),
    pytest.param(
        lambda database: pooling.pgbouncer(database, "transaction", "server_round_robin = 1"),
        id="pgbouncer in turn",
        marks=needs_pgbouncer,
    ),
    pytest.param(
        lambda database: pooling.pgbouncer(database, "statement"), id="by statement", marks=needs_pgbouncer
    ),
]
KEEPING = [
    pytest.param(lambda database: pooling.stand_in(database, shared=False), id="stand-in"),
    pytest.param(
        lambda database: pooling.pgbouncer(database, "session"), id="pgbouncer", marks=needs_pgbouncer
    ),
]
Pool = Callable[[str], contextlib.AbstractContextManager[str]]


@contextlib.contextmanager
def two(conninfo: str) -> Iterator[tuple[Connection, Connection]]:
    with throwaway.looking(conninfo) as one, throwaway.looking(conninfo) as other:
        yield one, other


def test_two_sessions_of_the_server_itself_are_apart(database: str) -> None:
    with two(database) as (one, other):
        assert pooler.shared(one, other) == ""
        assert not pooler.between(one)
        assert session.pid(one) == one.info.backend_pid != session.pid(other)


@pytest.mark.parametrize("pool", SHARING)
def test_a_pool_of_transactions_is_refused_with_the_reason(pool: Pool, database: str) -> None:
    with pool(database) as pooled, two(pooled) as (one, other):
        assert pooler.between(one)
        with pytest.raises(TransactionPooler) as caught:
            pooler.refuse(one, other, where="service shop")
        assert "served" in caught.value.reason or "BEGIN was refused" in caught.value.reason


@pytest.mark.parametrize("pool", SHARING)
def test_a_run_behind_a_pool_of_transactions_does_not_begin(
    pool: Pool, database: str, conn: Conn, tmp_path: Path
) -> None:
    conn.execute(TABLE)
    chosen = write(tmp_path)
    with pool(database) as pooled, pytest.raises(TransactionPooler):
        throwaway.run(chosen, pooled, tmp_path)
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None


def test_writing_is_refused_where_the_pool_gives_the_true_pid(
    database: str, conn: Conn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conn.execute(TABLE)
    # It cannot be suspected when the run is opened.
    monkeypatch.setattr(pooler, "between", lambda _conn: False)
    with (
        pooling.stand_in(database, shared=True) as pooled,
        running(write(tmp_path), pooled, tmp_path) as run,
        pytest.raises(TransactionPooler),
    ):
        run.decide_by_policy("001")
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None


@pytest.mark.parametrize("pool", KEEPING)
def test_a_change_goes_through_a_pool_of_sessions(
    pool: Pool, database: str, conn: Conn, tmp_path: Path
) -> None:
    conn.execute(TABLE)
    with pool(database) as pooled:
        with two(pooled) as (one, other):
            assert pooler.between(one)
            assert pooler.shared(one, other) == ""
            assert session.pid(one) == session.value(one, "SELECT pg_backend_pid()") != one.info.backend_pid
        with running(write(tmp_path), pooled, tmp_path) as run:
            assert throwaway.apply(run) == ["apply"] * 3
            assert throwaway.roll_back(run) == ["003_require_code", "002_build_index", "001_add_note"]


@pytest.mark.parametrize("pool", KEEPING)
def test_waits_behind_a_pool_of_sessions_are_told_of_the_right_session(
    pool: Pool,
    database: str,
    conn: Conn,
    elsewhere: Elsewhere,
    tmp_path: Path,
    eventually: Callable[..., Any],
) -> None:
    conn.execute(TABLE)
    with pool(database) as pooled, running(write(tmp_path), pooled, tmp_path) as run:
        throwaway.apply(run, "001")
        elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        run.decide_by_policy("002")
        seen: list[Observation] = []
        run.binding.on_sample = seen.append
        with ThreadPoolExecutor(1) as workers:
            applied = workers.submit(run.apply, "002")
            try:
                eventually(lambda: seen and any(one.waits_for == elsewhere.pid for one in seen[-1].builds))
            finally:
                elsewhere.release()
            applied.result(60)


def test_a_pool_of_sessions_still_lets_a_step_be_cancelled(
    database: str, conn: Conn, eventually: Callable[..., Any]
) -> None:
    if pooling.PGBOUNCER is None:
        pytest.skip("PgBouncer is not installed here; the stand-in passes no cancel request on")
    conn.execute(TABLE)
    with pooling.pgbouncer(database, "session") as pooled:
        bound = target.rehearsal(pooled)
        with (
            contextlib.closing(session.connect(bound, purpose="step")) as work,
            ThreadPoolExecutor(1) as workers,
        ):
            sleeping = workers.submit(work.execute, "SELECT pg_sleep(60)")
            asleep = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
            eventually(lambda: session.value(conn, asleep))
            work.cancel_safe(timeout=5)
            with pytest.raises(psycopg.errors.QueryCanceled):
                sleeping.result(60)
