"""The job worker: what wakes it, what it runs, what it does when lease, connection or handler fail."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from conftest import Elsewhere
from job_working import Hand, working

from pgrunbook.workloads import job_link, job_worker
from pgrunbook.workloads.job_report import Ended
from pgrunbook.workloads.job_scheduler import CLAIM, COMPLETE, Execution
from pgrunbook.workloads.job_worker import Worker

Eventually = Callable[..., Any]
Conn = psycopg.Connection[dict[str, Any]]

template, database = ground.template, ground.database


def executions(conn: Conn, job: str) -> list[dict[str, Any]]:
    return conn.execute("SELECT * FROM job_executions WHERE job_id = %s ORDER BY id", (job,)).fetchall()


def ended(conn: Conn, job: str, status: str = "completed") -> Callable[[], Any]:
    def look() -> Any:
        return [one for one in executions(conn, job) if one["status"] == status]

    return look


def idle(conn: Conn, worker: Worker) -> bool:
    """Whether a worker has found nothing to do and listens."""
    found = conn.execute(
        "SELECT query FROM pg_stat_activity WHERE state = 'idle' AND application_name = ANY(%s) ORDER BY 1",
        ([f"{worker.name} work", f"{worker.name} ear"],),
    ).fetchall()
    return len(found) == 2 and "extract(epoch" in found[0]["query"] and found[1]["query"].startswith("LISTEN")


def test_a_job_runs_and_its_output_is_kept(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.job(conn, "sync", parameters={"of": "tandoor"}, user_id=1)
    seen: list[Execution] = []

    async def handler(execution: Execution) -> object:
        seen.append(execution)
        return {"text": "a\0b\ud800", "n": float("inf")}

    with working(database, handler, name="kitchen"):
        (row,) = eventually(ended(conn, "sync"))
    assert row["output"] == {"text": "a\\x00b\\ud800", "n": "inf"}
    assert row["worker"].startswith("kitchen ")
    assert (seen[0].id, seen[0].job_id, seen[0].user_id, seen[0].parameters, seen[0].attempt) == (
        row["id"], "sync", 1, {"of": "tandoor"}, 1,
    )  # fmt: skip


def test_a_new_job_wakes_a_worker_that_has_nothing_to_do(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    hand = Hand()
    hand.go.set()
    with working(database, hand) as at_work:
        eventually(lambda: idle(conn, at_work.worker))
        ground.job(conn, "sync")
        eventually(ended(conn, "sync"))


def test_a_retry_and_a_later_job_are_not_left_to_the_poll(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.job(conn, "retried", retry_base_seconds=1)
    ground.job(conn, "later", due="1 second")

    def handler(execution: Execution) -> None:
        if (execution.job_id, execution.attempt) == ("retried", 1):
            raise ValueError("not yet")

    with working(database, handler):
        eventually(ended(conn, "later"))
        eventually(ended(conn, "retried"))


def test_what_a_dead_worker_had_is_taken_when_its_lease_ends(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.configure(conn, lease_seconds=1, default_retry_base_seconds=0)
    ground.job(conn, "sync")
    assert ground.claim(conn) is not None
    # The lease of the second try may last.
    ground.configure(conn, lease_seconds=60)
    with working(database, lambda _execution: None):
        eventually(ended(conn, "sync"))
    assert [one["error_message"][:11] for one in ended(conn, "sync", "failed")()] == ["worker lost"]


def test_no_more_than_its_hands_and_no_more_than_the_cap(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    for number in range(8):
        ground.job(conn, f"sync_{number}")
    first, second = Hand(), Hand()
    with working(database, first, at_once=3), working(database, second, at_once=4) as other:
        eventually(lambda: len(first.begun) + len(second.begun) == 5)
        assert len(first.begun) <= 3
        running = "SELECT count(*) AS n FROM job_executions WHERE status = 'running'"
        assert conn.execute(running).fetchone() == {"n": 5}
        assert len(other.worker.leases.held) == len(second.begun)
        first.go.set()
        second.go.set()
        eventually(lambda: all(ended(conn, f"sync_{n}")() for n in range(8)))


def test_the_kill_switch_holds_and_its_end_wakes(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.configure(conn, enabled=False)
    ground.job(conn, "sync")
    with working(database, lambda _execution: None) as at_work:
        eventually(lambda: idle(conn, at_work.worker))
        assert executions(conn, "sync") == []
        ground.configure(conn, enabled=True)
        eventually(ended(conn, "sync"))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no \0 \ud800 recipe\nLINE 1: secret"), "ValueError: no \\x00 \\ud800 recipe"),
        (SystemExit(3), "RuntimeError: the handler raised SystemExit"),
        (StopIteration(), "RuntimeError: the handler raised StopIteration"),
        (KeyboardInterrupt(), "RuntimeError: the handler raised KeyboardInterrupt"),
    ],
)
def test_a_handler_that_fails_says_why_and_the_worker_goes_on(
    error: BaseException, told: str, database: str, conn: Conn, eventually: Eventually
) -> None:
    def handler(execution: Execution) -> None:
        if execution.job_id == "bad":
            raise error

    ground.job(conn, "bad", max_retries=0, priority="critical")
    ground.job(conn, "good")
    with working(database, handler, at_once=1):
        eventually(ended(conn, "good"))
    assert [one["error_message"] for one in ended(conn, "bad", "failed")()] == [told]


def test_a_type_that_nobody_knows_fails_clearly(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.job(conn, "trends", job_type="weekly_trends", max_retries=0)
    with working(database, lambda _execution: None):
        (row,) = eventually(ended(conn, "trends", "failed"))
    assert row["error_message"] == (
        "LookupError: this worker has no handler for weekly_trends; it has: auto_sync"
    )


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ('{"n": ' + "9" * 5000 + "}", "ValueError"),
        ('{"n": ' + "[" * 3000 + "]" * 3000 + "}", "RecursionError"),
    ],
    ids=["digits", "depth"],
)
def test_a_job_that_python_cannot_read_fails_and_what_was_taken_with_it_goes_on(
    database: str, conn: Conn, eventually: Eventually, parameters: str, said: str
) -> None:
    ground.job(conn, "unreadable", due="-1 hour", max_retries=0)
    conn.execute("UPDATE scheduled_jobs SET parameters = %s", (parameters,))
    ground.job(conn, "next")
    with working(database, lambda _execution: None):
        eventually(ended(conn, "unreadable", "failed"))
        eventually(ended(conn, "next"))
    (row,) = executions(conn, "unreadable")
    assert row["error_message"].startswith(f"the worker cannot read the job: {said}: ")


def test_a_job_whose_regular_time_python_does_not_know_runs(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.job(conn, "far")
    conn.execute("UPDATE scheduled_jobs SET scheduled_for = '12000-01-01 00:00:00+00'")
    ground.job(conn, "before", parameters={"then": ["far"]})
    due = []
    with working(database, lambda execution: due.append(execution.due_at.year)):
        eventually(ended(conn, "far"))
    assert due[-1] == 9999


def test_leases_are_renewed_while_a_handler_works(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.configure(conn, lease_seconds=3)
    ground.job(conn, "sync")
    hand = Hand()
    with working(database, hand):
        eventually(lambda: hand.begun)
        end = "SELECT lease_until > started_at + interval '3.5 seconds' AS n FROM job_executions"
        eventually(lambda: conn.execute(end).fetchone() == {"n": True})
        assert ground.claim(conn) is None
        hand.go.set()
        eventually(ended(conn, "sync"))
    assert len(executions(conn, "sync")) == 1


def test_a_handler_stops_before_its_lease_ends_when_it_cannot_be_renewed(
    database: str, conn: Conn, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    ground.configure(conn, lease_seconds=4)
    ground.job(conn, "sync")
    hand = Hand()
    with working(database, hand):
        eventually(lambda: hand.begun)
        # Nobody can renew it now, and it stays: only the worker's own clock can tell.
        elsewhere.begin_and_hold("SELECT FROM job_executions FOR UPDATE")
        eventually(lambda: hand.cancelled)
        (lease,) = elsewhere.execute("SELECT lease_until AS ends FROM job_executions")
        assert hand.cancelled_at[0] < lease["ends"]
        elsewhere.release()
        (row,) = eventually(ended(conn, "sync", "failed"))
    assert row["error_message"].startswith("worker lost its lease")


def test_a_handler_stops_when_its_job_was_given_back(
    database: str, conn: Conn, eventually: Eventually, caplog: pytest.LogCaptureFixture
) -> None:
    ground.configure(conn, lease_seconds=3)
    ground.job(conn, "sync", max_retries=0)
    hand = Hand(output="does not count")
    with working(database, hand):
        eventually(lambda: hand.begun)
        conn.execute("SELECT fail_job('sync', %s, 'by hand')", (hand.begun[0].id,))
        eventually(lambda: hand.cancelled)
    (row,) = executions(conn, "sync")
    assert (row["status"], row["error_message"], row["output"]) == ("failed", "by hand", None)
    assert "it was given to another worker, or ended by somebody else" in caplog.text


def test_lost_connections_cost_no_job(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.job(conn, "sync")
    hand = Hand()
    with working(database, hand) as at_work:
        eventually(lambda: hand.begun)
        kill = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE starts_with(application_name, %s)"
        conn.execute(kill, (at_work.worker.name,))
        hand.go.set()
        eventually(ended(conn, "sync"))
        ground.job(conn, "next")
        eventually(ended(conn, "next"))
    assert [len(executions(conn, job)) for job in ("sync", "next")] == [1, 1]


@pytest.mark.parametrize("lost", [CLAIM, COMPLETE])
def test_an_answer_that_was_not_heard_is_looked_up(
    lost: str, database: str, conn: Conn, eventually: Eventually, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server has done what it was asked, and the connection is gone before it says so."""
    original, deaf = job_link.Link.ask, [lost]

    async def ask(link: job_link.Link, statement: str, *values: Any, **options: Any) -> Any:
        found = await original(link, statement, *values, **options)
        if statement in deaf and found != [(None, found[0][-1])]:
            deaf.remove(statement)
            await link.close()
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return found

    ground.job(conn, "sync")
    monkeypatch.setattr(job_link.Link, "ask", ask)
    with working(database, lambda _execution: "done"):
        (row,) = eventually(ended(conn, "sync"))
        eventually(lambda: not deaf)
    assert executions(conn, "sync") == [row]
    assert row["output"] == "done"


