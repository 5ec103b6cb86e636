"""Progress of our own index build: sampled while it runs, with the session that holds it up."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import session, target
from pgrunbook.observers.progress import Awaited, BuildSample, Progress
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def look(database: str, conn: Conn) -> Iterator[Connection]:
    conn.execute("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) AS i")
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="watch")) as made:
        yield made


def test_a_build_that_is_held_up_names_its_phase_and_whom_it_waits_for(
    look: Connection, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (0)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    progress = Progress(builder.pid)
    progress.before(look)

    def held_up() -> bool:
        progress.sample(look, 7.5)
        return bool(progress.builds) and progress.builds[-1].waits_for == writer.pid

    eventually(held_up)
    last = progress.builds[-1]
    assert (last.at_ms, last.phase, last.done, last.total) == (7.5, "waiting for writers before build", 0, 1)
    others = Progress(writer.pid)
    others.sample(look, 7.5)
    assert others.builds == []
    writer.release()
    build.result(timeout=60)
    seen = len(progress.builds)
    progress.sample(look, 9.0)
    progress.after(look)
    assert len(progress.builds) == seen


def test_nothing_is_seen_where_nothing_is_built(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("LOCK TABLE t")
    progress = Progress(elsewhere.pid)
    progress.sample(look, 1.0)
    assert progress.builds == []


def watching(look: Connection, ours: int, eventually: Callable[..., Any]) -> BuildSample:
    """Sample a statement outside a transaction until somebody is waited for; return the last look."""
    progress = Progress(ours, outside=True)

    def waits() -> bool:
        progress.sample(look, 1.0)
        return bool(progress.builds) and bool(progress.builds[-1].awaited)

    eventually(waits)
    return progress.builds[-1]


def plain(text: str) -> str:
    return re.sub(r"since [0-9:]{8} UTC \(\d+ s\)", "since then", text)


def test_who_is_waited_for_is_told_with_what_they_do_and_since_when(
    look: Connection, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.execute("SET application_name = 'shop'")
    writer.begin_and_hold("INSERT INTO t VALUES (0)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    last = watching(look, builder.pid, eventually)
    assert plain(last.words) == (
        "waiting for writers before build (0 of 1 transactions gone); waits for"
        f" pid {writer.pid} 'shop', idle in transaction, since then: INSERT INTO t VALUES (0)"
    )
    assert (last.lockers_done, last.lockers_total, last.waits_for) == (0, 1, writer.pid)
    writer.release()
    build.result(timeout=60)


def test_a_snapshot_of_another_table_is_told_too(
    look: Connection, conn: Conn, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    report, builder = someone_else(), someone_else()
    report.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    last = watching(look, builder.pid, eventually)
    assert (last.phase, last.waits_for) == ("waiting for old snapshots", report.pid)
    report.release()
    build.result(timeout=60)


def test_a_prepared_transaction_is_named(
    look: Connection, conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    conn.execute("BEGIN; INSERT INTO t VALUES (0); PREPARE TRANSACTION 'half'")
    build = elsewhere.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    try:
        last = watching(look, elsewhere.pid, eventually)
    finally:
        conn.execute("ROLLBACK PREPARED 'half'")
    assert plain(last.words) == (
        "waiting for writers before build (0 of 1 transactions gone); waits for"
        " prepared transaction 'half', prepared, since then"
    )
    assert last.waits_for is None
    build.result(timeout=60)


def test_a_drop_and_a_wait_for_the_tables_lock_have_no_progress_of_their_own_and_are_told(
    look: Connection, conn: Conn, someone_else: Callable[[], Elsewhere], eventually: Callable[..., Any]
) -> None:
    reader, dropper, vacuum, builder = (someone_else() for _ in range(4))
    conn.execute("CREATE INDEX i ON t (a)")
    reader.begin_and_hold("SELECT FROM t")
    drop = dropper.submit("DROP INDEX CONCURRENTLY i")
    last = watching(look, dropper.pid, eventually)
    assert (last.phase, last.waits_for) == (
        "waiting for transactions that may still use the index",
        reader.pid,
    )
    reader.release()
    drop.result(timeout=60)
    vacuum.begin_and_hold("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    last = watching(look, builder.pid, eventually)
    assert (last.phase, last.waits_for) == ("waiting for the lock on t", vacuum.pid)
    # A step in a transaction does not wait in this way: its waits are no progress.
    inside = Progress(builder.pid)
    inside.sample(look, 1.0)
    assert inside.builds == []
    vacuum.release()
    build.result(timeout=60)


def test_a_role_that_may_not_see_others_is_told_what_it_may_see(
    look: Connection,
    database: str,
    conn: Conn,
    someone_else: Callable[[], Elsewhere],
    eventually: Callable[..., Any],
) -> None:
    writer, builder = someone_else(), someone_else()
    writer.begin_and_hold("INSERT INTO t VALUES (0)")
    build = builder.submit("CREATE INDEX CONCURRENTLY i ON t (a)")
    with throwaway.role(conn) as role, throwaway.looking(make_conninfo(database, user=role)) as small:
        last = watching(small, builder.pid, eventually)
        assert last.awaited[0].pid == writer.pid
        assert "INSERT" not in last.words
    writer.release()
    build.result(timeout=60)


def test_counts_are_told_in_words() -> None:
    sample = BuildSample(
        0, "building index: scanning table", 5, 4, None, blocks_done=1_200, blocks_total=3_000
    )
    assert sample.words == "building index: scanning table, 100 % (1,200 of 3,000 blocks)"
    assert BuildSample(0, "initializing", 0, 0, None).words == "initializing"
    both = (Awaited(7, "a"), Awaited(None, "prepared transaction 'x'"))
    assert BuildSample(0, "waiting", 0, 0, 7, awaited=both).words == "waiting; waits for pid 7 'a' and 1 more"
