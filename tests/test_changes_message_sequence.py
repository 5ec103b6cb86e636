"""What change 030 promises beyond the contract of every change: nobody slips past the guard, order survives."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import message_ground as ground
import psycopg
import pytest
import throwaway
from psycopg.rows import dict_row

from pgrunbook import preflight
from pgrunbook import server as embedded
from pgrunbook.errors import RemedyFailed
from pgrunbook.workloads.messages import Draft, Home, HomeKind, Sent, send

Conn = psycopg.Connection[Any]
CHANNELS, CONVERSATIONS = "10_duplicate_channel_sequences", "20_duplicate_conversation_sequences"
OLD_KIND = (
    "INSERT INTO messages (channel_id, author_id, sequence, content)"
    " VALUES ('{}', '{}', {}, 'old kind') RETURNING sequence"
)


@pytest.fixture
def messages(server: embedded.Server) -> Iterator[str]:
    with ground.database(server, messages=600) as conninfo:
        yield conninfo


@pytest.fixture
def sessions(messages: str) -> Iterator[Callable[[], Conn]]:
    """Make sessions on the database of the test."""
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(psycopg.connect(messages, autocommit=True, row_factory=dict_row))


@pytest.fixture
def conn(sessions: Callable[[], Conn]) -> Conn:
    return sessions()


def one(conn: Conn, query: str, *values: object) -> Any:
    row = conn.execute(query.encode(), values or None).fetchone()
    assert row is not None
    return next(iter(row.values()))


def old_kind(conn: Conn, home: Home, number: int) -> int:
    """Send as senders did before, with a number of one's own; return the number that was stored."""
    return int(one(conn, OLD_KIND.format(home.id, ground.AUTHOR, number)))


def highest(conn: Conn, home: Home) -> int:
    return int(one(conn, f"SELECT max(sequence) FROM messages WHERE {home.kind.value} = %s", home.id))


def channel(conn: Conn) -> Home:
    return ground.homes(conn, HomeKind.CHANNEL)[0]


# --- the guard ---------------------------------------------------------------------------------------------


def test_the_guard_has_the_last_word_on_every_number(conn: Conn) -> None:
    home = channel(conn)
    ground.apply(conn, "001", "002", "003")
    last = highest(conn, home)
    assert [old_kind(conn, home, made_up) for made_up in (1, 999_999, last + 1)] == [
        last + 1,
        last + 2,
        last + 3,
    ]


def test_before_the_starts_are_known_a_sender_keeps_his_number_and_is_counted(conn: Conn) -> None:
    home = channel(conn)
    ground.apply(conn, "001", "002")
    last = highest(conn, home)
    assert [old_kind(conn, home, last + 1), old_kind(conn, home, last + 1)] == [last + 1, last + 1]
    ground.apply(conn, "003")
    # Repaired, the two will have last + 1 and last + 2.
    assert old_kind(conn, home, 1) == last + 3


def test_a_home_whose_id_is_zeros_is_numbered_like_any_other(conn: Conn) -> None:
    zeros, new = Home(HomeKind.CHANNEL, UUID(int=0)), Home(HomeKind.CHANNEL, UUID(int=1))
    conn.execute("INSERT INTO channels VALUES (%s, 'zeros', now()), (%s, 'new', now())", (zeros.id, new.id))
    assert [old_kind(conn, zeros, number) for number in (1, 1, 7)] == [1, 1, 7]
    ground.apply(conn, "001", "002", "003")
    assert conn.execute(ground.loaded().step("003").verify.text.encode()).fetchall() == []
    # Repaired, the three will have 1, 2 and 7.
    assert [old_kind(conn, zeros, 1), old_kind(conn, new, 1), old_kind(conn, zeros, 1)] == [8, 1, 9]


def test_who_counts_while_the_starts_are_found_is_followed(conn: Conn, sessions: Callable[[], Conn]) -> None:
    home, slow, quick = channel(conn), sessions(), sessions()
    ground.apply(conn, "001", "002")
    last = highest(conn, home)
    slow.execute("BEGIN")
    assert old_kind(slow, home, last + 1) == last + 1
    ground.apply(conn, "003")
    numbers: list[int] = []
    waits = threading.Thread(target=lambda: numbers.append(old_kind(quick, home, last + 1)))
    waits.start()
    slow.execute("COMMIT")
    waits.join(timeout=60)
    assert numbers == [last + 2]


