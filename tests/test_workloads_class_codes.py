"""Creating a class: one INSERT with the code, timestamp codes when the counter is held, honest failures."""

from __future__ import annotations

import logging
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import classroom
import psycopg
import pytest
from psycopg.pq import TransactionStatus

from pgrunbook import server as embedded
from pgrunbook import suite
from pgrunbook.errors import BadClassForm, ClassNotSaved
from pgrunbook.target import Target
from pgrunbook.workloads import fallback_codes
from pgrunbook.workloads.class_codes import ClassCodes

Conn = psycopg.Connection[dict[str, Any]]
HASTY_MS = 80


@pytest.fixture(scope="module")
def room(server: embedded.Server) -> Iterator[Target]:
    with classroom.opened(server) as target:
        yield target


@pytest.fixture
def conn(room: Target) -> Iterator[Conn]:
    with classroom.connect(room) as connection:
        yield connection


@pytest.fixture
def other(room: Target) -> Iterator[Conn]:
    with classroom.connect(room) as connection:
        yield connection


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level(logging.INFO, logger=classroom.LOGGER)
    return lambda: classroom.said(caplog.records)


def hold(conn: Conn, form: dict[str, Any]) -> None:
    """Hold the counter of a form's prefix in an open transaction."""
    conn.execute("BEGIN")
    held = conn.execute(
        "SELECT FROM class_code_counters WHERE prefix = %s FOR UPDATE", [classroom.prefix(form)]
    )
    assert held.rowcount == 1


def test_the_server_makes_the_code_and_says_what_it_saved(
    conn: Conn, room: Target, log: Callable[[], list[str]]
) -> None:
    form = classroom.form(learner_ids=[1, {"id": 2}], schedule_data={"day": 1}, class_town="Paarl")
    made = ClassCodes()
    saved = [made.create(conn, form) for _ in range(2)]
    prefix = classroom.prefix(form)
    assert saved[0] == {
        "success": True,
        "class_id": saved[0]["class_id"],
        "class_code": f"{prefix}0001",
        "message": "Draft class created successfully.",
    }
    assert classroom.codes(room, form) == [f"{prefix}0001", f"{prefix}0002"]
    row = conn.execute("SELECT * FROM classes WHERE class_id = %s", [saved[0]["class_id"]]).fetchone()
    assert row
    assert (row["is_draft"], row["learner_ids"], row["class_town"]) == (True, [1, {"id": 2}], "Paarl")
    assert row["created_at"] == row["updated_at"]
    assert [re.sub(r" in [0-9.]+ ms", "", line) for line in log()] == [
        f"class code {one['class_code']} made for class {one['class_id']}" for one in saved
    ]
    assert made.metrics.figures.created == 2
    assert made.metrics.figures.fallbacks == 0


@pytest.mark.parametrize(
    ("last", "following"), [(41, "0042"), (42, "0043"), (9998, "9999"), (9999, "10000"), (10000, "10001")]
)
def test_the_next_number_follows_as_a_number_not_as_text(conn: Conn, last: int, following: str) -> None:
    form = classroom.form()
    prefix = classroom.prefix(form)
    conn.execute("INSERT INTO class_code_counters VALUES (%s, %s)", [prefix, last])
    assert ClassCodes().create(conn, form)["class_code"] == f"{prefix}{following}"


@pytest.mark.parametrize(
    "hostile", ["HACK", "11-X-Y-9999", "a\nclass code forged", "\x1b[31m\u202e%s", None, ["x"]]
)
def test_a_code_in_the_form_is_dropped_and_logged_on_one_line(
    conn: Conn, log: Callable[[], list[str]], hostile: object
) -> None:
    form = classroom.form(class_code=hostile)
    made = ClassCodes()
    saved = made.create(conn, form)
    assert saved["class_code"] == f"{classroom.prefix(form)}0001"
    assert (
        made.update(conn, saved["class_id"], {"class_code": hostile, "class_town": "Paarl"})["class_code"]
        == (saved["class_code"])
    )
    dropped = [line for line in log() if line.startswith("class_code dropped from the form: ")]
    assert len(dropped) == 2
    assert all(line.isprintable() and len(line) < 150 for line in log())


def test_hostile_values_are_stored_as_they_are_and_change_nothing_else(conn: Conn) -> None:
    hostile = "'); DROP TABLE classes; -- <script> %s {0} \\"
    form = classroom.form(class_notes=hostile, class_subject="R'LN\"; %_\\")
    saved = ClassCodes().create(conn, form)
    found = conn.execute(
        "SELECT class_notes, class_code FROM classes WHERE class_id = %s", [saved["class_id"]]
    ).fetchone()
    assert found == {"class_notes": hostile, "class_code": f"{form['client_id']}-REALLL-R'LN\"; %_\\-0001"}


