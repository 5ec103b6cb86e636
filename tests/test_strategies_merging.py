"""What a merge is refused for, and what it warns of, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook.errors import BadStrategy
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

KEY = UniqueKey("messages", ("channel", "sequence"))


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


@pytest.mark.parametrize(
    ("child", "expected"),
    [
        (
            "CREATE TABLE child (one int REFERENCES messages)",
            "child refers to it and has no primary key, so nothing could say which row to give back\n"
            "  next: add a primary key to child first",
        ),
        (
            "CREATE TABLE child (id int PRIMARY KEY, one int GENERATED ALWAYS AS (id / 2) STORED REFERENCES messages)",
            "child.one refers to it and is generated\n  next: repair these rows by hand",
        ),
        (
            "CREATE TABLE child (one int PRIMARY KEY REFERENCES messages);"
            "CREATE TABLE below (id int PRIMARY KEY, one int REFERENCES child ON UPDATE CASCADE)",
            "below refers to child.one, which would change\n"
            "  next: repair these rows by a remedy of your own, from the last table to the first",
        ),
    ],
)
def test_a_child_whose_rows_could_not_be_given_back_is_refused(
    child: str, expected: str, hands: Bench
) -> None:
    hands.look.execute(child.encode())
    with pytest.raises(BadStrategy) as caught:
        hands.propose(KEY, Strategy.MERGE)
    assert str(caught.value) == f"merge cannot repair messages (channel, sequence): {expected}"


def test_what_nobody_can_give_back_is_warned_of(hands: Bench) -> None:
    hands.look.execute(
        """ALTER TABLE messages ADD extra json;
        CREATE TABLE child (id int PRIMARY KEY, one int REFERENCES messages ON DELETE CASCADE);
        CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
        CREATE TRIGGER gone BEFORE DELETE ON messages FOR EACH ROW EXECUTE FUNCTION f();
        CREATE TRIGGER quiet BEFORE DELETE ON messages FOR EACH ROW EXECUTE FUNCTION f();
        ALTER TABLE messages DISABLE TRIGGER quiet;
        CREATE TRIGGER moved AFTER UPDATE ON child FOR EACH ROW EXECUTE FUNCTION f()"""
    )
    assert hands.propose(KEY, Strategy.MERGE).warnings == (
        "each DELETE from messages fires gone; what they do is not undone.",
        "each UPDATE of child fires moved; what they do is not undone.",
        "child refers to it ON DELETE CASCADE: a row that is added there while a batch runs would change with the"
        " duplicate. `pgrunbook remedy` notices and takes the batch back.",
        "no index serves child (one): each batch reads the whole table.",
        "undo gives messages.extra back as equal json, but not with the same blanks.",
    )
    hands.look.execute("CREATE INDEX ON child (one); ALTER TABLE messages DROP extra")
    assert len(hands.propose(KEY, Strategy.MERGE).warnings) == 3
