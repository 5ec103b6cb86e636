"""Volatile facts of a view, made fit for JSON."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Set
from datetime import date, datetime, time, timedelta
from enum import Enum

from pgrunbook.views.text import encodable

__all__ = ["json_safe"]

_DEEPEST = 20


def json_safe(value: object, *, _depth: int = 0) -> object:
    r"""Return the value in JSON's own types; what JSON does not know becomes text, and no number is lost.

    >>> from decimal import Decimal
    >>> json_safe({"at": datetime(2026, 3, 1, 22), "price": Decimal("1.10"), "raw": b"\x01", "x": math.nan})
    {'at': '2026-03-01T22:00:00', 'price': '1.10', 'raw': '\\x01', 'x': 'nan'}
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, Enum):
        return json_safe(value.value, _depth=_depth)
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | bytearray | memoryview):
        return "\\x" + bytes(value).hex()
    if _depth >= _DEEPEST:
        return encodable(repr(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {encodable(str(key)): json_safe(item, _depth=_depth + 1) for key, item in value.items()}
    if isinstance(value, Set):
        return [json_safe(item, _depth=_depth + 1) for item in sorted(value, key=repr)]
    if isinstance(value, list | tuple):
        return [json_safe(item, _depth=_depth + 1) for item in value]
    return encodable(str(value))
