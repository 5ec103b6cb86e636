"""The checklist of a run: what is open keeps its step from beginning, and the ledger keeps who ticked what."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook import ticking
from pgrunbook.change import Change
from pgrunbook.errors import GateClosed, ItemsOpen, PreflightFailed, UnknownName
from pgrunbook.gate import Policy
from pgrunbook.run import Run
from pgrunbook.ticking import Ticking

Conn = psycopg.Connection[dict[str, Any]]
LIST = """\
# Checklist

## Before

- [ ] backup: A backup was restored
  today.
- [ ] staging: It ran on staging.

## Before 002

- [ ] quiet: Nobody builds an index.

## After

- [ ] smoke: One lookup is fast.
"""


@pytest.fixture
def chosen(conn: Conn, tmp_path: Path) -> Change:
    conn.execute(throwaway.TABLE)
    return with_list(tmp_path)


def with_list(folder: Path, text: str = LIST) -> Change:
    return throwaway.write(folder / "changes", throwaway.changed({"checklist.md": text}))


@pytest.fixture
def run(chosen: Change, database: str, tmp_path: Path) -> Iterator[Run]:
    """A run whose board says GO, of an operator who approves with a reason and ticks nothing unasked."""
    with opened(chosen, database, tmp_path) as made:
        yield made


def opened(chosen: Change, database: str, folder: Path, **options: Any) -> Any:
    by_hand = {"policy": Policy.APPROVE_ALL, "reason": "CHG-1", "operator": "ann"}
    return throwaway.running(chosen, database, folder / "records", **{**by_hand, **options})


def tick(run: Run, *keys: str, who: str = "ann") -> None:
    for key in keys:
        run.checklist.tick(key, who=who, how="by a test")


def state(run: Run) -> dict[str, str]:
    """Who ticked each item, or why it is open."""
    return {one.item.key: one.tick.who if one.tick else one.row["state"] for one in run.checklist.now()}


def open_items(run: Run, name: str) -> list[str]:
    """The items that a GO to a step is refused for."""
    with pytest.raises(ItemsOpen) as caught:
        run.decide_by_policy(name)
    return [row["item"] for row in caught.value.open]


def test_a_step_does_not_begin_while_items_before_it_are_open(run: Run) -> None:
    with pytest.raises(ItemsOpen) as caught:
        run.decide_by_policy("001")
    assert str(caught.value) == (
        "the gate of 001_add_note is closed: 2 of 2 items of its checklist are not ticked\n"
        "  backup: A backup was restored today.\n"
        "  staging: It ran on staging.\n"
        '  next: make sure of each, then tick it: runbook.checklist("before") in the notebook, or'
        " --tick backup --tick staging on the command line; nothing was changed"
    )
    tick(run, "backup")
    assert open_items(run, "001") == ["staging"]
    tick(run, "staging", who="bob")
    throwaway.apply(run, "001")
    assert open_items(run, "002") == ["quiet"]
    tick(run, "quiet")
    throwaway.apply(run, "002", "003")
    assert throwaway.statuses(run) == ["done"] * 3
    # Nothing waits for what comes after.
    assert state(run) == {"backup": "ann", "staging": "bob", "quiet": "ann", "smoke": "OPEN"}


def test_ticks_are_events_of_the_chain(run: Run) -> None:
    tick(run, "backup")
    run.checklist.take_back("backup", who="bob", remark="it was of yesterday", how="by a test")
    told = [event for event in run.ledger.events(run_id=run.run_id) if "tick" in event["kind"]]
    assert [(event["kind"], event["step"], event["detail"]["who"]) for event in told] == [
        ("ticked", "001_add_note", "ann"),
        ("tick taken back", "001_add_note", "bob"),
    ]
    assert told[0]["detail"]["text_sha256"] == run.change.checklist.item("backup").sha256
    assert run.check_chain()
    assert state(run)["backup"] == "OPEN, taken back by bob"


def test_a_tick_that_is_taken_back_closes_the_gate_that_somebody_opened(run: Run) -> None:
    tick(run, "backup", "staging")
    run.decide_by_policy("001")
    run.checklist.take_back("backup", who="ann", how="by a test")
    with pytest.raises(ItemsOpen, match="1 of 2 items of its checklist is not ticked"):
        run.apply("001")
    assert throwaway.statuses(run)[0] == "not run"


def test_a_run_that_is_resumed_keeps_its_ticks_and_another_run_asks_again(
    run: Run, chosen: Change, database: str, tmp_path: Path
) -> None:
    tick(run, "backup", "staging")
    throwaway.apply(run, "001")
    run.close()
    with opened(chosen, database, tmp_path, run_id=run.run_id) as resumed:
        assert state(resumed)["backup"] == "ann"
        tick(resumed, "quiet")
        throwaway.apply(resumed, "002")
    with opened(chosen, database, tmp_path) as another:
        # What is done is done; the next step waits for a backup of its own day.
        throwaway.apply(another, "001", "002")
        assert open_items(another, "003") == ["backup", "staging"]


def test_an_item_that_was_edited_needs_a_new_tick(run: Run, database: str, tmp_path: Path) -> None:
    tick(run, "backup", "staging")
    run.close()
    edited = with_list(tmp_path, LIST.replace("today", "this week"))
    with opened(edited, database, tmp_path, run_id=run.run_id) as resumed:
        assert state(resumed)["backup"] == "OPEN, edited after it was ticked"
        with pytest.raises(ItemsOpen, match=r"backup: A backup was restored this week. \(edited after it"):
            resumed.decide_by_policy("001")
        tick(resumed, "backup")
        throwaway.apply(resumed, "001")


def test_what_is_rolled_back_needs_its_ticks_again(run: Run) -> None:
    tick(run, "backup", "staging", "quiet", "smoke")
    throwaway.apply(run)
    throwaway.roll_back(run, to="001")
    assert state(run) == {
        "backup": "ann",
        "staging": "ann",
        "quiet": "OPEN, 002_build_index was rolled back since",
        "smoke": "OPEN, 003_require_code was rolled back since",
    }
    assert open_items(run, "002") == ["quiet"]


def test_what_another_run_rolled_back_needs_its_ticks_again(
    run: Run, chosen: Change, database: str, tmp_path: Path
) -> None:
    tick(run, "backup", "staging", "quiet")
    throwaway.apply(run, "001", "002")
    run.close()
    with opened(chosen, database, tmp_path) as another:
        throwaway.roll_back(another, to="001")
        assert ticking.of_last_run(another.ledger, chosen, run_id=run.run_id)[1][2].tick is None
    with opened(chosen, database, tmp_path, run_id=run.run_id) as resumed:
        assert state(resumed)["quiet"] == "OPEN, 002_build_index was rolled back since"
        tick(resumed, "quiet")
        throwaway.apply(resumed, "002")


def test_a_rehearsal_ticks_its_own_items_and_says_so(chosen: Change, database: str, tmp_path: Path) -> None:
    with throwaway.running(chosen, database, tmp_path / "records") as made:
        throwaway.apply(made)
        ticks = {one.item.key: one.tick for one in made.checklist.now()}
    assert ticks["smoke"] is None
    assert {(tick.remark, tick.how) for key, tick in ticks.items() if tick} == {
        ("a rehearsal ticks its own items", "rehearsal")
    }


@pytest.mark.parametrize("policy", [Policy.CLOSED, Policy.APPROVE_ALL])
def test_no_other_policy_ticks(chosen: Change, database: str, tmp_path: Path, policy: Policy) -> None:
    with opened(chosen, database, tmp_path, policy=policy) as made:
        made.checklist.tick_by_policy(policy, made.checklist.now())
        assert set(state(made).values()) == {"OPEN"}
        assert not made.ledger.exists


def test_ticks_do_not_help_against_a_no_go(run: Run, conn: Conn) -> None:
    tick(run, "backup", "staging")
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    run.preflight()
    with pytest.raises(PreflightFailed):
        run.decide_by_policy("001")
    conn.execute("UPDATE things SET code = 'c2' WHERE id = 2")
    run.preflight()
    run.decide("001", go=False, who="bob", reason="not today", how="by a test")
    with pytest.raises(GateClosed, match="bob said NO-GO"):
        run.apply("001")


def test_somebody_else_ticks_beside_the_runner(run: Run, database: str) -> None:
    tick(run, "backup")
    item = run.change.checklist.item("staging")
    with throwaway.looking(database) as other:
        ticking.Ledger(other, run.target).event(
            run_id=run.run_id,
            change=run.change.name,
            kind="ticked",
            actor="bob",
            detail=ticking.detail(item, who="bob", remark="s2", how="by a test"),
        )
    throwaway.apply(run, "001")
    assert run.check_chain()


def test_a_tick_that_only_the_journal_could_be_told_counts(run: Run) -> None:
    tick(run, "backup")
    run.binding._writing = False
    item = run.change.checklist.item("staging")
    run.binding.note("ticked", ticking.detail(item, who="ann", remark="", how="by a test"))
    assert state(run)["staging"] == "ann"
    throwaway.apply(run, "001")
    assert state(run)["staging"] == "ann"


def test_a_name_that_is_not_there_is_told_with_those_that_are(run: Run) -> None:
    with pytest.raises(UnknownName) as caught:
        tick(run, "bakcup")
    assert str(caught.value) == (
        "no item of the checklist named 'bakcup'\n  next: choose one of: backup, staging, quiet, smoke"
    )
    with pytest.raises(UnknownName) as caught:
        run.checklist.now("before 003")
    assert str(caught.value) == (
        "no moment of the checklist named 'before 003'\n  next: choose one of: before, before 002, after"
    )


def test_a_change_without_a_checklist_asks_the_ledger_nothing(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    plain = throwaway.write(tmp_path / "changes")
    with throwaway.running(plain, database, tmp_path / "records") as made:
        unbound = Ticking(plain, None)  # type: ignore[arg-type]
        assert unbound.now() == ()
        unbound.require(plain.steps[0])
        made.checklist.require(plain.steps[0])


def test_the_last_run_is_the_one_that_is_ticked(
    run: Run, chosen: Change, database: str, tmp_path: Path
) -> None:
    with pytest.raises(UnknownName, match="no run of 700_throwaway named 'the last one'"):
        ticking.of_last_run(run.ledger, chosen)
    tick(run, "backup")
    run.close()
    with opened(chosen, database, tmp_path) as another:
        tick(another, "staging")
        last, items = ticking.of_last_run(another.ledger, chosen)
        assert (last, [bool(one.tick) for one in items]) == (another.run_id, [False, True, False, False])
        # One that repaired, or found everything done, is none to tick.
        with opened(chosen, database, tmp_path) as repairing:
            another.close()
            repairing.decide("rollback", go=False, who="ann", reason="no", how="by a test")
            assert ticking.of_last_run(repairing.ledger, chosen)[0] == another.run_id
        _, items = ticking.of_last_run(another.ledger, chosen, run_id=run.run_id)
        assert [bool(one.tick) for one in items] == [True, False, False, False]
