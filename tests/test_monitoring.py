"""What a server does: a real wait with its blocker named, slow statements where the server counts them."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import monitoring, session, suite, target
from pgrunbook import server as embedded
from pgrunbook.monitoring import NotAvailable
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute("CREATE TABLE classes (class_id int PRIMARY KEY, class_code text)")
        conn.execute("INSERT INTO classes VALUES (1, 'A'), (2, 'B')")
        yield conn


def test_a_wait_is_told_with_its_blocker(
    look: Connection, someone_else: Callable[[], Any], eventually: Callable[..., Any]
) -> None:
    assert monitoring.waits(look) == []
    holder, waiter = someone_else(), someone_else()
    holder.execute("SET application_name = 'the importer'")
    holder.begin_and_hold("UPDATE classes SET class_code = 'H' WHERE class_id = 1")
    waiting = waiter.submit("UPDATE classes SET class_code = 'W' WHERE class_id = 1")
    (found,) = eventually(lambda: monitoring.waits(look, text="CLASS_CODE"))
    assert (found.session.pid, found.on, found.wants) == (waiter.pid, "transactionid", "ShareLock")
    assert found.session.statement.startswith("UPDATE classes SET class_code = 'W'")
    (blocker,) = found.blockers
    assert (blocker.pid, blocker.application, blocker.role, blocker.state) == (
        holder.pid,
        "the importer",
        "postgres",
        "idle in transaction",
    )
    assert blocker.statement == "UPDATE classes SET class_code = 'H' WHERE class_id = 1"
    assert blocker.since.endswith(" UTC")
    assert monitoring.waits(look, text="learners") == []
    holder.release()
    waiting.result(timeout=30)
    assert monitoring.waits(look) == []


def test_a_prepared_transaction_in_the_way_is_told_as_one(
    look: Connection, someone_else: Callable[[], Any], eventually: Callable[..., Any]
) -> None:
    holder, waiter = someone_else(), someone_else()
    holder.begin_and_hold("UPDATE classes SET class_code = 'H' WHERE class_id = 1")
    holder.execute("PREPARE TRANSACTION 'left behind'")
    waiting = waiter.submit("DELETE FROM classes")
    (found,) = eventually(lambda: monitoring.waits(look))
    assert [one.state for one in found.blockers] == ["prepared transaction"]
    holder.execute("COMMIT PREPARED 'left behind'")
    waiting.result(timeout=30)


def test_a_role_that_may_not_look_is_told_what_is_hidden(
    look: Connection, database: str, someone_else: Callable[[], Any], eventually: Callable[..., Any]
) -> None:
    holder, waiter = someone_else(), someone_else()
    holder.begin_and_hold("DELETE FROM classes")
    waiting = waiter.submit("DELETE FROM classes")
    with throwaway.role(look) as role:
        named = target.rehearsal(psycopg.conninfo.make_conninfo(database, user=role))
        with contextlib.closing(session.connect(named, purpose="look")) as nobody:
            (found,) = eventually(lambda: monitoring.waits(nobody))
            assert [one.pid for one in found.blockers] == [holder.pid]
            assert [one.since for one in found.blockers] == ["hidden"]
            assert "insufficient privilege" in found.blockers[0].statement
    holder.release()
    waiting.result(timeout=30)


def test_the_embedded_server_says_that_it_counts_no_statements(look: Connection, major: int) -> None:
    if major == 15:
        pytest.skip("this server was installed with contrib")
    assert monitoring.slow_statements(look) == NotAvailable(
        "the server was installed without pg_stat_statements", "install its contrib package"
    )


STATES = [
    ({"shipped": True, "schema": "", "version": "", "has_mean": False}, "is not created in this database"),
    ({"shipped": True, "schema": "s", "version": "1.7", "has_mean": False}, "is still at version 1.7"),
]


@pytest.mark.parametrize(("state", "why"), STATES)
def test_each_thing_that_is_missing_is_named(
    look: Connection, monkeypatch: pytest.MonkeyPatch, state: dict[str, object], why: str
) -> None:
    monkeypatch.setattr(session, "rows", lambda *_: [state])
    found = monitoring.slow_statements(look)
    assert isinstance(found, NotAvailable)
    assert why in found.why


@pytest.fixture
def counting(server: embedded.Server, major: int) -> Iterator[embedded.Server]:
    """A server whose installation has contrib; nothing is loaded yet."""
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as conn:
        shipped = "SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'"
        if not conn.execute(shipped).rowcount:
            pytest.skip(f"the PostgreSQL {major} of this lane was installed without pg_stat_statements")
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    own = embedded.start(major, folder=folder)
    yield own
    embedded.stop(own)
    shutil.rmtree(folder, ignore_errors=True)


def test_slow_statements_are_told_where_the_server_counts_them(counting: embedded.Server, major: int) -> None:
    where = target.rehearsal(counting.conninfo_for("postgres"))
    with contextlib.closing(session.connect(where, purpose="look")) as conn:
        absent = monitoring.slow_statements(conn)
        assert isinstance(absent, NotAvailable)
        assert "is not created" in absent.why
        conn.execute('CREATE SCHEMA "odd ""one"; CREATE EXTENSION pg_stat_statements SCHEMA "odd ""one"')
        unloaded = monitoring.slow_statements(conn)
        assert isinstance(unloaded, NotAvailable)
        assert unloaded.why == "pg_stat_statements is created but not loaded"
        # The caller's transaction survives the refusal.
        with conn.transaction():
            assert isinstance(monitoring.slow_statements(conn), NotAvailable)
            assert session.value(conn, "SELECT 1") == 1
        conn.execute("ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'")
    embedded.stop(counting)
    embedded.start(major, folder=counting.folder)
    with contextlib.closing(session.connect(where, purpose="look")) as conn:
        for _ in range(3):
            conn.execute("SELECT 'class_code' AS told_of")
        path = session.value(conn, "SHOW search_path")
        with conn.transaction():
            found = monitoring.slow_statements(conn, text="TOLD_OF")
            assert session.value(conn, "SHOW search_path") == path
        assert isinstance(found, list)
        assert [(one.statement, one.calls, one.rows) for one in found] == [("SELECT $1 AS told_of", 3, 3)]
        assert 0 < found[0].mean_ms <= found[0].max_ms <= found[0].total_ms
        everything = monitoring.slow_statements(conn, most=2)
        assert isinstance(everything, list)
        assert len(everything) == 2
        assert everything[0].mean_ms >= everything[1].mean_ms
        nobody = f"role_{major}"
        conn.execute(f'CREATE ROLE {nobody} LOGIN; GRANT USAGE ON SCHEMA "odd ""one" TO {nobody}')
        conn.execute('REVOKE ALL ON "odd ""one".pg_stat_statements FROM PUBLIC')
        conn.execute(f"SET ROLE {nobody}")
        refused = monitoring.slow_statements(conn)
        assert isinstance(refused, NotAvailable)
        assert refused.why == "this role may not read pg_stat_statements"
