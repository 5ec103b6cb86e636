"""Live work: a person at the panel sees who is in the way, ends them, and the step goes on at once."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person, at_once
from faults.proxy import Door, Point, Wire, behind_a_door

from pgrunbook import live, target
from pgrunbook.errors import ConnectionLost, GateClosed, StepCancelled
from pgrunbook.news import News
from pgrunbook.patience import POLICY
from pgrunbook.run import Run
from pgrunbook.views.step_panel import StepPanel
from pgrunbook.views.view import View

Conn = psycopg.Connection[dict[str, Any]]


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    conn.execute(throwaway.TABLE)
    budgets = throwaway.tight(patience_s=60, policy=POLICY)
    with throwaway.running(throwaway.write(tmp_path), database, tmp_path, budgets=budgets) as made:
        yield made


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


def applied(run: Run, name: str) -> Any:
    run.decide_by_policy(name)
    return live.perform(run, name, lambda: run.apply(name))


async def seen(condition: Callable[[], Any]) -> Any:
    while not (found := condition()):
        await asyncio.sleep(0.01)
    return found


async def press(person: Person, *texts: str) -> StepPanel:
    """Press buttons one after the other, each once it is there."""
    panel = await person.panel(StepPanel)

    def button(text: str) -> Any:
        inner = [one for row in panel.rows.children for one in row.children]
        return next((one for one in inner if getattr(one, "description", "") == text), None)

    for text in texts:
        (await seen(lambda text=text: button(text))).click()
    return panel


def events(run: Run) -> list[tuple[str, str, str, Any]]:
    found = run.ledger.events(run_id=run.run_id)
    return [
        (one["kind"], one["step"], one["actor"], one["detail"]["pid"])
        for one in found
        if one["kind"].startswith("blocker")
    ]


def test_a_session_is_ended_on_the_second_click_and_the_step_goes_on(
    run: Run, person: Person, elsewhere: Any
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    done = at_once(applied(run, "001"), press(person, "End its session", "Yes, end the session"))
    assert done.note == "apply"
    assert events(run) == [("blocker ended", "001_add_note", "tester", elsewhere.pid)]
    with pytest.raises(psycopg.OperationalError):
        elsewhere.execute("SELECT 1")


def test_a_statement_is_cancelled_and_its_session_stays(
    run: Run, person: Person, elsewhere: Any, eventually: Callable[..., Any], conn: Conn
) -> None:
    slow = elsewhere.submit("SELECT pg_sleep(60) FROM things")
    asleep = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND pid = %s"
    eventually(lambda: conn.execute(asleep, (elsewhere.pid,)).fetchone())
    done = at_once(applied(run, "001"), press(person, "Cancel its statement", "Yes, cancel the statement"))
    assert done.note == "apply"
    assert events(run) == [("blocker cancelled", "001_add_note", "tester", elsewhere.pid)]
    with pytest.raises(psycopg.errors.QueryCanceled):
        slow.result(10)
    assert elsewhere.execute("SELECT 1 AS x") == [{"x": 1}]


def test_a_build_is_let_go_on_as_well(run: Run, person: Person, elsewhere: Any) -> None:
    run.decide_by_policy("001")
    run.apply("001")
    elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
    done = at_once(applied(run, "002"), press(person, "End its session", "Yes, end the session"))
    assert done.note == "apply"
    assert events(run) == [("blocker ended", "002_build_index", "tester", elsewhere.pid)]


def test_what_came_of_it_is_told_and_nothing_was_done_to_another_transaction(
    run: Run, person: Person, elsewhere: Any, someone_else: Callable[[], Any]
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    other = someone_else()
    other.begin_and_hold("SELECT count(*) FROM things")

    async def scene() -> None:
        panel = await person.panel(StepPanel)
        await seen(lambda: len(panel.rows.children) == 2)
        first = min(elsewhere.pid, other.pid)
        panel.rows.children[0].children[1].click()
        yes = await seen(lambda: [row for row in panel.rows.children if "?" in row.children[0].value])
        assert f"End the session of pid {first}" in yes[0].children[0].value
        yes[0].children[1].click()
        await seen(lambda: f"pid {first}: its session was ended, it is out of the way" in panel.text.value)
        await seen(lambda: len(panel.rows.children) == 1)
        (other if first == elsewhere.pid else elsewhere).release()

    at_once(applied(run, "001"), scene())
    assert events(run) == [("blocker ended", "001_add_note", "tester", min(elsewhere.pid, other.pid))]


@pytest.mark.parametrize("number", [1, 3])
def test_a_step_does_not_wait_for_a_signal_that_hangs_and_it_is_not_sent_later(
    run: Run, person: Person, elsewhere: Any, database: str, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(live, "SILENT_S", 0.2)
    hangs, goes_on = threading.Event(), threading.Event()
    came: list[bool] = []

    def fire(_wire: Wire) -> bool:
        hangs.set()
        came.append(goes_on.wait(60))
        return came[0]

    async def scene() -> None:
        await press(person, "End its session", "Yes, end the session")
        await seen(hangs.is_set)
        elsewhere.release()
        elsewhere.begin_and_hold("SELECT 1")

    async def cell() -> Any:
        doing = asyncio.ensure_future(scene())
        done = await applied(run, "001")
        await doing
        # Whatever comes now comes too late.
        assert came == []
        goes_on.set()
        return done

    run.binding.close()
    with behind_a_door(database, Door) as (door, behind):
        door.point, door.fire = Point("signal", number, after=False), fire
        run.binding.target = run.target = target.rehearsal(behind)
        elsewhere.begin_and_hold("SELECT count(*) FROM things")
        assert asyncio.run(cell()).note == "apply"
        assert elsewhere.execute("SELECT 1 AS x") == [{"x": 1}]
        assert events(run) == []
        run.close()


def test_stop_ends_the_waiting_for_a_signal_and_hides_no_outcome(run: Run) -> None:
    async def scene() -> None:
        signals = live._Signals(run, News())
        signals._begin(asyncio.sleep(60))
        finishing = asyncio.ensure_future(signals.finish())
        await asyncio.sleep(0)
        finishing.cancel()
        await finishing
        # Nothing is sent any more.
        assert signals.over
        with pytest.raises(ConnectionLost):
            signals._opened(run.control)

    asyncio.run(scene())


def test_stop_while_a_picture_is_drawn_hides_no_outcome(
    run: Run, person: Person, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    draws, goes_on = threading.Event(), threading.Event()

    def picture(_jobs: object) -> None:
        draws.set()
        goes_on.wait(30)

    async def scene() -> str:
        doing = asyncio.ensure_future(applied(run, "001"))
        panel = await person.panel(StepPanel)
        await seen(lambda: f"waits because of pid {elsewhere.pid}" in panel.text.value)
        elsewhere.release()
        await seen(draws.is_set)
        doing.cancel()
        done = await doing
        goes_on.set()
        return str(done.note)

    monkeypatch.setattr(live, "_picture", picture)
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    assert asyncio.run(scene()) == "apply"


def test_with_nobody_there_is_no_panel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "StepPanel", lambda *_a, **_o: pytest.fail("a panel for nobody"))
    assert at_once(applied(run, "001")).note == "apply"


# -- what is watched, what it costs, and what stays ---------------------------------------------------


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[View]:
    """What is displayed beside the panel."""
    shown: list[View] = []
    monkeypatch.setattr(live, "display", shown.append)
    return shown


def test_a_step_that_waits_says_so_draws_it_and_leaves_a_picture(
    run: Run, person: Person, elsewhere: Any, outputs: list[View]
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    drawn: list[Any] = []

    async def scene() -> None:
        panel = await person.panel(StepPanel)
        await seen(lambda: f"waits because of pid {elsewhere.pid}" in panel.text.value)
        await seen(lambda: "our step: we look and do not ask" in panel.picture.value)
        assert "worst stall so far 0 ms, budget 100 ms" in panel.picture.value
        assert "rolls its transaction back" in panel.effect.value
        elsewhere.release()

    run.decide_by_policy("001")
    done = live.perform(run, "001", lambda: run.apply("001"), drawn=drawn.append)
    assert at_once(done, scene()).note == "apply"
    assert f"because of pid {elsewhere.pid}" in drawn[0].alt
    assert outputs == []


def test_a_step_that_was_cancelled_leaves_its_picture_before_its_error(
    run: Run, person: Person, elsewhere: Any, outputs: list[View]
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    with pytest.raises(StepCancelled):
        at_once(applied(run, "001"), person.cancel(lambda panel: "waits because of" in panel.text.value))
    (view,) = outputs
    assert view.text == "001 ... cancelled"
    assert f"because of pid {elsewhere.pid}" in str(view.facts["picture"])
    assert view.png
    assert view.svg


def test_what_never_began_leaves_no_picture(run: Run, person: Person, outputs: list[View]) -> None:
    with pytest.raises(GateClosed):
        at_once(live.perform(run, "001", lambda: run.apply("001")))
    assert outputs == []


def test_frames_come_four_times_a_second_and_ask_the_server_nothing(
    run: Run, person: Person, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    moments: list[float] = []
    threads: set[str] = set()
    update, execute = StepPanel.update, psycopg.Connection.execute

    def updated(panel: StepPanel, *arguments: Any) -> None:
        moments.append(time.perf_counter())
        update(panel, *arguments)

    def executed(conn: Any, *arguments: Any, **options: Any) -> Any:
        if moments:
            threads.add(threading.current_thread().name)
        return execute(conn, *arguments, **options)

    monkeypatch.setattr(StepPanel, "update", updated)
    monkeypatch.setattr(psycopg.Connection, "execute", executed)

    async def scene() -> None:
        await seen(lambda: len(moments) > 12)
        elsewhere.release()

    at_once(applied(run, "001"), scene())
    # The first may come late; none comes early.
    assert min(b - a for a, b in itertools.pairwise(moments)) > 0.2
    assert "MainThread" not in threads
    assert "pgrunbook-watch" in threads
