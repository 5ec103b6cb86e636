"""News: what the operator is told while work runs, and what is no news any more."""

from __future__ import annotations

import dataclasses
import time

import pytest

from pgrunbook.news import News
from pgrunbook.observers import Observation
from pgrunbook.observers.locks import Side, Wait
from pgrunbook.observers.progress import Awaited, BuildSample
from pgrunbook.pace import Progress
from pgrunbook.patience import Blocker
from pgrunbook.stage import ASKS, LOOKS, VERIFIES, Stage

pytestmark = pytest.mark.static


def blocker(pid: int = 7, query: str = "SELECT 1") -> Blocker:
    return Blocker(
        pid=pid, user="app", application_name="report", backend="client backend", state="idle in transaction",
        relation="things", holds="AccessShareLock", age_ms=3200.0, query=query,
    )  # fmt: skip


def build(phase: str, done: int, total: int, waits_for: int | None = None) -> Observation:
    return Observation(builds=(BuildSample(5.0, phase, done, total, waits_for),))


def test_at_first_there_is_no_news() -> None:
    assert News().lines == []


def test_it_says_how_far_a_remedy_is() -> None:
    news = News()
    news.repaired(Progress(50, 100, 1.0, 20))
    assert news.lines == [("rows", "50 of about 100 rows, 50 a second, about 1 s left; batches of 20")]


def test_it_says_who_is_in_the_way_and_that_nobody_waits_behind_us() -> None:
    news = News()
    news.waits([blocker()], 0)
    assert news.lines == [
        ("in the way", "pid 7 'report' holds AccessShareLock on things for 3.2 s, idle in transaction"),
        ("", "role 'app'; last statement: SELECT 1"),
        ("meanwhile", "we do not queue, so nobody waits behind us; it goes on when they end"),
    ]


def test_it_counts_the_attempts_and_the_sessions_that_it_does_not_name() -> None:
    news = News()
    news.waits([blocker(pid, "") for pid in range(8)], 3)
    assert [name for name, _ in news.lines] == ["in the way", ""] * 5 + ["", "meanwhile"]
    assert news.lines[1] == ("", "role 'app'")
    assert news.lines[10] == ("", "and 3 more")
    assert news.lines[11][1].endswith("when they end; asked 3 times so far")


def test_a_blocker_that_was_not_seen_for_a_while_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    news = News()
    news.waits([blocker()], 1)
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now + 60)
    assert news.lines == []


def test_it_says_how_a_prepared_transaction_is_ended() -> None:
    news = News()
    prepared = dataclasses.replace(blocker(), pid=None, backend="prepared transaction 'x'", query="", user="")
    news.waits([prepared], 0)
    ways = "its owner runs COMMIT PREPARED 'x' or ROLLBACK PREPARED 'x'"
    assert news.lines[1] == ("", f"a prepared transaction has no session: {ways}")


def test_it_says_what_a_session_runs_that_is_at_work() -> None:
    news = News()
    news.waits([dataclasses.replace(blocker(), state="active", user="")], 0)
    assert news.lines[1] == ("", "runs: SELECT 1")


def test_it_knows_who_is_in_the_way_until_nobody_looked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    news = News()
    assert (list(news.blockers), news.awaited) == ([], set())
    news.waits([blocker()], 0)
    news.sampled(build("waiting for writers before build", 0, 1, waits_for=99))
    assert (list(news.blockers), news.awaited) == ([blocker()], {99})
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now + 60)
    assert list(news.blockers) == []


def test_it_repeats_what_came_of_a_wish() -> None:
    news = News()
    for number in range(7):
        news.tell(f"pid {number}: its session was ended")
    assert news.lines == [("asked", f"pid {number}: its session was ended") for number in range(2, 7)]


def test_it_says_how_far_a_build_is() -> None:
    news = News()
    news.sampled(build("building index: scanning table", 40, 200))
    assert news.lines == [("build", "building index: scanning table, 20 %")]
    news.sampled(build("waiting for writers before build", 0, 1, waits_for=99))
    assert news.lines == [
        ("build", "waiting for writers before build"),
        ("in the way", "pid 99"),
        ("meanwhile", "nobody waits behind us; it goes on when their transactions end"),
    ]


