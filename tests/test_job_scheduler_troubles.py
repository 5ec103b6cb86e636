"""The eight troubles of the guide: each provoked, seen as the guide shows it, asked and mended as it says."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
import scheduler_guide as guide
from conftest import Elsewhere

from pgrunbook import server as embedded

JOB = "job_sync_001"

template, database = ground.template, ground.database


@pytest.fixture
def psql(server: embedded.Server, database: str) -> Callable[[str], str]:
    """What psql says of SQL."""
    return lambda text: guide.psql(server, database, text)


def ask(conn: psycopg.Connection[Any], question: str) -> list[dict[str, Any]]:
    """Return the rows of a question of the guide."""
    return conn.execute(question.encode()).fetchall()


def do(conn: psycopg.Connection[Any], remedy: str) -> None:
    """Do what the guide says, about the job and the execution that there are."""
    conn.execute(remedy.encode())


def test_1_nothing_is_started(conn: psycopg.Connection[Any], psql: Callable[[str], str]) -> None:
    case = guide.case(1)
    ground.job(conn, JOB)
    ground.configure(conn, enabled=False)
    assert guide.alike(case.message, psql(ground.CLAIM))
    assert ask(conn, case.debug) == [{"enabled": False, "cap": 5, "running": 0, "due": 1}]
    do(conn, case.remedies[0])
    assert ground.claim(conn) == (JOB, 1)

    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "job_sync_002")
    assert guide.alike(case.message, psql(ground.CLAIM))
    assert ask(conn, case.debug) == [{"enabled": True, "cap": 1, "running": 1, "due": 1}]
    do(conn, case.remedies[0])
    assert ground.claim(conn) == ("job_sync_002", 2)


def test_2_a_job_stays_running_as_its_worker_has_died(
    server: embedded.Server, database: str, conn: psycopg.Connection[Any], eventually: Callable[..., Any]
) -> None:
    case = guide.case(2)
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, JOB)
    ground.job(conn, "job_sync_002")
    # A worker of its own process, that is killed while it has the job.
    worker = subprocess.Popen(
        [str(server.bin / "psql"), "-X", "-q", f"--dbname={database}"],
        env={**os.environ, "PGAPPNAME": "meals"},
        stdin=subprocess.PIPE,
        text=True,
    )
    assert worker.stdin is not None
    worker.stdin.write(f"{ground.CLAIM};\n")
    worker.stdin.flush()
    (running,) = eventually(lambda: ask(conn, case.debug))
    assert (running["job_id"], running["session_lives"]) == (JOB, True)
    # Who has few rights sees it as well.
    conn.execute(
        "CREATE ROLE onlooker_050; GRANT SELECT ON job_executions TO onlooker_050; SET ROLE onlooker_050"
    )
    assert ask(conn, case.debug)[0]["session_lives"]
    conn.execute("RESET ROLE; DROP OWNED BY onlooker_050; DROP ROLE onlooker_050")
    do(conn, case.remedies[0])
    assert ground.claim(conn) is None, "the lease of a living worker was ended"
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdin.close()
    eventually(lambda: not ask(conn, case.debug)[0]["session_lives"])
    assert ground.claim(conn) is None
    do(conn, case.remedies[0])
    assert ground.claim(conn) == ("job_sync_002", 2)
    (job,) = ask(conn, f"SELECT status, last_error FROM scheduled_jobs WHERE id = '{JOB}'")
    assert job["status"] == "pending"
    assert guide.alike(case.message, job["last_error"])


def test_3_a_worker_is_refused_with_55000(conn: psycopg.Connection[Any], psql: Callable[[str], str]) -> None:
    case = guide.case(3)
    ground.job(conn, JOB)
    conn.execute("ALTER TABLE job_executions ALTER id RESTART WITH 41")
    assert ground.claim(conn) == (JOB, 41)
    # As if the job had taken 10 minutes: beyond its lease, which is renewed in time.
    ground.age(conn, JOB, "200 seconds")
    do(conn, case.remedies[0])
    ground.age(conn, JOB, "200 seconds")
    assert ground.claim(conn) is None
    # Not renewed, it is given back, and what the worker did does not count.
    ground.age(conn, JOB, "200 seconds")
    assert ground.claim(conn) is None
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        conn.execute("SELECT complete_job(%s, 41)", [JOB])
    assert guide.alike(case.message, psql(f"SELECT complete_job('{JOB}', 41)"))
    (found,) = ask(conn, case.debug)
    assert (found["execution"], found["status"], found["attempt_number"]) == (41, "failed", 1)
    assert found["error_message"].startswith("worker lost: ")
    assert found["completed_at"] > found["lease_until"]
    # With a longer lease the same work is in time.
    do(conn, case.remedies[1])
    ground.age(conn, JOB, "2 minutes")
    assert ground.claim(conn) == (JOB, 42)
    ground.age(conn, JOB, "600 seconds")
    assert ground.claim(conn) is None
    conn.execute("SELECT complete_job(%s, 42)", [JOB])


def test_4_a_job_is_run_twice_by_workers_who_ask_and_start_in_two_transactions(
    conn: psycopg.Connection[Any], elsewhere: Elsewhere, psql: Callable[[str], str]
) -> None:
    case = guide.case(4)
    ground.job(conn, JOB)
    asked = "SELECT get_next_pending_job() AS id"
    assert ask(conn, asked) == elsewhere.execute(asked) == [{"id": JOB}]
    assert elsewhere.execute(f"SELECT start_job('{JOB}') AS execution") == [{"execution": 1}]
    assert guide.alike(case.message, psql(f"SELECT start_job('{JOB}')"))
    (found,) = ask(conn, case.debug)
    assert (found["executions"], found["given_back"]) == (1, 0)
    # Asked and started at once, one of two gets it, and no other is told its name.
    conn.execute("SELECT complete_job(%s, 1)", [JOB])
    ground.job(conn, "job_sync_002")
    elsewhere.begin_and_hold(case.remedies[0])
    assert ask(conn, case.remedies[0]) == [{"id": None, "execution": None}]
    elsewhere.release()
    assert ask(conn, case.remedies[0]) == [{"id": None, "execution": None}]


def test_4_a_job_is_run_twice_where_the_lease_ends_before_the_work(conn: psycopg.Connection[Any]) -> None:
    ground.job(conn, JOB)
    assert ground.claim(conn) == (JOB, 1)
    ground.age(conn, JOB, "6 minutes")
    assert ground.claim(conn) is None
    ground.age(conn, JOB, "1 minute")
    assert ground.claim(conn) == (JOB, 2)
    (found,) = ask(conn, guide.case(4).debug)
    assert (found["executions"], found["given_back"]) == (2, 1)


def test_5_a_job_does_not_come_back(conn: psycopg.Connection[Any], psql: Callable[[str], str]) -> None:
    case = guide.case(5)
    ground.job(conn, JOB, max_retries=0)
    (why,) = ask(conn, case.debug)
    assert why["why"].startswith("is due since ")
    assert ground.claim(conn) == (JOB, 1)
    (why,) = ask(conn, case.debug)
    assert why["why"].startswith("runs since ")
    conn.execute("SELECT fail_job(%s, 1, 'tandoor: 503')", [JOB])
    assert guide.alike(case.message, psql(case.debug))
    assert ground.claim(conn) is None
    do(conn, case.remedies[0])
    assert ground.claim(conn) == (JOB, 2)
    conn.execute("SELECT complete_job(%s, 2)", [JOB])
    (why,) = ask(conn, case.debug)
    assert why["why"].startswith("was to run once, and did at ")
    conn.execute("UPDATE scheduled_jobs SET enabled = false")
    assert ask(conn, case.debug)[0]["why"] == "is disabled"
    do(conn, case.remedies[0])
    assert ground.claim(conn) == (JOB, 3)


def test_5_a_recurring_job_that_failed_for_good_waits_for_its_regular_time(
    conn: psycopg.Connection[Any],
) -> None:
    ground.job(conn, JOB, max_retries=0, frequency_type="daily", frequency_config={"hour": 20})
    conn.execute("SELECT fail_job(%s, %s, 'tandoor: 503')", ground.claim(conn))
    (why,) = ask(conn, guide.case(5).debug)
    assert re.fullmatch(r"waits until .* 20:00:00\S*, after: tandoor: 503", why["why"])
    ground.age(conn, JOB, "1 day")
    assert ground.claim(conn) == (JOB, 2)


def test_6_a_job_runs_at_the_wrong_hour(conn: psycopg.Connection[Any], psql: Callable[[str], str]) -> None:
    case = guide.case(6)
    ground.job(conn, JOB, frequency_type="daily", frequency_config={"hour": 20})
    ground.job(conn, "own", frequency_type="daily", frequency_config={"hour": 20, "timezone": "Asia/Kolkata"})
    ground.job(conn, "new", due="3 days", frequency_type="daily", frequency_config={"hour": 20})
    while taken := ground.claim(conn):
        conn.execute("SELECT complete_job(%s, %s)", taken)
    before = {row["id"]: row for row in ask(conn, case.debug)}
    assert {name: row["zone"] for name, row in before.items()} == {
        JOB: "UTC",
        "own": "Asia/Kolkata",
        "new": "UTC",
    }
    assert guide.alike(case.message, psql("UPDATE scheduler_config SET timezone = 'New York'"))
    kept = ask(conn, "SELECT id, scheduled_for FROM scheduled_jobs WHERE id <> 'job_sync_001' ORDER BY id")
    do(conn, case.remedies[0])
    after = {row["id"]: row for row in ask(conn, case.debug)}
    assert after[JOB]["zone"] == "America/New_York"
    assert after[JOB]["on_the_wall"].strftime("%H:%M") == "20:00"
    assert (
        ask(conn, "SELECT id, scheduled_for FROM scheduled_jobs WHERE id <> 'job_sync_001' ORDER BY id")
        == kept
    )
    assert psql("SELECT count(*) FROM scheduled_jobs WHERE scheduled_for <= now()").split()[2] == "0"


def test_7_the_migration_stops(server: embedded.Server, conn: psycopg.Connection[Any]) -> None:
    case = guide.case(7)
    says = case.message.splitlines()
    name = conn.info.dbname
    found = ask(conn, case.debug)
    assert found == [
        {"schema": "public", "kind": "table", "found": "users (id integer)"},
        {"schema": "public", "kind": "function", "found": "update_updated_at_column()"},
    ]
    fresh = f"{name}_fresh"
    database = embedded.create_database(server, fresh)
    try:
        with psycopg.connect(database, autocommit=True, row_factory=psycopg.rows.dict_row) as empty:
            assert ask(empty, case.debug) == []
            step = {script.stem.partition("_")[0]: script.read_text() for script in ground.scripts()}
            run = lambda number: guide.psql(server, database, step[number])  # noqa: E731
            assert guide.alike(says[0], run("001"))
            do(empty, case.remedies[0])
            assert "ERROR" not in "".join(run(number) for number in ("001", "002", "003", "004", "005"))
            assert guide.alike(says[1], run("005a"))
            empty.execute("CREATE TABLE users (id uuid PRIMARY KEY)")
            assert guide.alike(says[2], run("005a"))
            assert ask(empty, case.debug)[0]["found"] == "users (id uuid)"
            # In another schema, and nothing of the step is left; there it goes on.
            empty.execute(
                "DROP TABLE users; CREATE SCHEMA app; CREATE TABLE app.users (id integer PRIMARY KEY)"
            )
            assert guide.alike(says[1], run("005a"))
            assert ask(empty, case.debug)[0]["schema"] == "app"
            assert ask(
                empty, "SELECT count(*) AS keys FROM pg_constraint WHERE conname ~ 'user_id_fkey'"
            ) == [{"keys": 0}]
            empty.execute("ALTER TABLE app.users SET SCHEMA public")
            assert "ERROR" not in run("005a")
    finally:
        embedded.drop_database(server, fresh)


def test_8_polling_gets_slower_while_an_old_snapshot_keeps_dead_rows(
    conn: psycopg.Connection[Any], elsewhere: Elsewhere, psql: Callable[[str], str]
) -> None:
    case = guide.case(8)
    for number in range(300):
        ground.job(conn, f"job_{number:03}", due="1 hour")
    elsewhere.execute("SET application_name = 'report'")
    elsewhere.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    elsewhere.execute("SELECT count(*) FROM scheduled_jobs")
    conn.execute("UPDATE scheduled_jobs SET last_error = 'tandoor: 503' WHERE id < 'job_299'")
    verbose = "VACUUM (VERBOSE) scheduled_jobs"
    assert guide.alike(case.message, psql(verbose))
    assert "299 are dead but not yet removable" in psql(verbose)
    first, *_ = ask(conn, case.debug)
    assert (first["pid"], first["application_name"], first["state"]) == (
        elsewhere.pid,
        "report",
        "idle in transaction",
    )
    elsewhere.release()
    assert elsewhere.pid not in {row["pid"] for row in ask(conn, case.debug)}
    do(conn, case.remedies[0])
    assert "0 are dead but not yet removable" in psql(verbose)
