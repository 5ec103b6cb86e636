"""Moving: what the others get."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

CODE = UniqueKey("messages", ("code",))


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


def codes(hands: Bench, where: str) -> list[Any]:
    found = hands.look.execute(f"SELECT code FROM messages WHERE {where} ORDER BY id".encode())
    return [row["code"] for row in found]


def test_a_text_is_marked_with_its_key_and_cut_to_the_column(hands: Bench) -> None:
    hands.look.execute("ALTER TABLE messages ALTER code TYPE varchar(20)")
    hands.look.execute("UPDATE messages SET code = 'c23456789012345678ü+' WHERE id < 3")
    hands.proved(hands.propose(CODE, Strategy.MOVE), CODE, "messages")
    assert codes(hands, "id < 3") == ["c23456789012345678ü+", "c2345678901234-DUP-1", "c2345678901234-DUP-2"]


def test_a_mark_that_is_taken_is_passed_over(hands: Bench) -> None:
    hands.look.execute("UPDATE messages SET code = 'code 0-dup-1' WHERE id = 88")
    hands.look.execute("UPDATE messages SET code = 'code 0-DUP-1' WHERE id = 89")
    hands.look.execute("UPDATE messages SET code = 'code 0-DUP-1-1' WHERE id = 87")
    hands.proved(hands.propose(CODE, Strategy.MOVE), CODE, "messages")
    assert codes(hands, "id < 3 OR id > 86") == [
        "code 0", "code 0-DUP-1-2", "code 0-DUP-2", "code 0-DUP-1-1", "code 0-dup-1", "code 0-DUP-1",
    ]  # fmt: skip


def test_a_long_key_is_marked_by_its_hash(hands: Bench) -> None:
    hands.look.execute("ALTER TABLE messages ADD uid uuid DEFAULT gen_random_uuid()")
    hands.look.execute("ALTER TABLE messages DROP CONSTRAINT messages_pkey, ADD PRIMARY KEY (uid, id)")
    draft = hands.propose(CODE, Strategy.MOVE, order=["id"])
    assert "-DUP-<hash of its key> at its end, cut to 40 characters" in draft.effect
    hands.proved(draft, CODE, "messages")
    assert hands.value("SELECT count(*) FROM messages WHERE code ~ '^code [0-9]-DUP-[0-9a-f]{8}$'") == 80


def test_a_number_gets_the_next_free_one_of_its_group_in_their_order(hands: Bench) -> None:
    key = UniqueKey("messages", ("channel", "sequence"))
    draft = hands.propose(key, Strategy.MOVE, order=["at"], newest=True)
    hands.proved(draft, key, "messages")
    found = hands.look.execute(
        "SELECT array_agg(sequence ORDER BY sequence) AS s FROM messages GROUP BY channel"
    )
    assert [row["s"] for row in found] == [[*range(0, 70, 7), *range(64, 84)]] * 3
    newest = "SELECT count(*) FROM (SELECT DISTINCT ON (i) id FROM (SELECT *, id / 9 AS i FROM messages) AS m) AS one"
    assert hands.value(newest) == 10


def test_the_newest_is_the_one_with_the_last_time_and_no_time_is_never_new(hands: Bench) -> None:
    hands.look.execute("UPDATE messages SET code = 'same', at = NULL WHERE id = 3")
    hands.look.execute("UPDATE messages SET code = 'same', at = '2020-01-01' WHERE id = 4")
    hands.apply(hands.propose(CODE, Strategy.SET_NULL, order=["at"], newest=True))
    assert codes(hands, "id IN (3, 4)") == [None, "same"]
