"""Facts survive JSON."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePosixPath

import pytest

from pgrunbook.views.facts import json_safe

pytestmark = pytest.mark.static


class Side(Enum):
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Sample:
    pid: int
    side: Side


@pytest.mark.parametrize(
    ("value", "safe"),
    [
        (datetime(2026, 3, 1, 22, tzinfo=UTC), "2026-03-01T22:00:00+00:00"),
        (date(2026, 3, 1), "2026-03-01"),
        (timedelta(milliseconds=1500), 1.5),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "\\x00ff"),
        (PurePosixPath("a/b"), "a/b"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (True, True),
        (None, None),
        ((1, 2), [1, 2]),
        ({3, 1}, [1, 3]),
        ({1: "a"}, {"1": "a"}),
        (Side.OURS, "ours"),
        (Sample(7, Side.OURS), {"pid": 7, "side": "ours"}),
        ("\ud800", "\\ud800"),
    ],
)
def test_every_kind_of_fact_becomes_json(value: object, safe: object) -> None:
    assert json_safe(value) == safe
    assert json.loads(json.dumps(json_safe(value), allow_nan=False)) == safe


def test_a_fact_that_holds_itself_ends() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert json.dumps(json_safe(loop))