def test_a_sender_with_an_old_snapshot_repeats_no_number(conn: Conn, sessions: Callable[[], Conn]) -> None:
    home, alone, late = channel(conn), sessions(), sessions()
    other = ground.homes(conn, HomeKind.CHANNEL)[1]
    ground.apply(conn, "001", "002")
    last, last_other = highest(conn, home), highest(conn, other)
    for session in (alone, late):
        session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        session.execute("SELECT FROM messages LIMIT 1")
    ground.apply(conn, "003")
    # Nobody has sent there since: its own number is the next one, and it is counted.
    assert old_kind(alone, other, last_other + 1) == last_other + 1
    alone.execute("COMMIT")
    assert old_kind(conn, other, 1) == last_other + 2
    # Somebody has: it has to begin anew.
    assert old_kind(conn, home, 1) == last + 1
    with pytest.raises(psycopg.errors.SerializationFailure):
        old_kind(late, home, last + 1)


def test_the_guard_waits_for_writers_and_lets_nobody_slip_in_between(
    conn: Conn, sessions: Callable[[], Conn], eventually: Callable[..., Any]
) -> None:
    home, early, late = channel(conn), sessions(), sessions()
    ground.apply(conn, "001")
    last = highest(conn, home)
    early.execute("BEGIN")
    old_kind(early, home, last + 1)
    pid = conn.info.backend_pid
    step = threading.Thread(target=lambda: ground.apply(conn, "002"))
    step.start()
    eventually(lambda: one(late, "SELECT cardinality(pg_blocking_pids(%s))", pid) == 1)
    assert early.execute("COMMIT")
    step.join(timeout=60)
    old_kind(late, home, last + 2)
    assert one(late, "SELECT counted FROM message_counters WHERE home_id = %s", home.id) == 1
    ground.apply(conn, "003")
    assert old_kind(late, home, 1) == last + 3


def test_a_message_that_moves_gets_a_number_in_its_new_home(conn: Conn) -> None:
    here, there = ground.homes(conn, HomeKind.CHANNEL)[:2]
    ground.apply(conn, "001", "002", "003")
    last = highest(conn, there)
    moved = send(conn, Draft(here, ground.AUTHOR, "wrong place"))
    conn.execute("UPDATE messages SET channel_id = %s WHERE id = %s", (there.id, moved.id))
    assert one(conn, "SELECT sequence FROM messages WHERE id = %s", moved.id) == last + 1
    conn.execute("UPDATE messages SET channel_id = channel_id, content = 'same' WHERE id = %s", (moved.id,))
    assert highest(conn, there) == last + 1


def test_a_message_in_two_homes_is_refused_and_one_in_none_only_by_the_rule(conn: Conn) -> None:
    ground.apply(conn, "001", "002", "003")
    both = (
        "INSERT INTO messages (channel_id, conversation_id, author_id, sequence, content)"
        " SELECT c.id, v.id, c.id, 1, 'both' FROM channels AS c, conversations AS v LIMIT 1"
    )
    none = "INSERT INTO messages (author_id, sequence, content) VALUES (gen_random_uuid(), 1, 'none')"
    with pytest.raises(psycopg.errors.CheckViolation, match="in a channel and in a conversation"):
        conn.execute(both.encode())
    conn.execute(none.encode())
    ground.apply(conn, "006")
    with pytest.raises(psycopg.errors.CheckViolation, match="messages_one_home"):
        conn.execute(none.encode())


def test_a_sender_needs_no_privilege_on_the_counters_and_cannot_put_his_own_in_their_place(
    conn: Conn, sessions: Callable[[], Conn]
) -> None:
    home, sender = channel(conn), sessions()
    ground.apply(conn, "001", "002", "003")
    last = highest(conn, home)
    with throwaway.role(conn, "GRANT SELECT, INSERT ON messages TO {}") as role:
        sender.execute(f"SET ROLE {role}".encode())
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            sender.execute("SELECT FROM message_counters")
        sender.execute("CREATE TEMPORARY TABLE message_counters (home_id uuid PRIMARY KEY, counted bigint)")
        assert old_kind(sender, home, 5) == last + 1
        assert one(sender, "SELECT count(*) FROM pg_temp.message_counters") == 0
        sender.execute("RESET ROLE; DROP TABLE pg_temp.message_counters")


