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


def test_it_says_when_somebody_had_to_wait_for_us() -> None:
    news = News()
    wait = Wait(1.0, 8, "app", 6.04, "AccessShareLock", "things", (7,), Side.BEHIND_US)
    news.sampled(Observation(waits=(wait,)))
    assert news.lines == [("others", "waited for us, the longest 6.04 ms")]
