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
from pgrunbook.concurrent import IndexName
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


def parsed(sql: str) -> statement.Statement:
    return statement.parse(sql, file="x.sql")[0]


BUILD = parsed("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)")


def named(index: str, table: str | None = "t") -> IndexName:
    return IndexName(index, table)


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
    found = concurrent.index_name(parsed(sql))
    assert (None if found is None else str(found)) == name


@pytest.mark.parametrize("index", ["i", "Odd Name", "odd.name", HOSTILE, "größe", "select", "100%s", "😀"])
def test_any_name_is_built_found_and_cleared(ours: Connection, conn: Conn, index: str) -> None:
    conn.execute(f"CREATE SCHEMA {quoted('S.' + index)}")
    for table in (quoted("T " + index), f"{quoted('S.' + index)}.{quoted('T ' + index)}"):
        conn.execute(f"CREATE TABLE {table} AS SELECT 1 AS a FROM generate_series(1, 2)")
        name = concurrent.index_name(
            parsed(f"CREATE UNIQUE INDEX CONCURRENTLY {quoted(index)} ON {table} (a)")
        )
        assert name is not None
        broken(conn, quoted(index), table)
        state = concurrent.index_state(ours, name)
        assert state is not None
        assert (state.is_valid, state.built_by) == (False, None)
        assert concurrent.clear_invalid(ours, name)
        assert not exists(conn, str(name))
        assert exists(conn, "t")


# --- rubbish and work --------------------------------------------------------------------------------------


def test_an_invalid_index_is_cleared_once(ours: Connection, conn: Conn) -> None:
    broken(conn)
    assert concurrent.clear_invalid(ours, named("i"))
    assert not exists(conn, "i")
    assert not concurrent.clear_invalid(ours, named("i"))


