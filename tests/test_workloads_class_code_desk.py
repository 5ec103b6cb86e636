"""The desk: what it shows in a rehearsal, and that it creates nothing in a live database."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import attended
import classroom
import pytest

from pgrunbook import kernel
from pgrunbook import server as embedded
from pgrunbook.runbook import Runbook
from pgrunbook.target import Kind, Target
from pgrunbook.workloads import class_panel, fallback_codes
from pgrunbook.workloads.class_code_desk import ClassCodeDesk
from pgrunbook.workloads.class_panel import ClassPanel


@pytest.fixture(scope="module")
def room(server: embedded.Server) -> Iterator[Target]:
    with classroom.opened(server) as target:
        yield target


@pytest.fixture
def desk(room: Target, server: embedded.Server) -> ClassCodeDesk:
    return ClassCodeDesk(room, lambda: server)


@pytest.fixture
def live(room: Target, server: embedded.Server) -> ClassCodeDesk:
    return ClassCodeDesk(dataclasses.replace(room, kind=Kind.LIVE), lambda: server)


def classes(target: Target) -> int:
    with classroom.connect(target) as conn:
        return int(conn.execute("SELECT count(*) AS n FROM classes").fetchall()[0]["n"])


def test_a_class_is_created_and_its_code_shown(desk: ClassCodeDesk) -> None:
    form = classroom.form(class_code="HACK")
    view = desk.create(form)
    assert view.text == f"Draft class created successfully. {classroom.prefix(form)}0001"
    assert desk.metrics().text == "class codes: 1 made, 0 fallbacks, 0 duplicates, 0 failures"


def test_a_held_counter_is_shown_with_its_blocker_and_the_class_is_saved(
    desk: ClassCodeDesk, room: Target
) -> None:
    form = classroom.form()
    desk.create(form)
    before = desk.fallback_codes().text
    view = desk.held_counter(form)
    assert view.text == (
        "held counter ... 1 session waited, its blocker named;"
        " the class was saved with a timestamp code, 1 fallback counted"
    )
    assert before == "timestamp codes of fallbacks: none"
    assert desk.fallback_codes().text == "timestamp codes of fallbacks: 1 to leave as they are"
    assert fallback_codes.is_fallback(classroom.codes(room, form)[1])
    assert desk.create(form).text.endswith("0002")
    assert desk.metrics().text == "class codes: 3 made, 1 fallback, 0 duplicates, 0 failures"


def test_monitoring_is_one_line_where_there_is_nothing_to_tell(desk: ClassCodeDesk, major: int) -> None:
    assert desk.waits().text == "lock waits now with 'class_code' in the statement: nobody waits"
    slow = desk.slow_statements().text
    assert slow.startswith("slow statements with 'class_code' in them: not available here: ")
    if major != 15:
        assert slow.splitlines() == [
            "slow statements with 'class_code' in them: not available here:"
            " the server was installed without pg_stat_statements",
            "  next: install its contrib package",
        ]


def test_an_anti_pattern_and_the_scales_need_no_arming(live: ClassCodeDesk) -> None:
    assert live.antipattern("client-side numbers").text == "client-side numbers: 2 users, 1 duplicate"
    assert live.scaling().text.startswith("3 scales")


def test_a_live_target_gets_no_class_whoever_is_there(
    live: ClassCodeDesk, room: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "attended", lambda: True)
    before = classes(room)
    form = classroom.form()
    for view in (live.create(form), live.held_counter(form), asyncio.run(live.form())):
        assert view.text.endswith("not armed: the target is live, and a runbook creates no class there")
    assert classes(room) == before
    # What only reads goes on.
    assert "nobody waits" in live.waits().text
    assert live.fallback_codes().text.startswith("timestamp codes of fallbacks:")


def test_without_a_person_the_form_is_a_line_of_text(desk: ClassCodeDesk) -> None:
    view = asyncio.run(desk.form())
    assert view.data() == {"text/plain": "class form ... not shown: nobody is there to fill it in"}


def test_a_person_creates_a_class_with_the_form(
    desk: ClassCodeDesk, room: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[object] = []
    panels: list[ClassPanel] = []
    show = ClassPanel.show

    def seen(panel: ClassPanel) -> None:
        show(panel)
        panels.append(panel)

    monkeypatch.setattr(kernel, "attended", lambda: True)
    monkeypatch.setattr(class_panel, "display", shown.append)
    monkeypatch.setattr(class_panel, "clear_output", lambda wait: shown.clear())
    monkeypatch.setattr(ClassPanel, "show", seen)
    form = classroom.form()

    async def person() -> None:
        while not panels:
            await asyncio.sleep(0.01)
        panel = panels[0]
        for name, field in panel.fields.items():
            field.value = str(form[name])
        panel.create.click()
        while not panel.code.value:
            await asyncio.sleep(0.01)
        assert panel.code.disabled
        assert panel.code.value == f"{classroom.prefix(form)}0001"
        panel.finish.click()

    view = attended.at_once(desk.form(), person())
    assert view.text == "class form ... 1 class created"
    assert view.html
    assert classroom.codes(room, form) == [f"{classroom.prefix(form)}0001"]
    assert f"{classroom.prefix(form)}0001" in view.html
    assert shown == []


def test_the_desk_of_a_runbook_works_on_its_target(
    server: embedded.Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGRUNBOOK_RECORDS", str(tmp_path))
    monkeypatch.setattr(embedded, "start", lambda *_arguments, **_options: server)
    monkeypatch.delenv("PGRUNBOOK_TARGET", raising=False)
    runbook = Runbook.open("020_class_code_generator", planted=[])
    try:
        desk = ClassCodeDesk.of(runbook)
        assert desk.target is runbook.run.target
        assert desk.armed
        assert desk.waits().text.endswith("nobody waits")
    finally:
        runbook.close()