def test_it_says_whom_a_build_waits_for_since_when_and_what_they_run() -> None:
    awaited = Awaited(99, "web", "12:00:03 UTC", 65.2, "idle in transaction", "UPDATE things")
    waiting = BuildSample(
        5.0, "waiting for writers before build", 1, 3, 99, lockers_done=1, lockers_total=3, awaited=(awaited,)
    )
    news = News()
    news.sampled(Observation(builds=(waiting,)))
    assert news.lines[:2] == [
        ("build", "waiting for writers before build (1 of 3 transactions gone)"),
        ("in the way", "pid 99 'web', idle in transaction, since 12:00:03 UTC (65 s): UPDATE things"),
    ]


STAGE = Stage("migrate/001_a.sql", LOOKS, stall_budget_ms=100, takes_s=2.0, cancel="rolls back")
RUNS = dataclasses.replace(STAGE, doing="runs statement 1 of 2, CREATE INDEX in line 5")


def waited(pid: int, waited_ms: float, side: Side = Side.BEHIND_US) -> Wait:
    return Wait(waited_ms + 1, pid, "app", waited_ms, "AccessShareLock", "things", (7,), side)


def test_it_says_how_long_somebody_had_to_wait_for_us() -> None:
    news = News()
    news.at(STAGE)
    news.sampled(Observation(waits=(waited(8, 6.04), waited(9, 900, Side.OTHER))))
    assert (news.frame.worst_ms, news.frame.budget_ms) == (6.04, 100)
    assert "app (8)" in news.picture
    assert "app (9)" in news.picture


def test_it_says_in_words_what_the_step_does() -> None:
    news = News()
    said = [news.frame.doing]
    news.at(STAGE)
    said.append(news.frame.doing)
    news.waits([blocker(), blocker(8)], 0)
    said.append(news.frame.doing)
    for _ in range(2):
        news.at(dataclasses.replace(STAGE, doing=ASKS))
        said.append(news.frame.doing)
    news.at(RUNS)
    said.append(news.frame.doing)
    assert said == [
        "works",
        "looks who holds its locks",
        "waits because of pid 7 'report' and 1 more; it does not queue",
        "asks for its locks",
        "asks for its locks, try 2",
        "runs statement 1 of 2, CREATE INDEX in line 5",
    ]


def test_a_build_says_its_phase_and_its_share_until_it_is_verified() -> None:
    news = News()
    news.at(RUNS)
    news.sampled(build("building index: scanning table", 40, 200))
    assert (news.frame.doing, news.frame.share) == ("building index: scanning table, 20 %", 0.2)
    news.sampled(build("waiting for writers before build", 0, 1, waits_for=99))
    assert (news.frame.doing, news.frame.share) == ("waiting for writers before build", None)
    news.at(dataclasses.replace(STAGE, doing=VERIFIES))
    assert (news.frame.doing, news.frame.share) == (VERIFIES, None)


def test_a_remedy_says_its_share_where_the_total_is_known() -> None:
    news = News()
    for rows, expected, share in ((50, 100, 0.5), (7, 0, None), (12, 10, None)):
        news.repaired(Progress(rows, expected, 1.0, 20))
        assert news.frame.share == share


def test_time_in_which_we_held_back_is_counted_and_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.perf_counter()
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    news = News()
    news.at(STAGE)
    assert news.picture == ""
    for second in (0, 2, 5):
        monkeypatch.setattr(time, "perf_counter", lambda second=second: now + second)
        news.waits([blocker()], 0)
    assert news.frame.held_back_s == pytest.approx(5)
    assert "our step: we look and do not ask, 5 s" in news.picture
    assert "5 s for pid 7" in news.picture
    news.at(dataclasses.replace(STAGE, doing=ASKS))
    news.waits([blocker()], 1)
    assert news.frame.held_back_s == pytest.approx(5)
    assert news.frame.takes_s == 2.0


def test_held_locks_alone_are_no_picture_of_waits() -> None:
    news = News()
    news.at(dataclasses.replace(RUNS, holds=True))
    assert news.picture == ""
    news.sampled(Observation(waits=(waited(8, 6.04),)))
    assert "we hold our locks" in news.picture


def test_another_script_is_another_job() -> None:
    news = News()
    news.at(STAGE)
    news.sampled(Observation(waits=(waited(8, 60),)))
    news.at(dataclasses.replace(STAGE, doing=ASKS))
    assert news.frame.worst_ms == 60
    news.at(dataclasses.replace(STAGE, script="rollback/001_a.sql"))
    assert (news.frame.worst_ms, news.picture) == (0, "")
    news.sampled(Observation(waits=(waited(9, 3),)))
    assert news.frame.worst_ms == 3