def test_the_proof_of_the_starts_finds_a_number_beyond_the_counter(conn: Conn, messages: str) -> None:
    home = channel(conn)
    ground.apply(conn, "001", "002", "003")
    conn.execute(
        "UPDATE messages SET sequence = 5000 WHERE id = (SELECT id FROM messages WHERE channel_id = %s LIMIT 1)",
        (home.id,),
    )
    with throwaway.looking(messages) as look:
        found = preflight.run_check(look, ground.loaded().step("003").verify)
    assert [(row["home_id"], row["expected"]) for row in found.rows] == [
        (str(home.id), "a next number above 5000")
    ]


def test_a_reply_waits_for_no_renumbering_because_the_index_is_partial(
    conn: Conn, sessions: Callable[[], Conn]
) -> None:
    home, replier = channel(conn), sessions()
    ground.apply(conn, "004", "005")
    parent = one(
        conn, "SELECT id FROM messages WHERE channel_id = %s ORDER BY sequence DESC LIMIT 1", home.id
    )
    reply = (
        "INSERT INTO messages (channel_id, author_id, parent_id, sequence, content)"
        f" VALUES ('{home.id}', '{ground.AUTHOR}', '{parent}', 70000, 'reply')"
    )
    renumber = f"UPDATE messages SET sequence = sequence + 90000 WHERE id = '{parent}'"
    replier.execute("SET lock_timeout = '100ms'")
    with conn.transaction(force_rollback=True):
        conn.execute(renumber.encode())
        replier.execute(reply.encode())
    # The counterpart: a full unique index makes the number a key, and a reply waits for its parent.
    conn.execute("CREATE UNIQUE INDEX full_one ON messages (channel_id, sequence)")
    with conn.transaction(force_rollback=True):
        conn.execute(renumber.encode())
        with pytest.raises(psycopg.errors.LockNotAvailable):
            replier.execute(reply.replace("70000", "70001").encode())


# --- the repair --------------------------------------------------------------------------------------------


def taken_apart(numbers: list[int]) -> list[int]:
    """Return sorted numbers without repetition, order and gaps kept: the rule in words of another language.

    >>> taken_apart([1, 2, 2, 5, 9, 9, 10])
    [1, 2, 3, 5, 9, 10, 11]
    """
    found: list[int] = []
    lead = 0
    for place, number in enumerate(numbers):
        lead = max(lead, number - place) if place else number
        found.append(place + lead)
    return found


def test_the_rule_in_words_of_another_language_is_the_one_of_the_readme() -> None:
    assert taken_apart([1, 2, 2, 5, 9, 9, 10]) == [1, 2, 3, 5, 9, 10, 11]
    assert taken_apart([-3, -3, 7]) == [-3, -2, 7]


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_random_numbers_are_taken_apart_as_the_rule_says_in_batches_of_any_size(
    conn: Conn, batch: int
) -> None:
    chance = random.Random(batch)
    wanted: dict[UUID, list[int]] = {}
    for home in ground.homes(conn, HomeKind.CHANNEL, limit=6):
        ids = [
            row["id"]
            for row in conn.execute("SELECT id FROM messages WHERE channel_id = %s", (home.id,)).fetchall()
        ]
        numbers = sorted(chance.choices(range(1, len(ids) + 5), k=len(ids)))
        with conn.cursor() as cursor:
            cursor.executemany(
                "UPDATE messages SET sequence = %s WHERE id = %s", list(zip(numbers, ids, strict=True))
            )
        wanted[home.id] = taken_apart(numbers)
    listing, unread = ground.listing(conn), ground.unread(conn)
    conn.execute(f"SET pgrunbook.batch = {batch}".encode())
    remedy = ground.loaded().remedy(CHANNELS).text.encode()
    seen: list[tuple[str, str]] = []
    while rows := conn.execute(remedy).fetchall():
        seen += [(row["table_name"], str(row["key"])) for row in rows]
        # At every moment, and not only at the end.
        if batch > 1:
            assert ground.listing(conn) == listing
            assert ground.unread(conn) == unread
    assert (ground.listing(conn), ground.unread(conn)) == (listing, unread)
    assert len(seen) == len(set(seen)), "a row was repaired twice"
    for home_id, expected in wanted.items():
        found = conn.execute(
            "SELECT sequence FROM messages WHERE channel_id = %s ORDER BY sequence", (home_id,)
        ).fetchall()
        assert [row["sequence"] for row in found] == expected