def test_a_character_that_the_connection_cannot_send_is_refused(conn: Conn) -> None:
    conn.execute("SET client_encoding = 'LATIN1'")
    with pytest.raises(BadClassForm, match="is not in the connection's latin-1"):
        ClassCodes().create(conn, classroom.form(class_notes="Klas 📚"))
    with conn.transaction():
        with pytest.raises(BadClassForm):
            ClassCodes().create(conn, classroom.form(class_notes="Klas 📚"))
        assert ClassCodes().create(conn, classroom.form(class_notes="één"))["success"]


def test_a_form_that_is_refused_reaches_no_server() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            pytest.fail(f"the connection was used: {name}")

    nobody: Any = Untouchable()
    for form in ({}, {"client_id": 11}, classroom.form(class_type=None), classroom.form(nonsense=1)):
        with pytest.raises(BadClassForm):
            ClassCodes().create(nobody, form)
    with pytest.raises(BadClassForm):
        ClassCodes().update(nobody, 1, {"class_code": "HACK"})


def test_an_update_changes_fields_and_never_the_code(conn: Conn) -> None:
    form = classroom.form()
    made = ClassCodes()
    saved = made.create(conn, form)
    changed = made.update(
        conn, saved["class_id"], {"client_id": 12, "class_subject": "NL4", "class_code": "X"}
    )
    assert changed == {**saved, "message": "Class updated successfully."}
    row = conn.execute(
        "SELECT client_id, class_subject, class_code FROM classes WHERE class_id = %s", [saved["class_id"]]
    ).fetchone()
    assert row == {"client_id": 12, "class_subject": "NL4", "class_code": saved["class_code"]}
    with pytest.raises(BadClassForm, match="there is no class -1"):
        made.update(conn, -1, {"class_town": "Paarl"})


class Counting:
    """Counts what triggers see: rows inserted into and updated in `classes`."""

    def __init__(self, conn: Conn) -> None:
        conn.execute(
            "CREATE TABLE IF NOT EXISTS seen (operation text, code text);"
            "CREATE OR REPLACE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN INSERT INTO seen VALUES (TG_OP, NEW.class_code); RETURN NEW; END$$;"
            "CREATE OR REPLACE TRIGGER seeing AFTER INSERT OR UPDATE ON classes FOR EACH ROW EXECUTE FUNCTION see()"
        )
        self.conn = conn

    def operations(self, code: str | None) -> list[str]:
        found = self.conn.execute("SELECT operation FROM seen WHERE code = %s", [code])
        return [row["operation"] for row in found]


def test_the_code_is_in_the_one_insert_and_no_update_follows(
    conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting = Counting(conn)
    sent: list[str] = []
    execute = psycopg.ClientCursor.execute

    def spied(cursor: Any, query: Any, *arguments: Any, **options: Any) -> Any:
        sent.append(query.as_string(cursor))
        return execute(cursor, query, *arguments, **options)

    made = ClassCodes()
    with monkeypatch.context() as patched:
        patched.setattr(psycopg.ClientCursor, "execute", spied)
        saved = made.create(conn, classroom.form())
    assert [[part.split()[0] for part in one.split("; ")] for one in sent] == [["SET", "SELECT", "INSERT"]]
    assert counting.operations(saved["class_code"]) == ["INSERT"]
    made.update(conn, saved["class_id"], {"class_town": "Paarl"})
    # The counting can see an UPDATE.
    assert counting.operations(saved["class_code"]) == ["INSERT", "UPDATE"]
    conn.execute("DROP TRIGGER seeing ON classes")


def test_a_commit_that_fails_saves_nothing_and_leaves_the_connection_usable(conn: Conn, room: Target) -> None:
    conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF NEW.class_notes = 'late' THEN RAISE 'refused at the commit'; END IF; RETURN NULL; END$$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON classes DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION refuse()"
    )
    form = classroom.form()
    with pytest.raises(ClassNotSaved, match="refused at the commit") as caught:
        ClassCodes().create(conn, {**form, "class_notes": "late"})
    assert caught.value.known
    assert conn.info.transaction_status is TransactionStatus.IDLE
    assert classroom.codes(room, form) == []
    assert str(ClassCodes().create(conn, form)["class_code"]).endswith("-0001")
    conn.execute("DROP TRIGGER late ON classes")


