"""Builds outside a transaction: what they leave is judged when they have ended, and only rubbish is cleared."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrunbook import concurrent, session, statement, target
from pgrunbook.errors import quoted
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
HOSTILE = 'x"; DROP TABLE t; --'


@pytest.fixture
def ours(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="step")) as made:
        yield made


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    made = ThreadPoolExecutor()
    yield made
    # A test that failed must not wait for what it left waiting: the other sessions end after this.
    made.shutdown(wait=False, cancel_futures=True)


def broken(conn: Conn, index: str = "i", table: str = "t") -> None:
    """Leave the invalid index of a build that found doubles."""
    with pytest.raises(psycopg.errors.UniqueViolation):
        conn.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {index} ON {table} (a)")


def exists(conn: Conn, index: str) -> bool:
    return session.value(conn, "SELECT to_regclass(%s) IS NOT NULL", (index,)) is True


def building(conn: Conn) -> int | None:
    found = session.rows(conn, "index_progress")
    return found[0]["pid"] if found else None


# --- names -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "name"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", '"i"'),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON app.t (a)", '"app"."i"'),
        ('CREATE INDEX CONCURRENTLY "I.1" ON "My App"."T" (a)', '"My App"."I.1"'),
        ('CREATE INDEX CONCURRENTLY "a""b" ON "c""d".t (a)', '"c""d"."a""b"'),
        ("CREATE INDEX I ON T (a)", '"i"'),
        ("CREATE INDEX CONCURRENTLY ON t (a)", None),
        ("DROP INDEX CONCURRENTLY i", None),
        ("REINDEX INDEX CONCURRENTLY i", None),
        ("VACUUM t", None),
        ("CREATE TABLE i (a int)", None),
    ],
)
def test_the_catalogs_name_of_the_index_that_is_built(sql: str, name: str | None) -> None:
    [parsed] = statement.parse(sql, file="x.sql")
    assert concurrent.index_name(parsed) == name


@pytest.mark.parametrize("index", ["i", "Odd Name", "odd.name", HOSTILE, "größe", "select", "100%s", "😀"])
def test_any_name_is_built_found_and_cleared(ours: Connection, conn: Conn, index: str) -> None:
    conn.execute(f"CREATE SCHEMA {quoted('S.' + index)}")
    for table in (quoted("T " + index), f"{quoted('S.' + index)}.{quoted('T ' + index)}"):
        conn.execute(f"CREATE TABLE {table} AS SELECT 1 AS a FROM generate_series(1, 2)")
        text = f"CREATE UNIQUE INDEX CONCURRENTLY {quoted(index)} ON {table} (a)"
        [parsed] = statement.parse(text, file="x.sql")
        name = concurrent.index_name(parsed)
        assert name is not None
        broken(conn, quoted(index), table)
        state = concurrent.index_state(ours, name)
        assert state is not None
        assert (state.is_valid, state.built_by) == (False, None)
        assert concurrent.clear_invalid(ours, name)
        assert not exists(conn, name)
        assert exists(conn, "t")


# --- rubbish and work --------------------------------------------------------------------------------------


def test_an_invalid_index_is_cleared_once(ours: Connection, conn: Conn) -> None:
    broken(conn)
    assert concurrent.clear_invalid(ours, "i")
    assert not exists(conn, "i")
    assert not concurrent.clear_invalid(ours, "i")


def test_a_valid_index_is_never_dropped(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE INDEX CONCURRENTLY i ON t (a)")
    assert not concurrent.clear_invalid(ours, "i")
    state = concurrent.index_state(ours, "i")
    assert state == concurrent.IndexState("i", True, "CREATE INDEX i ON public.t USING btree (a)", None)


@pytest.mark.parametrize("name", ["t", "missing", "no.such", "pg_class"])
def test_what_is_no_index_has_no_state(ours: Connection, conn: Conn, name: str) -> None:
    assert concurrent.index_state(ours, name) is None
    assert not concurrent.clear_invalid(ours, name)
    assert exists(conn, "t")


def test_the_invalid_index_of_a_partitioned_table_is_work_in_progress(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT")
    conn.execute("CREATE INDEX pi ON ONLY p (a)")
    assert session.value(conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pi'::regclass") is False
    assert not concurrent.clear_invalid(ours, "pi")
    assert exists(conn, "pi")


# --- a build in another session ----------------------------------------------------------------------------


def test_a_build_that_goes_on_elsewhere_is_waited_for_and_kept(
    ours: Connection,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (2)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    eventually(lambda: building(conn) == builder.pid and exists(conn, "i"))
    state = concurrent.index_state(ours, "i")
    assert state is not None
    assert (state.is_valid, state.built_by) == (False, builder.pid)
    looks: list[int] = []
    clearing = pool.submit(concurrent.clear_invalid, ours, "i", checkpoint=lambda: looks.append(1))
    eventually(lambda: len(looks) >= 3)
    assert not clearing.done()
    writer.release()
    build.result(timeout=10)
    assert clearing.result(timeout=10) is False
    state = concurrent.index_state(ours, "i")
    assert state is not None
    assert (state.is_valid, state.built_by) == (True, None)


def test_a_build_that_fails_elsewhere_is_waited_for_and_cleared(
    ours: Connection,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (2)")
    build = builder.submit("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")
    eventually(lambda: building(conn) == builder.pid and exists(conn, "i"))
    looks: list[int] = []
    clearing = pool.submit(concurrent.clear_invalid, ours, "i", checkpoint=lambda: looks.append(1))
    eventually(lambda: looks)
    writer.release()
    with pytest.raises(psycopg.errors.UniqueViolation):
        build.result(timeout=10)
    assert clearing.result(timeout=10) is True
    assert not exists(conn, "i")


def test_a_build_of_a_role_whose_progress_is_hidden_is_waited_for_too(
    database: str,
    ours: Connection,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    conn.execute("CREATE ROLE small LOGIN; ALTER TABLE t OWNER TO small")
    writer, builder = someone_else(), someone_else()
    try:
        bound = target.rehearsal(make_conninfo(database, user="small"))
        with contextlib.closing(session.connect(bound, purpose="step")) as small:
            writer.begin_and_hold("INSERT INTO t VALUES (2)")
            build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
            eventually(lambda: building(conn) == builder.pid and exists(conn, "i"))
            assert building(small) != builder.pid or session.rows(small, "index_progress")[0]["index"] is None
            looks: list[int] = []
            clearing = pool.submit(concurrent.clear_invalid, small, "i", checkpoint=lambda: looks.append(1))
            eventually(lambda: len(looks) >= 3 or clearing.done())
            writer.release()
            build.result(timeout=10)
            # Dropping it would have waited for the build, and then dropped what it had made.
            assert clearing.result(timeout=10) is False
            state = concurrent.index_state(small, "i")
            assert state is not None
            assert state.is_valid
    finally:
        conn.execute("DROP OWNED BY small; DROP ROLE small")


def test_waiting_for_a_build_can_be_stopped(
    ours: Connection, conn: Conn, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (2)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    eventually(lambda: building(conn) == builder.pid and exists(conn, "i"))
    with pytest.raises(Stopped):
        concurrent.clear_invalid(ours, "i", checkpoint=stop)
    assert exists(conn, "i")
    writer.release()
    build.result(timeout=10)


def test_a_build_whose_client_was_killed_goes_on_and_is_seen_to_its_end(
    database: str,
    ours: Connection,
    conn: Conn,
    elsewhere: Elsewhere,
    pool: ThreadPoolExecutor,
    eventually: Callable[..., Any],
) -> None:
    elsewhere.begin_and_hold("INSERT INTO t VALUES (2)")
    client = psycopg.connect(database, autocommit=True)
    client.pgconn.send_query(b"CREATE INDEX CONCURRENTLY i ON t (a)")
    pid = client.info.backend_pid
    eventually(lambda: building(conn) == pid and exists(conn, "i"))
    client.close()
    waiting = pool.submit(concurrent.wait_for_build, ours, "i", checkpoint=lambda: None)
    elsewhere.release()
    state = waiting.result(timeout=10)
    assert state is not None
    assert (state.is_valid, state.built_by) == (True, None)


# --- what is left after a failure --------------------------------------------------------------------------


def test_what_is_left_is_told(ours: Connection, conn: Conn) -> None:
    assert concurrent.what_is_left(ours, None) == "nothing was left behind"
    assert concurrent.what_is_left(ours, '"i"') == "nothing was left behind"
    broken(conn)
    assert concurrent.what_is_left(ours, '"i"') == 'the invalid index "i" was dropped'
    assert not exists(conn, "i")
    conn.execute("CREATE INDEX i ON t (a)")
    assert concurrent.what_is_left(ours, '"i"') == (
        'a valid index "i" is there; the next apply tells whether it is the one'
    )
    assert exists(conn, "i")


def test_an_invalid_index_that_somebody_uses_is_left_and_told(
    ours: Connection, conn: Conn, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrent, "CLEAR_MS", 50)
    broken(conn)
    elsewhere.begin_and_hold("INSERT INTO t VALUES (2)")
    assert concurrent.what_is_left(ours, '"i"') == (
        'an invalid index "i" may be left behind (canceling statement due to lock timeout); the next apply clears it'
    )
    assert session.value(ours, "SHOW lock_timeout") == "0"
    elsewhere.release()
    assert concurrent.clear_invalid(ours, "i")


def test_a_build_that_still_runs_is_left_and_told(
    ours: Connection,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[..., Any],
) -> None:
    monkeypatch.setattr(concurrent, "CLEAR_MS", 50)
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (2)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    eventually(lambda: building(conn) == builder.pid and exists(conn, "i"))
    assert concurrent.what_is_left(ours, '"i"') == (
        'the server still builds index "i"; the next apply watches it to its end'
    )
    writer.release()
    build.result(timeout=10)
