"""One question to the server: cost first, under a timeout, and an error is an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import throwaway
from psycopg.conninfo import make_conninfo

from pgrunbook import session
from pgrunbook.derived import check
from pgrunbook.derived.check import Check
from pgrunbook.header import Header, Severity
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

HEAD = Header("A question")


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def one(text: str, **options: object) -> Check:
    return Check("001", "something", HEAD, text, **options)  # type: ignore[arg-type]


def test_the_answer_tells_rows_total_and_what_was_planned(look: Connection) -> None:
    answer = check.ask(look, one("SELECT id AS id FROM things"))
    assert (len(answer.found.rows), answer.found.total, answer.problem, answer.unproved) == (10, 10, "", "")
    assert re.fullmatch(r"planned cost \d+: Seq Scan on things, about [\d,]+ rows", answer.cost)
    assert one("").label == "derived: 001 something"


def test_a_question_that_takes_too_long_is_not_proved_and_its_cost_is_told(look: Connection) -> None:
    answer = check.ask(look, one("SELECT pg_sleep(60) FROM things"), timeout_ms=50)
    assert (answer.unproved, answer.problem) == ("no answer within 0.05 s", "")
    assert "things" in answer.cost
    assert check.ask(look, one("SELECT 1 AS x")).found.total == 1


def test_a_table_that_somebody_locks_is_not_waited_for(look: Connection, elsewhere: Elsewhere) -> None:
    elsewhere.begin_and_hold("LOCK TABLE things")
    answer = check.ask(look, one("SELECT id FROM things"))
    assert answer.unproved == "could not be asked: canceling statement due to lock timeout"
    elsewhere.release()
    assert check.ask(look, one("SELECT id FROM things")).found.total == 10


def test_what_may_not_be_read_is_not_proved(look: Connection, database: str) -> None:
    with throwaway.role(look) as role, throwaway.looking(make_conninfo(database, user=role)) as conn:
        answer = check.ask(conn, one("SELECT id FROM things"))
    needed = f"needed: GRANT SELECT ON things TO {role}"
    assert answer.unproved == f"could not be asked: permission denied for table things; {needed}"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1 / (id - 1) FROM things", "division by zero"),
        ("SELECT missing FROM things", 'column "missing" does not exist'),
    ],
)
def test_an_error_that_the_statement_would_meet_is_a_problem(
    text: str, problem: str, look: Connection
) -> None:
    assert check.ask(look, one(text)).problem == f"the statement would fail: {problem}"
    # Unless a statement before may repair the row, or make the name.
    answer = check.ask(look, one(text, doubt="UPDATE before", sure=False))
    assert (answer.problem, answer.unproved) == ("", f"could not be asked: {problem}")


def test_nothing_is_written(look: Connection) -> None:
    look.execute(
        "CREATE FUNCTION change_it() RETURNS int LANGUAGE sql AS 'INSERT INTO things VALUES (0) RETURNING 1'"
    )
    answer = check.ask(look, one("SELECT change_it() AS x"))
    assert answer.unproved == "could not be asked: cannot execute INSERT in a read-only transaction"
    assert session.value(look, "SELECT count(*) FROM things") == 10


def test_a_question_in_doubt_only_warns() -> None:
    assert one("").severity is Severity.STOP
    assert one("", doubt="UPDATE before").severity is Severity.WARN
    informs = Check("001", "x", Header("x", severity=Severity.INFO), doubt="UPDATE before")
    assert informs.severity is Severity.INFO


def test_names_are_looked_up_where_the_step_looks(look: Connection) -> None:
    look.execute("CREATE SCHEMA other; CREATE TABLE other.things (id int)")
    assert (
        check.ask(look, one("SELECT id FROM things", path="SET LOCAL search_path TO other")).found.total == 0
    )
    assert check.ask(look, one("SELECT id FROM things")).found.total == 10


def test_a_valid_rule_spares_the_reading(look: Connection) -> None:
    look.execute("ALTER TABLE things ADD CONSTRAINT given CHECK (code IS NOT NULL)")
    answer = check.ask(look, one("SELECT id FROM things WHERE code IS NULL"))
    assert (answer.found.total, "Scan" in answer.cost) == (0, False)
