"""JSON as jsonb writes it: the text that hashes of the ledger are made of, without a server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

__all__ = ["dumps", "loads"]

# What a numeric may hold (PostgreSQL manual, 8.1.2); a file may claim any exponent, and is not to fill the memory.
_MOST_DIGITS = 131_072 + 16_383
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_ESCAPED = re.compile(r'["\\\x00-\x1f]')


def loads(text: str) -> Any:
    """Return what a JSON text holds, with every number as it is written: 1.50 is not 1.5.

    Integers are int as far as they stay short, all other numbers Decimal. Raises ValueError for what is no JSON,
    and for JSON of Python's own, such as NaN.

    >>> dumps(loads('{"b": 1.50, "aa": [1E-7, -0.0], "a": 12}'))
    '{"a": 12, "b": 1.50, "aa": [0.0000001, 0.0]}'
    """
    return json.loads(text, parse_int=_integer, parse_float=Decimal, parse_constant=_no_number)


def dumps(value: object, *, ordered: bool = True) -> str:
    r"""Return a value as the text that jsonb gives it in a database of UTF-8.

    Keys stand in order of their length in bytes, then of their bytes; `ordered=False` leaves them as they are.
    A number is never written with an exponent, and zero has no sign (PostgreSQL manual, 8.14).

    >>> dumps({"key": "a\tb\x7f", "é": None, "k": True})
    '{"k": true, "é": null, "key": "a\\tb\x7f"}'
    """
    written: list[str] = []
    _write(value, ordered, written)
    return "".join(written)


def _integer(literal: str) -> int | Decimal:
    """Return a number without a fraction; Python refuses to make an int of thousands of digits."""
    return int(literal) if len(literal) < 1000 and literal != "-0" else Decimal(literal)


def _no_number(literal: str) -> Any:
    raise ValueError(f"{literal} is no JSON")


def _write(value: object, ordered: bool, written: list[str]) -> None:
    match value:
        case None:
            written.append("null")
        case bool():
            written.append("true" if value else "false")
        case str():
            written.append(_quoted(value))
        case int():
            written.append(str(value))
        case Decimal():
            written.append(_digits(value))
        case float():
            written.append(_digits(Decimal(repr(value))))
        case Mapping():
            keys = sorted(value, key=_place) if ordered else list(value)
            between = "{"
            for key in keys:
                written.append(f"{between}{_quoted(key)}: ")
                _write(value[key], ordered, written)
                between = ", "
            written.append("}" if keys else "{}")
        case list() | tuple():
            between = "["
            for one in value:
                written.append(between)
                _write(one, ordered, written)
                between = ", "
            written.append("]" if value else "[]")
        case _:
            raise TypeError(f"{type(value).__name__} is no value of JSON")


def _quoted(text: str) -> str:
    return f'"{_ESCAPED.sub(lambda found: _escape(found[0]), text)}"'


def _escape(sign: str) -> str:
    return _ESCAPES.get(sign) or f"\\u{ord(sign):04x}"


def _place(key: str) -> tuple[int, bytes]:
    written = key.encode("utf-8", "surrogatepass")
    return len(written), written


def _digits(number: Decimal) -> str:
    if not number.is_finite():
        raise ValueError(f"{number} is no JSON")
    exponent = int(number.as_tuple().exponent)
    if abs(exponent) > _MOST_DIGITS:
        # No server stores it: it stays as it is, and fits no hash.
        return str(number)
    text = f"{number:f}"
    return text.removeprefix("-") if not number else text
