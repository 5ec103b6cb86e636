"""The ledger: made once, written by one runner, and proof of its own history."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pgrunbook import session, target
from pgrunbook.errors import LedgerInUse, LedgerRefused, RunnerBusy
from pgrunbook.ledger import Ledger, Status
from pgrunbook.session import ServerFacts
from pgrunbook.target import Kind, Target

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
HOSTILE = "x\"; DROP TABLE pgrunbook.event; -- '\n\r\u2028<script>alert(1)</script> \\ % %s 😀 \0"
CLEANED = HOSTILE.replace("\0", "␀")


@pytest.fixture
def ledger(database: str) -> Iterator[Ledger]:
    """A ledger over a session of its own, not installed yet."""
    with contextlib.closing(session.connect(target.rehearsal(database), purpose="control r1")) as conn:
        yield Ledger(conn, target.rehearsal(database))


@pytest.fixture
def another(database: str) -> Iterator[Callable[..., Ledger]]:
    """Make ledgers over further sessions, also of other roles."""
    with contextlib.ExitStack() as stack:

        def make(user: str = "postgres", purpose: str = "control r2") -> Ledger:
            bound = Target(Kind.LIVE, make_conninfo(database, user=user))
            conn = stack.enter_context(contextlib.closing(session.connect(bound, purpose=purpose)))
            return Ledger(conn, bound)

        yield make


@pytest.fixture
def role(database: str) -> Iterator[Callable[[str], str]]:
    """Make roles that are gone after the test."""
    made: list[str] = []
    with contextlib.closing(psycopg.connect(database, autocommit=True)) as admin:

        def make(name: str) -> str:
            admin.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN").format(psycopg.sql.Identifier(name)))
            made.append(name)
            return name

        yield make
        for name in made:
            identifier = psycopg.sql.Identifier(name)
            admin.execute(psycopg.sql.SQL("DROP OWNED BY {} CASCADE").format(identifier))
            admin.execute(psycopg.sql.SQL("DROP ROLE {}").format(identifier))


def opened(ledger: Ledger, run_id: str = "r1", change: str = "010_x") -> Ledger:
    ledger.install()
    facts = session.bind(ledger.conn, ledger.target)
    ledger.open_run(run_id=run_id, change=change, operator="ann", version="0.1", facts=facts)
    return ledger


def tell(ledger: Ledger, kind: str = "told", *, run_id: str = "r1", **detail: object) -> None:
    ledger.event(run_id=run_id, change="010_x", kind=kind, actor="ann", detail=detail)


def objects(conn: Conn) -> list[tuple[str, str]]:
    found = conn.execute(
        "SELECT c.relkind::text AS kind, c.relname::text AS name FROM pg_class AS c"
        " WHERE c.relnamespace = 'pgrunbook'::regnamespace ORDER BY 1, 2"
    ).fetchall()
    return [(row["kind"], row["name"]) for row in found]


# --- made once ---------------------------------------------------------------------------------------------


def test_it_is_made_once_and_again_is_nothing(ledger: Ledger, conn: Conn) -> None:
    assert not ledger.exists
    ledger.install()
    assert ledger.exists
    before = objects(conn)
    assert [name for kind, name in before if kind == "r"] == [
        "event",
        "quarantine",
        "run",
        "script",
        "step",
        "version",
    ]
    installed = conn.execute("SELECT version, installed_at FROM pgrunbook.version").fetchall()
    ledger.install()
    assert objects(conn) == before
    assert conn.execute("SELECT version, installed_at FROM pgrunbook.version").fetchall() == installed
    assert [row["version"] for row in installed] == [1, 2, 3, 4, 5]


def test_two_sessions_may_make_it_at_once(another: Callable[..., Ledger], conn: Conn) -> None:
    ledgers = [another() for _ in range(4)]
    start = threading.Barrier(len(ledgers))

    def install(one: Ledger) -> None:
        start.wait()
        one.install()

    with ThreadPoolExecutor(len(ledgers)) as pool:
        list(pool.map(install, ledgers))
    assert session.value(conn, "SELECT count(*) FROM pgrunbook.version") == 5


def test_an_upgrade_waits_for_nobody_who_holds_the_quarantine(
    ledger: Ledger, conn: Conn, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.install()
    conn.execute("ALTER TABLE pgrunbook.quarantine DROP table_schema, DROP table_oid, DROP json_nulls")
    conn.execute("DROP TABLE pgrunbook.script; DELETE FROM pgrunbook.version WHERE version >= 4")
    monkeypatch.setattr("pgrunbook.ledger.UPGRADE_S", 0.1)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT FROM pgrunbook.quarantine")
        with pytest.raises(LedgerInUse):
            ledger.install()
    ledger.install()
    assert session.value(conn, "SELECT max(version) FROM pgrunbook.version") == 5
    conn.execute("SELECT table_schema, table_oid, json_nulls FROM pgrunbook.quarantine")


def test_a_failed_installation_leaves_nothing(ledger: Ledger, conn: Conn) -> None:
    conn.execute("CREATE SCHEMA pgrunbook; CREATE TABLE pgrunbook.quarantine (in_the_way int)")
    with pytest.raises(psycopg.errors.DuplicateTable):
        ledger.install()
    assert objects(conn) == [("r", "quarantine")]
    assert not ledger.exists
    assert ledger.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


def test_every_table_and_function_says_what_it_is_for(ledger: Ledger, conn: Conn) -> None:
    ledger.install()
    silent = conn.execute(
        "SELECT c.oid::regclass::text AS name FROM pg_class AS c"
        " WHERE c.relnamespace = 'pgrunbook'::regnamespace AND c.relkind = 'r'"
        " AND obj_description(c.oid, 'pg_class') IS NULL"
        " UNION ALL SELECT p.oid::regprocedure::text FROM pg_proc AS p"
        " WHERE p.pronamespace = 'pgrunbook'::regnamespace AND obj_description(p.oid, 'pg_proc') IS NULL"
    ).fetchall()
    assert silent == []
    assert session.value(conn, "SELECT obj_description('pgrunbook'::regnamespace, 'pg_namespace')")


def test_the_file_runs_with_psql_too(database: str, conn: Conn, server: Any) -> None:
    file = Path(session.__file__).parents[2] / "sql" / "ledger" / "001_ledger.sql"
    command = [str(server.bin / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(file), "-d", database]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert ("r", "event") in objects(conn)


def test_nothing_is_read_from_a_ledger_that_is_not_there(ledger: Ledger) -> None:
    assert ledger.steps("010_x") == {}
    assert ledger.events() == []


# --- who may -----------------------------------------------------------------------------------------------


def test_a_role_that_may_not_create_is_told_what_an_administrator_runs(
    another: Callable[..., Ledger], role: Callable[[str], str], conn: Conn
) -> None:
    refused = another(role('od"d'))
    name = session.value(conn, "SELECT current_database()")
    with pytest.raises(LedgerRefused) as caught:
        refused.install()
    assert str(caught.value) == (
        "role 'od\"d' cannot keep the ledger (schema pgrunbook) in"
        f" database '{name}' on the local socket as 'od\"d'\n"
        f"  permission denied for database {name}\n"
        '  next: let an administrator run: CREATE SCHEMA pgrunbook AUTHORIZATION "od""d"'
    )
    # And then it works.
    conn.execute(caught.value.next_step.removeprefix("let an administrator run: "))
    refused.install()
    tell(opened(refused))
    assert refused.check_chain().events == 1


def test_a_role_that_may_not_use_a_ledger_is_told_who_owns_it(
    ledger: Ledger, another: Callable[..., Ledger], role: Callable[[str], str], conn: Conn
) -> None:
    owner, guest = role("keeper"), role("guest")
    conn.execute("CREATE SCHEMA pgrunbook AUTHORIZATION keeper")
    opened(another(owner))
    refused = another(guest)
    assert refused.exists
    facts = session.bind(refused.conn, refused.target)
    attempts: list[Callable[[], object]] = [
        refused.install,
        lambda: refused.steps("010_x"),
        lambda: refused.events(run_id="r1"),
        refused.running,
        refused.check_chain,
        lambda: refused.open_run(run_id="r9", change="c", operator="o", version="1", facts=facts),
    ]
    for attempt in attempts:
        with pytest.raises(LedgerRefused) as caught:
            attempt()
        assert caught.value.details == ("permission denied for schema pgrunbook",)
        assert caught.value.next_step.endswith('let an administrator run: GRANT "keeper" TO "guest"')
    conn.execute(caught.value.next_step.removeprefix("let an administrator run: "))
    refused.install()
    assert refused.steps("010_x") == {}


# --- one runner --------------------------------------------------------------------------------------------


def test_a_second_runner_is_told_at_once_who_is_at_work(
    ledger: Ledger, another: Callable[..., Ledger], conn: Conn
) -> None:
    ledger.take_runner_lock()
    second = another()
    # For as long as nobody gives it back.
    with pytest.raises(RunnerBusy) as caught:
        second.take_runner_lock()
    name = session.value(conn, "SELECT current_database()")
    pid = ledger.conn.info.backend_pid
    since = session.value(
        conn,
        "SELECT to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS \"UTC\"')"
        " FROM pg_stat_activity WHERE pid = %s",
        (pid,),
    )
    assert str(caught.value) == (
        f"another runner is at work in database '{name}' on the local socket as 'postgres'\n"
        f"  pgrunbook control r1 (pid {pid}, role 'postgres'), connected since {since}\n"
        "  next: wait until it ends, or ask its operator to cancel it; nothing was run"
    )
    ledger.conn.execute("SELECT pg_advisory_unlock_all()")
    second.take_runner_lock()


def test_a_role_that_may_not_see_the_other_session_is_told_nonetheless(
    ledger: Ledger, another: Callable[..., Ledger], role: Callable[[str], str]
) -> None:
    ledger.take_runner_lock()
    with pytest.raises(RunnerBusy) as caught:
        another(role("small")).take_runner_lock()
    assert (
        caught.value.holder == f"pgrunbook control r1 (pid {ledger.conn.info.backend_pid}, role 'postgres')"
    )
    assert caught.value.since == "a time that only its own role may see"


def test_the_lock_goes_with_the_connection_of_its_holder(
    ledger: Ledger, another: Callable[..., Ledger], conn: Conn
) -> None:
    ledger.take_runner_lock()
    conn.execute("SELECT pg_terminate_backend(%s, 5000)", [ledger.conn.info.backend_pid])
    another().take_runner_lock()


def test_runners_of_two_databases_do_not_meet(ledger: Ledger, server: Any) -> None:
    ledger.take_runner_lock()
    bound = target.rehearsal(server.conninfo_for("postgres"))
    with contextlib.closing(session.connect(bound, purpose="elsewhere")) as conn:
        Ledger(conn, bound).take_runner_lock()


def test_a_waiting_second_runner_does_not_deadlock_the_build_of_the_first(
    ledger: Ledger,
    another: Callable[..., Ledger],
    conn: Conn,
    elsewhere: Elsewhere,
    eventually: Callable[..., Any],
) -> None:
    conn.execute("CREATE TABLE t (a int)")
    elsewhere.begin_and_hold("INSERT INTO t VALUES (1)")
    ledger.take_runner_lock()
    second, refusals, ended = another(), [], threading.Event()

    def poll() -> None:
        while not ended.is_set():
            try:
                second.take_runner_lock()
            except RunnerBusy as error:
                refusals.append(error)

    with ThreadPoolExecutor(2) as pool:
        polling = pool.submit(poll)
        build = pool.submit(ledger.conn.execute, "CREATE INDEX CONCURRENTLY i ON t (a)")
        eventually(lambda: session.rows(conn, "index_progress"))
        seen = len(refusals)
        eventually(lambda: len(refusals) > seen + 20)
        elsewhere.release()
        build.result(timeout=60)
        ended.set()
        polling.result(timeout=60)
    assert session.value(conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'i'::regclass") is True


# --- steps -------------------------------------------------------------------------------------------------


def test_a_step_is_one_row_that_moves_on(ledger: Ledger) -> None:
    opened(ledger)
    mark = functools.partial(ledger.mark, "001_a", run_id="r1", change="010_x")
    mark(Status.RUNNING, sha256="aa")
    running = ledger.steps("010_x")["001_a"]
    assert (running.status, running.finished_at, running.seconds) == (Status.RUNNING, None, None)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", running.started_at)
    mark(Status.DONE, sha256="bb", seconds=0.25, detail={"note": "apply"})
    done = ledger.steps("010_x")["001_a"]
    assert (done.status, done.script_sha256, done.seconds, done.detail) == (
        Status.DONE,
        "bb",
        0.25,
        {"note": "apply"},
    )
    assert done.finished_at is not None
    assert done.started_at == running.started_at
    assert done.cluster == session.bind(ledger.conn, ledger.target).cluster
    assert ledger.steps("020_y") == {}


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.NOT_RUN])
def test_every_status_that_a_step_can_have_is_kept(ledger: Ledger, status: Status) -> None:
    opened(ledger).mark("001_a", status, run_id="r1", change="010_x", sha256="aa")
    assert ledger.steps("010_x")["001_a"].status is status


def test_the_row_of_a_step_commits_or_vanishes_with_its_transaction(ledger: Ledger) -> None:
    opened(ledger)
    with ledger.conn.transaction(force_rollback=True):
        ledger.mark("001_a", Status.DONE, run_id="r1", change="010_x", sha256="aa")
        tell(ledger)
        assert (set(ledger.steps("010_x")), len(ledger.events())) == ({"001_a"}, 1)
    assert ledger.steps("010_x") == {}
    assert ledger.events() == []


def test_a_run_is_opened_once_and_says_how_it_ended(ledger: Ledger, conn: Conn) -> None:
    opened(opened(ledger))
    ledger.finish_run("r1", "done")
    [row] = conn.execute(
        "SELECT operator, target_kind, outcome, finished_at > started_at AS later FROM pgrunbook.run"
    ).fetchall()
    assert row == {"operator": "ann", "target_kind": "rehearsal", "outcome": "done", "later": True}


def test_events_are_chosen_by_run_and_by_change(ledger: Ledger) -> None:
    opened(ledger)
    tell(ledger, "a")
    tell(ledger, "b", run_id="r2")
    assert [event["kind"] for event in ledger.events()] == ["a", "b"]
    assert [event["kind"] for event in ledger.events(run_id="r2")] == ["b"]
    assert [event["kind"] for event in ledger.events(run_id="r1", change="010_x")] == ["a"]
    assert ledger.events(change="020_y") == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ledger.events()[0]["at"])


# --- anything can be written -------------------------------------------------------------------------------


def test_hostile_names_and_values_come_back_as_they_were(ledger: Ledger, conn: Conn) -> None:
    ledger.install()
    facts = ServerFacts("d", "u", "18", 180000, False, "7", 1, "now")
    ledger.open_run(run_id=HOSTILE, change="010_x", operator=HOSTILE, version="1", facts=facts)
    detail = {HOSTILE: [HOSTILE, {"a": HOSTILE}]}
    ledger.event(run_id=HOSTILE, change=CLEANED, step=HOSTILE, kind="told", actor=HOSTILE, detail=detail)
    [event] = ledger.events()
    assert {event[name] for name in ("run_id", "change", "step", "actor")} == {CLEANED}
    assert event["detail"] == {CLEANED: [CLEANED, {"a": CLEANED}]}
    assert ledger.check_chain().events == 1
    assert session.value(conn, "SELECT operator FROM pgrunbook.run") == CLEANED


def test_values_that_json_does_not_know_become_their_text(ledger: Ledger) -> None:
    opened(ledger)
    tell(
        ledger,
        at=datetime(2026, 1, 31, tzinfo=UTC),
        price=Decimal("1.10"),
        file=Path("a/b"),
        none=float("nan"),
    )
    assert ledger.events()[0]["detail"] == {
        "at": "2026-01-31 00:00:00+00:00",
        "price": "1.10",
        "file": "a/b",
        "none": "nan",
    }
    ledger.mark(
        "001_a", Status.DONE, run_id="r1", change="010_x", sha256="aa", detail={"nul": "a\0b", "p": Path("x")}
    )
    assert ledger.steps("010_x")["001_a"].detail == {"nul": "a␀b", "p": "x"}


# --- the chain ---------------------------------------------------------------------------------------------


def test_the_hash_is_what_the_column_says_it_is(ledger: Ledger, conn: Conn) -> None:
    opened(ledger)
    tell(ledger, text="ü 😀", number=1.50)
    row = conn.execute(
        "SELECT *, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') AS utc FROM pgrunbook.event"
    ).fetchone()
    assert row is not None
    names = ("previous_hash", "id", "utc", "run_id", "change", "step", "kind", "actor", "detail")
    text = json.dumps([row[name] for name in names], ensure_ascii=False)
    assert hashlib.sha256(text.encode()).hexdigest() == row["hash"]
    assert session.value(conn, "SELECT col_description('pgrunbook.event'::regclass, 10)") == (
        f"SHA-256, hex, of the JSON array [{', '.join(names).replace('utc', 'at in UTC')}]."
    )


@pytest.mark.parametrize(
    ("statement", "verb"),
    [
        ("UPDATE pgrunbook.event SET actor = 'bob'", "UPDATE"),
        ("UPDATE pgrunbook.event SET actor = 'bob' WHERE false", "UPDATE"),
        ("DELETE FROM pgrunbook.event", "DELETE"),
        ("TRUNCATE pgrunbook.event", "TRUNCATE"),
        ("TRUNCATE pgrunbook.event, pgrunbook.run CASCADE", "TRUNCATE"),
    ],
)
def test_even_a_superuser_is_refused_to_rewrite_events(
    ledger: Ledger, conn: Conn, statement: str, verb: str
) -> None:
    tell(opened(ledger))
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as caught:
        conn.execute(statement)
    assert caught.value.diag.message_primary == f"pgrunbook.event is append-only: {verb} refused"
    assert ledger.check_chain().events == 1


def test_what_an_event_says_of_its_own_place_is_ignored(ledger: Ledger, conn: Conn) -> None:
    tell(opened(ledger))
    conn.execute(
        "INSERT INTO pgrunbook.event (id, at, run_id, change, step, kind, actor, detail, previous_hash, hash)"
        " VALUES (77, '2000-01-01', 'r1', 'c', '', 'forged', 'bob', '{}', 'x', 'y')"
    )
    assert [(row["id"], row["at"][:4] != "2000") for row in ledger.events()] == [(1, True), (2, True)]
    assert ledger.check_chain().events == 2


def test_writers_at_once_keep_one_chain(ledger: Ledger, another: Callable[..., Ledger]) -> None:
    opened(ledger)
    writers = [another() for _ in range(6)]

    def write(one: Ledger) -> None:
        for number in range(15):
            with one.conn.transaction() if number % 3 == 0 else contextlib.nullcontext():
                tell(one, n=number)

    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(write, writers))
    assert ledger.check_chain().events == 90


def test_a_session_of_a_role_with_another_isolation_level_still_chains(
    ledger: Ledger, another: Callable[..., Ledger], role: Callable[[str], str], conn: Conn
) -> None:
    conn.execute(f"ALTER ROLE {role('strict')} SUPERUSER")
    conn.execute("ALTER ROLE strict SET default_transaction_isolation TO 'repeatable read'")
    opened(ledger)
    strict = another("strict")
    with strict.conn.transaction():
        strict.conn.execute("SELECT 1")
        tell(ledger)
        tell(strict)
    assert ledger.check_chain().events == 2
