"""One session of a race: it is never waited for, and what it answers is taken as the server spells it."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Elsewhere

from pgrunbook import spec
from pgrunbook.racer import Racer, Report, gather

SESSION = spec.parse("session s1 step x {}", file="made.spec").sessions[0]


@pytest.fixture
def racer(database: str) -> Iterator[Racer]:
    made = Racer(SESSION, database, race="made")
    with contextlib.closing(made.conn):
        yield made


def answered(racer: Racer, sql: str, eventually: Callable[..., Any]) -> None:
    racer.send(sql)
    eventually(lambda: not racer.busy())


def test_rows_come_as_text_null_as_none_and_an_error_ends_them(
    racer: Racer, eventually: Callable[..., Any]
) -> None:
    answered(
        racer, "SELECT 1.50 AS a, NULL AS b; SELECT true AS c WHERE false; SELECT 1 / 0; SELECT 2", eventually
    )
    rows, failure = gather(racer.answer.results)
    assert [(one.columns, one.values) for one in rows] == [(("a", "b"), (("1.50", None),)), (("c",), ())]
    assert failure is not None
    assert (failure.sqlstate, failure.message) == ("22012", "division by zero")


def test_a_statement_that_waits_after_another_is_not_waited_for(
    racer: Racer, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    elsewhere.begin_and_hold("SELECT pg_advisory_xact_lock(7)")
    racer.send("SELECT 1; SELECT 2 FROM pg_advisory_xact_lock(7)")
    # It says so once it has looked for a deadlock, and sends the first result with it.
    eventually(lambda: racer.busy() and racer.looked)
    elsewhere.release()
    eventually(lambda: not racer.busy())
    assert not racer.looked
    assert [one.values for one in gather(racer.answer.results)[0]] == [(("1",),), (("2",),)]


def test_notices_are_kept_with_the_step_and_counted_without_those_about_locks(
    racer: Racer, eventually: Callable[..., Any]
) -> None:
    racer.at = report = Report(spec.Turn(SESSION.steps[0]), 0)
    answered(racer, "DO $$ BEGIN RAISE NOTICE 'a'; RAISE WARNING 'b'; RAISE LOG 'c'; END $$", eventually)
    assert (report.notices, racer.heard) == (["NOTICE: a", "WARNING: b"], 2)


def test_it_is_idle_at_no_step_and_in_no_transaction(racer: Racer, eventually: Callable[..., Any]) -> None:
    assert racer.idle
    answered(racer, "BEGIN", eventually)
    assert not racer.idle
    answered(racer, "ROLLBACK", eventually)
    assert racer.idle


@pytest.mark.parametrize(
    ("waited", "code", "by"), [(True, "23505", "y"), (True, "40P01", ""), (False, "", "")]
)
def test_only_a_wait_that_another_step_ended_names_it(
    racer: Racer, eventually: Callable[..., Any], waited: bool, code: str, by: str
) -> None:
    report = Report(spec.Turn(SESSION.steps[0]), 0, waited=waited)
    answered(racer, f"DO $$ BEGIN RAISE SQLSTATE '{code}'; END $$" if code else "SELECT 1", eventually)
    report.close(racer.answer.results, done=1, ended=2, after="y")
    assert (report.released_by, report.done, report.ended) == (by, 1, 2)


def test_the_server_s_last_word_is_an_answer_and_afterwards_the_session_can_be_opened_anew(
    racer: Racer, eventually: Callable[..., Any]
) -> None:
    answered(racer, "SELECT 1; SELECT pg_terminate_backend(pg_backend_pid())", eventually)
    failure = gather(racer.answer.results)[1]
    assert failure is not None
    assert failure.sqlstate == "57P01"
    assert (racer.lost, racer.alive()) == (True, False)
    racer.close()
    racer.open()
    assert (racer.lost, racer.alive(), racer.idle) == (False, True, True)
    racer.close()


def test_a_connection_that_ends_without_a_word_is_a_failure(
    racer: Racer, eventually: Callable[..., Any]
) -> None:
    racer.send("SELECT pg_sleep(60)")
    with socket.socket(fileno=os.dup(racer.raw.socket)) as its:
        its.shutdown(socket.SHUT_RDWR)
    eventually(lambda: not racer.busy())
    failure = gather(racer.answer.results)[1]
    assert failure is not None
    assert failure.sqlstate == "08006"
    assert failure.message


def test_a_copy_sends_nothing_and_what_it_gives_is_passed_over(
    racer: Racer, eventually: Callable[..., Any]
) -> None:
    answered(racer, "SELECT 1; COPY (SELECT generate_series(1, 100000)) TO STDOUT; SELECT 2", eventually)
    assert [one.values for one in gather(racer.answer.results)[0]] == [(("1",),), (("2",),)]
    answered(racer, "CREATE TEMP TABLE t (i int); COPY t FROM STDIN", eventually)
    failure = gather(racer.answer.results)[1]
    assert failure is not None
    assert failure.message == "COPY from stdin failed: a step has nothing to send"
