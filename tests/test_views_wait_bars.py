"""Bars: samples that overlap are one wait, judged by its worst."""

from __future__ import annotations

from dataclasses import replace

import pytest
from drawing import WAIT

from pgrunbook.observers.locks import Side
from pgrunbook.views.wait_bars import collapse

pytestmark = pytest.mark.static


def test_many_samples_of_one_wait_are_one_bar() -> None:
    waits = [replace(WAIT, at_ms=400.0 + n, waited_ms=1.0 + n) for n in range(0, 50, 5)]
    (bar,) = collapse(waits)
    assert (bar.start_ms, bar.end_ms, bar.waited_ms) == (399.0, 445.0, 46.0)


def test_two_waits_of_one_session_stay_two_bars() -> None:
    assert len(collapse([WAIT, replace(WAIT, at_ms=900.0)])) == 2


def test_a_wait_is_as_bad_as_its_worst_sample() -> None:
    (bar,) = collapse([replace(WAIT, side=Side.OTHER, at_ms=410.0, waited_ms=4.0), WAIT])
    assert bar.side == "behind us"


def test_a_side_unknown_to_the_picture_is_someone_else() -> None:
    (bar,) = collapse([replace(WAIT, side="beside us")])  # type: ignore[arg-type]
    assert bar.side == "other"
