"""Live traffic of rehearsals: runs until it is told to stop, and keeps what went wrong."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from pgrunbook import session, target
from pgrunbook.session import Connection
from pgrunbook.traffic import Traffic

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def connect(database: str, conn: Conn) -> Callable[[], Connection]:
    conn.execute("CREATE TABLE seen (who text, at timestamptz DEFAULT clock_timestamp())")
    return lambda: session.connect(target.rehearsal(database), purpose="traffic")


def script(folder: Path, name: str, sql: str) -> Path:
    (folder / name).write_text(sql, encoding="utf-8")
    return folder / name


def count(conn: Conn, who: str) -> int:
    return int(session.value(conn, "SELECT count(*) FROM seen WHERE who = %s", (who,)))


def sessions(conn: Conn) -> int:
    found = session.value(
        conn,
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'pgrunbook traffic'",
    )
    return int(found)


def test_each_file_runs_in_its_own_session_again_and_again_until_told(
    tmp_path: Path, connect: Callable[[], Connection], conn: Conn, eventually: Callable[..., Any]
) -> None:
    files = [script(tmp_path, f"{who}.sql", f"INSERT INTO seen VALUES ('{who}');") for who in ("a", "b")]
    with Traffic(files, connect) as traffic:
        assert min(count(conn, "a"), count(conn, "b")) >= 1
        assert sessions(conn) == 2
        eventually(lambda: count(conn, "a") > 5 and count(conn, "b") > 5)
    assert traffic.errors == []
    assert traffic.rounds == count(conn, "a") + count(conn, "b")
    eventually(lambda: sessions(conn) == 0)
    assert [thread for thread in threading.enumerate() if thread.name == "pgrunbook-traffic"] == []


def test_a_transaction_of_several_statements_is_sent_whole(
    tmp_path: Path, connect: Callable[[], Connection], conn: Conn
) -> None:
    text = "-- ü; not a statement\nBEGIN;\nINSERT INTO seen VALUES ('ü');\nINSERT INTO seen VALUES ('ü');\nCOMMIT;\n"
    with Traffic([script(tmp_path, "a.sql", text)], connect) as traffic:
        pass
    assert traffic.errors == []
    assert count(conn, "ü") == 2 * traffic.rounds > 0


def test_what_went_wrong_is_kept_and_the_others_go_on(
    tmp_path: Path, connect: Callable[[], Connection], conn: Conn, eventually: Callable[..., Any]
) -> None:
    bad = script(tmp_path, "bad.sql", "SELECT * FROM missing;")
    good = script(tmp_path, "good.sql", "INSERT INTO seen VALUES ('good');")
    with Traffic([bad, good], connect) as traffic:
        assert traffic.errors == ['relation "missing" does not exist']
        before = count(conn, "good")
        eventually(lambda: count(conn, "good") > before + 3)


def test_a_session_that_is_ended_is_an_error_and_no_crash(
    tmp_path: Path, connect: Callable[[], Connection], conn: Conn, eventually: Callable[..., Any]
) -> None:
    with Traffic([script(tmp_path, "a.sql", "INSERT INTO seen VALUES ('a');")], connect) as traffic:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pgrunbook traffic'"
        )
        eventually(lambda: traffic.errors)
    # Which of the two the library reads first is up to the network.
    assert re.search("terminating connection|server closed the connection", traffic.errors[0])


def test_a_server_that_lets_nobody_in_is_an_error_and_no_crash(tmp_path: Path) -> None:
    nowhere = target.rehearsal(f"host={tmp_path} dbname=x")
    file = script(tmp_path, "a.sql", "SELECT 1;")
    with Traffic([file], lambda: session.connect(nowhere, purpose="traffic")) as traffic:
        pass
    assert traffic.errors == ["cannot connect to the rehearsal database"]
    assert traffic.rounds == 0


def test_a_session_that_waits_for_a_lock_does_not_hold_up_the_end(
    tmp_path: Path,
    connect: Callable[[], Connection],
    conn: Conn,
    elsewhere: Elsewhere,
    eventually: Callable[..., Any],
) -> None:
    with Traffic([script(tmp_path, "a.sql", "INSERT INTO seen VALUES ('a');")], connect) as traffic:
        elsewhere.begin_and_hold("LOCK TABLE seen")
        eventually(lambda: session.value(conn, "SELECT count(*) FROM pg_locks WHERE NOT granted"))
    # Else it would wait for ever: who holds the table goes on holding it.
    assert traffic.errors == []
    elsewhere.release()


def test_no_file_is_no_traffic(connect: Callable[[], Connection]) -> None:
    with Traffic([], connect) as traffic:
        pass
    assert (traffic.rounds, traffic.errors) == (0, [])