def test_a_worker_lives_through_a_schema_that_is_not_there(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    conn.execute("ALTER FUNCTION get_next_pending_job() RENAME TO away")
    ground.job(conn, "sync")
    with working(database, lambda _execution: None) as at_work:
        eventually(lambda: at_work.worker._unheard)
        conn.execute("ALTER FUNCTION away() RENAME TO get_next_pending_job")
        eventually(ended(conn, "sync"))


def test_stop_lets_handlers_finish_and_takes_no_more(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.job(conn, "first", priority="critical")
    ground.job(conn, "second")
    hand = Hand()
    with working(database, hand, at_once=1) as at_work:
        eventually(lambda: hand.begun)
        at_work.stop()
        eventually(lambda: at_work.worker._stops == 1)
        hand.go.set()
        at_work.ended()
    assert executions(conn, "first")[0]["status"] == "completed"
    assert executions(conn, "second") == []


def test_what_does_not_finish_in_time_is_given_to_another_worker(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.configure(conn, default_retry_base_seconds=0)
    ground.job(conn, "sync")
    hand = Hand()
    with working(database, hand, grace_s=0.05) as first:
        eventually(lambda: hand.begun)
        with working(database, lambda _execution: "the other one") as second:
            eventually(lambda: idle(conn, second.worker))
            first.stop()
            first.ended()
            (row,) = eventually(ended(conn, "sync"))
    assert row["output"] == "the other one"
    assert hand.cancelled == [row["id"] - 1]
    assert [one["error_message"] for one in ended(conn, "sync", "failed")()] == ["worker stopped"]


def test_a_slot_that_a_stopping_worker_leaves_wakes_another(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.configure(conn, max_concurrent_jobs=1)
    ground.job(conn, "first", priority="critical")
    ground.job(conn, "second")
    hand = Hand()
    with working(database, hand) as first:
        eventually(lambda: hand.begun)
        with working(database, lambda _execution: None) as second:
            eventually(lambda: idle(conn, second.worker))
            first.stop()
            eventually(lambda: first.worker._stops)
            hand.go.set()
            eventually(ended(conn, "second"))


def test_the_second_stop_is_at_once(database: str, conn: Conn, eventually: Eventually) -> None:
    ground.job(conn, "sync")
    hand = Hand()
    with working(database, hand, grace_s=3600) as at_work:
        eventually(lambda: hand.begun)
        at_work.stop()
        at_work.stop()
        at_work.ended()
    assert [one["error_message"] for one in executions(conn, "sync")] == ["worker stopped"]


def test_a_worker_whose_server_is_away_can_be_stopped() -> None:
    with working("host=127.0.0.1 port=1 dbname=none", {}) as at_work:
        at_work.stop()
        at_work.ended()


def test_the_second_stop_does_not_wait_for_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"host=127.0.0.1 port={silent.getsockname()[1]} dbname=none connect_timeout=300"
        with working(place, {}) as at_work, silent.accept()[0]:
            at_work.stop()
            at_work.stop()
            at_work.ended(job_link.STATEMENT_S * 2 / 3)


def test_a_thread_is_told_and_where_it_does_not_listen_somebody_hears_of_it(
    database: str, conn: Conn, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    ground.configure(conn, lease_seconds=2)
    ground.job(conn, "sync")
    told, go, abandoned = threading.Event(), threading.Event(), list[tuple[int, float]]()

    def handler(execution: Execution) -> None:
        execution.lost.wait(30)
        told.set()
        go.wait(30)

    with working(database, handler, abandon=lambda one: abandoned.append((one.id, time.monotonic()))):
        eventually(lambda: executions(conn, "sync"))
        elsewhere.begin_and_hold("SELECT FROM job_executions FOR UPDATE")
        eventually(lambda: abandoned)
        assert told.is_set()
        # Whoever asks for jobs once the lease has ended gives it back: the worker does so while we hold it.
        looked = (
            "SELECT FROM pg_stat_activity AS a, job_executions AS e WHERE a.application_name LIKE 'job worker % work'"
            " AND a.state = 'idle' AND a.query_start > e.lease_until"
        )
        eventually(lambda: conn.execute(looked).rowcount)
        elsewhere.release()
        # It is still at work, so nothing is said of it.
        assert executions(conn, "sync")[0]["status"] == "running"
        go.set()
        eventually(ended(conn, "sync", "failed"))
    assert len(abandoned) == 1


def test_a_handler_may_end_its_job_in_its_own_transaction(
    database: str, conn: Conn, eventually: Eventually
) -> None:
    ground.job(conn, "sync")

    async def handler(execution: Execution) -> Ended:
        async with await psycopg.AsyncConnection.connect(database) as own:
            await own.execute("INSERT INTO users (name) VALUES ('cleo')")
            await own.execute(COMPLETE.encode(), (execution.job_id, execution.id, None))
        return Ended.ALREADY

    with working(database, handler):
        eventually(ended(conn, "sync"))
    assert conn.execute("SELECT count(*) AS n FROM users").fetchone() == {"n": 3}


@pytest.mark.static
@pytest.mark.parametrize(
    "options", [{"at_once": 0}, {"name": ""}, {"name": "käthe"}, {"name": "x" * 41}, {"name": "a\nb"}]
)
def test_a_worker_that_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^(at_once|name) is "):
        Worker("", {}, **options)


@pytest.mark.static
def test_the_safety_net_is_a_minute() -> None:
    assert job_worker.POLL_S == 60
