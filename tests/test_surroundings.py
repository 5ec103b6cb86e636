"""The surroundings of a change: each row names the steps that it is about, and nobody else is troubled."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import TABLE, changed, running, write

from pgrunbook import preflight, session, suite, surroundings
from pgrunbook import server as embedded
from pgrunbook.errors import PreflightFailed
from pgrunbook.header import Severity
from pgrunbook.preflight import Board, Finding
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
Eventually = Callable[..., Any]


@pytest.fixture
def look(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    monkeypatch.setattr(surroundings, "IN_THE_WAY_MS", 0)
    with throwaway.looking(database) as conn:
        conn.execute(TABLE)
        yield conn


def found(board: Board, name: str) -> Finding:
    return next(finding for finding in board.findings if finding.name == name)


# --- who is in the way -------------------------------------------------------------------------------------


def test_a_session_in_the_way_is_named_with_the_steps_that_wait_for_it(
    look: Connection, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    elsewhere.execute("SET application_name = 'report <b>'")
    elsewhere.begin_and_hold("SELECT code FROM things WHERE id = 1")
    board = preflight.audit(look, write(tmp_path))
    finding = found(board, "server: blockers")
    assert [{**row, "for_s": 0} for row in finding.rows] == [
        {
            "who": f"pid {elsewhere.pid} 'report <b>'",
            "role": "postgres",
            "state": "idle in transaction",
            "holds": "AccessShareLock on things",
            "for_s": 0,
            "steps": "001, 003",
            "last_statement": "SELECT code FROM things WHERE id = 1",
        }
    ]
    assert (finding.severity, finding.stops, board.go) == (Severity.WARN, False, True)


def test_who_is_young_is_ordinary_traffic(
    look: Connection, tmp_path: Path, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "IN_THE_WAY_MS", 600_000)
    elsewhere.begin_and_hold("SELECT * FROM things")
    assert found(preflight.audit(look, write(tmp_path)), "server: blockers").total == 0


def test_a_prepared_transaction_is_named_for_the_steps_that_it_stops(
    look: Connection, tmp_path: Path
) -> None:
    look.execute("BEGIN; INSERT INTO things VALUES (11); PREPARE TRANSACTION 'half <b>done</b>'")
    try:
        finding = found(preflight.audit(look, write(tmp_path)), "server: blockers")
    finally:
        look.execute("ROLLBACK PREPARED 'half <b>done</b>'")
    assert [(row["who"], row["steps"]) for row in finding.rows] == [
        ("prepared transaction 'half <b>done</b>'", "001, 002, 003")
    ]


def test_steps_that_are_in_place_wait_for_nobody(
    look: Connection, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    chosen = write(tmp_path)
    with running(chosen, database, tmp_path) as run:
        throwaway.apply(run, "001", "002")
    # No ledger knows of this one.
    look.execute(chosen.step("003").migrate.text.encode())
    elsewhere.begin_and_hold("SELECT * FROM things")
    assert [step.number for step in surroundings.open_steps(look, chosen)] == ["003"]
    assert found(preflight.audit(look, chosen), "server: blockers").total == 0
    look.execute("BEGIN; SET lock_timeout = '1s'")
    look.execute("ROLLBACK")
    elsewhere.release()
    look.execute("ALTER TABLE things DROP CONSTRAINT things_code_present")
    elsewhere.begin_and_hold("SELECT * FROM things")
    [row] = found(preflight.audit(look, chosen), "server: blockers").rows
    assert row["steps"] == "003"


# --- an index that is there --------------------------------------------------------------------------------


@pytest.mark.parametrize("clause", ["CONCURRENTLY", "CONCURRENTLY IF NOT EXISTS"])
def test_another_index_of_that_name_is_no_go_before_anything_runs(
    clause: str, look: Connection, tmp_path: Path
) -> None:
    look.execute("CREATE INDEX things_code ON things (code)")
    build = throwaway.FILES["migrate/002_build_index.sql"].replace("CONCURRENTLY", clause)
    board = preflight.audit(look, write(tmp_path, changed({"migrate/002_build_index.sql": build})))
    assert list(found(board, "indexes that are there").rows) == [
        {
            "step": "002",
            "index": "things_code",
            "found": "CREATE INDEX things_code ON public.things USING btree (code)",
            "expected": "CREATE UNIQUE INDEX things_code ON public.things USING btree (code)",
            "not_compared": "",
        }
    ]
    with pytest.raises(PreflightFailed, match="is another one"):
        board.require_go()


def test_the_index_itself_is_no_finding(look: Connection, tmp_path: Path) -> None:
    look.execute("CREATE UNIQUE INDEX things_code ON things (code)")
    board = preflight.audit(look, write(tmp_path))
    assert (found(board, "indexes that are there").total, board.go) == (0, True)


def test_an_index_that_cannot_be_compared_is_a_warning(
    look: Connection, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    look.execute("CREATE UNIQUE INDEX things_code ON things (code)")
    look.execute(
        "CREATE FUNCTION refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$"
    )
    look.execute(
        "CREATE EVENT TRIGGER never ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION refuse()"
    )
    board = preflight.audit(look, write(tmp_path))
    finding = found(board, "indexes that are there")
    assert [(row["step"], row["not_compared"]) for row in finding.rows] == [("002", "no")]
    assert (finding.severity, board.go) == (Severity.WARN, True)


# --- slots -------------------------------------------------------------------------------------------------


def test_a_slot_that_nobody_reads_is_named_for_the_steps_that_write_much(
    look: Connection, tmp_path: Path
) -> None:
    name = f"slot_{uuid.uuid4().hex[:8]}"
    look.execute("SELECT pg_create_physical_replication_slot(%s, true)", (name,))
    try:
        finding = found(preflight.audit(look, write(tmp_path)), "server: idle_slots")
        small = throwaway.step("ALTER TABLE things ADD note text;")
        quiet = found(preflight.audit(look, write(tmp_path / "small", small)), "server: idle_slots")
    finally:
        look.execute("SELECT pg_drop_replication_slot(%s)", (name,))
    assert [(row["slot"], row["steps"]) for row in finding.rows] == [(name, "002")]
    assert not finding.stops
    assert quiet.total == 0


# --- standbys ----------------------------------------------------------------------------------------------


class Pair:
    """A primary and a standby that streams from it."""

    def __init__(self, major: int, folder: Path) -> None:
        self.first = embedded.start(major, folder=folder / "p")
        with psycopg.connect(self.first.conninfo_for("postgres"), autocommit=True) as conn:
            conn.execute("ALTER SYSTEM SET wal_keep_size = '64MB'")
        embedded.stop(self.first)
        data = folder / "s" / "data"
        data.parent.mkdir()
        # As nobody else writes to it now, a copy of the files is a base backup.
        shutil.copytree(self.first.data, data, symlinks=True, copy_function=shutil.copy2)
        (data / "postgresql.auto.conf").write_text(
            f"primary_conninfo = 'host={self.first.data} port=5432 user=postgres application_name=reports'\n"
            "max_standby_streaming_delay = '200ms'\nwal_receiver_status_interval = 1\n"
            # Without it every row version that is removed may cancel a query, whatever takes which lock.
            "hot_standby_feedback = on\n"
        )
        (data / "standby.signal").touch()
        owner = self.first.data.stat()
        for place in (data.parent, data, *data.rglob("*")):
            shutil.chown(place, owner.st_uid, owner.st_gid)
        data.chmod(0o700)
        shutil.chown(data.parent, folder.stat().st_uid, folder.stat().st_gid)
        self.first = embedded.start(major, folder=folder / "p")
        self.second = embedded.start(major, folder=folder / "s")


@pytest.fixture
def pair(major: int, tmp_path: Path) -> Iterator[Pair]:
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-pr-", dir=suite.place()))
    folder.chmod(0o711)
    made = Pair(major, folder)
    yield made
    embedded.stop(made.second)
    embedded.stop(made.first)
    shutil.rmtree(folder, ignore_errors=True)


CAUGHT_UP = (
    "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn = pg_current_wal_lsn()"
)


def test_a_query_on_a_standby_is_cancelled_by_the_steps_that_are_named(
    pair: Pair, tmp_path: Path, eventually: Eventually
) -> None:
    database = embedded.create_database(pair.first, "shop")
    with throwaway.looking(database) as look:
        look.execute(TABLE)
        eventually(lambda: session.value(look, CAUGHT_UP) == 1, 30)
        eventually(
            lambda: session.value(look, "SELECT backend_xmin IS NOT NULL FROM pg_stat_replication"), 30
        )
        chosen = write(tmp_path)
        finding = found(preflight.audit(look, chosen), "server: standbys")
        [row] = finding.rows
        assert (row["standby"], row["address"], row["state"], row["sync"]) == (
            "reports", "local socket", "streaming", "async",
        )  # fmt: skip
        assert row["bytes_behind"] == 0
        # 002 builds an index beside everything else: replaying it disturbs no query.
        assert row["concern"] == "replay of 001, 003 conflicts with its queries"
        assert (finding.severity, finding.stops) == (Severity.WARN, False)
        with (
            throwaway.looking(pair.second.conninfo_for("shop")) as report,
            running(chosen, database, tmp_path) as run,
            ThreadPoolExecutor(1) as reading,
        ):

            def hold() -> Any:
                return reading.submit(report.execute, "SELECT pg_sleep(60) FROM things")

            def cancelled_by_replay(query: Any) -> None:
                with pytest.raises(psycopg.errors.OperationalError, match="conflict with recovery"):
                    query.result(60)
                # By itself a session that has nothing to do tells what it counted after ten seconds.
                report.execute("SELECT pg_stat_force_next_flush()")

            def conflicts() -> int:
                counted = "SELECT confl_lock FROM pg_stat_database_conflicts WHERE datname = 'shop'"
                return int(session.value(other, counted))

            with throwaway.looking(pair.second.conninfo_for("postgres")) as other:
                reads = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
                query = hold()
                eventually(lambda: session.value(other, reads) == 1)
                throwaway.apply(run, "001")
                cancelled_by_replay(query)
                eventually(lambda: conflicts() == 1)
                query = hold()
                eventually(lambda: session.value(other, reads) == 1)
                throwaway.apply(run, "002")
                eventually(lambda: session.value(look, CAUGHT_UP) == 1, 30)
                assert not query.done()
                assert conflicts() == 1
                report.cancel_safe(timeout=5)
                with pytest.raises(psycopg.errors.QueryCanceled, match="user request"):
                    query.result(60)
                # The drop of an index takes the lock on the index at its end, and a query holds all of its table's.
                query = hold()
                eventually(lambda: session.value(other, reads) == 1)
                assert throwaway.roll_back(run, "001") == ["002_build_index"]
                cancelled_by_replay(query)
                eventually(lambda: conflicts() == 2)
        for text, steps in (("DROP INDEX CONCURRENTLY things_code", "001"), ("VACUUM things", "")):
            files = throwaway.step(
                f"{text};", lock="ShareUpdateExclusive on things", head="-- transaction: none"
            )
            [row] = found(preflight.audit(look, write(tmp_path / text[:4], files)), "server: standbys").rows
            assert row["concern"] == (f"replay of {steps} conflicts with its queries" if steps else "")
        with throwaway.looking(pair.second.conninfo_for("shop")) as standby:
            standby.execute("SELECT pg_wal_replay_pause()")
            look.execute("UPDATE things SET code = code || 'x'")
            [row] = found(preflight.audit(look, write(tmp_path)), "server: standbys").rows
            assert row["bytes_behind"] > 0
            standby.execute("SELECT pg_wal_replay_resume()")


def test_a_standby_that_is_too_far_behind_is_told_with_the_figure(
    look: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = write(tmp_path, throwaway.step("SELECT 1;", lock="none")).steps

    def concern(replay_lag_s: float | None, behind: int | None, window_s: float | None) -> str:
        row = {"replay_lag_s": replay_lag_s, "bytes_behind": behind}
        monkeypatch.setattr(session, "rows", lambda *_: [dict(row)])
        asked = surroundings.questions(steps, in_place=lambda _: False, window_s=window_s)
        [said] = next(one for one in asked if one.label == "server: standbys").ask(look)
        return str(said["concern"])

    assert concern(None, None, None) == ""
    assert concern(59.9, 1 << 30, None) == ""
    assert concern(61.0, 0, None) == "61 s behind, more than 60 s"
    assert concern(31.0, 0, 30.0) == "31 s behind, more than 30 s"
    assert concern(61.0, 3 << 30, 600.0) == "61 s behind, more than 60 s; 3.0 GB behind"


@pytest.mark.parametrize(
    ("names", "needed"),
    [
        ("reports", 1),
        ("*", 1),
        ("2 (a, b)", 2),
        ("FIRST 2 (a, b)", 2),
        ('any 3 (a, b, "c d")', 3),
        ("a, b", 1),
    ],
)
def test_commits_that_would_wait_for_ever_are_no_go(
    names: str, needed: int, server: embedded.Server, look: Connection, tmp_path: Path, eventually: Eventually
) -> None:
    def setting() -> str:
        return str(session.value(look, "SHOW synchronous_standby_names"))

    # Otherwise ALTER SYSTEM itself hangs, and so does every test behind this one.
    look.execute("SET synchronous_commit = local")
    look.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{names}'")
    try:
        look.execute("SELECT pg_reload_conf()")
        eventually(lambda: setting() == names)
        quiet = preflight.audit(look, write(tmp_path))
        look.execute("SET synchronous_commit = on")
        board = preflight.audit(look, write(tmp_path))
    finally:
        look.execute("SET synchronous_commit = local")
        look.execute("ALTER SYSTEM RESET synchronous_standby_names")
        look.execute("SELECT pg_reload_conf()")
        eventually(lambda: setting() == "")
    assert found(quiet, "server: missing_synchronous_standby").total == 0
    assert found(board, "server: missing_synchronous_standby").rows == (
        {"synchronous_standby_names": names, "needed": needed, "connected": 0},
    )
    assert not board.go
