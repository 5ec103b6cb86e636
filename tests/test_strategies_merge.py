"""Merging: whoever referred to a duplicate refers to the row that stays, and undo brings all of it back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook import batch
from pgrunbook.batch import Rules
from pgrunbook.errors import RemedyFailed
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

if TYPE_CHECKING:
    from conftest import Elsewhere

KEY = UniqueKey("messages", ("channel", "sequence"))
# Of rows i, i + 3 and i + 6 the first stays; each is referred to once by each column.
CHILDREN = """
ALTER TABLE messages ADD FOREIGN KEY (parent) REFERENCES messages, ADD UNIQUE (id, channel);
UPDATE messages SET parent = id - 4 WHERE id >= 20;
UPDATE messages SET parent = id + 2 WHERE id BETWEEN 10 AND 14;
CREATE TABLE likes (id int PRIMARY KEY, one int REFERENCES messages, other int REFERENCES messages, note text);
INSERT INTO likes SELECT i, i, 89 - i, 'like ' || i FROM generate_series(0, 89) AS i;
CREATE TABLE pinned (place int, message int, channel int, PRIMARY KEY (message, place),
    FOREIGN KEY (message, channel) REFERENCES messages (id, channel));
INSERT INTO pinned SELECT i, i, i % 3 + 1 FROM generate_series(0, 89, 2) AS i;
INSERT INTO pinned SELECT 100 + i, i, NULL FROM generate_series(0, 89, 2) AS i;
"""
TABLES = ("messages", "likes", "pinned")


@pytest.fixture
def hands(database: str, tmp_path: Path) -> Iterator[Bench]:
    with bench(database, tmp_path) as made:
        made.look.execute(MESSAGES)
        yield made


def kept(number: int) -> int:
    """Return the row that stays of a row's group."""
    return number - number % 9 + number % 3


def test_every_reference_points_at_the_row_that_stays_and_undo_brings_all_back(hands: Bench) -> None:
    hands.look.execute(CHILDREN)
    likes = hands.look.execute("SELECT id, one, other FROM likes ORDER BY id").fetchall()
    parents = hands.look.execute("SELECT id, parent FROM messages ORDER BY id").fetchall()
    done = hands.proved(hands.propose(KEY, Strategy.MERGE), KEY, *TABLES)
    assert done.repairs > 60 + 60
    assert hands.look.execute("SELECT id, one, other FROM likes ORDER BY id").fetchall() == [
        {"id": row["id"], "one": kept(row["one"]), "other": kept(row["other"])} for row in likes
    ]
    assert hands.look.execute("SELECT id, parent FROM messages ORDER BY id").fetchall() == [
        {"id": row["id"], "parent": row["parent"] and kept(row["parent"])}
        for row in parents
        if kept(row["id"]) == row["id"]
    ]
    pins = hands.look.execute("SELECT message, place, channel FROM pinned ORDER BY place").fetchall()
    assert [(row["place"], row["message"]) for row in pins] == [
        *((i, kept(i)) for i in range(0, 89, 2)),
        # With one column NULL a reference of two columns refers to nothing.
        *((100 + i, i) for i in range(0, 89, 2)),
    ]


def test_the_newest_may_be_the_one_that_stays(hands: Bench) -> None:
    hands.look.execute(CHILDREN)
    draft = hands.propose(KEY, Strategy.MERGE, order=["id"], newest=True)
    hands.proved(draft, KEY, *TABLES)
    assert hands.value("SELECT count(*) FROM messages WHERE id % 9 < 6") == 0
    assert hands.value("SELECT count(*) FROM likes WHERE one % 9 < 6") == 0


def test_what_a_jsonb_cannot_hold_comes_back_to_the_byte_too(hands: Bench) -> None:
    hands.look.execute(
        """CREATE TYPE pair AS (one float8, other int[]);
        ALTER TABLE messages ADD f float8 DEFAULT '-0', ADD r real DEFAULT '-0', ADD a int[] DEFAULT '[2:3]={1,NULL}',
            ADD p pair DEFAULT ROW('-0', '[0:0]={7}'), ADD n numeric DEFAULT 1.500, ADD b float8[] DEFAULT '{-0,NaN}';
        CREATE TABLE likes (id int PRIMARY KEY, one int REFERENCES messages);
        INSERT INTO likes SELECT i, i FROM generate_series(0, 89) AS i"""
    )
    hands.proved(hands.propose(KEY, Strategy.MERGE), KEY, "messages", "likes")
    floats = UniqueKey("messages", ("channel", "sequence", "f"))
    hands.look.execute("TRUNCATE pgrunbook.quarantine; DROP TABLE likes, messages CASCADE")
    hands.look.execute(f"{MESSAGES} ALTER TABLE messages ADD f float8 DEFAULT '-0'".encode())
    hands.proved(hands.propose(floats, Strategy.SET_NULL), floats, "messages")


