"""Resequencing: the order stays, and batches may end anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

KEY = UniqueKey("messages", ("channel", "sequence"))


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


def numbers(hands: Bench, given: list[int], strategy: Strategy) -> list[int]:
    hands.look.execute("TRUNCATE messages")
    hands.look.execute("INSERT INTO messages (id, channel, sequence) SELECT n, 1, s FROM unnest(%s::int[])"
                       " WITH ORDINALITY AS one (s, n)", [given])  # fmt: skip
    hands.apply(hands.propose(KEY, strategy))
    found = hands.look.execute("SELECT sequence FROM messages ORDER BY id").fetchall()
    return [row["sequence"] for row in found]


def test_numbers_are_what_they_should_be(hands: Bench) -> None:
    for given, gaps, dense in (
        ([1, 2, 2, 5, 9, 9, 10], [1, 2, 3, 5, 9, 10, 11], [1, 2, 3, 4, 5, 6, 7]),
        ([1, 2, 2, 3, 3, 4], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        ([0, 0, 0], [0, 1, 2], [0, 1, 2]),
        ([-3, -3, 5], [-3, -2, 5], [-3, -2, -1]),
        ([1, 4, 9], [1, 4, 9], [1, 4, 9]),
        ([], [], []),
    ):
        assert numbers(hands, given, Strategy.RESEQUENCE_GAPS) == gaps
        assert numbers(hands, given, Strategy.RESEQUENCE) == dense


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 50])
def test_after_every_batch_the_order_is_what_it_was(batch: int, indexed: bool, hands: Bench) -> None:
    hands.look.execute(f"SET pgrunbook.batch = {batch}".encode())
    for strategy in (Strategy.RESEQUENCE_GAPS, Strategy.RESEQUENCE):
        if indexed:
            hands.look.execute("CREATE INDEX ON messages (channel, sequence)")
        assert ("OFFSET 0" in hands.propose(KEY, strategy).statement) == indexed
        order = hands.order()
        statement = hands.propose(KEY, strategy, order=["at"]).statement.encode()
        batches = 0
        while rows := hands.look.execute(statement).fetchall():
            batches += 1
            assert strategy is Strategy.RESEQUENCE or len(rows) <= batch
            assert hands.order() == order
        assert batches > 2 or batch == 50
        hands.builds(KEY)
        assert hands.order("channel, sequence") == order
        hands.look.execute(f"TRUNCATE messages; DROP TABLE messages; {MESSAGES}".encode())


def test_a_key_of_one_column_is_one_group(hands: Bench) -> None:
    key = UniqueKey("messages", ("sequence",))
    for strategy in (Strategy.RESEQUENCE_GAPS, Strategy.RESEQUENCE):
        draft = hands.propose(key, strategy)
        hands.proved(draft, key, "messages")
        assert hands.value("SELECT max(sequence) FROM messages") == 89
        hands.undo(draft)


def test_a_number_that_its_type_cannot_hold_changes_nothing(hands: Bench) -> None:
    hands.look.execute("UPDATE messages SET sequence = 2147483647 WHERE id IN (84, 87)")
    before = hands.hash("messages")
    with pytest.raises(Exception, match="integer out of range"):
        hands.apply(hands.propose(KEY, Strategy.RESEQUENCE_GAPS))
    assert hands.hash("messages") == before
