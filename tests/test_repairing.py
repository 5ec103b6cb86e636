"""The command `remedy`: preview, apply, undo and its rehearsal, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import AT_ONCE, GO, Desk
from throwaway import NAME

NAMED = ("remedy", NAME, "10_doubled_codes")
DOUBLED = "UPDATE things SET code = 'c1' WHERE id IN (2, 3)"


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        with desk.looking() as conn:
            conn.execute(DOUBLED)
        yield desk


def change(desk: Desk, sql: str) -> None:
    with desk.looking() as conn:
        conn.execute(sql.encode())


def test_undo_tells_people_which_rows_it_leaves_alone(desk: Desk) -> None:
    assert desk(*NAMED, *GO).code == 0
    change(desk, "UPDATE things SET code = 'mine' WHERE id = 3")
    tried = desk(*NAMED, "--undo", "--preview")
    assert tried.code == 1
    assert tried.out.startswith(
        "remedy 10_doubled_codes ... undo would give back 1 row,"
        " 1 row would be left alone because somebody changed them since\n"
    )
    assert "mine" in tried.out
    said = desk(*NAMED, "--undo", *GO)
    assert said.code == 1
    assert said.out.startswith("remedy 10_doubled_codes ... undone, 1 row is as it was, 1 row left alone")
    assert desk.ask("SELECT array_agg(code ORDER BY id)::text FROM things WHERE id < 4") == ["{c1,c1,mine}"]


def test_undo_tells_machines_which_rows_it_leaves_alone(desk: Desk) -> None:
    desk(*NAMED, *GO)
    change(desk, "UPDATE things SET code = 'mine' WHERE id = 3")
    left = [{"table": "things", "key": {"id": 3}, "left_as": {"code": None}, "now": {"code": "mine"}}]
    tried = desk(*NAMED, "--undo", "--preview", "--json")
    assert (tried.code, tried.err) == (1, "")
    assert tried.facts == {"would_restore": 1, "left_alone": 1, "first": left, "forbidden": []}
    said = desk(*NAMED, "--undo", "--json", *GO)
    assert (said.code, said.facts) == (1, {"restored": 1, "left_alone": 1, "first": left, "forbidden": []})


def test_undo_is_refused_while_the_rule_of_a_step_is_in_force(desk: Desk) -> None:
    desk(*NAMED, *GO)
    assert desk("apply", NAME, *AT_ONCE).code == 0
    tried = desk(*NAMED, "--undo", "--preview")
    assert tried.code == 1
    assert "forbidden now: duplicate key value violates unique constraint" in tried.out
    said = desk(*NAMED, "--undo", *GO)
    assert (said.code, said.out) == (3, "")
    assert said.err.splitlines()[-4:] == [
        "UndoForbidden: remedy 10_doubled_codes cannot be undone while things_code of things is in force",
        '  duplicate key value violates unique constraint "things_code"',
        "  Key (code)=(c1) already exists.",
        "  next: roll back 002_build_index, which made it, and undo then; nothing was changed",
    ]
    assert desk("rollback", NAME, "--to", "001", *GO).code == 0
    assert desk(*NAMED, "--undo", *GO).code == 0
    assert desk.ask("SELECT count(*) FROM things WHERE code = 'c1'") == [3]


def test_it_tells_how_far_it_is(desk: Desk) -> None:
    said = desk(*NAMED, *GO)
    assert "] 2 rows, " in said.err
    assert "of about" not in said.err, "there were more than the check had groups"
    assert desk(*NAMED, *GO, "--json").err == ""


def test_a_preview_names_the_table_of_each_row_for_machines(desk: Desk) -> None:
    facts = desk(*NAMED, "--preview", "--json").facts
    assert facts["rows"][0] == {
        "table": "things", "key": {"id": 2}, "before": {"code": "c1"}, "after": {"code": None},
    }  # fmt: skip
    assert facts["undo_proved"] is True
