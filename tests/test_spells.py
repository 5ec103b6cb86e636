"""Spells: samples become waits as they come, each read once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import pytest

from pgrunbook.observers.locks import Side, Wait
from pgrunbook.spells import MOST, Spell, Spells

pytestmark = pytest.mark.static


def wait(at_ms: float, waited_ms: float, pid: int = 7, side: Side = Side.BEHIND_US) -> Wait:
    return Wait(at_ms, pid, "web", waited_ms, "RowExclusiveLock", "things", (1,), side)


def test_samples_of_one_wait_are_one_spell() -> None:
    spells = Spells()
    spells.take([wait(110, 10)])
    spells.take([wait(110, 10), wait(210, 110), wait(900, 5)])
    assert spells.all == (
        Spell(7, "web", 100, 210, "behind us", (1,)),
        Spell(7, "web", 895, 900, "behind us", (1,)),
    )
    assert (spells.worst_ms, spells.all[0].ms) == (110, 110)


def test_a_spell_is_as_bad_as_its_worst_sample() -> None:
    spells = Spells()
    spells.take([wait(10, 5), wait(20, 15, side=Side.OTHER), wait(30, 9, 8, Side.OURS)])
    assert [(one.pid, one.side) for one in spells.all] == [(7, "behind us"), (8, "ours")]
    assert spells.worst_ms == 5


class Counting(list[Wait]):
    """Samples that know how many of them were read."""

    read = 0

    @overload
    def __getitem__(self, place: int) -> Wait: ...  # type: ignore[override]
    @overload
    def __getitem__(self, place: slice) -> list[Wait]: ...
    def __getitem__(self, place: int | slice) -> Wait | list[Wait]:
        found = super().__getitem__(place)  # type: ignore[index]
        self.read += len(found) if isinstance(found, list) else 1
        return found

    def __iter__(self) -> Iterator[Wait]:
        raise AssertionError("all of them were read again")


def test_each_sample_is_read_once_and_old_spells_are_forgotten() -> None:
    samples, spells = Counting(), Spells()
    for number in range(20 * MOST):
        samples.append(wait(number * 100.0, 1.0 + (number == 3) * 50))
        spells.take(samples)
    assert samples.read == len(samples)
    assert len(spells.all) <= 2 * MOST
    assert spells.worst_ms == 51
    assert spells.all[-1].end_ms == samples[-1].at_ms
