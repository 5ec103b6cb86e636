"""Messages: numbered by the database, read in order, unread ones counted, bad input refused before any SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import message_ground as ground
import psycopg
import pytest

from pgrunbook import server as embedded
from pgrunbook.errors import BadMessage, MessageNotSent
from pgrunbook.workloads.messages import Draft, Home, HomeKind, mark_read, page, send, unread

Conn = psycopg.Connection[Any]
USER = UUID(int=9)


@pytest.fixture(scope="module")
def numbered(server: embedded.Server) -> Iterator[str]:
    with (
        ground.database(server, messages=500) as conninfo,
        psycopg.connect(conninfo, autocommit=True) as conn,
    ):
        ground.apply(conn, "001", "002", "003", "004", "005", "006", "007")
        yield conninfo


@pytest.fixture
def conn(numbered: str) -> Iterator[Conn]:
    with psycopg.connect(numbered, autocommit=True) as connection:
        yield connection


@pytest.fixture(params=list(HomeKind))
def home(conn: Conn, request: pytest.FixtureRequest) -> Home:
    return ground.homes(conn, request.param)[0]


def draft(home: Home, content: str = "hello", **options: Any) -> Draft:
    return Draft(home, ground.AUTHOR, content, **options)


def test_a_message_gets_the_next_number_and_is_the_last_of_its_home(conn: Conn, home: Home) -> None:
    before = page(conn, home)[-1].sequence
    first, second = send(conn, draft(home, "one")), send(conn, draft(home, "two"))
    assert (first.sequence, second.sequence) == (before + 1, before + 2)
    assert [message.content for message in page(conn, home)[-2:]] == ["one", "two"]


def test_a_new_home_begins_with_one(conn: Conn) -> None:
    found = conn.execute("INSERT INTO conversations VALUES (%s, now()) RETURNING id", (uuid4(),)).fetchone()
    assert found is not None
    home = Home(HomeKind.CONVERSATION, found[0])
    assert [send(conn, draft(home)).sequence for _ in range(3)] == [1, 2, 3]


def test_what_is_rolled_back_leaves_no_gap(conn: Conn, home: Home) -> None:
    first = send(conn, draft(home))
    with conn.transaction(force_rollback=True):
        send(conn, draft(home))
    assert send(conn, draft(home)).sequence == first.sequence + 1


def test_pages_go_backwards_without_gaps_or_repetition(conn: Conn, home: Home) -> None:
    latest = page(conn, home, limit=30)
    earlier = page(conn, home, before=latest[-10].sequence, limit=20)
    assert [one.id for one in earlier] == [one.id for one in latest[:-10]]
    assert [one.sequence for one in latest] == sorted(one.sequence for one in latest)


def test_unread_messages_are_those_after_the_place_that_was_read(conn: Conn, home: Home) -> None:
    everything = len(page(conn, home, limit=1000))
    user = uuid4()
    assert unread(conn, user, home) == everything
    mark_read(conn, user, home, page(conn, home)[-4].sequence)
    assert unread(conn, user, home) == 3
    mark_read(conn, user, home, 1)
    assert unread(conn, user, home) == 3, "a cursor never goes back"
    send(conn, draft(home))
    assert unread(conn, user, home) == 4


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("content", lambda home: draft(home, " \n")),
        ("content", lambda home: draft(home, "x" * 4_001)),
        ("content", lambda home: draft(home, "a\0b")),
        ("content", lambda home: draft(home, "\ud800")),
        ("content", lambda home: Draft(home, ground.AUTHOR, None)),
        ("author_id", lambda home: Draft(home, "me", "hello")),
        ("parent_id", lambda home: draft(home, parent_id="the first")),
        ("id", lambda home: draft(home, id=5)),
        ("channel_id", lambda home: Home(HomeKind.CHANNEL, None)),
        ("limit", lambda home: page(None, home, limit=0)),  # type: ignore[arg-type]
        ("user_id", lambda home: unread(None, "me", home)),  # type: ignore[arg-type]
        ("sequence", lambda home: mark_read(None, USER, home, -1)),  # type: ignore[arg-type]
        ("sequence", lambda home: mark_read(None, USER, home, True)),  # type: ignore[arg-type]
        ("sequence", lambda home: mark_read(None, USER, home, 2**31)),  # type: ignore[arg-type]
    ],
)
def test_bad_input_is_refused_before_any_sql(field: str, make: Any) -> None:
    # Where a connection is needed there is none.
    with pytest.raises(BadMessage) as caught:
        make(Home(HomeKind.CHANNEL, UUID(int=1)))
    assert caught.value.field == field


def test_hostile_text_arrives_as_it_was_written(conn: Conn, home: Home) -> None:
    text = "%s {0} '; DROP TABLE messages; --\n<script>📚"
    send(conn, draft(home, text))
    assert page(conn, home)[-1].content == text


def test_what_the_server_refuses_is_told_with_its_reason(conn: Conn) -> None:
    with pytest.raises(MessageNotSent) as caught:
        send(conn, draft(Home(HomeKind.CHANNEL, UUID(int=1))))
    assert "foreign key" in caught.value.reason
    assert "channel" in caught.value.next_step
