"""The quarantine: texts as the server wrote them, given back set by set."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import throwaway

from pgrunbook import quarantine, session
from pgrunbook.quarantine import Repair
from pgrunbook.session import Connection


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(throwaway.TABLE)
        yield conn


def update(key: int, before: str, after: str | None) -> Repair:
    texts = (f'{{"id": {key}}}', f'{{"code": "{before}"}}', after and f'{{"code": "{after}"}}')
    return Repair({"id": key}, {"code": before}, {"code": after} if after else None, texts)


def codes(look: Connection) -> list[str | None]:
    return [row["code"] for row in look.execute("SELECT code FROM things ORDER BY id").fetchall()]


def test_a_number_is_shown_and_kept_to_its_last_digit(look: Connection) -> None:
    many = "12345678901234567890123456789"
    sql = f"""SELECT '{{"id": 7}}'::jsonb AS key, NULL::jsonb AS after,
              '{{"f": 0.10, "n": {many}, "d": {many}.50}}'::jsonb AS before"""
    repair = quarantine.read(look, sql)[0]
    assert repair.key == {"id": 7}
    assert repair.before == {"f": "0.10", "n": many, "d": f"{many}.50"}
    assert repair.after is None
    assert repair.texts == ('{"id": 7}', f'{{"d": {many}.50, "f": 0.10, "n": {many}}}', None)


def test_only_rows_that_are_as_the_repair_left_them_are_given_back(look: Connection) -> None:
    repairs = [
        update(1, "old", "c1"),
        update(2, "old", "not this"),
        update(99, "old", "c99"),
        update(3, "o", "c3"),
    ]
    assert quarantine.restore(look, ["things"], repairs) == {0, 3}
    assert codes(look)[:4] == ["old", "c2", "o", "c4"]


def test_repairs_of_several_shapes_are_given_back_together(look: Connection) -> None:
    by_code = Repair({"code": "c5"}, {"id": 50}, {"id": 5}, ('{"code": "c5"}', '{"id": 50}', '{"id": 5}'))
    gone = Repair({"id": 77}, {"id": 77, "code": "x"}, None, ('{"id": 77}', '{"id": 77, "code": "x"}', None))
    there = Repair({"id": 1}, {"id": 1, "code": "x"}, None, ('{"id": 1}', '{"id": 1, "code": "x"}', None))
    repairs = [update(1, "old", "c1"), by_code, gone, there]
    assert quarantine.restore(look, ["things"], repairs) == {0, 1, 2}
    assert session.value(
        look, "SELECT array_agg(id || code ORDER BY id)::text FROM things WHERE id > 9 OR id = 1"
    ) == ("{1old,10c10,50c5,77x}")
    assert quarantine.restore(look, ["things"], []) == set()


def test_the_text_of_each_row_that_a_key_finds_is_told(look: Connection) -> None:
    repairs = [update(1, "a", "b"), update(99, "a", "b"), update(2, "a", "b")]
    assert quarantine.whole(look, ["things"], repairs) == {(0, "(1,c1)"), (2, "(2,c2)")}


def test_a_row_of_several_repairs_is_given_back_newest_first() -> None:
    repairs = {1: update(1, "a", "b"), 2: update(2, "a", "b"), 5: update(1, "b", "c"), 9: update(1, "c", "d")}
    assert [list(part) for part in quarantine.rounds(repairs)] == [[9, 2], [5], [1]]
    assert list(quarantine.rounds({})) == []


def test_foreign_keys_that_would_change_other_rows_are_named(look: Connection) -> None:
    look.execute('CREATE TABLE "on cascade" (id int REFERENCES things ON DELETE CASCADE)')
    look.execute("CREATE TABLE nulled (id int REFERENCES things ON DELETE SET NULL)")
    look.execute("CREATE TABLE refused (id int REFERENCES things)")
    assert quarantine.touched_by_delete(look, ["things"]) == ['"on cascade"', "nulled"]
    assert quarantine.touched_by_delete(look, ["public", "nulled"]) == []
