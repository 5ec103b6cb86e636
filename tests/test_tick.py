"""The command `tick` and its like: who applies, who looks, and who ticks the day after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import throwaway
from operating import AT_ONCE, Desk
from test_ticking import LIST
from throwaway import NAME

FILES = throwaway.changed({"checklist.md": LIST})
BEFORE = ("--tick", "backup", "--tick", "staging=restored on s2")


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write(FILES)
        yield desk


def test_apply_stops_at_the_step_whose_items_are_open_and_goes_on_with_their_ticks(desk: Desk) -> None:
    said = desk("apply", NAME, *AT_ONCE)
    assert (said.code, desk.has_ledger) == (3, False)
    assert "ItemsOpen: the gate of 001_add_note is closed: 2 of 2 items" in said.err
    said = desk("apply", NAME, *AT_ONCE, *BEFORE)
    assert (said.code, desk.statuses) == (3, ["done"])
    assert "ItemsOpen: the gate of 002_build_index is closed: 1 of 3 items" in said.err
    assert "  quiet: Nobody builds an index.\n" in said.err
    assert desk("apply", NAME, *AT_ONCE, *BEFORE, "--tick", "quiet").code == 0
    assert desk.statuses == ["done"] * 3
    assert (
        desk.ask("SELECT detail ->> 'remark' FROM pgrunbook.event WHERE detail ->> 'item' = 'staging'")
        == ["restored on s2"] * 2
    )


@pytest.mark.parametrize("item", ["smoke", "bakcup", "=x"])
def test_apply_ticks_nothing_that_comes_after_it_or_is_not_there(desk: Desk, item: str) -> None:
    said = desk("apply", NAME, *AT_ONCE, "--tick", item)
    assert (said.code, said.err.splitlines()) == (
        1,
        [
            f"UnknownName: no item of the checklist before a step named {item.partition('=')[0]!r}",
            "  next: choose one of: backup, staging, quiet",
        ],
    )
    assert not desk.has_ledger


def test_no_go_ticks_nothing(desk: Desk) -> None:
    with desk.looking() as conn:
        conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    assert desk("apply", NAME, *AT_ONCE, *BEFORE).code == 3
    assert not desk.has_ledger


def test_the_day_after_somebody_else_ticks_what_was_left_and_the_record_tells(desk: Desk) -> None:
    assert desk("tick", NAME, "smoke").code == 1
    assert desk("apply", NAME, *AT_ONCE, *BEFORE, "--tick", "quiet").code == 0
    run_id = desk.ask("SELECT run_id FROM pgrunbook.run")[0]
    shown = desk("tick", NAME)
    assert shown.out.startswith(f"{NAME}, run {run_id}: 3 of 4 ticked, open: smoke\n")
    assert desk("status", NAME).out.count(f"checklist of run {run_id}: 3 of 4 ticked, open: smoke\n") == 1
    said = desk("tick", NAME, "smoke=0.2 ms", "--json", PGRUNBOOK_OPERATOR="bob")
    assert said.code == 0
    last = said.facts["checklist"][-1]
    assert (last["state"], last["by"], last["remark"], last["how"]) == (
        "ticked",
        "bob",
        "0.2 ms",
        "pgrunbook tick",
    )
    assert desk("status", NAME, "--json").facts["checklists"][NAME]["items"][-1]["by"] == "bob"
    assert desk("record", NAME).code == 0
    page = (desk.records / run_id / "record.html").read_text()
    assert "4 of 4 items ticked. Nothing is open." in page
    assert "<td>bob</td>" in page
    assert desk("tick", NAME, "smoke", "--take-back", "--run", run_id).code == 0
    assert desk("record", NAME).code == 0
    page = (desk.records / run_id / "record.html").read_text()
    assert "3 of 4 items ticked. Open: smoke." in page
    assert desk("verify", NAME).code == 0


def test_a_run_that_the_ledger_does_not_know_is_not_ticked(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE, *BEFORE, "--tick", "quiet").code == 0
    said = desk("tick", NAME, "smoke", "--run", "nope")
    assert (said.code, said.err.splitlines()[0]) == (1, f"UnknownName: no run of {NAME} named 'nope'")


def test_a_change_without_a_checklist_says_so(desk: Desk) -> None:
    throwaway.write(desk.changes, throwaway.changed({"checklist.md": None}))
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("tick", NAME).out == f"{NAME} has no checklist\n"
    assert "checklist" not in desk("status", NAME).out