def test_a_cursor_that_moved_meanwhile_is_taken_from_where_it_is(
    conn: Conn, sessions: Callable[[], Conn], eventually: Callable[..., Any]
) -> None:
    home, reader, watcher = channel(conn), sessions(), sessions()
    conn.execute(
        "UPDATE messages SET sequence = sequence - 1 WHERE channel_id = %s AND sequence > 5", (home.id,)
    )
    user = UUID(int=11)
    conn.execute(
        "INSERT INTO read_cursors (user_id, channel_id, last_read_sequence) VALUES (%s, %s, 8)",
        (user, home.id),
    )
    left = one(conn, "SELECT count(*) FROM messages WHERE channel_id = %s AND sequence > 10", home.id)
    reader.execute("BEGIN")
    reader.execute("UPDATE read_cursors SET last_read_sequence = 10 WHERE user_id = %s", (user,))
    text = ground.loaded().remedy(CHANNELS).text.encode()
    pid = conn.info.backend_pid
    repair = threading.Thread(target=lambda: conn.execute(text))
    repair.start()
    eventually(lambda: one(watcher, "SELECT cardinality(pg_blocking_pids(%s))", pid) == 1)
    reader.execute("COMMIT")
    repair.join(timeout=60)
    unread = (
        "SELECT count(*) FROM messages AS m JOIN read_cursors AS c ON c.channel_id = m.channel_id"
        " WHERE c.user_id = %s AND m.sequence > c.last_read_sequence"
    )
    assert one(watcher, unread, user) == left


def test_cursors_of_one_user_in_one_home_are_foreseen_and_never_mixed_up(
    conn: Conn, messages: str, tmp_path: Path
) -> None:
    chosen = ground.loaded()
    for sample in (CHANNELS, "55_read_cursors"):
        conn.execute(chosen.no_go_samples[sample].read_bytes())
    conn.execute(
        "INSERT INTO read_cursors (user_id, channel_id, last_read_sequence)"
        " SELECT user_id, channel_id, last_read_sequence - 1 FROM read_cursors WHERE channel_id IS NOT NULL"
    )
    ground.apply(conn, "001", "002", "003")
    facts = "SELECT md5(string_agg(c::text, '' ORDER BY c::text)) FROM read_cursors AS c"
    before = one(conn, facts)
    assert preflight.run_check(conn, chosen.check("55_read_cursors")).total > 2
    with throwaway.running(chosen, messages, tmp_path) as run:
        run.decide_by_policy(CHANNELS)
        with pytest.raises(RemedyFailed, match="it changes several rows that have one key"):
            run.apply_remedy(CHANNELS)
        assert throwaway.undo(run, CHANNELS).left_alone == 0
    assert one(conn, facts) == before


def test_repaired_and_undone_while_senders_send_nothing_is_lost_or_reordered(
    server: embedded.Server, tmp_path: Path
) -> None:
    chosen = ground.loaded()
    with (
        ground.database(server, messages=1_500, planted=[CHANNELS, CONVERSATIONS]) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as look,
        throwaway.running(chosen, conninfo, tmp_path) as run,
    ):
        homes = [home for kind in HomeKind for home in ground.homes(look, kind, limit=2)]
        before = (old_rows(look), ground.listing(look), old_unread(look))
        throwaway.apply(run, "001", "002", "003")
        with senders(conninfo, homes) as sent:
            for name in (CHANNELS, CONVERSATIONS):
                run.decide_by_policy(name)
                assert run.apply_remedy(name).repairs > 0
            assert [one for one in ground.listing(look) if "of the test" not in one[2]] == before[1]
            assert old_unread(look) == before[2]
            for name in (CONVERSATIONS, CHANNELS):
                assert throwaway.undo(run, name).refused == ()
            assert old_rows(look) == before[0], "undo did not give the rows back as they were"
            for name in (CHANNELS, CONVERSATIONS):
                run.decide_by_policy(name)
                run.apply_remedy(name)
            run.preflight()
            throwaway.apply(run, "004", "005")
        told = {(one.id, one.sequence) for messages in sent for one in messages}
        stored = look.execute(
            "SELECT id, sequence FROM messages WHERE content LIKE '%of the test'"
        ).fetchall()
        assert told == set(stored), "a message was lost or got another number than its sender was told"
        assert len(told) > 8
        assert old_unread(look) == before[2]
        for messages in sent:
            for home in homes:
                mine = [
                    one.sequence for number, one in enumerate(messages) if homes[number % len(homes)] is home
                ]
                assert mine == sorted(mine)


