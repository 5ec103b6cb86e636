"""Blocks of codes: every code once from all threads, one reservation a block, and what they cost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import classroom
import psycopg
import pytest

from pgrunbook import server as embedded
from pgrunbook.target import Target
from pgrunbook.workloads.class_codes import ClassCodes
from pgrunbook.workloads.code_blocks import BlockOfCodes, reserve


@pytest.fixture(scope="module")
def room(server: embedded.Server) -> Iterator[Target]:
    with classroom.opened(server) as target:
        yield target


@pytest.fixture
def conn(room: Target) -> Iterator[psycopg.Connection[dict[str, Any]]]:
    with classroom.connect(room) as connection:
        yield connection


def block(conn: psycopg.Connection[Any], form: dict[str, Any], size: int) -> BlockOfCodes:
    return BlockOfCodes(reserve(conn, str(form["client_id"]), "REALLL", "RLN"), size=size)


def numbers(codes: list[str]) -> list[int]:
    return [int(code.rsplit("-", 1)[1]) for code in codes]


def test_sixteen_threads_get_every_code_once_from_few_reservations(conn: psycopg.Connection[Any]) -> None:
    form = classroom.form()
    codes = block(conn, form, 100)
    with ThreadPoolExecutor(16) as pool:
        taken = list(pool.map(lambda _: codes.take(), range(250)))
    assert sorted(numbers(taken)) == list(range(1, 251))
    assert (codes.reservations, codes.left) == (3, 50)
    assert taken[0].startswith(classroom.prefix(form))


def test_one_server_alone_keeps_the_order(conn: psycopg.Connection[Any]) -> None:
    codes = block(conn, classroom.form(), 3)
    assert numbers([codes.take() for _ in range(7)]) == [1, 2, 3, 4, 5, 6, 7]


def test_between_two_servers_the_order_is_lost(conn: psycopg.Connection[Any]) -> None:
    form = classroom.form()
    one, two = block(conn, form, 10), block(conn, form, 10)
    assert numbers([one.take(), two.take(), one.take(), two.take()]) == [1, 11, 2, 12]


def test_a_server_that_crashes_leaves_a_gap(conn: psycopg.Connection[Any]) -> None:
    form = classroom.form()
    crashing = block(conn, form, 10)
    crashing.take()
    assert crashing.left == 9
    del crashing
    assert numbers([block(conn, form, 10).take()]) == [11]
    # Classes that are created one by one go on behind all blocks.
    assert str(ClassCodes().create(conn, form)["class_code"]).endswith("-0021")


def test_a_reservation_that_fails_can_be_made_again(conn: psycopg.Connection[Any]) -> None:
    broken = [True]
    asked = reserve(conn, str(classroom.form()["client_id"]), "REALLL", "RLN")

    def sometimes(how_many: int) -> Any:
        return asked(1 // 0 if broken.pop() else how_many) if broken else asked(how_many)

    codes = BlockOfCodes(sometimes, size=5)
    with pytest.raises(ZeroDivisionError):
        codes.take()
    assert (codes.left, codes.reservations) == (0, 0)
    assert numbers([codes.take()]) == [1]


def test_blocks_need_a_size_and_a_transaction_of_their_own(room: Target) -> None:
    with pytest.raises(ValueError, match="at least one"):
        BlockOfCodes(lambda _: [], size=0)
    with (
        classroom.connect(room, autocommit=False) as open_one,
        pytest.raises(ValueError, match="autocommit"),
    ):
        reserve(open_one, "11", "REALLL", "RLN")
