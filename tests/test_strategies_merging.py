"""What a merge is refused for, and what it warns of, before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubled import MESSAGES, Bench, bench

from pgrunbook.errors import BadKey, BadStrategy, RemedyFailed
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
            "CREATE TABLE child (id int PRIMARY KEY, one int REFERENCES messages);"
            "CREATE TABLE heir () INHERITS (child)",
            "other tables inherit from child, and its foreign key does not hold for their rows\n"
            "  next: repair these rows by a remedy of your own",
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


def test_a_child_of_which_a_policy_hides_rows_is_refused_by_whoever_would_not_see_them(hands: Bench) -> None:
    role = f"clerk_{hands.value('SELECT current_database()')}"
    hands.look.execute(
        f"""CREATE TABLE child (id int PRIMARY KEY, one int REFERENCES messages ON DELETE CASCADE, mine bool);
        INSERT INTO child SELECT i, i, i < 5 FROM generate_series(0, 89) AS i;
        CREATE ROLE {role}; GRANT ALL ON messages, child TO {role};
        GRANT pg_read_all_stats TO {role}""".encode()
    )
    try:
        hands.look.execute(f"SET ROLE {role}".encode())
        draft = hands.propose(KEY, Strategy.MERGE)
        hands.look.execute("RESET ROLE; ALTER TABLE child ENABLE ROW LEVEL SECURITY")
        hands.look.execute("CREATE POLICY own ON child USING (mine)")
        assert hands.propose(KEY, Strategy.MERGE) == draft
        hands.look.execute(f"SET ROLE {role}".encode())
        with pytest.raises(BadKey) as caught:
            hands.propose(KEY, Strategy.MERGE)
        assert str(caught.value) == (
            "the key of the duplicates: a row-level security policy may hide rows of child from this role\n"
            "  next: use a role with BYPASSRLS, or its owner where the policies are not forced"
        )
        # One who may see all wrote the file, another runs it.
        hands.work.execute(f"SET ROLE {role}".encode())
        with pytest.raises(
            RemedyFailed, match='would be affected by row-level security policy for table "child"'
        ):
            hands.preview(draft)
        hands.look.execute("RESET ROLE")
        hands.work.execute("RESET ROLE")
        hands.proved(draft, KEY, "messages", "child")
    finally:
        hands.look.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}".encode())


def test_what_refers_by_a_time_within_another_is_refused(hands: Bench, major: int) -> None:
    if major < 18:
        pytest.skip("foreign keys with PERIOD come with 18")
    hands.look.execute(
        """CREATE TABLE stays (room int4range, during daterange, code int, PRIMARY KEY (room, during WITHOUT OVERLAPS));
        CREATE TABLE meals (id int PRIMARY KEY, room int4range, day daterange,
            CONSTRAINT within FOREIGN KEY (room, PERIOD day) REFERENCES stays (room, PERIOD during))"""
    )
    with pytest.raises(BadStrategy) as caught:
        hands.propose(UniqueKey("stays", ("code",)), Strategy.MERGE, order=["during"])
    assert caught.value.found.endswith(
        "within of meals refers to it by PERIOD, which no other row can take over"
    )


def test_duplicates_in_one_partition_are_merged_with_all_that_refers_to_the_whole(hands: Bench) -> None:
    hands.look.execute(
        """CREATE TABLE parts (id int, part int, code int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
        CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
        CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2);
        INSERT INTO parts SELECT i, i % 2 + 1, i / 6 FROM generate_series(0, 89) AS i;
        CREATE TABLE likes (id int PRIMARY KEY, one int, part int,
            FOREIGN KEY (one, part) REFERENCES parts ON DELETE CASCADE) PARTITION BY HASH (id);
        CREATE TABLE likes_1 PARTITION OF likes FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE likes_2 PARTITION OF likes FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        INSERT INTO likes SELECT i, i, i % 2 + 1 FROM generate_series(0, 89) AS i"""
    )
    key = UniqueKey("parts_1", ("code",))
    draft = hands.propose(key, Strategy.MERGE, order=["id"])
    hands.proved(draft, key, "parts", "likes")
    assert hands.value("SELECT count(*) FROM likes") == 90
    assert hands.value("SELECT count(*) FROM parts") == 45 + 15
    hands.undo(draft)
    both = UniqueKey("parts", ("part", "code"))
    done = hands.proved(hands.propose(both, Strategy.MERGE, order=["id"]), both, "parts", "likes")
    assert done.repairs == 60 + 60
