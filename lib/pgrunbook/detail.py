"""The detail of an event: any Python value as what a jsonb column and a JSON line can hold."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Set
from enum import Enum
from typing import Any

__all__ = ["shorten", "storable", "text"]

_LONE = re.compile("[\ud800-\udfff]")


def storable(value: object) -> Any:
    r"""Return a value of dictionaries, lists, texts and numbers; anything else becomes its text.

    What jsonb refuses is replaced: a NUL character, half a surrogate pair, a number that is none
    (PostgreSQL manual, 8.14).

    >>> storable({"path": "a\0b", "ratio": float("nan"), 1: (True, None)})
    {'path': 'a\u2400b', 'ratio': 'nan', '1': [True, None]}
    """
    match value:
        case Enum():
            return storable(value.value)
        case None | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping():
            return {text(str(key)): storable(inner) for key, inner in value.items()}
        case list() | tuple():
            return [storable(inner) for inner in value]
        case Set():
            return sorted((storable(inner) for inner in value), key=str)
    return text(str(value))


def text(value: str) -> str:
    """Return a text that PostgreSQL stores and UTF-8 can write: NUL and half a surrogate pair as signs."""
    return _LONE.sub("\ufffd", value.replace("\0", "\u2400"))


def shorten(value: str, limit: int) -> str:
    """Return the text, cut to about `limit` characters and saying how long it was.

    >>> shorten("abcdefgh", 3)
    'abc… (8 characters)'
    """
    return value if len(value) <= limit else f"{value[:limit]}… ({len(value):,} characters)"
