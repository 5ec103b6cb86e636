"""Duplicates: the totals are exact, the largest groups come first, and what decides is shown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import throwaway
from doubled import MESSAGES

from pgrunbook import duplicates, strategies, uniquekey
from pgrunbook.duplicates import Duplicates, Group, Member
from pgrunbook.errors import BadKey
from pgrunbook.quarantine import Repair
from pgrunbook.session import Connection
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

SEQUENCE = UniqueKey("messages", ("channel", "sequence"))


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(MESSAGES)
        yield conn


def counts(found: Duplicates) -> tuple[int, int, int, int]:
    return found.groups, found.rows, found.surplus, found.largest


def test_totals_are_of_all_groups_and_the_largest_are_shown(look: Connection) -> None:
    look.execute("UPDATE messages SET sequence = 7 WHERE id IN (0, 3); DELETE FROM messages WHERE id = 89")
    found = duplicates.find(look, SEQUENCE, groups=2, members=4)
    assert counts(found) == (29, 88, 59, 5)
    assert found.sizes == ((5, 1), (3, 27), (2, 1))
    assert [(group.size, dict(group.values)) for group in found.shown] == [
        (5, {"channel": "1", "sequence": "7"}),
        (3, {"channel": "1", "sequence": "14"}),
    ]
    assert [one.key for one in found.shown[0].members] == [f'{{"id": {i}}}' for i in (0, 3, 9, 12)]


def test_without_duplicates_there_is_nothing(look: Connection) -> None:
    assert duplicates.find(look, UniqueKey("messages", ("id",))) == Duplicates(UniqueKey("messages", ("id",)))


def test_what_differs_decides_with_times_first_and_what_is_the_same_is_left_out(look: Connection) -> None:
    found = duplicates.find(look, SEQUENCE, groups=1, order=["at"])
    assert found.shown[0].members == (
        Member('{"id": 0}', {"id": "0"}, {"at": "2026-01-01 00:00:00+00", "note": "note 0"}),
        Member('{"id": 3}', {"id": "3"}, {"at": "2026-01-01 00:00:21+00", "note": "note 3"}),
        Member('{"id": 6}', {"id": "6"}, {"at": "2026-01-01 00:00:42+00", "note": "note 6"}),
    )


def test_a_generated_column_repeats_what_others_say_and_is_left_out_but_for_a_primary_key(
    look: Connection,
) -> None:
    look.execute(
        "ALTER TABLE messages ADD words tsvector GENERATED ALWAYS AS (to_tsvector('simple', note)) STORED;"
        "ALTER TABLE messages DROP CONSTRAINT messages_pkey;"
        "ALTER TABLE messages ADD own int GENERATED ALWAYS AS (id * 2) STORED PRIMARY KEY"
    )
    member = duplicates.find(look, SEQUENCE, groups=1, order=["at"]).shown[0].members[1]
    assert (dict(member.identity), list(member.differing)) == ({"own": "6"}, ["at", "id", "note"])


def test_long_values_are_cut_but_differ_by_their_ends(look: Connection) -> None:
    look.execute("UPDATE messages SET note = repeat('é', 99) || id")
    [group] = duplicates.find(look, SEQUENCE, groups=1).shown
    assert [one.differing["note"] for one in group.members] == ["é" * 60 + "…"] * 3


@pytest.mark.parametrize("strategy", list(Strategy), ids=lambda one: one.value)
def test_what_a_remedy_would_do_to_each_row_is_told(strategy: Strategy, look: Connection) -> None:
    key = UniqueKey("messages", ("channel", "code" if strategy is Strategy.SET_NULL else "sequence"))
    draft = strategies.propose(look, key, strategy)
    [group] = duplicates.find(look, key, groups=1, draft=draft).shown
    told: dict[Strategy, list[str]] = {
        Strategy.RESEQUENCE: ["stays", "0 → 1", "0 → 2"],
        Strategy.RESEQUENCE_GAPS: ["stays", "0 → 1", "0 → 2"],
        Strategy.MOVE: ["stays", "0 → 64", "0 → 65"],
        Strategy.SET_NULL: ["stays", "code 0 → NULL", "code 0 → NULL"],
        Strategy.MERGE: ["stays", *['deleted, merged into {"id": 0}'] * 2],
    }
    assert [one.fate for one in group.members] == told[strategy]


def test_the_preview_of_any_remedy_tells_it_too() -> None:
    members = tuple(Member(f'{{"id": {i}}}', {"id": str(i)}, {}) for i in (1, 2, 3))
    found = Duplicates(SEQUENCE, 1, 3, 3, ((3, 1),), (Group({"channel": "1"}, 3, members),))

    def repair(number: int, after: dict[str, Any] | None) -> Repair:
        texts = (f'{{"id": {number}}}', "", None)
        return Repair({"id": number}, {"a": 1, "b": None}, after, texts=texts)

    told = duplicates.with_preview(found, [repair(2, {"a": None, "b": "x"}), repair(3, None)])
    assert [one.fate for one in told.shown[0].members] == [
        "not in the first batch",
        "a: 1 → NULL, b: NULL → x",
        "deleted",
    ]


def test_every_kind_of_key_is_counted_as_its_index_would(look: Connection) -> None:
    look.execute(
        "UPDATE messages SET channel = NULL WHERE channel = 2; UPDATE messages SET code = upper(code) WHERE id < 3"
    )
    for text, nulls, where, expected in (
        ("channel, sequence", False, "", (20, 60, 40, 3)),
        ("channel, sequence", True, "", (30, 90, 60, 3)),
        ("sequence", False, "channel is null", (10, 30, 20, 3)),
        ("lower(code), channel", False, "", (20, 60, 40, 3)),
        ("channel, code", False, "", (20, 58, 38, 3)),
    ):
        key = uniquekey.parse("messages", text, where=where, nulls_not_distinct=nulls)
        found = duplicates.find(look, key)
        assert counts(found) == expected, text
        assert [len(group.members) for group in found.shown] == [group.size for group in found.shown]


def test_a_table_without_primary_key_can_be_looked_at(look: Connection) -> None:
    look.execute('CREATE TABLE "odd %s" AS SELECT 1 AS "a""b", n AS key FROM generate_series(1, 3) AS n')
    [group] = duplicates.find(look, uniquekey.parse('"odd %s"', '"a""b"')).shown
    assert [(one.key, dict(one.differing)) for one in group.members] == [
        ("{}", {"key": str(n)}) for n in (1, 2, 3)
    ]


def test_what_the_table_has_not_is_refused(look: Connection) -> None:
    for key, order, reason in (
        (UniqueKey("messages", ("gone",)), [], "column t.gone does not exist"),
        (
            UniqueKey("messages", ("channel",), "channel"),
            [],
            "argument of AND must be type boolean, not type integer",
        ),
    ):
        with pytest.raises(BadKey) as caught:
            duplicates.find(look, key, order=order)
        assert caught.value.found == f"the key of the duplicates: {key}: {reason}"
    with pytest.raises(BadKey) as caught:
        duplicates.find(look, UniqueKey("messages", ("channel",)), order=["gone"])
    assert str(caught.value) == (
        "the key of the duplicates: messages has no column gone to order by\n"
        "  next: choose of id, channel, sequence, code, note, at, parent"
    )
