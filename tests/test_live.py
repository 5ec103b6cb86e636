"""Live work: a person at the panel sees who is in the way, ends them, and the step goes on at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person, at_once

from pgrunbook import live
from pgrunbook.patience import POLICY
from pgrunbook.run import Run
from pgrunbook.views.step_panel import StepPanel

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


def test_with_nobody_there_is_no_panel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "StepPanel", lambda *_a, **_o: pytest.fail("a panel for nobody"))
    assert at_once(applied(run, "001")).note == "apply"
