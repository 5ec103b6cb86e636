"""One permutation on real sessions: who waits, for whom, what lets him go on, and what cannot happen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from pgrunbook import spec
from pgrunbook.errors import RaceFailed
from pgrunbook.interleaving import Interleaving, Stage

TABLES = """
setup { CREATE TABLE a (i int PRIMARY KEY, n int); INSERT INTO a VALUES (1, 0), (2, 0); }
teardown { SELECT i, n FROM a ORDER BY i; DROP TABLE a; }
"""
TWO = """
session s1
setup { BEGIN; }
step one { UPDATE a SET n = n + 1 WHERE i = 1; }
step end1 { COMMIT; }
session s2
setup { BEGIN; }
step two { UPDATE a SET n = n + 10 WHERE i = 1 RETURNING n; }
step end2 { COMMIT; }
"""


def play(database: str, text: str, **options: Any) -> list[Interleaving]:
    read = spec.parse(text, file="made.spec")
    with Stage(read, database, race="made", **options) as stage:
        return [stage.play(permutation) for permutation in read.permutations]


def told(played: Interleaving) -> list[str]:
    """Return what became of each step, in the order in which they were done."""
    lines = []
    for one in sorted(played.reports, key=lambda report: report.ended or 99):
        waits = (
            f" waited for {'+'.join(one.waited_for) or 'a marker'} until {one.released_by or '-'}"
            * one.waited
        )
        values = [list(row) for rows in one.rows for row in rows.values]
        lines.append(
            f"{one.turn.step.name}{waits} {values or ''}{one.failure.sqlstate if one.failure else ''}".strip()
        )
    return lines


def refused(database: str, text: str, **options: Any) -> RaceFailed:
    with pytest.raises(RaceFailed) as caught:
        play(database, text, **options)
    return caught.value


def rows(played: Interleaving) -> list[list[str | None]]:
    return [list(row) for found in played.outcome for row in found.values]


def test_a_row_lock_is_waited_for_until_the_other_commits(database: str) -> None:
    (played,) = play(database, f"{TABLES} {TWO} permutation one two end1 end2")
    assert told(played) == ["one", "end1", "two waited for s1 until end1 [['11']]", "end2"]
    two = played.reports[1]
    assert (two.launched, two.done) == (1, 2)
    assert rows(played) == [["1", "11"], ["2", "0"]]


@pytest.mark.parametrize(
    ("first", "second", "then"),
    [
        ("INSERT INTO a VALUES (3, 0)", "INSERT INTO a VALUES (3, 1)", "23505"),
        (
            "DO 'BEGIN PERFORM pg_advisory_xact_lock(7); END'",
            "SELECT 1 FROM pg_advisory_xact_lock(7)",
            "[['1']]",
        ),
        ("LOCK TABLE a", "SELECT 1 FROM a WHERE i = 2", "[['1']]"),
    ],
    ids=["a unique index", "an advisory lock", "a table"],
)
def test_every_kind_of_lock_is_seen(database: str, first: str, second: str, then: str) -> None:
    text = TWO.replace("UPDATE a SET n = n + 1 WHERE i = 1", first)
    text = text.replace("UPDATE a SET n = n + 10 WHERE i = 1 RETURNING n", second)
    (played,) = play(database, f"{TABLES} {text} permutation one two end1 end2")
    assert told(played) == ["one", "end1", f"two waited for s1 until end1 {then}", "end2"]


def test_a_wait_for_a_safe_snapshot_is_seen(database: str) -> None:
    text = f"""{TABLES}
        session s1 setup {{ BEGIN ISOLATION LEVEL SERIALIZABLE; }}
        step one {{ UPDATE a SET n = 5 WHERE i = 1; }} step end1 {{ COMMIT; }}
        session s2 setup {{ BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE; }}
        step two {{ SELECT n FROM a WHERE i = 1; }} step end2 {{ COMMIT; }}
        permutation one two end1 end2"""
    (played,) = play(database, text)
    assert told(played) == ["one", "end1", "two waited for s1 until end1 [['0']]", "end2"]


CROSSED = """
session s1 setup { BEGIN; }
step a1 { UPDATE a SET n = 1 WHERE i = 1; } step b1 { UPDATE a SET n = 1 WHERE i = 2; } step end1 { COMMIT; }
session s2 setup { BEGIN; }
step b2 { UPDATE a SET n = 2 WHERE i = 2; } step a2 { UPDATE a SET n = 2 WHERE i = 1; } step end2 { COMMIT; }
"""


def test_of_a_deadlock_the_last_to_come_is_the_victim_each_time(database: str) -> None:
    orders = "permutation a1 b2 b1 a2 end1 end2 permutation a1 b2 a2 b1 end1 end2"
    for _ in range(5):
        first, second = play(database, f"{TABLES} {CROSSED} {orders}")
        assert told(first) == ["a1", "b2", "a2 40P01", "b1 waited for s2 until a2", "end1", "end2"]
        assert told(second) == ["a1", "b2", "b1 40P01", "a2 waited for s1 until b1", "end1", "end2"]
        assert (rows(first), rows(second)) == ([["1", "1"], ["2", "1"]], [["1", "2"], ["2", "2"]])


def test_a_spec_that_sets_the_deadlock_timeout_chooses_the_victim_itself(database: str) -> None:
    text = CROSSED
    for session, timeout in (("s1", "20ms"), ("s2", "100s")):
        begins = f"session {session} setup {{ BEGIN; }}"
        text = text.replace(begins, begins.replace("BEGIN;", f"BEGIN; SET deadlock_timeout = '{timeout}';"))
    (played,) = play(database, f"{TABLES} {text} permutation a1 b2 a2 b1 end1 end2")
    assert told(played) == ["a1", "b2", "b1 40P01", "a2 waited for s1 until b1", "end1", "end2"]


def test_orders_in_which_a_session_would_go_on_while_it_waits_cannot_happen(database: str) -> None:
    played = play(database, f"{TABLES} {TWO}")
    found = {" ".join(one.permutation.names): one.impossible_at for one in played}
    assert found == {
        "one end1 two end2": None,
        "one two end1 end2": None,
        "one two end2 end1": 2,
        "two one end1 end2": 2,
        "two one end2 end1": None,
        "two end2 one end1": None,
    }
    assert all(one.outcome == () for one in played if one.impossible_at is not None)


def test_a_listed_order_that_cannot_happen_is_an_error_that_names_who_waits(database: str) -> None:
    error = refused(database, f"{TABLES} {TWO} permutation one two end2 end1")
    assert error.found == "made: a step has its turn while its session waits for a later one"
    assert error.details == ("step two waits for session s1", "permutation one two end2 end1")


def test_a_transaction_that_nobody_ends_is_an_error_and_not_a_hang(database: str) -> None:
    error = refused(database, f"{TABLES} {TWO} permutation one two")
    assert error.found == "made: all steps were sent, and some of them wait for ever"


def test_a_step_that_takes_too_long_is_cancelled_and_told(
    database: str, conn: psycopg.Connection[dict[str, Any]], eventually: Callable[..., Any]
) -> None:
    began = time.monotonic()
    error = refused(database, "session s1 step nap { SELECT pg_sleep(300); }", patience_s=0.2)
    assert error.found == "made: not done within 0.2 s"
    assert time.monotonic() - began < 60
    left = (
        "SELECT 1 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep(300)%' AND pid <> pg_backend_pid()"
    )
    eventually(lambda: conn.execute(left).fetchall() == [])


def test_a_wait_that_ends_by_a_timeout_is_waited_for(database: str) -> None:
    text = TWO.replace("two {", "two { SET LOCAL lock_timeout = '50ms';")
    (played,) = play(database, f"{TABLES} {text} permutation one two end2 end1")
    assert told(played) == ["one", "two waited for s1 until - 55P03", "end2", "end1"]


def test_a_step_that_fails_is_a_result_and_the_rest_runs_on(database: str) -> None:
    text = """session s1 step bad { SELECT 1; SELECT 1 / 0; SELECT 2; } step good { SELECT NULL AS n, '' AS e; }"""
    (played,) = play(database, text)
    bad, good = played.reports
    assert bad.failure is not None
    assert (bad.failure.sqlstate, bad.failure.message) == ("22012", "division by zero")
    assert [one.values for one in bad.rows] == [(("1",),)]
    assert [(one.columns, one.values) for one in good.rows] == [(("n", "e"), ((None, ""),))]


def test_the_asterisk_reports_a_step_as_waiting_whatever_the_server_says(database: str) -> None:
    (played,) = play(
        database, "session s1 step x { SELECT 1; } session s2 step y { SELECT 2; } permutation x(*) y"
    )
    assert told(played) == ["y [['2']]", "x waited for a marker until y [['1']]"]


def test_a_step_is_held_back_while_the_other_step_runs(database: str) -> None:
    text = f"{TABLES} {TWO} session s3 step x {{ SELECT 1; }} permutation one two x(two) end1 end2"
    (played,) = play(database, text)
    assert told(played) == [
        "one", "end1", "two waited for s1 until end1 [['11']]", "x waited for a marker until two [['1']]", "end2",
    ]  # fmt: skip


def test_a_step_is_not_held_back_by_one_that_does_not_run_yet(database: str) -> None:
    text = "session s1 step x { SELECT 1; } session s2 step y { SELECT 2; } permutation y x(y) x(y) y"
    (played,) = play(database, text)
    assert told(played) == ["y [['2']]", "x [['1']]", "x [['1']]", "y [['2']]"]


def test_a_step_is_held_back_until_the_other_session_has_sent_notices(database: str) -> None:
    text = r"""session s1 step x { SELECT 1; }
        session s2 step y { DO $$ BEGIN RAISE NOTICE 'so'; END $$; } step z { SELECT 3; }
        permutation y x(y notices 2) y z y z"""
    (played,) = play(database, text)
    assert told(played) == ["y", "y", "z [['3']]", "y", "x waited for a marker until y [['1']]", "z [['3']]"]
    assert played.reports[0].notices == ["NOTICE: so"]


def test_markers_that_wait_for_one_another_are_an_error_and_not_a_hang(database: str) -> None:
    text = "session s1 step x { SELECT 1; } session s2 step y { SELECT 2; } permutation x(*, y) y(x)"
    assert refused(database, text).found == "made: all steps were sent, and some of them wait for ever"


def test_a_step_that_another_cancels_is_released(database: str) -> None:
    text = f"""{TABLES} {TWO} session s3
        step cancel {{ SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'; }}
        permutation one two(cancel) cancel end2 end1"""
    (played,) = play(database, text)
    assert told(played) == [
        "one", "cancel [['t']]", "two waited for s1 until - 57014", "end2", "end1",
    ]  # fmt: skip


def test_nothing_of_a_permutation_is_left_for_the_next(database: str) -> None:
    text = """
        setup { CREATE TABLE a (i int); }
        teardown { SELECT count(*) AS n FROM a; DROP TABLE a; }
        session s1
        step x {
            SELECT pg_try_advisory_lock(1), nullif(current_setting('a.b', true), '');
            SET a.b = 'left'; CREATE TEMP TABLE t ();
        }
        step y { BEGIN; INSERT INTO a VALUES (1); }
        session s2
        step z { SELECT 1; }"""
    found = play(database, text)
    assert len(found) == 3
    for played in found:
        x = next(one for one in played.reports if one.turn.step.name == "x")
        assert (x.failure, [one.values for one in x.rows]) == (None, [(("t", None),)])
        # What is open at the end is not committed, and so is no outcome.
        assert rows(played) == [["0"]]


def test_the_outcome_is_what_the_teardowns_select_sessions_first(database: str) -> None:
    text = """
        setup { CREATE TABLE a (i int); } setup { INSERT INTO a VALUES (7); }
        teardown { SELECT i FROM a; DROP TABLE a; SELECT 'gone' AS a; }
        session s1 setup { SELECT 1; } step x { BEGIN; UPDATE a SET i = 8; } teardown { COMMIT; SELECT 'mine' AS s; }"""
    (played,) = play(database, text)
    assert [one.columns for one in played.outcome] == [("s",), ("i",), ("a",)]
    assert rows(played) == [["mine"], ["8"], ["gone"]]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("setup { SELECT 1 / 0; } session s1 step x {}", "setup failed: division by zero"),
        ("session s1 setup { SELECT 1 / 0; } step x {}", "setup of session s1 failed: division by zero"),
        (
            "session s1 step x {} teardown { SELECT 1 / 0; }",
            "teardown of session s1 failed: division by zero",
        ),
        ("teardown { SELECT 1 / 0; } session s1 step x {}", "teardown failed: division by zero"),
    ],
)
def test_sql_around_the_steps_has_to_succeed(database: str, text: str, found: str) -> None:
    assert refused(database, text).found == f"made: {found}"


def test_setups_and_steps_run_with_the_same_settings_each_time(
    database: str, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    conn.execute(f"ALTER DATABASE {conn.info.dbname} SET TimeZone TO 'Asia/Tokyo'")
    text = """
        setup { CREATE TABLE a AS SELECT current_setting('TimeZone') AS zone; SET TimeZone TO 'UTC'; }
        teardown { DROP TABLE a; }
        session s1 step x { SELECT zone, current_setting('TimeZone') FROM a; SET TimeZone TO 'UTC'; }
        permutation x permutation x"""
    for played in play(database, text):
        assert told(played) == ["x [['Asia/Tokyo', 'Asia/Tokyo']]"]


def test_a_session_that_the_server_ends_fails_and_is_there_again_for_the_next_permutation(
    database: str,
) -> None:
    text = f"""{TABLES} {TWO} session s3
        step kill {{ SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'; }}
        permutation one two(kill) kill end1 permutation one end1 two end2"""
    first, second = play(database, text)
    assert told(first) == ["one", "kill [['t']]", "two waited for s1 until - 57P01", "end1"]
    assert rows(first) == [["1", "1"], ["2", "0"]]
    assert told(second) == ["one", "end1", "two [['11']]", "end2"]


def test_a_session_that_ends_between_two_steps_says_why_in_the_second(
    database: str, conn: psycopg.Connection[dict[str, Any]]
) -> None:
    text = f"""{TABLES} {TWO} session s3
        step gone {{ SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity
            WHERE datname = current_database() AND query LIKE 'UPDATE a SET n = n + 1 %'; }}"""
    first, second = play(database, f"{text} permutation one gone end1 permutation one gone two end2")
    assert told(first) == ["one", "gone [['t']]", "end1 57P01"]
    assert rows(second) == [["1", "10"], ["2", "0"]]
    error = refused(database, f"{text} permutation one gone end1 one")
    assert error.found == "made: step one comes after the end of session s1"


def test_a_wait_is_seen_though_a_function_forbids_the_session_to_speak_of_it(database: str) -> None:
    text = f"""
        setup {{ CREATE FUNCTION quiet() RETURNS void LANGUAGE plpgsql SET client_min_messages TO error
            AS 'BEGIN UPDATE a SET n = 7 WHERE i = 1; END'; }}
        {TABLES} {TWO.replace("UPDATE a SET n = n + 10 WHERE i = 1 RETURNING n", "SELECT quiet()")}
        permutation one two end1 end2"""
    (played,) = play(database, text)
    assert told(played) == ["one", "end1", "two waited for s1 until end1 [['']]", "end2"]
