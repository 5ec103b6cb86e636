"""A person at a live notebook in JupyterLab: GO, NO-GO, Cancel and the stop button, clicked with Chromium."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import nbformat
import pytest
from browser.lab import CHANGE, Lab, Operator, texts, widgets
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

ASKED = 'await runbook.checklist("before")'
CHECKLIST = """\
## Before
- [ ] backup: A backup of this database was taken today, and restored somewhere to see that it can be.
- [ ] staging: The change was applied, rolled back and applied again on staging, with this version of its files.
"""


@pytest.fixture
def checklist(notebook: Lab) -> Iterator[None]:
    """The change has a checklist, and the notebook a cell for it, before it is opened."""
    file = notebook.folder / "changes" / CHANGE / "checklist.md"
    file.write_text(CHECKLIST, encoding="utf-8")
    book = nbformat.read(notebook.notebook, as_version=4)
    book.cells.insert(3, nbformat.v4.new_code_cell(ASKED, id="checklist"))
    nbformat.write(book, notebook.notebook)
    yield
    file.unlink()


def test_run_all_waits_at_the_gate_and_go_lets_one_step_run(operator: Operator) -> None:
    operator.run_all()
    go = operator.button("GO")
    go.wait_for()
    # The question has come before the eye by itself: Run All leaves the notebook at its last cell.
    assert go.is_visible()
    assert operator.page.get_by_text("LIVE: service clicked").is_visible()
    assert go.is_disabled()
    assert operator.status() == "no ledger"

    operator.type("to arm GO", "apply")
    assert go.is_disabled()
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text("Gate 002: ").wait_for()
    assert operator.status() == "done"
    assert operator.events() == [("gate", "ann"), ("apply started", "ann"), ("apply done", "ann")]
    assert (
        operator.output('gate("001")') == "gate 001_forbid_missing_label ... open, approved by ann (CHG-1234)"
    )

    operator.answer("NO-GO")
    operator.page.get_by_text("GateClosed").wait_for()
    cells = operator.saved('gate("002")', "NO-GO")
    assert widgets(cells) == []
    assert [len(cell.outputs) for cell in cells] == [0, 1, 1, 1, 1, 1, 0]
    assert texts(cells[4]) == ["001 Refuse rows without a label from now on ... done, nobody stalled"]


def test_no_go_is_one_sentence_and_no_later_cell_runs(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("NO-GO", reason="too late at night")
    operator.page.get_by_text("GateClosed").wait_for()
    shown = operator.output('gate("001")')
    assert shown.splitlines() == [
        "GateClosed: the gate of 001_forbid_missing_label is closed: ann said NO-GO (too late at night)",
        '  next: approve it with runbook.gate("001") in the notebook, or --approve-all --reason TEXT'
        " on the command line; nothing was changed",
    ]
    operator.page.get_by_text(re.compile(r"\| Idle$")).wait_for()
    cells = operator.saved('gate("001")', "NO-GO")
    assert [cell.execution_count is not None for cell in cells] == [True] * 4 + [False] * 3
    assert cells[3].outputs[0].ename == "GateClosed"
    assert widgets(cells) == []
    assert operator.status() == "not run"
    assert operator.events() == [("gate", "ann")]


def test_cancel_ends_a_wait_and_the_same_cell_resumes(operator: Operator) -> None:
    reader = operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    assert operator.status() == "running"
    # Nobody waits behind us: another reader and a writer get through at once.
    operator.conn.execute("SET statement_timeout TO '10s'; UPDATE example SET note = 'x' WHERE id = 1")

    operator.button("Cancel").click()
    operator.page.get_by_text("StepCancelled").wait_for()
    assert operator.output('apply("001")').splitlines() == [
        "StepCancelled: 001_forbid_missing_label was cancelled",
        "  the transaction was rolled back: nothing was left behind",
        "  next: run the same cell or command again to resume",
    ]
    assert operator.status() == "failed"
    assert operator.events()[-1] == ("apply cancelled", "ann")
    assert operator.page.get_by_text("Gate 002: ").count() == 0

    reader.close()
    operator.run_cell('apply("001")')
    operator.page.get_by_text("done, nobody stalled").wait_for()
    assert operator.status() == "done"
    assert operator.events()[-1] == ("apply done", "ann")
    assert widgets(operator.saved('apply("001")', "done")) == []


def test_the_stop_button_ends_a_wait_and_a_gate_at_once(operator: Operator) -> None:
    operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    began = time.monotonic()
    stop = operator.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]')
    stop.click()
    operator.page.get_by_text("StepCancelled").wait_for()
    assert time.monotonic() - began < 30
    assert operator.status() == "failed"
    assert operator.events()[-1] == ("apply cancelled", "ann")
    held = "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation WHERE c.relname = 'example'"
    assert operator.conn.execute(f"{held} AND l.mode <> 'AccessShareLock'").fetchone() == (0,)

    operator.run_cell('gate("002")')
    operator.page.get_by_text("Gate 002: ").wait_for()
    stop.click()
    operator.page.get_by_text("the cell was stopped before anybody answered").wait_for()
    assert widgets(operator.saved('gate("002")', "stopped")) == []


def test_who_is_in_the_way_is_ended_on_the_second_click(operator: Operator) -> None:
    operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    operator.button("End its session").click()
    operator.page.get_by_text(
        re.compile(r"^End the session of pid \d+ 'month end report' of role 'postgres'\?$")
    ).wait_for()
    assert operator.status() == "running"
    operator.button("Yes, end the session").click()
    operator.page.get_by_text("Gate 002: ").wait_for()
    assert operator.status() == "done"
    # The step may be done before the session is seen to be gone, which is part of its event.
    operator.eventually(lambda: ("blocker ended", "ann") in operator.events())
    operator.answer("NO-GO")
    assert widgets(operator.saved('gate("002")', "NO-GO")) == []


def test_a_checklist_is_ticked_item_by_item_before_its_step(checklist: None, operator: Operator) -> None:
    operator.run_all()
    boxes = operator.page.locator('.jp-OutputArea input[type="checkbox"]')
    operator.button("Done, 2 items left open").wait_for()
    assert operator.status() == "no ledger"
    remark, name = operator.page.get_by_placeholder("remark"), operator.page.get_by_placeholder("your name")
    remark.nth(1).press_sequentially("on s2")
    name.nth(1).fill("")
    operator.eventually(boxes.nth(1).is_disabled)
    name.nth(1).press_sequentially("bob")
    boxes.nth(1).check()
    operator.eventually(lambda: operator.status() != "no ledger" and ("ticked", "ann") in operator.events())
    operator.button("Done, 1 item left open").click()
    # What is open closes the gate, which is not even asked.
    operator.page.get_by_text("ItemsOpen").wait_for()
    assert "backup: A backup of this database" in operator.output('gate("001")')
    assert operator.output(ASKED).startswith("before: 1 of 2 ticked")

    operator.run_cell(ASKED)
    boxes.nth(0).check()
    operator.button("Done").click()
    operator.page.get_by_text("before: 2 of 2 ticked").wait_for()
    cells = operator.saved(ASKED, "2 of 2")
    assert widgets(cells) == []
    told = operator.conn.execute(
        "SELECT detail ->> 'item', detail ->> 'who', detail ->> 'remark' FROM pgrunbook.event"
        " WHERE kind = 'ticked' ORDER BY id"
    )
    assert told.fetchall() == [("staging", "bob", "on s2"), ("backup", "ann", "")]
    operator.run_cell('gate("001")')
    operator.button("GO").wait_for()
    operator.answer("NO-GO")


def test_the_keyboard_alone_answers_a_gate_and_enter_in_a_field_answers_nothing(operator: Operator) -> None:
    operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    keys = operator.page.keyboard
    operator.page.get_by_text(re.compile(r"pid \d+ 'month end report' holds AccessShareLock")).wait_for()
    # The first field gets the focus without a click, once the page has drawn it.
    reason = operator.page.get_by_placeholder("reason or ticket")
    expect(reason).to_be_focused()
    keys.type("CHG-1")
    keys.press("Enter")
    keys.press("Tab")
    keys.type("APPLY")
    operator.eventually(operator.button("GO").is_enabled)
    operator.look("gate_armed")
    for _ in range(3):
        keys.press("Enter")
    assert operator.button("GO").is_visible()
    assert operator.status() == "no ledger"
    keys.press("Shift+Tab")
    for _ in "CHG-1":
        keys.press("Backspace")
    for _ in range(3):
        keys.press("Tab")
    keys.press("Space")
    operator.page.get_by_text("NO-GO needs a reason").wait_for()
    operator.look("gate_without_a_reason")
    assert operator.status() == "no ledger"
    expect(reason).to_be_focused()
    keys.type("too late at night")
    for _ in range(3):
        keys.press("Tab")
    keys.press("Space")
    operator.page.get_by_text("ann said NO-GO (too late at night)").wait_for()
    operator.look("gate_closed")
    assert operator.events() == [("gate", "ann")]
