"""Connections to a target: they come in as psql does, and no refusal shows a password."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pgrunbook import server as embedded
from pgrunbook import session, suite, target
from pgrunbook.errors import CannotConnect, NotPrimary, ReadOnlyTarget, ServerTooOld
from pgrunbook.journal import Journal
from pgrunbook.target import Kind, Target

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
SECRET = "sw0rdfish-'9 x"


@pytest.fixture
def live(database: str) -> Target:
    return Target(Kind.LIVE, database)


def opened(where: Target, purpose: str = "test") -> contextlib.closing[session.Connection]:
    return contextlib.closing(session.connect(where, purpose=purpose))


def refused(where: Target) -> CannotConnect:
    with pytest.raises(CannotConnect) as caught:
        session.connect(where, purpose="test")
    # What hangs on to an error is shown by some tracebacks.
    for error in (caught.value, caught.value.__cause__):
        assert SECRET not in repr(error) + str(error)
    return caught.value


# --- a server that asks for passwords ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Guarded:
    """A server whose role `dba` has a password; everybody else comes in by trust."""

    server: embedded.Server
    port: int

    def conninfo(self, **options: str) -> str:
        return make_conninfo(
            host=str(self.server.data), port=self.port, **{"dbname": "shop", "user": "dba", **options}
        )


@pytest.fixture(scope="module")
def guarded(major: int) -> Iterator[Guarded]:
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-pw-", dir=suite.place()))
    running = embedded.start(major, folder=folder)
    with psycopg.connect(embedded.create_database(running, "shop"), autocommit=True) as admin:
        for role in ("dba", "odd"):
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(role), SECRET))
        rules = running.data / "pg_hba.conf"
        rules.write_text(
            "local shop dba scram-sha-256\nlocal shop odd reject\nlocal shop postgres trust\n"
            "local postgres postgres trust\nlocal postgres dba scram-sha-256\nlocal missing dba scram-sha-256\n"
        )
        admin.execute("SELECT pg_reload_conf()")
        # The new rules hold once somebody is turned away by them.
        for _ in range(1000):
            with contextlib.suppress(psycopg.OperationalError):
                psycopg.connect(running.conninfo_for("shop"), user="odd").close()
                continue
            break
    yield Guarded(running, 5432)
    embedded.stop(running)
    shutil.rmtree(folder, ignore_errors=True)


def test_the_right_password_comes_in_and_stays_out_of_every_text(guarded: Guarded, tmp_path: Path) -> None:
    where = Target(Kind.LIVE, guarded.conninfo(password=SECRET))
    with opened(where, "control r1") as conn:
        facts = session.bind(conn, where)
        assert (facts.user, facts.database) == ("dba", "shop")
        shown = session.value(
            conn, "SELECT application_name FROM pg_stat_activity WHERE pid = pg_backend_pid()"
        )
        assert shown == "pgrunbook control r1"
        journal = Journal(tmp_path)
        journal.write(
            "run opened", detail={"target": where.where, "facts": str(facts), "object": repr(where)}
        )
        for text in (
            repr(where),
            str(where),
            where.where,
            shown,
            repr(facts),
            repr(conn),
            journal.path.read_text(),
        ):
            assert SECRET not in text
    assert where.where == "database 'shop' on the local socket as 'dba'"
    assert where.redacted(f"with {SECRET} in it") == "with *** in it"


def test_a_wrong_password_is_refused_without_showing_it(guarded: Guarded) -> None:
    wrong = f"{SECRET}-wrong"
    error = refused(Target(Kind.LIVE, guarded.conninfo(password=wrong)))
    assert wrong not in str(error)
    assert str(error) == (
        "cannot connect to database 'shop' on the local socket as 'dba'\n"
        f'  connection failed: connection to server on socket "{guarded.server.data}/.s.PGSQL.5432" failed:'
        ' FATAL: password authentication failed for user "dba"\n'
        "  next: check user and password: PGRUNBOOK_TARGET, PGPASSWORD or .pgpass"
    )


def test_a_missing_password_says_where_it_may_come_from(guarded: Guarded) -> None:
    error = refused(Target(Kind.LIVE, guarded.conninfo()))
    assert error.reason.endswith("fe_sendauth: no password supplied")
    assert error.next_step == "give the password through .pgpass, PGPASSWORD or the service file"


def test_a_host_without_an_entry_in_pg_hba_is_told_whom_to_ask(guarded: Guarded) -> None:
    error = refused(Target(Kind.LIVE, guarded.conninfo(user="ghost")))
    assert 'no pg_hba.conf entry for host "[local]", user "ghost", database "shop"' in error.reason
    assert (
        error.next_step
        == "ask the server's administrator for a pg_hba.conf entry for this host, role and database"
    )


def test_a_password_that_the_server_repeats_is_taken_out(guarded: Guarded) -> None:
    error = refused(Target(Kind.LIVE, guarded.conninfo(user="ghost", password="ghost")))
    assert 'user "***"' in error.reason
    assert "ghost" not in error.reason


def test_a_database_that_is_not_there_is_named(guarded: Guarded) -> None:
    error = refused(Target(Kind.LIVE, guarded.conninfo(dbname="missing", password=SECRET)))
    assert error.reason.endswith('FATAL: database "missing" does not exist')
    assert error.next_step == "check the names of database and role in PGRUNBOOK_TARGET"


# Files and variables are read as psql reads them: the same connection string goes to psql too.


def psql(guarded: Guarded, conninfo: str) -> str:
    command = [
        str(guarded.server.bin / "psql"),
        "-X",
        "-w",
        "-At",
        "-d",
        conninfo,
        "-c",
        "SELECT current_user",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "refused"


def test_a_service_file_and_pgpass_work_as_for_psql(
    guarded: Guarded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services.conf"
    services.write_text(f"[shop]\nhost={guarded.server.data}\nport={guarded.port}\ndbname=shop\nuser=dba\n")
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"*:{guarded.port}:shop:dba:{SECRET}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    where = target.from_environment({"PGRUNBOOK_TARGET": "service=shop"})
    assert where.where == "service shop"
    assert psql(guarded, "service=shop") == "refused"
    assert refused(where).next_step == "give the password through .pgpass, PGPASSWORD or the service file"
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    assert psql(guarded, "service=shop") == "dba"
    with opened(where) as conn:
        assert session.bind(conn, where).database == "shop"


def test_variables_fill_in_what_the_connection_string_leaves_out(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {"PGHOST": str(guarded.server.data), "PGPORT": "5432", "PGUSER": "dba", "PGPASSWORD": SECRET}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    where = target.from_environment({"PGRUNBOOK_TARGET": "dbname=shop"})
    assert psql(guarded, "dbname=shop") == "dba"
    with opened(where) as conn:
        assert session.bind(conn, where).user == "dba"
    monkeypatch.setenv("PGPASSWORD", f"{SECRET}-wrong")
    assert psql(guarded, "dbname=shop") == "refused"
    assert f"{SECRET}-wrong" not in str(refused(where))


def test_an_unknown_service_is_named_with_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    (tmp_path / "services.conf").write_text("[other]\nhost=nowhere\n")
    error = refused(Target(Kind.LIVE, "service=shop"))
    assert str(error) == (
        "cannot connect to service shop\n"
        '  connection is bad: definition of service "shop" not found\n'
        "  next: check the name in PGRUNBOOK_TARGET against the service file (PGSERVICEFILE)"
    )


# --- no server, or none for us -----------------------------------------------------------------------------


def test_no_server_is_said_with_what_to_check(tmp_path: Path) -> None:
    error = refused(Target(Kind.LIVE, f"host={tmp_path} dbname=shop user=dba password='{SECRET[:8]}'"))
    assert str(error) == (
        "cannot connect to database 'shop' on the local socket as 'dba'\n"
        f'  connection is bad: connection to server on socket "{tmp_path}/.s.PGSQL.5432" failed:'
        " No such file or directory Is the server running locally and accepting connections on that socket?\n"
        "  next: check that the server runs and that host and port in PGRUNBOOK_TARGET are right"
    )


def test_a_rehearsal_without_its_server_is_started_again(tmp_path: Path) -> None:
    error = refused(target.rehearsal(f"host={tmp_path} dbname=x"))
    assert error.where == "the rehearsal database"
    assert error.next_step == "start the rehearsal again; it starts the embedded server"


@pytest.mark.parametrize(
    "conninfo",
    ["host=::1 port=abc", "host=::1 sslmode=perhaps", "host=::1 connect_timeout=soon", "host=a,b port=1,2,3"],
)
def test_an_option_that_makes_no_sense_is_refused_as_such(conninfo: str) -> None:
    error = refused(Target(Kind.LIVE, f"{conninfo} password='{SECRET[:8]}'"))
    assert SECRET[:8] not in str(error)
    assert error.reason


def test_a_server_that_is_full_says_how_many_we_need(live: Target, conn: Conn) -> None:
    conn.execute("CREATE ROLE crowded LOGIN CONNECTION LIMIT 0")
    try:
        error = refused(Target(Kind.LIVE, make_conninfo(live.conninfo, user="crowded")))
        assert 'too many connections for role "crowded"' in error.reason
        assert error.next_step == "wait until connections are free; this project needs three"
    finally:
        conn.execute("DROP ROLE crowded")


# --- what a session is like --------------------------------------------------------------------------------


def test_settings_of_the_role_do_not_reach_us(live: Target, conn: Conn) -> None:
    settings = {
        "statement_timeout": "1234",
        "lock_timeout": "1234",
        "idle_in_transaction_session_timeout": "1234",
        "idle_session_timeout": "12345",
        "TimeZone": "'Asia/Tokyo'",
        "default_transaction_isolation": "'serializable'",
        "client_min_messages": "error",
        "client_encoding": "LATIN1",
        "cursor_tuple_fraction": "0.01",
        **({"transaction_timeout": "1234"} if conn.info.server_version >= 170000 else {}),
    }
    conn.execute("CREATE ROLE hurried LOGIN")
    try:
        for name, value in settings.items():
            conn.execute(f"ALTER ROLE hurried SET {name} TO {value}")
        as_hurried = Target(Kind.LIVE, make_conninfo(live.conninfo, user="hurried"))
        with contextlib.closing(psycopg.connect(as_hurried.conninfo)) as plain:
            assert plain.execute("SHOW statement_timeout").fetchone() == ("1234ms",)
        with opened(as_hurried) as ours:
            shown = {name: session.value(ours, f"SHOW {name}") for name in settings}
    finally:
        conn.execute("DROP ROLE hurried")
    assert shown == {
        **dict.fromkeys(settings, "0"),
        "TimeZone": "UTC",
        "default_transaction_isolation": "read committed",
        "client_min_messages": "notice",
        "client_encoding": "UTF8",
        "cursor_tuple_fraction": "1",
    }


def test_the_operators_encoding_does_not_change_what_a_script_says(
    live: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    with opened(live) as conn:
        assert session.value(conn, "SELECT octet_length('ü')") == 2


def test_a_connection_is_autocommit_and_gives_dictionaries(live: Target) -> None:
    with opened(live) as conn:
        assert conn.autocommit
        assert conn.execute("SELECT 1 AS one").fetchall() == [{"one": 1}]
        assert session.value(conn, "SELECT 1 WHERE false") is None


def test_a_server_older_than_anything_that_was_tested_is_refused_at_once(
    live: Target, major: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "OLDEST", major)
    with opened(live):
        pass
    monkeypatch.setattr(session, "OLDEST", major + 1)
    with pytest.raises(ServerTooOld) as caught:
        session.connect(live, purpose="test")
    assert (caught.value.major, caught.value.oldest) == (major, major + 1)


def test_a_timeout_for_connecting_is_ours_unless_somebody_set_one(
    live: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def timeout(conninfo: str) -> str | None:
        with opened(Target(Kind.LIVE, conninfo)) as conn:
            return conn.info.get_parameters().get("connect_timeout")

    assert timeout(live.conninfo) == "10"
    assert timeout(make_conninfo(live.conninfo, connect_timeout=3)) == "3"
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "7")
    assert timeout(live.conninfo) == "7"


def test_both_sides_of_a_connection_ask_whether_the_other_is_there(
    major: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    # Nobody else is given a port that is bound; who shares it and listens, as PostgreSQL does, has it.
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept.bind(("127.0.0.1", 0))
        listening = {"listen_addresses": "127.0.0.1", "port": str(kept.getsockname()[1])}
        monkeypatch.setattr(embedded, "SETTINGS", {**embedded.SETTINGS, **listening})
        server = embedded.start(major, folder=folder)
    try:
        near = make_conninfo(server.conninfo_for("postgres"), host="127.0.0.1")
        for conninfo, idle in ((near, 30), (make_conninfo(near, keepalives_idle=7), 7)):
            with opened(Target(Kind.LIVE, conninfo)) as conn:
                there = {
                    n: session.value(conn, f"SHOW tcp_keepalives_{n}") for n in ("idle", "interval", "count")
                }
                assert there == {"idle": "30", "interval": "10", "count": "3"}
                assert session.value(conn, "SHOW tcp_user_timeout") == "60000"
                with socket.socket(fileno=os.dup(conn.fileno())) as here:
                    assert here.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                    assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == idle
                    assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
                    assert here.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
    finally:
        embedded.stop(server)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_session_knows_its_own_pid_whoever_made_it(live: Target, conn: Conn) -> None:
    with opened(live) as ours:
        assert session.pid(ours) == session.value(ours, "SELECT pg_backend_pid()")
    assert session.pid(conn) == conn.info.backend_pid != session.pid(ours)


def test_a_long_purpose_is_cut_to_what_the_server_shows(live: Target) -> None:
    with opened(live, "x" * 100) as conn:
        assert session.value(conn, "SHOW application_name") == "pgrunbook " + "x" * 53


def test_a_session_that_was_ended_is_not_alive_and_is_closed(live: Target, elsewhere: Elsewhere) -> None:
    assert not session.alive(None)
    with opened(live) as conn:
        assert session.alive(conn)
        elsewhere.execute("SELECT pg_terminate_backend(%s, 5000)", [conn.info.backend_pid])
        assert not session.alive(conn)
        assert conn.closed
        assert not session.alive(conn)


def test_a_session_that_is_stuck_in_a_failed_transaction_is_closed(live: Target) -> None:
    with opened(live) as conn:
        conn.execute("BEGIN")
        with pytest.raises(psycopg.errors.DivisionByZero):
            conn.execute("SELECT 1 / 0")
        assert not session.alive(conn)
        assert conn.closed


# --- where it is -------------------------------------------------------------------------------------------


def test_the_facts_are_those_of_the_server(live: Target, conn: Conn, major: int) -> None:
    with opened(live) as ours:
        facts = session.bind(ours, live)
    name = session.value(conn, "SELECT current_database()")
    assert (facts.database, facts.user, facts.is_standby, facts.timeline) == (name, "postgres", False, 1)
    assert facts.version_num // 10000 == major
    assert facts.version.startswith(f"{major}.")
    assert facts.system_identifier == str(
        session.value(conn, "SELECT system_identifier FROM pg_control_system()")
    )
    assert facts.cluster == f"system {facts.system_identifier}, timeline 1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", facts.started)


def test_the_cluster_is_unknown_where_the_role_may_not_ask(live: Target, conn: Conn) -> None:
    conn.execute("CREATE ROLE small LOGIN")
    conn.execute("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        as_small = Target(Kind.LIVE, make_conninfo(live.conninfo, user="small"))
        with opened(as_small) as ours:
            facts = session.bind(ours, as_small)
            assert facts.cluster == "system unknown, timeline 0"
            assert facts.user == "small"
            assert ours.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
    finally:
        conn.execute("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")
        conn.execute("DROP ROLE small")


def test_a_role_that_reads_only_is_refused_before_anything_is_tried(live: Target, conn: Conn) -> None:
    conn.execute("CREATE ROLE reader LOGIN")
    conn.execute("ALTER ROLE reader SET default_transaction_read_only TO on")
    try:
        as_reader = Target(Kind.LIVE, make_conninfo(live.conninfo, user="reader"))
        with opened(as_reader) as ours:
            assert session.bind(ours, as_reader, for_change=False).user == "reader"
            with pytest.raises(ReadOnlyTarget) as caught:
                session.bind(ours, as_reader)
    finally:
        conn.execute("DROP ROLE reader")
    name = session.value(conn, "SELECT current_database()")
    assert str(caught.value) == (
        f"database '{name}' on the local socket as 'reader' is read-only for role 'reader':"
        " default_transaction_read_only is on\n"
        "  next: ask whoever set it for the role, the database or the server before you change anything"
    )


@pytest.fixture
def standby(major: int) -> Iterator[embedded.Server]:
    """A server in recovery: its data folder asks for a primary that is not there."""
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-sb-", dir=suite.place()))
    running = embedded.start(major, folder=folder)
    embedded.stop(running)
    signal = running.data / "standby.signal"
    signal.touch()
    shutil.chown(signal, running.data.stat().st_uid, running.data.stat().st_gid)
    yield embedded.start(major, folder=folder)
    embedded.stop(running)
    shutil.rmtree(folder, ignore_errors=True)


def test_a_standby_takes_no_changes_and_says_where_to_go(standby: embedded.Server) -> None:
    where = Target(Kind.LIVE, standby.conninfo_for("postgres"))
    with opened(where) as conn:
        with pytest.raises(NotPrimary) as caught:
            session.bind(conn, where)
        assert session.bind(conn, where, for_change=False).is_standby
    assert str(caught.value) == (
        "database 'postgres' on the local socket as 'postgres' is a standby: it is in recovery and takes no changes\n"
        "  next: point PGRUNBOOK_TARGET at the primary, for example with target_session_attrs=read-write"
    )
    only_primary = Target(Kind.LIVE, make_conninfo(where.conninfo, target_session_attrs="read-write"))
    assert "session is read-only" in refused(only_primary).reason


def test_reading_writes_nothing_waits_for_nobody_and_leaves_nothing(
    live: Target, elsewhere: Elsewhere
) -> None:
    with opened(live) as conn:
        conn.execute("CREATE TABLE t (id int)")
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), session.reading(conn, timeout_ms=60_000):
            conn.execute("CREATE TABLE u ()")
        with session.reading(conn, timeout_ms=60_000):
            conn.execute("SET LOCAL search_path TO nowhere")
        assert session.value(conn, "SHOW search_path") != "nowhere"
        elsewhere.begin_and_hold("LOCK TABLE t")
        with (
            pytest.raises(psycopg.errors.LockNotAvailable),
            session.reading(conn, timeout_ms=60_000, lock_timeout_ms=20),
        ):
            conn.execute("SELECT FROM t")


def test_reading_as_of_one_moment_does_not_see_what_comes_meanwhile(live: Target) -> None:
    with opened(live) as conn, opened(live, "other") as other:
        other.execute("CREATE TABLE t (id int)")
        for one_moment, seen in ((True, 0), (False, 1)):
            with session.reading(conn, timeout_ms=60_000, one_moment=one_moment):
                assert session.value(conn, "SELECT count(*) FROM t") == 0
                other.execute("INSERT INTO t VALUES (1)")
                assert session.value(conn, "SELECT count(*) FROM t") == seen
            other.execute("TRUNCATE t")
