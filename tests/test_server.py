"""The embedded server: started from any state it may be found in, stopped when nobody uses it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from pgrunbook import errors, suite
from pgrunbook import server as embedded

# Another process that uses the server until its input ends; it answers with the server's process number.
USER = """
import sys, pathlib, psycopg
from pgrunbook import server
running = server.start(int(sys.argv[1]), folder=pathlib.Path(sys.argv[2]) if sys.argv[2] else None)
print((running.data / "postmaster.pid").read_text().split()[0], flush=True)
sys.stdin.read()
"""


class Process:
    """Another process that uses a server."""

    def __init__(self, major: int, folder: Path | str, **environment: str) -> None:
        self.popen = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", USER, str(major), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(embedded.__file__).parents[1]), **environment},
        )

    def postmaster(self) -> int:
        assert self.popen.stdout is not None
        line = self.popen.stdout.readline()
        if not line:
            pytest.fail(self.popen.communicate()[1])
        return int(line)

    def end(self) -> str:
        return self.popen.communicate("", timeout=60)[1]

    def kill(self) -> None:
        self.popen.kill()
        self.popen.communicate()


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="pgrunbook-t-", dir=suite.place()))
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def cluster(major: int, folder: Path) -> Iterator[embedded.Server]:
    running = embedded.start(major, folder=folder)
    yield running
    embedded.stop(running)


def query(running: embedded.Server, sql: str, database: str = "postgres") -> str:
    with psycopg.connect(running.conninfo_for(database), autocommit=True) as connection:
        row = connection.execute(sql).fetchone()
    assert row is not None
    return str(row[0])


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def postmaster(running: embedded.Server) -> int:
    return int((running.data / "postmaster.pid").read_text().split()[0])


def test_it_is_the_version_that_was_asked_for(server: embedded.Server, major: int) -> None:
    assert query(server, "SHOW server_version").startswith(f"{major}.")


def test_both_versions_can_be_started_here() -> None:
    assert embedded.available_majors() == (16, 18)


def test_a_version_that_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(
        errors.UnknownName, match="no embedded PostgreSQL named '9'\n  next: choose one of: 16, 18"
    ):
        embedded.start(9)


def test_nothing_listens_on_the_network(server: embedded.Server) -> None:
    assert query(server, "SHOW listen_addresses") == ""
    assert (server.data.stat().st_mode & 0o077) == 0


def test_settings_are_the_same_on_every_machine(server: embedded.Server) -> None:
    assert query(server, "SHOW TimeZone") == "UTC"
    assert query(server, "SHOW lc_messages") in ("", "C")
    assert query(server, "SHOW fsync") == "on"
    assert query(server, "SHOW deadlock_timeout") == "1s"
    assert int(query(server, "SHOW max_connections")) >= 100
    assert int(query(server, "SHOW max_prepared_transactions")) == 10


def test_variables_of_libpq_do_not_lead_elsewhere(
    server: embedded.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "PGHOST": "/nowhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGPORT": "1",
        "PGUSER": "me",
        "PGDATABASE": "x",
    }.items():
        monkeypatch.setenv(name, value)
    assert query(server, "SELECT current_database()") == "postgres"


def test_a_fresh_database_is_empty_even_when_one_of_that_name_is_in_use(cluster: embedded.Server) -> None:
    first = embedded.create_database(cluster, 'Odd "name" %s')
    session = psycopg.connect(first, autocommit=True)
    session.execute("CREATE TABLE left_over AS SELECT 1 AS one")
    second = embedded.create_database(cluster, 'Odd "name" %s')
    assert second == first
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT 1")
    assert query(cluster, "SELECT count(*) FROM pg_class WHERE relname = 'left_over'", 'Odd "name" %s') == "0"


def test_a_prepared_transaction_does_not_keep_a_database(cluster: embedded.Server) -> None:
    conninfo = embedded.create_database(cluster, "prepared")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE in_doubt (a int)")
        connection.execute("PREPARE TRANSACTION 'left over'")
    embedded.drop_database(cluster, "prepared")
    assert query(cluster, "SELECT count(*) FROM pg_prepared_xacts") == "0"
    assert query(cluster, "SELECT count(*) FROM pg_database WHERE datname = 'prepared'") == "0"


def test_text_sorts_by_code_point_and_knows_unicode(database: str) -> None:
    with psycopg.connect(database) as connection:
        rows = connection.execute(
            "SELECT x FROM unnest(ARRAY['b', 'a', 'B', 'é', '_']) AS x ORDER BY x"
        ).fetchall()
        assert [x for (x,) in rows] == ["B", "_", "a", "b", "é"]
        assert connection.execute("SELECT upper('é'), getdatabaseencoding()").fetchone() == ("É", "UTF8")


@pytest.mark.parametrize("name", ["", "x" * 64, "ü" * 32, "postgres", "template1"])
def test_names_the_server_would_cut_or_needs_are_refused(server: embedded.Server, name: str) -> None:
    with pytest.raises(errors.BadDatabaseName):
        embedded.create_database(server, name)


def test_the_second_call_starts_nothing(cluster: embedded.Server, major: int, folder: Path) -> None:
    before = postmaster(cluster)
    assert embedded.start(major, folder=folder) == cluster
    assert postmaster(cluster) == before


def test_databases_survive_a_stop(cluster: embedded.Server, major: int, folder: Path) -> None:
    embedded.create_database(cluster, "kept")
    embedded.stop(cluster)
    embedded.start(major, folder=folder)
    assert query(cluster, "SELECT current_database()", "kept") == "kept"


def test_two_processes_at_once_share_one_server_and_the_last_one_stops_it(major: int, folder: Path) -> None:
    one, two = Process(major, folder), Process(major, folder)
    pid = one.postmaster()
    assert two.postmaster() == pid
    assert one.end() == ""
    assert runs(pid)
    assert two.end() == ""
    assert not runs(pid)


def test_a_killed_user_neither_keeps_the_server_nor_takes_it_away(major: int, folder: Path) -> None:
    killed, other = Process(major, folder), Process(major, folder)
    pid = killed.postmaster()
    assert other.postmaster() == pid
    killed.kill()
    assert runs(pid)
    other.end()
    assert not runs(pid)


def test_a_server_that_lost_its_users_is_taken_over(major: int, folder: Path) -> None:
    killed = Process(major, folder)
    pid = killed.postmaster()
    killed.kill()
    assert runs(pid)
    running = embedded.start(major, folder=folder)
    assert postmaster(running) == pid
    embedded.stop(running)
    assert not runs(pid)


def test_a_killed_server_comes_back_with_its_data(cluster: embedded.Server, major: int, folder: Path) -> None:
    embedded.create_database(cluster, "kept")
    busy = psycopg.connect(cluster.conninfo_for("kept"), autocommit=True)
    os.kill(postmaster(cluster), signal.SIGKILL)
    embedded.start(major, folder=folder)
    assert query(cluster, "SELECT current_database()", "kept") == "kept"
    busy.close()


def test_somebody_elses_process_number_in_postmaster_pid_is_not_believed(
    cluster: embedded.Server, major: int, folder: Path
) -> None:
    lines = (cluster.data / "postmaster.pid").read_text().splitlines(keepends=True)
    embedded.stop(cluster)
    (cluster.data / "postmaster.pid").write_text("".join([f"{os.getpid()}\n", *lines[1:]]))
    embedded.start(major, folder=folder)
    assert query(cluster, "SELECT 1") == "1"
    embedded.stop(cluster)
    (cluster.data / "postmaster.pid").write_text("")
    embedded.start(major, folder=folder)
    assert query(cluster, "SELECT 1") == "1"


def test_an_interrupted_initdb_is_not_taken_for_a_finished_one(major: int, folder: Path) -> None:
    (folder / "new-interrupted").mkdir()
    (folder / "new-interrupted" / "PG_VERSION").write_text(f"{major}\n")
    running = embedded.start(major, folder=folder)
    assert query(running, "SELECT 1") == "1"
    assert not (folder / "new-interrupted").exists()
    embedded.stop(running)


def test_a_damaged_server_of_the_user_is_made_anew(major: int, folder: Path) -> None:
    first = Process(major, "", TMPDIR=str(_reachable(folder)))
    first.postmaster()
    first.end()
    (data,) = folder.glob("pgrunbook-*/*/data")
    shutil.rmtree(data / "base")
    again = Process(major, "", TMPDIR=str(folder))
    assert runs(again.postmaster())
    again.end()


def test_a_damaged_server_in_a_given_folder_is_left_alone_and_its_log_is_shown(
    cluster: embedded.Server, major: int, folder: Path
) -> None:
    embedded.stop(cluster)
    shutil.rmtree(cluster.data / "pg_wal")
    with pytest.raises(errors.ServerWouldNotStart) as caught:
        embedded.start(major, folder=folder)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"the embedded PostgreSQL {major} in {folder} would not start: pg_ctl: it failed"
    assert any("pg_wal" in line for line in lines)
    assert lines[-1] == "  next: mend what these lines say, or give the server a folder below /tmp"
    assert (cluster.data / "base").exists()


def test_data_that_is_not_its_own_is_not_touched(major: int, folder: Path) -> None:
    (folder / "data").mkdir()
    (folder / "data" / "letter.txt").write_text("dear")
    with pytest.raises(
        errors.ServerWouldNotStart, match="data is not its own\n  next: give each server a folder"
    ):
        embedded.start(major, folder=folder)
    assert [file.name for file in (folder / "data").iterdir()] == ["letter.txt"]


def test_a_socket_path_that_is_too_long_is_refused_before_anything_is_made(major: int, folder: Path) -> None:
    long = folder / ("x" * 80)
    with pytest.raises(
        errors.ServerWouldNotStart, match="longer than 103 bytes\n  next: choose a shorter folder"
    ):
        embedded.start(major, folder=long)
    assert not long.exists()


def test_a_temporary_folder_that_is_too_long_gives_way_to_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/" + "x" * 90)
    assert embedded.default_folder(18) == Path("/tmp").resolve() / f"pgrunbook-{os.getuid()}" / "18"


def test_a_folder_of_somebody_else_or_a_link_is_refused(
    major: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(folder))
    (folder / "elsewhere").mkdir()
    (folder / f"pgrunbook-{os.getuid()}").symlink_to(folder / "elsewhere")
    with pytest.raises(errors.ServerWouldNotStart, match="is somebody else's\n  next: choose another folder"):
        embedded.start(major)


def test_a_broken_locale_a_strange_port_and_a_space_in_the_path_do_not_matter(
    major: int, folder: Path
) -> None:
    environment = {
        "LANG": "xx_XX.UTF-8",
        "LC_ALL": "nonsense",
        "PGPORT": "1",
        "PGDATA": "/nowhere",
        "TZ": "Mars/Base",
    }
    user = Process(major, _reachable(folder) / "with a 'space'", **environment)
    assert runs(user.postmaster())
    assert user.end() == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root has to run the server as somebody else")
def test_root_copies_programs_nobody_can_reach(major: int, folder: Path) -> None:
    hidden = folder / "hidden" / "postgres"
    (folder / "hidden").mkdir(mode=0o700)
    shutil.copytree(embedded._installations()[major].parent, hidden, symlinks=True)
    cluster = embedded.Server(major=major, folder=_reachable(folder), bin=hidden / "bin")
    programs = embedded._programs(cluster)
    assert programs.is_relative_to(folder)
    assert not programs.is_relative_to(folder / "hidden")
    assert embedded._programs(cluster) == programs
    assert (folder / "hidden").stat().st_mode & 0o077 == 0


def _reachable(folder: Path) -> Path:
    folder.chmod(0o711)
    return folder
