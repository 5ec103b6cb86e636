"""Collisions: a merge that would make duplicates of its children is refused, with the rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook.errors import BadStrategy
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

KEY = UniqueKey("messages", ("channel", "sequence"))
# Row 0 stays of 0, 3 and 6; row 1 of 1, 4 and 7.
LIKES = (
    "CREATE TABLE likes (id int PRIMARY KEY, one int REFERENCES messages, who text, gone bool DEFAULT false,"
    " key text, moved text, pgrunbook_key text, twice int GENERATED ALWAYS AS (one * 2) STORED);"
)


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


def rows(hands: Bench) -> list[str]:
    """Return what stands in the way of the merge; where nothing does, merge, which proves it."""
    try:
        draft = hands.propose(KEY, Strategy.MERGE)
    except BadStrategy as refused:
        return list(refused.details)
    hands.proved(draft, KEY, "messages", "likes")
    return []


def test_children_that_would_be_duplicates_are_shown(hands: Bench) -> None:
    two, three = 'likes: {"id": 1} and {"id": 2}', 'likes: {"id": 1} and {"id": 2} and {"id": 3}'
    for unique, found in {
        "(who, one)": [two],
        "(one, lower(who))": [three],
        "(one, lower(who)) WHERE NOT gone": [two],
        "(one, who) NULLS NOT DISTINCT": [two, 'likes: {"id": 5} and {"id": 6}'],
        '(one, who COLLATE "C", gone)': [two],
        "(one, who) WHERE gone": [],
        "(id, one)": [],
        "(twice, who)": [two],
        "((twice + 1), who) WHERE NOT gone": [two],
        "(hash_record(likes), who)": [],
        "(who) WHERE twice = 0 AND NOT gone": [two],
    }.items():
        hands.look.execute(
            f"""DROP TABLE IF EXISTS likes; {LIKES} CREATE UNIQUE INDEX u ON likes {unique};
            INSERT INTO likes (id, one, who, gone) VALUES (1, 0, 'ann', false), (2, 3, 'ann', false),
                (3, 6, 'Ann', true), (4, 1, 'ann', false), (5, 4, NULL, false), (6, 7, NULL, false)""".encode()
        )
        assert rows(hands) == [f"{one} would be the same under u" for one in found]
        hands.look.execute(f"TRUNCATE pgrunbook.quarantine; DROP TABLE likes, messages; {MESSAGES}".encode())


def test_rows_that_an_exclusion_constraint_would_not_have_together_are_shown(hands: Bench) -> None:
    likes = [
        f'likes: {{"id": {one}}} and {{"id": {other}}}' for one, other in ((1, 2), (1, 3), (2, 3), (7, 8))
    ]
    for rule, found in {
        "USING btree (one WITH =)": [likes[0], likes[1], likes[2], likes[3]],
        "USING gist (int4range(one, one + 1) WITH &&)": [likes[0], likes[1], likes[2], likes[3]],
        "USING gist (int4range(one, one + 1) WITH &&) WHERE (NOT gone)": [likes[0], likes[3]],
        "USING gist (int4range(one, one + 1) WITH =, int4range(id, id + 2) WITH &&)": [
            likes[0],
            likes[2],
            likes[3],
        ],
        "USING btree (twice WITH =) WHERE (NOT gone)": [likes[0], likes[3]],
        "USING btree (id WITH =, one WITH =) DEFERRABLE INITIALLY DEFERRED": [],
        "USING btree (who WITH =) WHERE (one > 3)": [],
    }.items():
        hands.look.execute(
            f"""DROP TABLE IF EXISTS likes; {LIKES} ALTER TABLE likes ADD CONSTRAINT apart EXCLUDE {rule};
            INSERT INTO likes (id, one, who, gone) VALUES (1, 0, 'ann', false), (2, 3, NULL, false),
                (3, 6, NULL, true), (4, 5, NULL, false), (7, 1, 'bo', false),
                (8, 4, NULL, false)""".encode()
        )
        assert rows(hands) == [f"{one} would be in each other's way under apart" for one in found], rule
        hands.look.execute(f"TRUNCATE pgrunbook.quarantine; DROP TABLE likes, messages; {MESSAGES}".encode())


def test_a_primary_key_of_the_child_is_a_unique_index_too(hands: Bench) -> None:
    hands.look.execute(
        """CREATE TABLE likes (one int REFERENCES messages, who text, PRIMARY KEY (one, who));
        INSERT INTO likes SELECT i, 'ann' FROM generate_series(0, 89) AS i"""
    )
    said = rows(hands)
    assert len(said) == 10
    assert said[0] == (
        'likes: {"one": 0, "who": "ann"} and {"one": 3, "who": "ann"} and {"one": 6, "who": "ann"}'
        " would be the same under likes_pkey"
    )


def test_a_row_that_would_refer_to_itself_is_shown(hands: Bench) -> None:
    hands.look.execute("ALTER TABLE messages ADD FOREIGN KEY (parent) REFERENCES messages")
    hands.look.execute("UPDATE messages SET parent = 3 WHERE id IN (0, 1, 6)")
    assert rows(hands) == ['messages: {"id": 0} refers to its own duplicate by messages_parent_fkey']


def test_rows_of_the_table_itself_may_collide_too_but_not_with_those_that_go(hands: Bench) -> None:
    hands.look.execute("ALTER TABLE messages ADD FOREIGN KEY (parent) REFERENCES messages")
    hands.look.execute("CREATE TABLE likes (); CREATE UNIQUE INDEX one_child ON messages (parent)")
    hands.look.execute(
        "UPDATE messages SET parent = 12 WHERE id = 0; UPDATE messages SET parent = 15 WHERE id = 1"
    )
    with pytest.raises(BadStrategy) as caught:
        hands.propose(KEY, Strategy.MERGE)
    assert str(caught.value) == (
        "merge cannot repair messages (channel, sequence): rows that refer to the duplicates would be in each other's"
        ' way\n  messages: {"id": 0} and {"id": 1} would be the same under one_child\n'
        "  next: decide about these rows first; nothing was changed"
    )
    hands.look.execute(
        "UPDATE messages SET parent = NULL WHERE id = 1; UPDATE messages SET parent = 15 WHERE id = 3"
    )
    assert rows(hands) == []
