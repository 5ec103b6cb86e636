"""Checklists: a closed grammar, and what the events of a run make of the items."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import throwaway

from pgrunbook import checklist
from pgrunbook.checklist import Checklist, Item, Tick
from pgrunbook.errors import BadChecklist, UnknownName

pytestmark = pytest.mark.static

STEPS = ("001_add_note", "002_build_index", "003_require_code")
GOOD = """\
# Checklist

## Before
- [ ] backup: A backup was restored
  today,
    on s2.

## Before 002
- [ ] quiet: Nobody else: builds.

## After
- [ ] smoke: One lookup is fast.
"""
MOMENTS = "write `## Before`, `## Before 013` with the number of a step, or `## After`"
FORM = "write it as `- [ ] backup: A backup was restored today.`"


def parse(text: str) -> Checklist:
    return checklist.parse(text, file="700_x/checklist.md", steps=STEPS)


def test_items_are_read_with_the_moment_and_the_step_that_they_stand_before() -> None:
    found = parse(GOOD)
    assert found.items == (
        Item("backup", "A backup was restored today, on s2.", "before", "001_add_note"),
        Item("quiet", "Nobody else: builds.", "before 002", "002_build_index"),
        Item("smoke", "One lookup is fast.", "after", ""),
    )
    assert found.moments == ("before", "before 002", "after")
    assert found.of("Before  002") == (found.item("quiet"),)
    assert found.item("smoke").sha256 == hashlib.sha256(b"One lookup is fast.").hexdigest()
    with pytest.raises(UnknownName):
        found.of("before 003")


def test_before_holds_up_every_step_and_a_numbered_moment_its_own() -> None:
    held = {item.key: [step for step in STEPS if item.holds_up(step)] for item in parse(GOOD).items}
    assert held == {"backup": list(STEPS), "quiet": ["002_build_index"], "smoke": []}


@pytest.mark.parametrize(
    ("text", "line", "found", "next_step"),
    [
        ("", 0, "there is no item in it", f"{MOMENTS}, and items below it; or take the file out"),
        (
            "## Before\n\n## After\n- [ ] a: b",
            1,
            "`before` has no item",
            "write one, or take the heading out",
        ),
        ("## After\n", 1, "`after` has no item", "write one, or take the heading out"),
        ("## Beforehand\n- [ ] a: b", 1, "'## Beforehand' is not a moment", MOMENTS),
        ("## before\n- [ ] a: b", 1, "'## before' is not a moment", MOMENTS),
        ("### After\n", 1, "'### After' is not a moment", MOMENTS),
        ("## After\n- [ ] a: b\n# More\n", 3, "'# More' is not a moment", MOMENTS),
        ("## Before 009\n", 1, "there is no step 009 to stand before", "name one of: 001, 002, 003"),
        (
            "## After\n- [ ] a: b\n## Before\n- [ ] c: d\n## After",
            5,
            "`## After` was in line 1 already",
            "put the items together",
        ),
        ("- [ ] a: b", 1, "an item stands before any moment", MOMENTS),
        (
            "## After\nLook around.",
            2,
            "'Look around.' is no item",
            f"{FORM}, and indent the lines that go on with it",
        ),
        ("## After\n  more\n", 2, "'  more' is no item", f"{FORM}, and indent the lines that go on with it"),
        (
            "## After\n* [ ] a: b",
            2,
            "'* [ ] a: b' is no item",
            f"{FORM}, and indent the lines that go on with it",
        ),
        (
            "## After\n- [x] a: b",
            2,
            "the box of an item holds 'x'",
            "leave it empty: ticks are kept in the ledger of a run",
        ),
        (
            "## After\n- [ ] Look around",
            2,
            "an item has no key",
            f"{FORM}; a key is of a-z, 0-9 and _, 40 at most",
        ),
        (
            "## After\n- [ ] Bac-kup: b",
            2,
            "'Bac-kup' is no key",
            f"{FORM}; a key is of a-z, 0-9 and _, 40 at most",
        ),
        (
            "## Before\n- [ ] a: b\n## After\n- [ ] a: c",
            4,
            "the key 'a' was in line 2 already",
            "give each item its own key",
        ),
        (
            "## After\n- [ ] a: " + "b" * 401,
            2,
            "item 'a' has 401 characters, 400 at most",
            "say it shorter: people have to read it in a maintenance window",
        ),
    ],
)
def test_a_line_that_was_not_understood_is_refused(text: str, line: int, found: str, next_step: str) -> None:
    with pytest.raises(BadChecklist) as caught:
        parse(text)
    where = f" line {line}" if line else ""
    assert str(caught.value) == f"700_x/checklist.md{where}: {found}\n  next: {next_step}"


def test_a_change_is_loaded_with_its_checklist_or_not_at_all(tmp_path: Path) -> None:
    assert throwaway.write(tmp_path).checklist == Checklist()
    assert throwaway.write(tmp_path, {"checklist.md": GOOD}).checklist == parse(GOOD)
    with pytest.raises(BadChecklist, match=f"{throwaway.NAME}/checklist.md line 1"):
        throwaway.write(tmp_path, {"checklist.md": "## Soon\n"})


# -- what events make of the items ---------------------------------------------------------------------

ITEM = Item("backup", "A backup was restored.", "before 002", "002_build_index")


def event(kind: str = "ticked", step: str = "", **detail: Any) -> dict[str, Any]:
    told = {"item": "backup", "who": "ann", "remark": "s2", "how": "typed", "text_sha256": ITEM.sha256}
    return {"kind": kind, "at": "2026-01-31T12:00:00Z", "step": step, "detail": {**told, **detail}}


def said(*events: dict[str, Any], item: Item = ITEM) -> str:
    (found,) = checklist.checked([item], events)
    return f"ticked by {found.tick.who}" if found.tick else found.row["state"]


def test_a_tick_is_of_a_person_at_a_time_with_a_remark() -> None:
    (found,) = checklist.checked([ITEM], [event(), event(item="other", who="bob")])
    assert found.tick == Tick("ann", "2026-01-31T12:00:00Z", "s2", "typed")
    assert found.row == {
        "when": "before 002", "item": "backup", "text": "A backup was restored.", "state": "ticked", "by": "ann",
        "at": "2026-01-31T12:00:00Z", "remark": "s2", "how": "typed",
    }  # fmt: skip
    (late,) = checklist.checked([ITEM], [event(journal_at="2026-01-30T00:00:00Z")])
    assert late.row["at"] == "2026-01-30T00:00:00Z"


@pytest.mark.parametrize(
    ("events", "state"),
    [
        ([], "OPEN"),
        ([event(who="  ")], "OPEN"),
        ([event(), event(who="bob")], "ticked by bob"),
        ([event(), event("tick taken back", who="bob")], "OPEN, taken back by bob"),
        ([event("tick taken back"), event()], "ticked by ann"),
        ([event(text_sha256="aa")], "OPEN, edited after it was ticked"),
        ([event(text_sha256="aa"), event()], "ticked by ann"),
        ([event(), event("rollback done", "002_build_index")], "OPEN, 002_build_index was rolled back since"),
        ([event(), event("rollback done", "003_require_code")], "ticked by ann"),
        ([event("rollback done", "002_build_index")], "OPEN"),
        ([event(), event("rollback failed", "002_build_index")], "ticked by ann"),
    ],
)
def test_a_tick_holds_until_something_makes_it_void(events: list[dict[str, Any]], state: str) -> None:
    assert said(*events) == state


def test_any_rollback_makes_a_tick_of_what_comes_after_void() -> None:
    after = Item("backup", ITEM.text, "after")
    undone = event("rollback done", "003_require_code")
    assert said(event(), undone, item=after) == "OPEN, 003_require_code was rolled back since"
