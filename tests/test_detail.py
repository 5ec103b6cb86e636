"""Details of events: whatever comes, a jsonb column and a JSON line can hold it."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgrunbook import detail
from pgrunbook.lockmode import LockMode


class Colour(enum.Enum):
    RED = "red"


VALUES: list[tuple[object, object]] = [
    (None, None),
    (True, True),
    (7, 7),
    (10**30, 10**30),
    (0.5, 0.5),
    (float("nan"), "nan"),
    (float("-inf"), "-inf"),
    ("plain", "plain"),
    ("a\0b", "a␀b"),
    ("half \ud83d pair", "half � pair"),
    ("whole 😀 pair", "whole 😀 pair"),
    ("lines\r\n\u2028\x85", "lines\r\n\u2028\x85"),
    ("<script>alert('1')</script>", "<script>alert('1')</script>"),
    ('x"; DROP TABLE y', 'x"; DROP TABLE y'),
    (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31 12:00:00+00:00"),
    (Decimal("1.10"), "1.10"),
    (Path("a/b"), "a/b"),
    (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (b"\0x", "b'\\x00x'"),
    (Colour.RED, "red"),
    (LockMode.SHARE, 5),
    ((1, (2,)), [1, [2]]),
    ({3, 1}, [1, 3]),
    ({1: {"a\0": Path("b")}, None: 2}, {"1": {"a␀": "b"}, "None": 2}),
    (ValueError("no"), "no"),
]


@pytest.mark.parametrize(("value", "kept"), VALUES, ids=[repr(value)[:30] for value, _ in VALUES])
def test_every_value_becomes_one_that_json_has(value: object, kept: object) -> None:
    stored = detail.storable({"value": value})
    assert stored == {"value": kept}
    assert json.loads(json.dumps(stored, ensure_ascii=False).encode()) == stored


def test_every_value_comes_back_from_the_server(conn: psycopg.Connection[dict[str, Any]]) -> None:
    for value, kept in VALUES:
        row = conn.execute("SELECT %s AS came_back", [Jsonb(detail.storable(value))]).fetchone()
        assert row == {"came_back": kept}


def test_what_the_server_refuses_is_why_this_module_exists(
    conn: psycopg.Connection[dict[str, Any]],
) -> None:
    with pytest.raises(psycopg.errors.UntranslatableCharacter):
        conn.execute("SELECT %s", [Jsonb("a\0b")])
    with pytest.raises(psycopg.errors.InvalidTextRepresentation):
        conn.execute("SELECT %s", [Jsonb(float("nan"))])


def test_a_text_for_a_column_holds_no_nul(conn: psycopg.Connection[dict[str, Any]]) -> None:
    assert detail.text("a\0\ud800b") == "a␀�b"
    assert conn.execute("SELECT %s::text AS t", [detail.text("a\0\ud800b")]).fetchone() == {"t": "a␀�b"}
