"""JSON as jsonb writes it: compared with what a server writes, byte for byte."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pgrunbook import jsontext

Conn = psycopg.Connection[dict[str, Any]]

# NUL and half a surrogate pair are what jsonb refuses.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
ODD = st.sampled_from(
    [
        "",
        "a",
        "b",
        "aa",
        "é",
        "€",
        "\U0001f600",
        "\x7f",
        "\u2028",
        "\x01\x1f",
        '"\\/',
        "\b\f\n\r\t",
        "z" * 300,
    ]
)
KEYS = ODD | TEXTS
NUMBERS = (
    st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.decimals(allow_nan=False, allow_infinity=False, places=7)
    | st.sampled_from(
        [Decimal(one) for one in ("1.50", "-0.0", "0.00", "1e400", "-1E+2", "1e-300", "100", "1.0e2", "-0")]
    )
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | KEYS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


def literal(value: object) -> str:
    """Write a value as JSON of any key order and number form: not as jsonb does it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(key)}:{literal(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + " ,".join(map(literal, value)) + "]"
    return str(value) if isinstance(value, Decimal) else json.dumps(value)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, min_size=1, max_size=9))
def test_every_value_is_written_as_the_server_writes_it(conn: Conn, values: list[object]) -> None:
    texts = [literal(value) for value in values]
    found = conn.execute(
        "SELECT t.text::jsonb::text AS stored FROM unnest(%s::text[]) WITH ORDINALITY AS t (text, n) ORDER BY n",
        (texts,),
    ).fetchall()
    for text, row in zip(texts, found, strict=True):
        assert jsontext.dumps(jsontext.loads(text)) == row["stored"]
        assert jsontext.dumps(jsontext.loads(row["stored"]), ordered=False) == row["stored"]


def test_deep_nests_and_the_longest_numbers_are_written_as_the_server_writes_them(conn: Conn) -> None:
    for text in (
        "[" * 400 + "]" * 400,
        '{"a":' * 300 + "1.10" + "}" * 300,
        "1e131071",
        "1" + "0" * 5000,
        "1e-16383",
        "-" + "9" * 999 + "." + "9" * 999,
    ):
        stored = conn.execute("SELECT %s::jsonb::text AS stored", (text,)).fetchone()
        assert stored is not None
        assert jsontext.dumps(jsontext.loads(text)) == stored["stored"]


def test_numbers_of_python_are_written_as_they_would_be_stored() -> None:
    assert jsontext.dumps([0.1, 1e-07, 1e22, -0.0, 5, Decimal("1.50"), True]) == (
        "[0.1, 0.0000001, 10000000000000000000000, 0.0, 5, 1.50, true]"
    )


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", "{", "", '{"a": 01}', "'a'"])
def test_what_is_no_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        jsontext.loads(text)


def test_a_number_that_no_server_stores_does_not_fill_the_memory() -> None:
    assert jsontext.dumps(jsontext.loads("[1e999999999, 1e-999999999]")) == "[1E+999999999, 1E-999999999]"


@pytest.mark.parametrize("value", [object(), {1, 2}, float("nan")])
def test_what_is_no_value_of_json_is_not_written(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        jsontext.dumps(value)
