"""Patterns: exact for numbers and dates, and read by PostgreSQL and Python alike."""

from __future__ import annotations

import datetime
import re
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.contracts.model import Kind, Type
from pgrunbook.contracts.patterns import between, portable, spelling, trimmed

numbers = st.integers(-12_345, 12_345)


@given(numbers, numbers, numbers)
def test_a_range_of_whole_numbers_is_exact(low: int, high: int, number: int) -> None:
    for ends in ((low, high), (low, None), (None, high)):
        inside = (ends[0] is None or ends[0] <= number) and (ends[1] is None or number <= ends[1])
        assert all(re.search(one, str(number)) for one in between(*ends)) == inside


@pytest.mark.parametrize("number", [-(2**63) - 1, -(2**63), -1, 0, 2**63 - 1, 2**63, 10**19])
def test_the_range_of_a_bigint_is_exact(number: int) -> None:
    inside = -(2**63) <= number < 2**63
    assert all(re.search(one, str(number)) for one in between(-(2**63), 2**63 - 1)) == inside


@given(st.integers(1, 9999), st.integers(1, 13), st.integers(1, 32))
def test_a_date_is_spelt_only_where_the_calendar_has_it(year: int, month: int, day: int) -> None:
    text = f"{year:04}-{month:02}-{day:02}"
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        there = False
    else:
        there = True
    assert bool(re.search(spelling(Type(Kind.DATE)), text)) == there


@pytest.mark.parametrize(
    ("type_", "good", "bad"),
    [
        (Type(Kind.NUMERIC, precision=5, scale=2), ["0", "-0.5", "999.99"], ["1000", "0.125", "1.", ".5",
        "1e3", "NaN"]),
        (Type(Kind.NUMERIC, precision=2, scale=2), ["0.99"], ["1", "0.999"]),
        (Type(Kind.NUMERIC, precision=3, scale=0), ["999"], ["999.0", "1000", "007"]),
        (Type(Kind.NUMERIC), ["123456789012345678901234567890.5"], ["Infinity", "1\n", ""]),
        (Type(Kind.BIGINT), ["0", "-5"], ["-0", "+5", "05", "5.0", "5\n"]),
        (Type(Kind.UUID), ["00000000-0000-0000-0000-00000000000A"], ["{00000000-0000-0000-0000-00000000000a}", "x"]),
        (Type(Kind.TIMESTAMP), ["2024-01-01T00:00:00.000001"], ["2024-01-01T00:00:00Z", "2024-01-01 00:00:00"]),
        (Type(Kind.TIMESTAMPTZ), ["2024-01-01T00:00:00+05:30"], ["2024-01-01T00:00:00", "0000-01-01T00:00:00Z"]),
        (Type(Kind.DATE), ["2024-02-29", "2000-02-29"], ["0000-01-01", "1900-02-29", "infinity"]),
        (Type(Kind.TEXT), ["", "a\n", "\U0001f600"], ["a\x00", "\ud800"]),
    ],
    ids=lambda value: value.kind.value if isinstance(value, Type) else "",
)  # fmt: skip
def test_values_are_spelt_one_way(type_: Type, good: list[str], bad: list[str]) -> None:
    assert [text for text in good if not re.search(spelling(type_), text)] == []
    assert [text for text in bad if re.search(spelling(type_), text)] == []


@given(st.text(" ab", max_size=6), st.integers(0, 4), st.integers(0, 4) | st.none())
def test_a_length_without_blanks_is_exact(text: str, low: int, more: int | None) -> None:
    high = None if more is None else low + more
    inside = low <= len(text.strip(" ")) and (high is None or len(text.strip(" ")) <= high)
    assert bool(re.search(trimmed(low, high), text)) == inside


PATTERNS = [
    "^[a-z]+$", "a", "^a.b$", r"^\d{2}-\d+$", "^(a|bc)*$", "[^a]", r"^a\.b$", "^$", "a{2,}", r"[\d_-]", "^(?:ab)+?$",
    r"^[\]x]$", r"^a\/b/$", "^a(?=b)", "^(?!a)", "é$", "^[^ ]+(-[^ ]+)*$",
]  # fmt: skip
TEXTS = [
    "", "a", "b", "ab", "a\n", "a\nb", "a.b", "aXb", "12-3", "12-3\n", "bcbc", "aa", "_", "-", "]", "x",
    "a/b/", "é", "A", "a-b",
    "abab", "5", " ", "\U0001f600",
]  # fmt: skip


def test_what_is_portable_matches_as_in_postgresql(conn: psycopg.Connection[dict[str, Any]]) -> None:
    for pattern in PATTERNS:
        made = portable(pattern)
        assert made is not None, pattern
        rows = conn.execute(
            "SELECT v ~ %s AS matches FROM unnest(%s::text[]) WITH ORDINALITY AS t (v, n) ORDER BY n",
            (pattern, TEXTS),
        ).fetchall()
        found = [bool(re.search(made, text)) for text in TEXTS]
        assert found == [row["matches"] for row in rows], (pattern, made)


@pytest.mark.parametrize(
    "pattern",
    [r"\w", r"\s+", r"(a)\1", "[[:alpha:]]", "(?i)a", "***=a", r"\mword", r"\Aa", "[]a]", "[a--b]",
    "[a&&b]", "(?<=a)b", "a(", r"\x41"],
)  # fmt: skip
def test_what_is_read_otherwise_elsewhere_is_not_portable(pattern: str) -> None:
    assert portable(pattern) is None