def test_a_caller_who_rolls_back_leaves_no_gap(conn: Conn, room: Target) -> None:
    form = classroom.form()
    made = ClassCodes()
    made.create(conn, form)
    with conn.transaction(force_rollback=True):
        assert str(made.create(conn, form)["class_code"]).endswith("-0002")
    with classroom.connect(room, autocommit=False) as implicit:
        made.create(implicit, form)
        implicit.rollback()
        made.create(implicit, form)
        implicit.commit()
    assert [code[-4:] for code in classroom.codes(room, form)] == ["0001", "0002"]


def test_the_settings_of_a_caller_stay_theirs(conn: Conn) -> None:
    def now() -> str:
        found = conn.execute("SELECT current_setting('lock_timeout') AS it").fetchone()
        return str(found and found["it"])

    conn.execute("SET lock_timeout = '7s'")
    ClassCodes().create(conn, classroom.form())
    assert now() == "7s"
    with conn.transaction():
        conn.execute("SET LOCAL lock_timeout = '3s'")
        ClassCodes().create(conn, classroom.form())
        assert now() == "3s"
    assert now() == "7s"


def test_sixteen_writers_get_every_number_once_and_need_no_fallback(room: Target) -> None:
    form = classroom.form()
    made = ClassCodes()
    classroom.together(room, 16, lambda conn, _: [made.create(conn, form) for _ in range(15)])
    prefix = classroom.prefix(form)
    assert sorted(classroom.codes(room, form)) == [f"{prefix}{number:04d}" for number in range(1, 241)]
    figures = made.metrics.figures
    assert (figures.created, figures.fallbacks, figures.duplicates, figures.failures) == (240, 0, 0, 0)
    assert figures.fallback_rate == 0
    assert 0 < figures.p50_ms <= figures.p99_ms


def test_a_held_counter_costs_nobody_their_class_and_every_fallback_is_counted(
    room: Target, other: Conn, log: Callable[[], list[str]]
) -> None:
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    made.create(other, form)
    hold(other, form)
    classroom.together(room, 16, lambda conn, _: [made.create(conn, form) for _ in range(2)])
    other.execute("COMMIT")
    classroom.together(room, 16, lambda conn, _: ClassCodes(metrics=made.metrics).create(conn, form))
    codes = classroom.codes(room, form)
    assert len(set(codes)) == len(codes) == 1 + 32 + 16
    fallbacks = [code for code in codes if fallback_codes.is_fallback(code)]
    assert len(fallbacks) == made.metrics.figures.fallbacks == 32
    assert made.metrics.figures.duplicates == made.metrics.figures.failures == 0
    # The numbers go on where they were.
    assert sorted(code[-4:] for code in set(codes) - set(fallbacks)) == [f"{n:04d}" for n in range(1, 18)]
    told = [line for line in log() if line.startswith("Sequential code generation failed")]
    assert told == [
        "Sequential code generation failed, using timestamp fallback: canceling statement due to lock timeout"
    ] * len(fallbacks)


def test_a_timestamp_code_is_the_minute_in_utc_on_the_server_and_no_number(conn: Conn, other: Conn) -> None:
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    made.create(conn, form)
    hold(other, form)
    conn.execute("SET TimeZone = 'Africa/Johannesburg'")
    minute = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD-HH24-MI') AS it"
    before, code, after = (
        conn.execute(minute).fetchone(),
        str(made.create(conn, form)["class_code"]),
        conn.execute(minute).fetchone(),
    )
    other.execute("ROLLBACK")
    assert before
    assert after
    assert before["it"] <= code.removeprefix(classroom.prefix(form))[:16] <= after["it"]
    assert re.fullmatch(r"\d+-REALLL-RLN-\d{4}-\d\d-\d\d-\d\d-\d\d-x[0-9a-f]{6}", code)
    assert made.create(conn, form)["class_code"] == f"{classroom.prefix(form)}0002"


