"""The trace of a step: small, whatever was seen, and enough to see it again."""

from __future__ import annotations

import json
import random

import pytest

from pgrunbook.observers import Observation, trace
from pgrunbook.observers.locks import Side, Wait, worst_stall_ms
from pgrunbook.observers.progress import Awaited, BuildSample
from pgrunbook.observers.size import SizeChange

pytestmark = pytest.mark.static


def wait(at_ms: float, waited_ms: float, pid: int = 7, side: Side = Side.BEHIND_US, by: int = 1) -> Wait:
    return Wait(at_ms, pid, "web", waited_ms, "RowExclusive", "things", (by,), side)


def stored(seen: Observation) -> dict[str, object]:
    told: dict[str, object] = json.loads(json.dumps(trace.facts(seen)))
    return told


def test_samples_of_one_wait_are_one_interval() -> None:
    waits = [wait(100, 20), wait(200, 120, by=2), wait(300.5, 220.4), wait(900, 50)]
    assert trace.collapse(waits) == [
        Wait(300.5, 7, "web", 220.5, "RowExclusive", "things", (1, 2), Side.BEHIND_US),
        wait(900, 50),
    ]


def test_a_wait_counts_as_bad_as_it_was_at_its_worst() -> None:
    sides = [Side.OTHER, Side.BEHIND_US, Side.OTHER]
    (one,) = trace.collapse([wait(100 * n, 100 * n, side=side) for n, side in enumerate(sides, 1)])
    assert (one.side, one.waited_ms) == (Side.BEHIND_US, 300)


def test_what_was_told_can_be_seen_again() -> None:
    seen = Observation(
        samples=12,
        waits=(wait(100, 20), wait(150, 40, pid=8, side=Side.OURS), wait(160, 3, pid=9, side=Side.OTHER)),
        builds=(
            BuildSample(10, "initializing", 0, 0, None),
            BuildSample(110, "waiting for writers before build", 0, 1, 77, awaited=(Awaited(77, "web"),)),
            BuildSample(210, "building index: scanning table", 5, 9, None),
        ),
        sizes=(SizeChange("things", 8192, 16384), SizeChange("things, indexes", 0, 8192)),
        seconds=0.25,
        problem="the watch was ended",
    )
    assert trace.observation(stored(seen)) == seen
    assert trace.observation(stored(Observation(3))) == Observation(3)
    assert stored(Observation(3)) == {"samples": 3, "watched_ms": 0.0}


def test_the_worst_stall_of_the_trace_is_that_of_the_samples() -> None:
    luck = random.Random(7)
    for _ in range(200):
        waits = [
            wait(
                at := luck.uniform(0, 5000), luck.uniform(0, at), luck.randrange(400), luck.choice(list(Side))
            )
            for _ in range(luck.randrange(600))
        ]
        told = trace.observation(stored(Observation(1, tuple(waits))))
        assert worst_stall_ms(told.waits) >= worst_stall_ms(waits) - 0.11


def test_a_hundred_thousand_samples_are_a_few_kilobytes() -> None:
    luck = random.Random(7)
    waits = tuple(
        wait(100.0 * number, luck.uniform(1, 90), pid=number % 3000, side=luck.choice(list(Side)))
        for number in range(100_000)
    )
    builds = tuple(
        BuildSample(100.0 * n, f"phase {n // 9000}", n % 9000, 9000, None, awaited=(Awaited(4, "web"),))
        for n in range(100_000)
    )
    told = stored(Observation(100_000, waits, builds))
    assert len(json.dumps(told)) < 32_000
    seen = trace.observation(told)
    assert len(seen.waits) == trace.MOST_WAITS
    assert len(seen.builds) <= trace.MOST_BUILDS
    assert list(dict.fromkeys(one.phase for one in seen.builds)) == [f"phase {n}" for n in range(12)]
    assert (seen.builds[0], seen.builds[-1].at_ms) == (
        BuildSample(0, "phase 0", 0, 9000, None, awaited=(Awaited(None, "web"),)),
        builds[-1].at_ms,
    )
    left = told["waits_left_out"]
    assert isinstance(left, list)
    assert sum(one["waits"] for one in left) == len(trace.collapse(waits)) - trace.MOST_WAITS
    assert worst_stall_ms(seen.waits) == pytest.approx(worst_stall_ms(waits), abs=0.11)
    assert told["builds_left_out"] == 100_000 - len(seen.builds)


def test_a_build_that_goes_to_and_fro_keeps_its_beginning_and_its_end() -> None:
    builds = tuple(BuildSample(float(n), f"phase {n % 2}", 0, 0, None) for n in range(5000))
    seen = trace.observation(stored(Observation(5000, (), builds)))
    assert len(seen.builds) <= trace.MOST_BUILDS
    assert (seen.builds[0].at_ms, seen.builds[-1].at_ms) == (0.0, 4999.0)
