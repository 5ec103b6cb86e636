"""Obstacles: each kind of statement against each kind of session; what is foretold is what the server does."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import obstacles, patience, session, statement
from pgrunbook.lockmode import LockMode
from pgrunbook.obstacles import Obstacle
from pgrunbook.patience import Blocker
from pgrunbook.script import Script
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
Someone = Callable[[], "Elsewhere"]

OTHER = "CREATE TABLE u (a int); INSERT INTO u SELECT i FROM generate_series(1, 2000) AS i;"
TABLES = f"""
CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT i, i::text FROM generate_series(1, 10) AS i;
{OTHER}
CREATE INDEX old ON t (b);
ALTER TABLE t ADD CONSTRAINT b_present CHECK (b IS NOT NULL) NOT VALID;
"""

# name: how it runs, the lock that its header declares, and how to take it back
STATEMENTS = {
    "ALTER TABLE": (
        "ALTER TABLE t ADD COLUMN c int",
        "AccessExclusive",
        "ALTER TABLE t DROP COLUMN IF EXISTS c",
    ),
    "CREATE INDEX": ("CREATE INDEX new ON t (b)", "Share", "DROP INDEX IF EXISTS new"),
    "VALIDATE": ("ALTER TABLE t VALIDATE CONSTRAINT b_present", "ShareUpdateExclusive", "SELECT 1"),
    "CREATE INDEX CONCURRENTLY": (
        "CREATE INDEX CONCURRENTLY new ON t (b)",
        "ShareUpdateExclusive",
        "DROP INDEX IF EXISTS new",
    ),
    "... of a part": (
        "CREATE INDEX CONCURRENTLY new ON t (b) WHERE a > 1",
        "ShareUpdateExclusive",
        "DROP INDEX IF EXISTS new",
    ),
    "DROP INDEX CONCURRENTLY": (
        "DROP INDEX CONCURRENTLY old",
        "ShareUpdateExclusive",
        "DROP INDEX IF EXISTS old; CREATE INDEX old ON t (b)",
    ),
    "REINDEX INDEX CONCURRENTLY": (
        "REINDEX INDEX CONCURRENTLY old",
        "ShareUpdateExclusive",
        "DROP INDEX IF EXISTS old_ccnew, old_ccold, old; CREATE INDEX old ON t (b)",
    ),
    "REINDEX TABLE CONCURRENTLY": (
        "REINDEX TABLE CONCURRENTLY t",
        "ShareUpdateExclusive",
        "DROP TABLE t; " + TABLES.replace(OTHER, ""),
    ),
}
ALL = frozenset(STATEMENTS)
TRANSACTIONAL = frozenset({"ALTER TABLE", "CREATE INDEX", "VALIDATE"})
BUILDS = frozenset({"CREATE INDEX CONCURRENTLY", "... of a part"})
REBUILDS = frozenset({"REINDEX INDEX CONCURRENTLY", "REINDEX TABLE CONCURRENTLY"})
DROP = frozenset({"DROP INDEX CONCURRENTLY"})
LOCKING_ALL = frozenset({"ALTER TABLE"}) | DROP | REBUILDS

# What a session does, and which statements have to wait for it.
SESSIONS = {
    "nothing in an open transaction": (["BEGIN", "SELECT 1"], frozenset()),
    "a read of the table": (["BEGIN", "SELECT FROM t"], LOCKING_ALL),
    "a lock on a row": (["BEGIN", "SELECT FROM t WHERE a = 1 FOR UPDATE"], LOCKING_ALL),
    "a write": (["BEGIN", "UPDATE t SET b = 'x' WHERE a = 1"], ALL - {"VALIDATE"}),
    "an index build": (["BEGIN", "CREATE INDEX other ON t (b)"], ALL - {"CREATE INDEX"}),
    "a validation": (["BEGIN", "LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE"], ALL),
    "a snapshot of the table": (
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM t"],
        LOCKING_ALL | BUILDS,
    ),
    "a snapshot, another table read": (
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM u"],
        BUILDS | REBUILDS,
    ),
    "an open cursor on another table": (
        ["BEGIN", "DECLARE c CURSOR FOR SELECT * FROM u", "FETCH c"],
        BUILDS | REBUILDS,
    ),
    "a statement that reads another table": (["... SELECT pg_sleep(60) FROM u"], BUILDS | REBUILDS),
    "a vacuum of another table": (
        ["SET vacuum_cost_delay = '100ms'", "SET vacuum_cost_limit = 1", "... VACUUM u"],
        frozenset(),
    ),
    "an ANALYZE of another table": (
        ["SET vacuum_cost_delay = '100ms'", "SET vacuum_cost_limit = 1", "... ANALYZE u"],
        BUILDS | REBUILDS,
    ),
    "a write of another table": (["BEGIN", "UPDATE u SET a = 2"], frozenset()),
    "a prepared write": (
        ["BEGIN", "UPDATE t SET b = 'x' WHERE a = 1", "PREPARE TRANSACTION '{gid}'"],
        ALL - {"VALIDATE"},
    ),
    "a prepared write of another table": (
        ["BEGIN", "UPDATE u SET a = 2", "PREPARE TRANSACTION '{gid}'"],
        frozenset(),
    ),
    "a prepared snapshot": (
        ["BEGIN ISOLATION LEVEL REPEATABLE READ", "SELECT FROM u", "PREPARE TRANSACTION '{gid}'"],
        frozenset(),
    ),
}


SNAPSHOT = """
SELECT backend_xmin IS NOT NULL AND wait_event = ANY('{PgSleep,VacuumDelay}')
  FROM pg_stat_activity WHERE pid = %s"""


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(TABLES)
        yield conn


def script(name: str, folder: Path) -> Script:
    text, mode, _ = STATEMENTS[name]
    head = "-- transaction: none" if "CONCURRENTLY" in text else ""
    files = throwaway.step(f"{text};", lock=f"{mode} on t", head=head)
    return throwaway.write(folder / name.replace(" ", "_"), files).steps[0].migrate


def waited(conn: Conn, name: str) -> bool:
    """Run a statement with so little patience that it fails where it has to wait."""
    text, _, _ = STATEMENTS[name]
    conn.execute("SET lock_timeout = '150ms'")
    try:
        conn.execute(text.encode())
    except psycopg.errors.LockNotAvailable:
        return True
    finally:
        conn.execute("SET lock_timeout = 0")
    return False


@pytest.mark.parametrize("kind", SESSIONS)
def test_who_is_foretold_to_be_in_the_way_is(
    kind: str,
    look: Connection,
    conn: Conn,
    someone_else: Someone,
    tmp_path: Path,
    eventually: Callable[..., Any],
) -> None:
    doing, expected = SESSIONS[kind]
    gid = f"gid_{uuid.uuid4().hex[:8]}"
    scripts = {name: script(name, tmp_path) for name in STATEMENTS}
    foretold, seen = set(), set()
    for name, (_, _, back) in STATEMENTS.items():
        session_ = someone_else()
        with contextlib.ExitStack() as ending:
            ending.callback(conn.execute, back)
            for sql in doing:
                if sql.startswith("..."):
                    session_.submit(sql[4:])
                    ending.callback(session_.connection.cancel_safe)
                    eventually(lambda pid=session_.pid: session.value(look, SNAPSHOT, (pid,)))
                else:
                    session_.execute(sql.format(gid=gid))
            prepared = doing[-1].startswith("PREPARE")
            if not doing[-1].startswith("..."):
                ending.callback(session_.execute, f"ROLLBACK PREPARED '{gid}'" if prepared else "ROLLBACK")
            found = obstacles.blockers(look, scripts[name])
            assert {one.pid for one in found} <= {None if prepared else session_.pid}
            if found:
                foretold.add(name)
            if waited(conn, name):
                seen.add(name)
    assert foretold == seen
    assert seen == expected


# --- who counts --------------------------------------------------------------------------------------------


def change_of(folder: Path) -> Any:
    files: dict[str, str | None] = {}
    for number, name in enumerate(("ALTER TABLE", "VALIDATE", "CREATE INDEX CONCURRENTLY"), start=1):
        text, mode, _ = STATEMENTS[name]
        head = "-- transaction: none" if "CONCURRENTLY" in text else ""
        files |= throwaway.step(f"{text};", name=f"00{number}_step", lock=f"{mode} on t", head=head)
    return throwaway.write(folder, files)


def test_an_obstacle_names_the_steps_that_it_stops_and_no_others(
    look: Connection, someone_else: Someone, tmp_path: Path
) -> None:
    reader, snapshot = someone_else(), someone_else()
    reader.begin_and_hold("SELECT FROM t")
    snapshot.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM u")
    steps = change_of(tmp_path).steps
    found = obstacles.obstacles(look, steps, older_than_ms=0)
    assert {(one.blocker.pid, one.why, one.steps) for one in found} == {
        (reader.pid, "AccessShareLock on t", ("001",)),
        (snapshot.pid, f"a snapshot on database {look.info.dbname}", ("003",)),
    }
    assert obstacles.obstacles(look, steps, older_than_ms=600_000) == []
    [one] = obstacles.obstacles(look, steps, ours=reader.pid, older_than_ms=0)
    assert one.blocker.pid == snapshot.pid


def test_an_index_that_is_not_there_makes_nobody_wait(
    look: Connection, conn: Conn, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.begin_and_hold("UPDATE t SET b = 'x' WHERE a = 1")
    dropping = script("DROP INDEX CONCURRENTLY", tmp_path)
    assert [one.pid for one in obstacles.blockers(look, dropping)] == [elsewhere.pid]
    elsewhere.release()
    conn.execute("DROP INDEX old")
    elsewhere.begin_and_hold("UPDATE t SET b = 'x' WHERE a = 1")
    assert obstacles.blockers(look, dropping) == []


@pytest.mark.parametrize(
    ("sql", "modes", "snapshots"),
    [
        ("CREATE INDEX CONCURRENTLY i ON t (a)", {LockMode.SHARE_UPDATE_EXCLUSIVE, LockMode.SHARE}, True),
        ("DROP INDEX CONCURRENTLY old", {LockMode.ACCESS_EXCLUSIVE}, False),
        ("REINDEX (CONCURRENTLY) INDEX old", {LockMode.ACCESS_EXCLUSIVE}, True),
        ("REINDEX TABLE CONCURRENTLY t", {LockMode.ACCESS_EXCLUSIVE}, True),
        ("ALTER TABLE t DETACH PARTITION u CONCURRENTLY", {LockMode.ACCESS_EXCLUSIVE}, False),
        ("REINDEX SCHEMA CONCURRENTLY public", None, None),
        ("VACUUM t", None, None),
        ("CREATE INDEX i ON t (a)", None, None),
    ],
)
def test_what_a_statement_waits_for_beside_its_own_lock(
    sql: str, modes: set[LockMode] | None, snapshots: bool | None, look: Connection
) -> None:
    found = obstacles.waits(look, statement.parse(sql, file="x.sql")[0])
    if modes is None:
        assert found is None
    else:
        assert found is not None
        assert {claim.mode for claim in found.locks} == modes
        assert (found.snapshots, found.locks[0].table) == (snapshots, "t")


def test_a_detached_partition_waits_for_readers_of_its_table(
    look: Connection, conn: Conn, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    conn.execute(
        "CREATE TABLE p (a int) PARTITION BY LIST (a); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)"
    )
    text = "ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY"
    files = throwaway.step(f"{text};", lock="ShareUpdateExclusive on p", head="-- transaction: none")
    detaching = throwaway.write(tmp_path, files).steps[0].migrate
    assert obstacles.blockers(look, detaching) == []
    elsewhere.begin_and_hold("SELECT FROM p")
    assert {one.pid for one in obstacles.blockers(look, detaching)} == {elsewhere.pid}
    conn.execute("SET lock_timeout = '100ms'")
    with pytest.raises(psycopg.errors.LockNotAvailable):
        conn.execute(text)


def worker(query: str, pid: int = 7) -> Blocker:
    return Blocker(pid, "", "", "autovacuum worker", "active", "t", "ShareUpdateExclusiveLock", 5000.0, query)


def test_a_vacuum_gives_way_unless_it_works_against_wraparound() -> None:
    assert Obstacle(worker("autovacuum: VACUUM public.t"), ("001",)).gives_way
    assert not Obstacle(worker("autovacuum: VACUUM public.t (to prevent wraparound)"), ("001",)).gives_way


def test_who_gives_way_is_no_obstacle(
    look: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workers = [
        worker("autovacuum: VACUUM public.t"),
        worker("autovacuum: VACUUM public.t (to prevent wraparound)", pid=8),
    ]
    monkeypatch.setattr(patience, "blockers", lambda *_, **__: workers[:1])
    [step] = [one for one in change_of(tmp_path).steps if one.number == "001"]
    assert obstacles.obstacles(look, [step]) == []
    monkeypatch.setattr(patience, "blockers", lambda *_, **__: workers)
    [found] = obstacles.obstacles(look, [step])
    assert found.blocker is workers[1]


def test_sessions_of_other_roles_are_in_the_way_although_their_age_is_hidden(
    look: Connection, database: str, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    elsewhere.begin_and_hold("UPDATE t SET b = 'x' WHERE a = 1")
    building = script("CREATE INDEX CONCURRENTLY", tmp_path)
    with (
        throwaway.role(look, "GRANT ALL ON t TO {}") as role,
        throwaway.looking(make_conninfo(database, user=role)) as small,
    ):
        [one] = obstacles.blockers(small, building)
    assert (one.pid, one.state, one.age_ms) == (elsewhere.pid, "state hidden", patience.OLD_MS)


@pytest.fixture
def against_wraparound(look: Connection, conn: Conn, eventually: Callable[..., Any]) -> Iterator[int]:
    """The pid of a slow autovacuum worker that works on table t against wraparound."""
    conn.execute(
        "ALTER TABLE t SET (autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100,"
        " autovacuum_vacuum_cost_limit = 1)"
    )
    conn.execute("INSERT INTO t SELECT i, i::text FROM generate_series(100, 20000) AS i")
    # A subtransaction that writes takes a number of its own.
    conn.execute(
        "DO $$ BEGIN FOR i IN 1..100100 LOOP BEGIN INSERT INTO u VALUES (i);"
        " EXCEPTION WHEN division_by_zero THEN NULL; END; END LOOP; END $$"
    )
    working = (
        "SELECT a.pid FROM pg_stat_activity AS a JOIN pg_locks AS l ON l.pid = a.pid AND l.granted"
        " AND l.relation = 't'::regclass WHERE a.backend_type = 'autovacuum worker'"
    )
    with throwaway.autovacuum(conn):
        yield int(eventually(lambda: session.value(conn, working), timeout=90))


@pytest.mark.slow
def test_a_vacuum_against_wraparound_is_in_the_way_of_exactly_those_that_conflict_with_it(
    look: Connection, conn: Conn, against_wraparound: int, tmp_path: Path
) -> None:
    # By then a deadlock check would have cancelled an ordinary autovacuum.
    conn.execute("SET deadlock_timeout = '20ms'")
    for name in STATEMENTS:
        found = obstacles.blockers(look, script(name, tmp_path))
        assert [one.pid for one in found] == [against_wraparound]
        assert found[0].query.endswith("(to prevent wraparound)")
    assert waited(conn, "VALIDATE")
    assert waited(conn, "CREATE INDEX CONCURRENTLY")
    reading = throwaway.step("CREATE SEQUENCE s OWNED BY t.a;", lock="AccessShare on t")
    steps = throwaway.write(tmp_path / "reading", reading).steps
    assert obstacles.blockers(look, steps[0].migrate) == []
    conn.execute("CREATE SEQUENCE s OWNED BY t.a")
    [one] = obstacles.obstacles(look, [*change_of(tmp_path).steps, *steps], older_than_ms=0)
    assert (one.blocker.pid, one.gives_way) == (against_wraparound, False)