def test_two_of_one_minute_with_the_same_ending_get_another_one(
    conn: Conn, other: Conn, room: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    endings = ["x000001", "x000001", "x000001", "x000002"]
    monkeypatch.setattr(fallback_codes, "suffix", lambda: endings.pop(0))
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    made.create(conn, form)
    hold(other, form)
    code = made.create(conn, form)["class_code"]
    conn.execute("UPDATE class_code_counters SET last_number = last_number WHERE false")
    other.execute("SAVEPOINT held")
    again = made.create(conn, form)["class_code"]
    other.execute("ROLLBACK")
    assert str(code).endswith("x000001")
    if str(code)[:-8] == str(again)[:-8]:
        assert str(again).endswith("x000002")
        assert made.metrics.figures.duplicates == 2
    assert made.metrics.figures.fallbacks == 2


def test_in_a_transaction_of_the_caller_the_fallback_keeps_what_was_done_before(
    conn: Conn, other: Conn, room: Target
) -> None:
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    made.create(conn, form)
    hold(other, form)
    with conn.transaction():
        conn.execute("CREATE TEMP TABLE before_it AS SELECT 1 AS one")
        code = str(made.create(conn, form)["class_code"])
        assert conn.info.transaction_status is TransactionStatus.INTRANS
    other.execute("ROLLBACK")
    assert fallback_codes.is_fallback(code)
    assert code in classroom.codes(room, form)
    assert conn.execute("SELECT one FROM before_it").fetchall() == [{"one": 1}]


def test_repeatable_read_of_the_caller_falls_back_where_the_counter_moved_on(conn: Conn, other: Conn) -> None:
    form = classroom.form()
    made = ClassCodes()
    made.create(conn, form)
    conn.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    conn.execute("SELECT FROM classes LIMIT 1")
    made.create(other, form)
    code = str(made.create(conn, form)["class_code"])
    conn.execute("COMMIT")
    assert fallback_codes.is_fallback(code)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_a_stricter_default_costs_no_fallback_in_a_race(room: Target, level: str) -> None:
    form = classroom.form()
    made = ClassCodes()

    def work(conn: Conn, _number: int) -> None:
        conn.execute(f"SET default_transaction_isolation = '{level}'".encode())
        for _ in range(10):
            made.create(conn, form)

    classroom.together(room, 8, work)
    assert sorted(code[-4:] for code in classroom.codes(room, form)) == [f"{n:04d}" for n in range(1, 81)]
    assert made.metrics.figures.fallbacks == 0


@pytest.mark.parametrize("within", [False, True])
def test_a_statement_timeout_falls_back_and_a_cancel_does_not(
    conn: Conn, other: Conn, room: Target, eventually: Callable[..., Any], within: bool
) -> None:
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=20_000)
    made.create(conn, form)
    hold(other, form)
    conn.execute("SET statement_timeout = '300ms'")
    if within:
        conn.execute("BEGIN")
    assert fallback_codes.is_fallback(str(made.create(conn, form)["class_code"]))
    conn.execute("SET statement_timeout = 0")
    with ThreadPoolExecutor(1) as pool, classroom.connect(room) as look:
        asked = pool.submit(made.create, conn, form)
        waiting = "SELECT FROM pg_locks WHERE NOT granted AND pid = %s"
        eventually(lambda: look.execute(waiting, [conn.info.backend_pid]).rowcount)
        conn.cancel_safe()
        with pytest.raises(ClassNotSaved, match="user request") as caught:
            asked.result(timeout=30)
    assert caught.value.known
    conn.execute("COMMIT")
    other.execute("ROLLBACK")
    assert len(classroom.codes(room, form)) == 2
    assert made.metrics.figures.failures == made.metrics.figures.fallbacks == 1


def test_a_deadlock_with_the_caller_ends_in_a_saved_class(
    conn: Conn, other: Conn, room: Target, eventually: Callable[..., Any], log: Callable[[], list[str]]
) -> None:
    form = classroom.form()
    made = ClassCodes(lock_timeout_ms=60_000)
    first = made.create(conn, form)["class_id"]
    conn.execute("SET deadlock_timeout = '50ms'")
    other.execute("SET deadlock_timeout = '60s'")
    touch = "UPDATE classes SET class_town = 'Paarl' WHERE class_id = %s"
    hold(other, form)
    conn.execute("BEGIN")
    conn.execute(touch, [first])
    with ThreadPoolExecutor(1) as pool, classroom.connect(room) as look:
        waiting = pool.submit(other.execute, touch, [first])
        blocked = "SELECT FROM pg_locks WHERE NOT granted AND pid = %s"
        eventually(lambda: look.execute(blocked, [other.info.backend_pid]).rowcount)
        code = str(made.create(conn, form)["class_code"])
        conn.execute("COMMIT")
        waiting.result(timeout=30)
    other.execute("COMMIT")
    assert fallback_codes.is_fallback(code)
    assert made.metrics.figures.fallbacks == 1
    assert any(line.endswith("using timestamp fallback: deadlock detected") for line in log())