@contextlib.contextmanager
def senders(conninfo: str, homes: list[Home], count: int = 4) -> Iterator[list[list[Sent]]]:
    """Let senders send to the homes by turns, from `with` to its end; give what each was told."""
    ended = threading.Event()
    sent: list[list[Sent]] = [[] for _ in range(count)]
    failures: list[BaseException] = []

    def work(mine: list[Sent]) -> None:
        try:
            with psycopg.connect(conninfo, autocommit=True) as conn:
                while not ended.wait(0.01):
                    mine.append(
                        send(conn, Draft(homes[len(mine) % len(homes)], ground.AUTHOR, "one of the test"))
                    )
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(mine,), daemon=True) for mine in sent]
    for thread in threads:
        thread.start()
    try:
        yield sent
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert failures == []


def old_rows(conn: Conn) -> list[tuple[Any, ...]]:
    """Return every message that was there before the test's own, and every cursor, whole."""
    return conn.execute(
        "SELECT m::text FROM messages AS m WHERE content <> 'one of the test'"
        " UNION ALL SELECT c::text FROM read_cursors AS c ORDER BY 1"
    ).fetchall()


def old_unread(conn: Conn) -> list[tuple[Any, ...]]:
    """Return the unread counts without the test's own messages."""
    return conn.execute(
        "SELECT c.user_id::text, coalesce(c.channel_id, c.conversation_id)::text, count(m.id)"
        " FROM read_cursors AS c LEFT JOIN messages AS m ON m.content <> 'one of the test'"
        " AND (m.channel_id = c.channel_id OR m.conversation_id = c.conversation_id)"
        " AND m.sequence > c.last_read_sequence GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()


# --- the whole of it ---------------------------------------------------------------------------------------


def test_the_owner_of_the_tables_needs_no_superuser(server: embedded.Server, tmp_path: Path) -> None:
    with (
        ground.database(server, messages=600, planted=[CHANNELS]) as conninfo,
        psycopg.connect(conninfo, autocommit=True, row_factory=dict_row) as root,
        throwaway.role(root, "GRANT CREATE ON SCHEMA public TO {}") as role,
    ):
        root.execute(f"GRANT CREATE ON DATABASE {root.info.dbname} TO {role}".encode())
        for table in ("messages", "read_cursors", "channels", "conversations"):
            root.execute(f"ALTER TABLE {table} OWNER TO {role}".encode())
        owner = psycopg.conninfo.make_conninfo(conninfo, user=role)
        with throwaway.running(ground.loaded(), owner, tmp_path) as run:
            throwaway.apply(run, "001", "002", "003")
            run.decide_by_policy(CHANNELS)
            run.apply_remedy(CHANNELS)
            run.preflight()
            throwaway.apply(run, "004", "005", "006", "007", "008", "009")
            assert [found.label for found in run.verify() if found.total] == []
        root.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER".encode())


@pytest.mark.parametrize(
    ("made", "finding"),
    [
        ("CREATE UNIQUE INDEX {} ON messages (channel_id, id)", "indexes that are there"),
        (
            "CREATE INDEX {} ON messages (channel_id, sequence) WHERE channel_id IS NOT NULL",
            "indexes that are there",
        ),
    ],
)
def test_an_index_of_another_shape_under_our_name_is_found_beforehand(
    conn: Conn, messages: str, made: str, finding: str
) -> None:
    conn.execute(made.format("messages_channel_seq_unique_idx").encode())
    with throwaway.looking(messages) as look:
        board = preflight.audit(look, ground.loaded())
    assert finding in [one.label for one in board.failed]


def test_what_a_failed_build_left_behind_is_found_beforehand(conn: Conn, messages: str) -> None:
    home = channel(conn)
    old_kind(conn, home, highest(conn, home))
    with pytest.raises(psycopg.errors.UniqueViolation):
        ground.apply(conn, "004")
    with throwaway.looking(messages) as look:
        found = {one.name: one for one in preflight.audit(look, ground.loaded()).findings}
        proof = preflight.run_check(look, ground.loaded().step("004").verify)
    assert found[CHANNELS].total == 1
    assert any("invalid_indexes" in one.label and one.total for one in found.values())
    assert [row["found"] for row in proof.rows] == ["invalid, not ready for writes"]
