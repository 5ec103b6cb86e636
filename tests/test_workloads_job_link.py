"""A link comes back when it is lost, sees what was committed before it, and leaves no session behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import psycopg
import pytest
from conftest import Elsewhere

from pgrunbook.workloads.job_link import BackOff, Link


def run(course: Callable[[Link], Coroutine[Any, Any, None]], conninfo: str) -> None:
    async def all_of_it() -> None:
        link = Link(conninfo, "worker 1 work")
        try:
            await course(link)
        finally:
            await link.close()

    asyncio.run(all_of_it())


def test_it_is_read_committed_and_patient_whatever_the_database_says(
    database: str, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    name = conn.info.dbname
    for setting in ("default_transaction_isolation = 'serializable'", "idle_session_timeout = '10 s'"):
        conn.execute(f"ALTER DATABASE {name} SET {setting}".encode())

    async def course(link: Link) -> None:
        assert await link.ask("SHOW transaction_isolation") == [("read committed",)]
        assert await link.ask("SHOW idle_session_timeout") == [("0",)]
        assert await link.ask("SHOW application_name") == [("worker 1 work",)]

    run(course, database)


def test_it_comes_back_and_the_session_before_it_is_over(database: str, elsewhere: Elsewhere) -> None:
    async def course(link: Link) -> None:
        ((first,),) = await link.ask("SELECT pg_backend_pid()")
        # The answer does not come, as over a line that is cut: the session is still at work.
        with pytest.raises(psycopg.OperationalError, match=r"no answer within 0\.1 s"):
            await link.ask("SELECT pg_sleep(60)", timeout=0.1)
        ((second,),) = await link.ask("SELECT pg_backend_pid()")
        assert second != first
        assert elsewhere.execute("SELECT FROM pg_stat_activity WHERE pid = %s", (first,)) == []
        elsewhere.execute("SELECT pg_terminate_backend(%s, 5000)", (second,))
        with pytest.raises(psycopg.OperationalError):
            await link.ask("SELECT 1")
        assert await link.ask("SELECT 1") == [(1,)]

    run(course, database)


def test_a_session_of_the_same_name_is_ended_and_no_other(database: str, elsewhere: Elsewhere) -> None:
    old = psycopg.connect(database, autocommit=True, application_name="worker 1 work")
    other = psycopg.connect(database, autocommit=True, application_name="worker 1 lease")

    async def course(link: Link) -> None:
        await link.ask("SELECT 1")

    run(course, database)
    with pytest.raises(psycopg.OperationalError):
        old.execute("SELECT 1")
    other.execute("SELECT 1")
    other.close()


def test_an_error_of_the_server_keeps_the_connection(database: str) -> None:
    async def course(link: Link) -> None:
        before = await link.ask("SELECT pg_backend_pid()")
        with pytest.raises(psycopg.errors.DivisionByZero):
            await link.ask("SELECT 1 / 0")
        assert await link.ask("SELECT pg_backend_pid()") == before

    run(course, database)


def test_it_hears_at_the_beginning_and_whenever_it_is_told(database: str, elsewhere: Elsewhere) -> None:
    heard: list[int] = []

    async def course(link: Link) -> None:
        listening = asyncio.create_task(link.listen("job_scheduler", lambda: heard.append(1)))
        async with asyncio.timeout(30):
            for number in (1, 2, 3):
                while len(heard) < number:
                    await asyncio.sleep(0.005)
                await asyncio.to_thread(elsewhere.execute, "NOTIFY job_scheduler")
        listening.cancel()
        await asyncio.wait({listening})

    run(course, database)


@pytest.mark.static
def test_pauses_are_never_shorter_than_half() -> None:
    wait = BackOff(chance=lambda: 0.0)
    assert [wait.next() for _ in range(3)] == [0.05, 0.1, 0.2]
    assert [BackOff(_tries=10_000, chance=lambda: 0.0).next()] == [5.0]
