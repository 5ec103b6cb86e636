"""Runs as rows: in full for people, and only what does not vary for tests."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from pgrunbook import dossier
from pgrunbook.shelf import Entry
from pgrunbook.views import runs

pytestmark = pytest.mark.static

ENTRY = Entry(
    run_id="r1",
    change="010_a",
    target="service=shop",
    target_kind="live",
    operator="ann",
    started="2026-01-31T12:00:00.123Z",
    took_s=75.0,
    outcome="done",
    good=True,
    worst_stall_ms=6.5,
    stall_budget_ms=100.0,
    record=Path("records/r1/record.html"),
    signed=True,
)
OTHER = dataclasses.replace(
    ENTRY, run_id="r2", outcome="NO-GO", took_s=None, worst_stall_ms=140.0, record=None, signed=False
)


def test_a_terminal_gets_one_line_a_run() -> None:
    text = runs.in_words([ENTRY, OTHER], where="in records")
    lines = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert lines[0] == ["2 runs: 1 NO-GO, 1 done; in records"]
    assert lines[3] == [
        *("r1", "010_a", "service=shop (live)", "ann", "2026-01-31 12:00:00", "1 min 15 s", "done", "6.5 ms"),
        "record.html, signed",
    ]
    assert lines[4][-4:] == ["-", "NO-GO", "140 ms", "-"]
    assert runs.in_words([], where="in records") == "no run in records"


def test_a_notebook_that_tests_compare_holds_nothing_that_varies() -> None:
    view = runs.listed([ENTRY, OTHER], in_full=False)
    assert view.text == "2 runs: 1 NO-GO, 1 done"
    assert view.html is not None
    assert "OVER the budget" in view.html
    for varying in ("r1", "ann", "12:00", "75", "6.5"):
        assert varying not in view.html
    assert "r1" in (runs.listed([ENTRY], in_full=True).html or "")
    assert runs.listed([], in_full=True).html is None


def test_machines_get_every_fact() -> None:
    (facts,) = runs.facts([ENTRY])
    assert json.loads(json.dumps(facts))["record"] == "records/r1/record.html"
    assert set(facts) == set(ENTRY.__slots__)


def test_one_run_is_told_by_its_sections() -> None:
    sha256 = "a" * 64
    detail = f'{{"change": "010_a", "target_kind": "live", "scripts": {{"migrate/001_a.sql": "{sha256}"}}}}'
    event = dossier.Event(
        id=1, at="2026-01-31T12:00:00.000000Z", run_id="r1", change="010_a", step="", kind="run opened",
        actor="ann", detail=detail, previous_hash="", hash="x",
    )  # fmt: skip
    view = runs.one(dossier.make("r1", [event], source="ledger", chain=""))
    assert view.text == "010_a, live: stopped before the audit"
    assert view.html is not None
    assert "scripts" in view.html
