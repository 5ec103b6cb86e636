"""Timestamp codes: their shape is nobody else's, they are found, and the way to deal with them is written down."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest

from pgrunbook.workloads import fallback_codes
from pgrunbook.workloads.class_form import CODE_LENGTH
from pgrunbook.workloads.fallback_codes import TAIL_LENGTH, is_fallback, suffix

SEQUENTIAL = re.compile(r"^([^-]+-[^-]+-[^-]+-)([0-9]{1,18})$")
FALLBACK = "11-REALLL-RLN-2026-01-22-09-05-x3fa9c1"
OTHERS = [
    "11-REALLL-RLN-0043",
    "11-REALLL-RLN-10000",
    "12-REALLL-RLN-2025-06-25-02-14",
    "ABC1234",
    "11-REALLL-RLN-2026-01-22-09-05-123456",
    "11-REALLL-RLN-2026-01-22-09-05-x3fa9c1-x",
    "RLN-2026-01-22-09-05-x3fa9c1",
    "",
]


def test_a_timestamp_code_is_told_from_every_other_kind() -> None:
    assert is_fallback(FALLBACK)
    assert not SEQUENTIAL.match(FALLBACK)
    assert [code for code in OTHERS if is_fallback(code)] == []


def test_an_ending_is_random_short_and_no_number() -> None:
    endings = {suffix() for _ in range(200)}
    assert len(endings) > 190
    assert all(re.fullmatch("x[0-9a-f]{6}", one) for one in endings)
    assert len(f"2026-01-22-09-05-{suffix()}") == TAIL_LENGTH
    assert len(FALLBACK) <= CODE_LENGTH


def test_they_are_found_in_the_order_of_their_making(conn: psycopg.Connection[dict[str, Any]]) -> None:
    conn.execute("CREATE TABLE classes (class_id int, class_code varchar(50), created_at timestamp)")
    assert fallback_codes.find(conn).text == "timestamp codes of fallbacks: none"
    later = FALLBACK.replace("x3", "x4")
    rows = [(1, later, "2026-01-22 09:06"), (2, FALLBACK, "2026-01-22 09:05"), (3, None, "2026-01-22")]
    rows += [(number, code, "2026-01-22") for number, code in enumerate(OTHERS, 4)]
    with conn.cursor() as cursor:
        cursor.executemany("INSERT INTO classes VALUES (%s, %s, %s)", rows)
    view = fallback_codes.find(conn)
    assert view.text == "timestamp codes of fallbacks: 2 to leave as they are"
    assert [one["code"] for one in view.facts["classes"]] == [FALLBACK, later]  # type: ignore[attr-defined]


@pytest.mark.static
def test_the_way_to_deal_with_them_names_the_query_that_finds_them() -> None:
    assert fallback_codes.RECOVERY.startswith("**Recovery.**")
    query = re.search(r"`(SELECT .*?)`", fallback_codes.RECOVERY, re.DOTALL)
    assert query
    shape = re.search("'(.+)'", query[1])
    assert shape
    assert re.search(shape[1], FALLBACK)
    assert not re.search(shape[1], OTHERS[0])