def test_a_valid_index_is_never_dropped(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE INDEX CONCURRENTLY i ON t (a)")
    assert not concurrent.clear_invalid(ours, named("i"))
    state = concurrent.index_state(ours, named("i"))
    assert state == concurrent.IndexState("i", "t", True, True, None)


@pytest.mark.parametrize("name", ["t", "missing", "no.such", "pg_class"])
def test_what_is_no_index_has_no_state(ours: Connection, conn: Conn, name: str) -> None:
    assert concurrent.index_state(ours, named(name, None)) is None
    assert not concurrent.clear_invalid(ours, named(name, None))
    assert exists(conn, "t")


def test_the_invalid_index_of_a_partitioned_table_is_work_in_progress(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p DEFAULT")
    conn.execute("CREATE INDEX pi ON ONLY p (a)")
    assert session.value(conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'pi'::regclass") is False
    assert not concurrent.clear_invalid(ours, named("pi"))
    assert exists(conn, "pi")


def test_an_index_lives_in_the_schema_of_its_table_whatever_search_path_finds_first(
    ours: Connection, conn: Conn
) -> None:
    conn.execute("CREATE SCHEMA first; CREATE TABLE first.other AS SELECT 1 AS a FROM generate_series(1, 2)")
    broken(conn, table="first.other")
    conn.execute("CREATE INDEX i ON t (a)")
    ours.execute("SET search_path TO first, public")
    state = concurrent.index_state(ours, named("i"))
    assert (state and state.on_table, state and state.is_valid) == ("t", True)
    assert not concurrent.clear_invalid(ours, named("i"))
    conn.execute("DROP INDEX public.i")
    assert concurrent.index_state(ours, named("i")) is None
    assert not concurrent.clear_invalid(ours, named("i"))
    # Without a table, as in DROP INDEX, search_path decides.
    state = concurrent.index_state(ours, named("i", None))
    assert (state and state.on_table, state and state.is_valid) == ("other", False)
    assert exists(conn, "first.i")


def test_the_invalid_index_of_another_table_is_left_alone(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE TABLE u AS SELECT 1 AS a FROM generate_series(1, 2)")
    broken(conn, table="u")
    state = concurrent.index_state(ours, named("i", "t"))
    assert state == concurrent.IndexState("i", "u", False, False, None)
    assert not concurrent.clear_invalid(ours, named("i", "t"))
    assert concurrent.what_is_left(ours, BUILD) == "nothing was left behind"
    assert exists(conn, "i")


LONG = "x" * 63


@pytest.mark.parametrize(
    ("sql", "index"),
    [
        ("REINDEX INDEX CONCURRENTLY old", "old"),
        ("REINDEX TABLE CONCURRENTLY t", "old"),
        (f"REINDEX INDEX CONCURRENTLY {LONG}", LONG),
    ],
)
def test_what_an_interrupted_rebuild_left_is_found_and_cleared(
    sql: str, index: str, ours: Connection, conn: Conn, elsewhere: Elsewhere
) -> None:
    conn.execute(f"CREATE INDEX {index} ON t (a); CREATE TABLE u (a int); CREATE INDEX theirs ON u (a)")
    elsewhere.begin_and_hold("INSERT INTO t VALUES (2)")
    conn.execute("SET lock_timeout = '100ms'")
    for _ in range(2):
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute(sql.encode())
    elsewhere.release()
    found = concurrent.leftovers(ours, parsed(sql))
    assert len(found) == 2
    assert {(one.on_table, one.is_valid, one.built_by) for one in found} == {("t", False, None)}
    assert concurrent.leftovers(ours, parsed("REINDEX INDEX CONCURRENTLY theirs")) == []
    assert concurrent.leftovers(ours, parsed("REINDEX TABLE CONCURRENTLY u")) == []
    assert concurrent.leftovers(ours, parsed(sql.replace(" CONCURRENTLY", ""))) == []
    names = ", ".join(one.index for one in found)
    said = concurrent.what_is_left(ours, parsed(sql))
    assert said in (f"the invalid index {names} was dropped",)
    assert concurrent.leftovers(ours, parsed(sql)) == []
    assert exists(conn, index)


def test_a_valid_index_that_is_named_like_a_twin_is_no_leftover(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE INDEX old ON t (a); CREATE INDEX old_ccnew ON t (a)")
    assert concurrent.leftovers(ours, parsed("REINDEX INDEX CONCURRENTLY old")) == []
    assert concurrent.what_is_left(ours, parsed("REINDEX TABLE CONCURRENTLY t")) == "nothing was left behind"
    assert exists(conn, "old_ccnew")


def test_the_twins_of_long_values_are_cleared_too(ours: Connection, conn: Conn) -> None:
    conn.execute("CREATE TABLE long (b text)")
    conn.execute("INSERT INTO long SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i")
    twin = "SELECT c.relname FROM pg_class AS c JOIN pg_index AS i ON i.indexrelid = c.oid WHERE c.relname ~ '_ccnew$'"
    with contextlib.closing(psycopg.connect(ours.info.dsn, autocommit=True)) as holder:
        toast = session.value(
            conn, "SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'long'"
        )
        holder.execute(
            "BEGIN; LOCK TABLE long IN ROW EXCLUSIVE MODE; INSERT INTO long VALUES (repeat('x', 10))"
        )
        holder.execute(
            "INSERT INTO long SELECT string_agg(md5(i::text), '') FROM generate_series(1, 1000) AS i"
        )
        conn.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            conn.execute("REINDEX TABLE CONCURRENTLY long")
        holder.execute("ROLLBACK")
    rebuilding = parsed("REINDEX TABLE CONCURRENTLY long")
    [left] = concurrent.leftovers(ours, rebuilding)
    assert left.on_table == toast
    assert session.value(conn, twin) is not None
    concurrent.what_is_left(ours, rebuilding)
    assert concurrent.leftovers(ours, rebuilding) == []


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
    state = concurrent.index_state(ours, named("i"))
    assert state is not None
    assert (state.is_valid, state.built_by) == (False, builder.pid)
    looks: list[int] = []
    clearing = pool.submit(concurrent.clear_invalid, ours, named("i"), checkpoint=lambda: looks.append(1))
    eventually(lambda: len(looks) >= 3)
    assert not clearing.done()
    writer.release()
    build.result(timeout=60)
    assert clearing.result(timeout=60) is False
    state = concurrent.index_state(ours, named("i"))
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
    clearing = pool.submit(concurrent.clear_invalid, ours, named("i"), checkpoint=lambda: looks.append(1))
    eventually(lambda: looks)
    writer.release()
    with pytest.raises(psycopg.errors.UniqueViolation):
        build.result(timeout=60)
    assert clearing.result(timeout=60) is True
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
            clearing = pool.submit(
                concurrent.clear_invalid, small, named("i"), checkpoint=lambda: looks.append(1)
            )
            eventually(lambda: len(looks) >= 3 or clearing.done())
            writer.release()
            build.result(timeout=60)
            # Dropping it would have waited for the build, and then dropped what it had made.
            assert clearing.result(timeout=60) is False
            state = concurrent.index_state(small, named("i"))
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
        concurrent.clear_invalid(ours, named("i"), checkpoint=stop)
    assert exists(conn, "i")
    writer.release()
    build.result(timeout=60)


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
    waiting = pool.submit(concurrent.wait_for_build, ours, named("i"), checkpoint=lambda: None)
    elsewhere.release()
    state = waiting.result(timeout=60)
    assert state is not None
    assert (state.is_valid, state.built_by) == (True, None)


# --- what is left after a failure --------------------------------------------------------------------------


def test_what_is_left_is_told(ours: Connection, conn: Conn) -> None:
    assert concurrent.what_is_left(ours, parsed("VACUUM t")) == "nothing was left behind"
    assert concurrent.what_is_left(ours, BUILD) == "nothing was left behind"
    broken(conn)
    assert concurrent.what_is_left(ours, BUILD) == 'the invalid index "i" was dropped'
    assert not exists(conn, "i")
    conn.execute("CREATE INDEX i ON t (a)")
    assert concurrent.what_is_left(ours, BUILD) == (
        'a valid index "i" is there; the next apply tells whether it is the one'
    )
    assert exists(conn, "i")


def test_an_invalid_index_that_somebody_uses_is_left_and_told(
    ours: Connection, conn: Conn, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concurrent, "CLEAR_MS", 50)
    broken(conn)
    elsewhere.begin_and_hold("INSERT INTO t VALUES (2)")
    assert concurrent.what_is_left(ours, BUILD) == (
        'an invalid index "i" may be left behind (canceling statement due to lock timeout); the next apply clears it'
    )
    assert session.value(ours, "SHOW lock_timeout") == "0"
    elsewhere.release()
    assert concurrent.clear_invalid(ours, named("i"))


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
    assert concurrent.what_is_left(ours, BUILD) == (
        'the server still builds index "i"; the next apply watches it to its end'
    )
    writer.release()
    build.result(timeout=60)
