"""Batches against real sessions: no writer waits past the stall budget, and what cannot fit says what to do."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from faults.proxy import Door, Point, behind_a_door
from psycopg.pq import TransactionStatus

from pgrunbook import batch, session, target
from pgrunbook.batch import Batches, Rules, begin, is_sized
from pgrunbook.change import Script
from pgrunbook.errors import RemedyFailed
from pgrunbook.rowhold import RowHold
from pgrunbook.session import Connection

if TYPE_CHECKING:
    from conftest import Elsewhere

SIZED = throwaway.FILES["remedy/10_doubled_codes.sql"]
FIXED = SIZED.replace("LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000)", "LIMIT 1000")


@pytest.fixture
def work(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        yield conn


def script(folder: Path, text: str = SIZED) -> Script:
    return throwaway.write(folder, throwaway.changed({"remedy/10_doubled_codes.sql": text})).remedies[0]


def cancelled_in_its_sleep(work: Connection, cancel: Callable[[], object], eventually: Any) -> None:
    """Let a connection sleep until it is cancelled, which happens once it does."""
    sleeps = "SELECT count(*) FROM pg_stat_activity WHERE pid = %s AND wait_event = 'PgSleep'"

    def when_it_sleeps() -> None:
        with contextlib.closing(psycopg.connect(work.info.dsn, autocommit=True)) as other:
            eventually(lambda: other.execute(sleeps, (session.pid(work),)).fetchone() == (1,))
            cancel()

    with ThreadPoolExecutor(1) as pool:
        cancelling = pool.submit(when_it_sleeps)
        try:
            work.execute("SELECT pg_sleep(30)")
        finally:
            cancelling.result()


def slow(conn: Connection, rules: Rules, row_s: float) -> Callable[[int, RowHold], int]:
    """An attempt that needs so long for each row that it changes."""

    def attempt(size: int, hold: RowHold) -> int:
        with conn.transaction():
            begin(conn, rules, size)
            conn.execute(
                "DO $$ BEGIN FOR i IN 1..current_setting('pgrunbook.batch')::int LOOP"
                f" UPDATE things SET code = code WHERE id = 1; PERFORM pg_sleep({row_s}); END LOOP; END $$"
            )
            hold.check()
        return size

    return attempt


def test_the_size_is_a_setting_of_the_batch_alone(work: Connection, look: Connection, tmp_path: Path) -> None:
    rules = Rules(stall_ms=5_000, start=7)
    asked = []

    def attempt(size: int, _hold: RowHold) -> None:
        with work.transaction():
            begin(work, rules, size)
            asked.append(session.value(work, "SELECT current_setting('pgrunbook.batch')"))
            asked.append(session.value(work, "SELECT current_setting('lock_timeout')"))
            asked.append(session.value(work, "SELECT current_setting('synchronous_commit')"))

    Batches(work, look, script(tmp_path), rules).one(attempt)
    assert asked == ["7", "50ms", "off"]
    assert session.value(work, "SELECT current_setting('pgrunbook.batch', true)") in ("", None)


def test_a_batch_that_would_stall_others_is_taken_back_and_tried_smaller(
    work: Connection, look: Connection, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    rules = Rules(stall_ms=400, share=1.0, start=100)
    waited, stop = list[float](), threading.Event()

    def write() -> None:
        while not stop.is_set():
            began = time.perf_counter()
            elsewhere.execute("UPDATE things SET code = code WHERE id = 1")
            waited.append(time.perf_counter() - began)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        batches = Batches(work, look, script(tmp_path), rules)
        assert batches.one(slow(work, rules, 0.02)) < 100
    finally:
        stop.set()
        writer.join()
    assert batches.pace.worst_ms < 100 * 0.02 * 1000
    # The writer met the batches that were stopped, too: none of them ran its 100 rows to the end.
    assert max(waited) < 100 * 0.02


def test_one_row_that_does_not_fit_is_an_error_that_says_what_to_do(
    work: Connection, look: Connection, tmp_path: Path
) -> None:
    rules = Rules(stall_ms=100, share=1.0, start=10)
    with pytest.raises(RemedyFailed) as caught:
        Batches(work, look, script(tmp_path), rules).one(slow(work, rules, 1))
    assert str(caught.value) == (
        "remedy 10_doubled_codes: one row, or what has to be changed together with it, keeps others waiting for longer"
        " than the stall budget of 100 ms\n"
        "  it was stopped 80 ms after its first row, and taken back\n"
        "  next: let it find its rows by an index, or give it more in its header, as in `-- stall_budget: 1000 ms`;"
        " what was done before stays, call it again to go on"
    )


def test_a_size_that_the_remedy_does_not_take_is_said(
    work: Connection, look: Connection, tmp_path: Path
) -> None:
    given = script(tmp_path, FIXED)
    assert (is_sized(given), is_sized(script(tmp_path))) == (False, True)
    rules = Rules(stall_ms=100, share=1.0, start=10)
    with pytest.raises(RemedyFailed) as caught:
        Batches(work, look, given, rules, fixed=True).one(slow(work, rules, 1))
    assert "next: write LIMIT coalesce(current_setting('pgrunbook.batch', true)::int, 1000), let it" in str(
        caught.value
    )


def test_it_pauses_as_long_as_it_worked(work: Connection, look: Connection, tmp_path: Path) -> None:
    def work_for(_size: int, _hold: RowHold) -> None:
        work.execute("SELECT pg_sleep(0.2)")

    spent = {}
    for share in (1.0, 0.5):
        batches = Batches(work, look, script(tmp_path), Rules(stall_ms=5_000, share=share))
        began = time.perf_counter()
        for _ in range(3):
            batches.one(work_for)
        spent[share] = time.perf_counter() - began
    assert spent[1.0] >= 0.6
    assert spent[0.5] >= 1.0, "two pauses between three batches"


def test_a_row_that_somebody_holds_is_waited_for(
    work: Connection, look: Connection, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    rules = Rules(stall_ms=5_000, share=1.0, start=1)
    elsewhere.begin_and_hold("UPDATE things SET code = 'theirs' WHERE id = 1")
    tries = []

    def attempt(size: int, _hold: RowHold) -> None:
        tries.append(size)
        if len(tries) == 2:
            elsewhere.release()
        with work.transaction():
            begin(work, rules, size)
            work.execute("UPDATE things SET code = 'ours' WHERE id = 1")

    Batches(work, look, script(tmp_path), rules).one(attempt)
    assert tries == [1, 1]


def test_a_rollback_that_was_cancelled_itself_is_done_again(
    work: Connection, look: Connection, tmp_path: Path
) -> None:
    tries = []

    def attempt(size: int, _hold: RowHold) -> None:
        tries.append(size)
        work.execute("BEGIN")
        if len(tries) == 1:
            # As if the ROLLBACK of the transaction had met the request to cancel.
            work.execute("UPDATE things SET code = code; SELECT pg_sleep(30)")
        work.execute("COMMIT")

    Batches(work, look, script(tmp_path), Rules(stall_ms=100, share=1.0)).one(attempt)
    assert tries == [200, 50]
    assert work.info.transaction_status is TransactionStatus.IDLE


def test_who_asks_to_stop_is_heard_before_our_own_limit(
    work: Connection, look: Connection, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    class Stop(Exception):
        pass

    wanted = threading.Event()

    def checkpoint() -> None:
        if wanted.is_set():
            raise Stop

    def attempt(_size: int, _hold: RowHold) -> None:
        wanted.set()
        cancelled_in_its_sleep(work, work.cancel_safe, eventually)

    with pytest.raises(Stop):
        Batches(work, look, script(tmp_path), Rules(stall_ms=60_000, checkpoint=checkpoint)).one(attempt)


def test_a_statement_that_somebody_else_cancels_is_a_failure(
    work: Connection, look: Connection, elsewhere: Elsewhere, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    def attempt(_size: int, _hold: RowHold) -> None:
        cancel = "SELECT pg_cancel_backend(%s)"
        cancelled_in_its_sleep(work, lambda: elsewhere.execute(cancel, (session.pid(work),)), eventually)

    with pytest.raises(RemedyFailed, match="canceling statement due to user request"):
        Batches(work, look, script(tmp_path), Rules(stall_ms=60_000)).one(attempt)


def test_a_refusal_names_the_rule_and_the_rows(work: Connection, tmp_path: Path) -> None:
    work.execute("CREATE UNIQUE INDEX only_once ON things (code)")
    with pytest.raises(psycopg.errors.UniqueViolation) as caught:
        work.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    assert str(batch.refused(script(tmp_path), caught.value)) == (
        'remedy 10_doubled_codes: duplicate key value violates unique constraint "only_once"\n'
        "  DETAIL:  Key (code)=(c1) already exists.\n"
        "  constraint or index only_once of public.things\n"
        "  next: nothing of this batch was changed; mend the cause and call it again"
    )


def test_no_batch_merges_full_text_while_it_holds_rows(
    work: Connection, look: Connection, tmp_path: Path
) -> None:
    work.execute(
        "ALTER TABLE things ADD words tsvector; CREATE INDEX words ON things USING gin (words);"
        "UPDATE things SET words = to_tsvector('simple', code)"
    )
    left = "SELECT gin_clean_pending_list('words')"

    def attempt(size: int, hold: RowHold) -> object:
        return session.value(look, left)

    assert Batches(work, look, script(tmp_path), Rules()).one(attempt) == 0
    work.execute("UPDATE things SET words = to_tsvector('simple', code || 'x')")
    assert session.value(look, left), "an update leaves something to be merged"


@pytest.mark.parametrize("committed", [True, False])
def test_a_commit_whose_answer_is_lost_is_called_unknown(
    committed: bool, database: str, work: Connection, look: Connection, tmp_path: Path
) -> None:
    def attempt(size: int, hold: RowHold) -> int:
        with behind.transaction():
            return behind.execute("UPDATE things SET code = 'new' WHERE code = 'c1'").rowcount

    with behind_a_door(database, Door) as (door, through):
        door.fire = lambda _wire: False
        with session.connect(target.rehearsal(through), purpose="work") as behind:
            batches = Batches(behind, look, script(tmp_path), Rules(stall_ms=60_000, share=1.0))
            batches.one(lambda _size, _hold: 0)
            asked = len(door.seen)
            # As many messages as before, then BEGIN, UPDATE and COMMIT.
            before = asked - next(n for n, unit in enumerate(door.seen) if unit.text == "BEGIN")
            door.point = Point("work", asked + before + 3, after=committed)
            with pytest.raises(RemedyFailed) as caught:
                batches.one(attempt)
    assert door.seen[asked + before + 2].text == "COMMIT"
    assert str(caught.value).splitlines()[0] == (
        "remedy 10_doubled_codes: the connection was lost, and whether its last batch was committed is not known"
    )
    assert "nothing" not in str(caught.value)
    assert session.value(look, "SELECT code FROM things WHERE id = 1") == ("new" if committed else "c1")
