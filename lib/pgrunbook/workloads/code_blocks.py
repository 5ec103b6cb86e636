"""Blocks of class codes: many numbers in one update of the counter, handed out without asking again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg.rows import tuple_row

__all__ = ["BLOCK", "BlockOfCodes", "reserve"]

BLOCK = 100


class BlockOfCodes:
    """Hands out codes of one prefix to all threads of one server of the application.

    One reservation costs one update of the counter, in a transaction of its own, whatever the size of the block.
    The price: a code says no longer which class came first, since every server has a block of its own; what was
    not handed out when the process ends is a gap; and a class that is rolled back leaves a gap too.
    """

    def __init__(self, reserve: Callable[[int], Sequence[str]], *, size: int = BLOCK) -> None:
        """Take how to reserve a number of codes, and how many to take at once."""
        if size < 1:
            raise ValueError("a block has at least one code")
        self.size = size
        self.reservations = 0
        self._reserve = reserve
        self._left: deque[str] = deque()
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """Return how many codes are reserved and not handed out: the gap, if the process ended now."""
        return len(self._left)

    def take(self) -> str:
        """Return the next code of the block; where it is used up, of a new one.

        Others wait meanwhile. A reservation that fails raises what the server said and leaves all as it was.
        """
        with self._lock:
            if not self._left:
                self._left.extend(self._reserve(self.size))
                self.reservations += 1
            return self._left.popleft()


def reserve(
    conn: psycopg.Connection[Any], client: str, type: str, subject: str
) -> Callable[[int], Sequence[str]]:
    """Return how to reserve codes of a prefix on a connection of its own, which has to be autocommit.

    In an open transaction the counter would stay locked, and a rollback would give codes away twice.
    """
    if not conn.autocommit:
        raise ValueError("codes are reserved on an autocommit connection")

    def reserved(how_many: int) -> Sequence[str]:
        with conn.cursor(row_factory=tuple_row) as cursor:
            cursor.execute(
                "SELECT code FROM next_class_codes(%s, %s, %s, %s) WITH ORDINALITY AS made (code, place)"
                " ORDER BY place",
                [client, type, subject, how_many],
            )
            return [code for (code,) in cursor]

    return reserved
