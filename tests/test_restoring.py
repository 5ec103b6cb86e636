"""What quarantine holds goes back set by set, in an order that foreign keys allow."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import throwaway

from pgrunbook import restoring, session
from pgrunbook.quarantine import Repair
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def repair(key: Any, before: Any, after: Any, table: str = "things") -> Repair:
    texts = (json.dumps(key), json.dumps(before), None if after is None else json.dumps(after))
    return Repair(key, before, after, texts, (table,))


def update(key: int, before: str, after: str) -> Repair:
    return repair({"id": key}, {"code": before}, {"code": after})


def codes(look: Connection) -> list[str | None]:
    return [row["code"] for row in look.execute("SELECT code FROM things ORDER BY id").fetchall()]


def test_only_rows_that_are_as_the_repair_left_them_are_given_back(look: Connection) -> None:
    repairs = [
        update(1, "old", "c1"),
        update(2, "old", "not this"),
        update(99, "old", "c99"),
        update(3, "o", "c3"),
    ]
    assert restoring.restore(look, repairs) == {0, 3}
    assert codes(look)[:4] == ["old", "c2", "o", "c4"]


def test_repairs_of_several_shapes_are_given_back_together(look: Connection) -> None:
    by_code = repair({"code": "c5"}, {"id": 50}, {"id": 5})
    gone = repair({"id": 77}, {"id": 77, "code": "x"}, None)
    there = repair({"id": 1}, {"id": 1, "code": "x"}, None)
    assert restoring.restore(look, [update(1, "old", "c1"), by_code, gone, there]) == {0, 1, 2}
    assert session.value(
        look, "SELECT array_agg(id || code ORDER BY id)::text FROM things WHERE id > 9 OR id = 1"
    ) == ("{1old,10c10,50c5,77x}")
    assert restoring.restore(look, []) == set()


FAMILY = """
CREATE TABLE children (id int PRIMARY KEY, parent int NOT NULL);
CREATE TABLE parents (id int PRIMARY KEY, of int REFERENCES things);
ALTER TABLE children ADD FOREIGN KEY (parent) REFERENCES parents;
INSERT INTO parents VALUES (1, 1);
INSERT INTO children VALUES (5, 1);
DELETE FROM things WHERE id = 10;
"""


def test_what_others_refer_to_comes_back_first_and_deleted_rows_before_changed_ones(look: Connection) -> None:
    look.execute(FAMILY)
    repairs = [
        repair({"id": 5}, {"parent": 2}, {"parent": 1}, "children"),
        repair({"id": 6}, {"id": 6, "parent": 2}, None, "children"),
        repair({"id": 2}, {"id": 2, "of": 10}, None, "parents"),
        repair({"id": 10}, {"id": 10, "code": "c10"}, None),
    ]
    assert restoring.restore(look, repairs) == {0, 1, 2, 3}
    assert session.value(look, "SELECT array_agg((id, parent) ORDER BY id)::text FROM children") == (
        '{"(5,2)","(6,2)"}'
    )


def test_tables_that_refer_to_each_other_come_back_in_their_own_order(look: Connection) -> None:
    look.execute(FAMILY + "ALTER TABLE things ADD parent int REFERENCES parents")
    repairs = [
        repair({"id": 10}, {"id": 10, "code": "c10", "parent": None}, None),
        repair({"id": 2}, {"id": 2, "of": 10}, None, "parents"),
    ]
    assert restoring.restore(look, repairs) == {0, 1}


def test_the_text_of_each_row_that_a_key_finds_is_told(look: Connection) -> None:
    repairs = [update(1, "a", "b"), update(99, "a", "b"), update(2, "a", "b")]
    assert restoring.whole(look, repairs) == {(0, "(1,c1)"), (2, "(2,c2)")}


def test_what_a_row_holds_now_is_told_in_the_columns_of_its_repair(look: Connection) -> None:
    repairs = [update(1, "a", "b"), update(99, "a", "b"), repair({"id": 2}, {"id": 2, "code": "x"}, None)]
    assert restoring.now(look, repairs) == {0: {"code": "c1"}, 2: {"id": 2, "code": "c2"}}


def test_foreign_keys_that_would_change_other_rows_are_named(look: Connection) -> None:
    look.execute('CREATE TABLE "on cascade" (id int REFERENCES things ON DELETE CASCADE)')
    look.execute("CREATE TABLE nulled (id int REFERENCES things ON DELETE SET NULL)")
    look.execute("CREATE TABLE refused (id int REFERENCES things)")
    assert restoring.touched_by_delete(look, ["things"]) == ['"on cascade"', "nulled"]
    assert restoring.touched_by_delete(look, ["public", "nulled"]) == []
    assert restoring.touched_by_delete(look, ["things"], besides=[("public", "nulled"), ("gone",)]) == [
        '"on cascade"'
    ]


def test_changed_rows_are_counted_where_the_server_counts(look: Connection) -> None:
    with look.transaction():
        before = restoring.changed(look, [("things",)])
        look.execute("UPDATE things SET code = 'x' WHERE id < 4; DELETE FROM things WHERE id = 4")
        after = restoring.changed(look, [("things",)])
    assert (before, after) == (0, 4)
    look.execute("SET track_counts = off")
    assert restoring.changed(look, [("things",)]) is None
