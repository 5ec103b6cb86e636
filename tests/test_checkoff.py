"""Ticking off: by a person in the notebook, or by the policy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person, at_once
from test_ticking import LIST

from pgrunbook import runbook as facade
from pgrunbook import server as embedded
from pgrunbook.errors import GateClosed, ItemsOpen, UnknownName
from pgrunbook.runbook import Runbook
from pgrunbook.views.tick_panel import TickPanel

Conn = psycopg.Connection[dict[str, Any]]
NAME = throwaway.NAME
FILES = throwaway.changed({"checklist.md": LIST})


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, server: embedded.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    changes = tmp_path / "changes"
    throwaway.write(changes, FILES)
    monkeypatch.setenv("PGRUNBOOK_CHANGES", str(changes))
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path / "records"))
    monkeypatch.setenv("PGRUNBOOK_OPERATOR", "ann")
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    monkeypatch.setattr(facade.server, "start", lambda _major: server)
    yield changes
    facade._close_all()


@pytest.fixture
def live(conn: Conn, database: str, monkeypatch: pytest.MonkeyPatch) -> Runbook:
    conn.execute(throwaway.TABLE)
    monkeypatch.setenv("PGRUNBOOK_TARGET", database)
    made = Runbook.open(NAME)
    made.preflight()
    return made


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


async def go_through(person: Person, *doing: Callable[[TickPanel], None]) -> None:
    """Do something to the panel, and wait until it has been recorded; then press Done."""
    shown = await person.panel(TickPanel)
    for act in doing:
        act(shown)
        while any(shown._wish(key).ticked != told.ticked for key, told in shown._told.items()):
            await asyncio.sleep(0.01)
    shown.finish.click()


def mark(key: str, *, who: str = "", remark: str = "", ticked: bool = True) -> Callable[[TickPanel], None]:
    def act(shown: TickPanel) -> None:
        if who:
            shown.names[key].value = who
        if remark:
            shown.remarks[key].value = remark
        shown.boxes[key].value = ticked

    return act


def test_a_rehearsal_ticks_by_its_policy_and_says_so_each_time() -> None:
    said = []
    for _ in range(2):
        made = Runbook.open(NAME, planted=[])
        view = at_once(made.checklist("before"))
        said.append((view.text, view.html))
        assert set(view.facts["ticked"]) == {"backup", "staging"}  # type: ignore[call-overload]
        assert at_once(made.checklist("After")).text == "after: 1 of 1 ticked by the rehearsal"
    assert said[0] == said[1]
    assert said[0][0] == "before: 2 of 2 ticked by the rehearsal"
    assert "<td>the rehearsal</td><td>a rehearsal ticks its own items</td>" in (said[0][1] or "")


def test_without_a_person_a_live_checklist_stays_open_and_so_nothing_begins(live: Runbook) -> None:
    assert at_once(live.checklist("before")).text == "before: 0 of 2 ticked"
    assert not live.run.ledger.exists
    with pytest.raises(GateClosed, match="nobody is here to ask"):
        at_once(live.gate("001"))


def test_people_tick_each_item_under_their_own_names(live: Runbook, person: Person, conn: Conn) -> None:
    view = at_once(
        live.checklist("before"), go_through(person, mark("backup"), mark("staging", who="bob", remark="s2"))
    )
    assert view.text == "before: 2 of 2 ticked"
    assert "<td>bob</td><td>s2</td>" in (view.html or "")
    assert at_once(live.gate("001"), person.answer(go=True)).text.startswith("gate 001_add_note ... open")
    assert at_once(live.apply("001")).text == "001 Add the note ... done, nobody stalled"
    told = conn.execute(
        "SELECT detail ->> 'how' AS how FROM pgrunbook.event WHERE kind = 'ticked'"
    ).fetchall()
    assert [row["how"] for row in told] == ["in the notebook"] * 2


def test_what_is_left_open_keeps_the_gate_from_being_asked(live: Runbook, person: Person) -> None:
    view = at_once(live.checklist("before"), go_through(person, mark("backup")))
    assert view.text == "before: 1 of 2 ticked"
    with pytest.raises(ItemsOpen, match="staging: It ran on staging"):
        at_once(live.gate("001"))
    assert person.panels == []
    # The same cell again goes on where it was.
    assert at_once(live.checklist("before"), go_through(person, mark("staging"))).text.endswith(
        "2 of 2 ticked"
    )


def test_a_tick_can_be_taken_back_and_a_remark_be_added_until_done(live: Runbook, person: Person) -> None:
    def add_a_remark(shown: TickPanel) -> None:
        shown.remarks["staging"].value = "added later"

    doing = (mark("backup"), mark("staging"), mark("backup", ticked=False), add_a_remark)
    assert at_once(live.checklist("before"), go_through(person, *doing)).text == "before: 1 of 2 ticked"
    backup, staging = live.run.checklist.now("before")
    assert backup.why == "taken back by ann"
    assert staging.tick is not None
    assert staging.tick.remark == "added later"


def test_the_stop_button_keeps_what_was_ticked(live: Runbook, person: Person) -> None:
    async def scene() -> None:
        cell = asyncio.ensure_future(live.checklist("before"))
        shown = await person.panel(TickPanel)
        shown.boxes["backup"].value = True
        while not shown._told["backup"].ticked:
            await asyncio.sleep(0.01)
        cell.cancel()
        with pytest.raises(GateClosed, match="the cell was stopped before the checklist was done"):
            await cell

    asyncio.run(scene())
    assert [bool(one.tick) for one in live.run.checklist.now("before")] == [True, False]


def test_a_moment_that_is_not_in_the_checklist_is_told_with_those_that_are(live: Runbook) -> None:
    with pytest.raises(UnknownName, match="choose one of: before, before 002, after"):
        at_once(live.checklist("during"))
