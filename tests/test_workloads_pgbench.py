"""Sessions at work: as many as asked, begun anew where PostgreSQL says so, ended when their time is over."""

from __future__ import annotations

import dataclasses
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Elsewhere

from pgrunbook.errors import LoadFailed, ProgramMissing
from pgrunbook.server import Server
from pgrunbook.workloads import pgbench
from pgrunbook.workloads.pgbench import Load

Conn = psycopg.Connection[dict[str, Any]]
WAITING = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'pgrunbook-load-%'"


@pytest.fixture
def table(conn: Conn) -> None:
    conn.execute("CREATE TABLE t (id int, note text); INSERT INTO t VALUES (1, '')")


@pytest.mark.usefixtures("table")
def test_every_session_runs_the_script_as_often_as_asked(server: Server, database: str, conn: Conn) -> None:
    load = Load(
        script="INSERT INTO t VALUES (:client_id + :more::int, current_setting('my.word'));",
        writers=3,
        each=4,
        settings=(("my.word", "seen"),),
        variables=(("more", 10),),
    )
    work = pgbench.run(server, database, load, limit_s=60)
    found = conn.execute("SELECT id, count(*) AS n FROM t WHERE note = 'seen' GROUP BY id ORDER BY id")
    assert [(row["id"], row["n"]) for row in found] == [(10, 4), (11, 4), (12, 4)]
    assert sorted(one.number for one in work.transactions) == sorted([1, 2, 3, 4] * 3)
    assert not work.stopped
    # One may be told as 0 ms: the machine's clock is set now and then.
    assert max(one.ms for one in work.transactions) > 0


@pytest.mark.usefixtures("table")
def test_a_transaction_that_could_not_be_serialized_is_begun_anew_and_counted(
    server: Server, database: str, conn: Conn, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    script = "BEGIN ISOLATION LEVEL REPEATABLE READ;\nUPDATE t SET id = id + 1;\nCOMMIT;\n"
    elsewhere.begin_and_hold("UPDATE t SET id = id + 100")
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(pgbench.run, server, database, Load(script, writers=1, each=1), limit_s=60)
        eventually(lambda: conn.execute(WAITING).fetchall())
        elsewhere.release()
        (done,) = running.result().transactions
    assert done.retries == 1
    assert conn.execute("SELECT id FROM t").fetchone() == {"id": 102}


@pytest.mark.usefixtures("table")
def test_who_never_ends_is_ended_and_what_was_done_is_told(
    server: Server,
    database: str,
    conn: Conn,
    elsewhere: Elsewhere,
    eventually: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere.begin_and_hold("UPDATE t SET note = 'held'")
    ended = pgbench._ended

    def ended_once_both_wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
        eventually(lambda: process.poll() is not None or len(conn.execute(WAITING).fetchall()) == 2)
        monkeypatch.setattr(pgbench, "_ended", ended)
        return ended(process, seconds)

    monkeypatch.setattr(pgbench, "_ended", ended_once_both_wait)
    # The first run commits, the second waits for ever.
    script = "INSERT INTO t VALUES (:n);\n\\if :n > 0\nUPDATE t SET id = 0 WHERE id = 1;\n\\endif\n\\set n :n + 1\n"
    began = time.monotonic()
    work = pgbench.run(server, database, Load(script, writers=2, each=9, variables=(("n", 0),)), limit_s=0.5)
    assert time.monotonic() - began < 30
    assert work.stopped
    assert [one.number for one in work.transactions] == [1, 1]
    assert conn.execute(WAITING).fetchall() == []


def test_a_statement_that_fails_is_said_in_the_servers_words(server: Server, database: str) -> None:
    with pytest.raises(LoadFailed, match=r"exit code 2 [^\n]*\n(?s:.*)relation \"nowhere\" does not exist"):
        pgbench.run(server, database, Load("SELECT * FROM nowhere;", writers=1, each=1), limit_s=60)


def test_a_server_without_the_program_is_said(server: Server, database: str, tmp_path: Path) -> None:
    without = dataclasses.replace(server, bin=tmp_path)
    with pytest.raises(ProgramMissing, match=str(tmp_path)):
        pgbench.run(without, database, Load("SELECT 1;", writers=1, each=1), limit_s=60)


def test_what_the_operator_has_set_reaches_no_session(
    server: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c no.such=1 -c statement_timeout=1")
    monkeypatch.setenv("PGSERVICE", "nowhere")
    load = Load("SELECT pg_sleep(0.05);", writers=1, each=1)
    assert len(pgbench.run(server, database, load, limit_s=60).transactions) == 1


def test_no_transaction_took_no_time() -> None:
    assert pgbench.Work((), stopped=True).seconds == 0