@pytest.mark.parametrize(("lost", "fallbacks"), [(1, 0), (2, 1)])
def test_a_deadlock_of_our_own_transaction_is_tried_once_more(
    conn: Conn, monkeypatch: pytest.MonkeyPatch, lost: int, fallbacks: int
) -> None:
    failures = [psycopg.errors.DeadlockDetected("deadlock detected") for _ in range(lost)]
    send = ClassCodes._send

    def sometimes(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return send(*arguments)

    monkeypatch.setattr(ClassCodes, "_send", sometimes)
    form = classroom.form()
    made = ClassCodes()
    assert fallback_codes.is_fallback(str(made.create(conn, form)["class_code"])) == bool(fallbacks)
    assert made.metrics.figures.fallbacks == fallbacks


def test_other_failures_save_nothing_and_make_no_timestamp_code(conn: Conn, room: Target) -> None:
    form = classroom.form()
    made = ClassCodes()
    made.create(conn, form)
    with pytest.raises(ClassNotSaved) as caught:
        made.create(conn, {**form, "class_capacity": None})
    assert str(caught.value).startswith("failed to generate class code: null value in column")
    assert isinstance(caught.value.__cause__, psycopg.errors.NotNullViolation)
    with pytest.raises(ClassNotSaved), conn.transaction():
        made.create(conn, {**form, "class_capacity": None})
    assert len(classroom.codes(room, form)) == 1
    assert made.create(conn, form)["class_code"] == f"{classroom.prefix(form)}0002"
    assert (made.metrics.figures.fallbacks, made.metrics.figures.failures) == (0, 2)


def test_a_failure_leaves_the_transaction_of_the_caller_usable(conn: Conn) -> None:
    with conn.transaction():
        with pytest.raises(ClassNotSaved):
            ClassCodes().create(conn, classroom.form(class_capacity=None))
        assert ClassCodes().create(conn, classroom.form())["success"]


def test_a_code_that_somebody_has_already_is_counted_and_not_tried_for_ever(conn: Conn) -> None:
    form = classroom.form()
    made = ClassCodes()
    made.create(conn, form)
    # Somebody turns the counter back, which the generator cannot know.
    conn.execute("UPDATE class_code_counters SET last_number = 0 WHERE prefix = %s", [classroom.prefix(form)])
    with pytest.raises(ClassNotSaved, match="duplicate key value") as caught:
        made.create(conn, form)
    assert "preflight of 020_class_code_generator" in caught.value.next_step
    figures = made.metrics.figures
    assert (figures.duplicates, figures.failures, figures.fallbacks) == (1, 1, 0)


def test_a_locked_table_is_an_honest_failure_since_a_timestamp_code_needs_the_table_too(
    conn: Conn, other: Conn
) -> None:
    other.execute("BEGIN")
    other.execute("LOCK TABLE classes IN SHARE MODE")
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    with pytest.raises(ClassNotSaved, match="lock timeout") as caught:
        made.create(conn, classroom.form())
    other.execute("ROLLBACK")
    assert "desk.waits()" in caught.value.next_step
    assert made.metrics.figures.created == 0


def test_a_timestamp_code_that_would_not_fit_is_refused(
    conn: Conn, other: Conn, room: Target, log: Callable[[], list[str]]
) -> None:
    form = classroom.form(class_type="R" * 20, class_subject="S" * 20)
    made = ClassCodes(lock_timeout_ms=HASTY_MS)
    made.create(conn, form)
    hold(other, form)
    with pytest.raises(ClassNotSaved, match="lock timeout"):
        made.create(conn, form)
    other.execute("ROLLBACK")
    assert any("a timestamp code would have 70 characters" in line for line in log())
    assert len(classroom.codes(room, form)) == 1


def test_without_the_generator_the_error_says_what_to_apply(server: embedded.Server, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE classes (class_id int, class_code text, client_id int)")
        conn.execute("ALTER TABLE classes ADD class_type text, ADD class_subject text, ADD is_draft bool")
        conn.execute("ALTER TABLE classes ADD created_at timestamp, ADD updated_at timestamp")
        with pytest.raises(ClassNotSaved) as caught:
            ClassCodes().create(conn, classroom.form())
    assert "apply 020_class_code_generator first" in caught.value.next_step


def test_a_stopped_server_is_told_as_it_is(major: int) -> None:
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-test-", dir=suite.place()))
    own = embedded.start(major, folder=folder)
    made = ClassCodes()
    try:
        conn = psycopg.connect(own.conninfo_for("postgres"), autocommit=True)
        embedded.stop(own)
        for _ in range(2):
            with pytest.raises(ClassNotSaved) as caught:
                made.create(conn, classroom.form())
            assert not caught.value.known
            assert "whether the class was saved is not known" in str(caught.value)
        conn.close()
    finally:
        embedded.stop(own)
        shutil.rmtree(folder, ignore_errors=True)
    figures = made.metrics.figures
    assert (figures.created, figures.fallbacks, figures.failures) == (0, 0, 2)


def test_waiting_for_ever_is_no_option() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        ClassCodes(lock_timeout_ms=0)
