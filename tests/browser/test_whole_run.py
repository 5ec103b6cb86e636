"""A person's whole run by clicks: NO-GO, remedy, GO, a blocker, Cancel, resume, the way back, the record."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from browser.lab import Operator, texts, widgets

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

REMEDY = "10_missing_labels"


@pytest.fixture
def kept() -> Sequence[str]:
    return (
        "change =", "Runbook.open", "runbook.preflight()", "runbook.preview", f'gate("{REMEDY}")',
        "runbook.remedy", "runbook.preflight()", "time_before", 'gate("001")', 'apply("001")', 'gate("002")',
        'apply("002")', 'gate("003")', 'apply("003")', "runbook.verify", "time_after", "runbook.lock_waits",
        "runbook.index_builds", 'gate("rollback")', "runbook.roll_back", "runbook.record",
    )  # fmt: skip


@pytest.fixture
def sample() -> str:
    return "no_go/10_missing_labels.sql"


def test_a_person_runs_a_change_with_an_obstacle_by_clicks(operator: Operator) -> None:
    page = operator.page
    operator.run_all()
    operator.button("GO").wait_for()
    assert "NO-GO" in operator.output("runbook.preflight()")
    assert "unnamed-10" in operator.output("runbook.preview")
    assert operator.status() == "no ledger"
    operator.look("01_no_go_and_preview")
    operator.looks_well("board", "runbook.preflight()")
    operator.looks_well("gate", f'gate("{REMEDY}")')
    operator.answer("GO", word="APPLY")

    who = "month end report, by the night job of host 17 of accounting"
    reader = operator.somebody(who)
    page.get_by_text("Gate 001: ").wait_for()
    assert operator.conn.execute("SELECT count(*) FROM example WHERE label IS NULL").fetchone() == (0,)
    operator.look("02_gate")
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way(who)
    operator.look("03_in_the_way")
    operator.looks_well("in_the_way", 'apply("001")')
    # Nobody waits behind us: another reader and a writer get through at once.
    operator.conn.execute("SET statement_timeout TO '10s'; UPDATE example SET note = 'x' WHERE id = 1")
    operator.button("Cancel").click()
    page.get_by_text("StepCancelled").wait_for()
    operator.look("04_cancelled")
    assert operator.status() == "failed"

    reader.close()
    operator.run_cell('apply("001")')
    page.get_by_text("001 Refuse rows without a label from now on ... done, nobody stalled").wait_for()
    operator.run_from('gate("002")')
    for number in ("002", "003"):
        page.get_by_text(f"Gate {number}: ").wait_for()
        operator.answer("GO", word="APPLY")
    page.get_by_text("Roll back?").wait_for()
    operator.look("05_done")
    operator.answer("GO", word="ROLL BACK")
    page.get_by_text(re.compile(r"record written, event chain unbroken")).wait_for()
    operator.look("06_end")
    cells = operator.saved("runbook.record", "record written")
    assert widgets(cells) == []
    said = [text for cell in cells for text in texts(cell)]
    path = re.search(r": (/\S+\.html)$", said[-2])
    assert path is not None, said[-2]
    page.goto(f"file://{path[1]}")
    operator.look("07_record")
    shown = page.locator("body").inner_text()
    assert "rolled back" in shown
    assert "service clicked (live)" in shown
    for name in (REMEDY, "001_forbid_missing_label", "rollback"):
        assert re.search(rf"{name}\s+GO\s+ann\s+CHG-1234", shown), shown