@pytest.mark.parametrize("act", ["CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"])
def test_what_a_foreign_key_would_do_to_rows_is_not_done(act: str, hands: Bench) -> None:
    hands.look.execute(
        f"CREATE TABLE likes (id int PRIMARY KEY, one int DEFAULT 0 REFERENCES messages ON DELETE {act})".encode()
    )
    hands.look.execute("INSERT INTO likes SELECT i, i FROM generate_series(0, 89) AS i")
    draft = hands.propose(KEY, Strategy.MERGE)
    assert [f"ON DELETE {act}" in warning for warning in draft.warnings] == [True, False][act == "RESTRICT" :]
    hands.proved(draft, KEY, "messages", "likes")
    assert hands.value("SELECT count(*) FROM likes WHERE one % 9 < 3 AND one <> 0") == 87


def test_a_row_that_is_added_below_a_duplicate_meanwhile_is_not_lost(
    hands: Bench, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    hands.look.execute(
        "CREATE TABLE likes (id int PRIMARY KEY, one int REFERENCES messages ON DELETE CASCADE)"
    )
    draft = hands.propose(KEY, Strategy.MERGE)
    before = hands.hash("messages")
    elsewhere.begin_and_hold("INSERT INTO likes VALUES (1, 3)")
    with mock.patch.object(batch, "LOCK_TIMEOUT_MS", 20_000), ThreadPoolExecutor(1) as pool:
        applied = pool.submit(hands.apply, draft, Rules(stall_ms=60_000, start=7))
        hands.waits_for(elsewhere, applied, eventually)
        elsewhere.release()
        with pytest.raises(RemedyFailed, match="it changed 8 rows of likes, messages and returned 7"):
            applied.result(30)
    assert hands.hash("messages") == before
    assert hands.value("SELECT count(*) FROM likes WHERE one = 3") == 1
    hands.proved(draft, KEY, "messages", "likes")


def test_nothing_is_deleted_when_the_row_that_stays_is_gone_meanwhile(
    hands: Bench, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    draft = hands.propose(KEY, Strategy.MERGE)
    hands.amid(draft, elsewhere, "DELETE FROM messages WHERE id = 0", eventually)
    assert hands.look.execute("SELECT id FROM messages WHERE channel = 1 AND sequence = 0").fetchall() == [
        {"id": 3}
    ]


def test_the_row_that_stays_cannot_leave_its_group_while_a_batch_runs(
    hands: Bench, elsewhere: Elsewhere, eventually: Callable[..., Any]
) -> None:
    draft = hands.propose(KEY, Strategy.MERGE)
    hands.amid(draft, elsewhere, "UPDATE messages SET sequence = 4 WHERE id = 0", eventually)
    assert hands.look.execute(
        "SELECT id FROM messages WHERE channel = 1 AND sequence < 7 ORDER BY id"
    ).fetchall() == [
        {"id": 0},
        {"id": 3},
    ]
    hands.builds(KEY)


def test_by_psql_it_does_the_same_batch_by_batch(hands: Bench) -> None:
    hands.look.execute(CHILDREN)
    draft = hands.propose(KEY, Strategy.MERGE)
    with hands.look.transaction():
        hands.look.execute("SET LOCAL pgrunbook.batch = 20")
        assert len(hands.look.execute(draft.statement.encode()).fetchall()) > 20
    # A setting of one transaction leaves an empty text behind.
    assert hands.value("SELECT current_setting('pgrunbook.batch', true)") == ""
    assert hands.look.execute(draft.statement.encode()).fetchall()
    assert hands.look.execute(draft.statement.encode()).fetchall() == []
    hands.builds(KEY)
