"""Leases by a clock that the test moves: when they are renewed, when a handler stops, when it was abandoned."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import psycopg
import pytest

from pgrunbook.workloads.job_lease import Held, Leases
from pgrunbook.workloads.job_scheduler import Execution

pytestmark = pytest.mark.static


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def execution(number: int = 1, lease_s: float = 30.0) -> Execution:
    return Execution(
        number, "sync", "auto_sync", None, {}, 1, "scheduled", datetime(2026, 1, 1, tzinfo=UTC), lease_s
    )


async def stubborn() -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            if stubborn.__dict__.get("enough"):
                raise


def test_a_lease_is_renewed_after_a_third_and_given_up_before_its_end() -> None:
    held = Leases(Clock()).take(execution(lease_s=30), 100)
    assert (held.renew_at, held.stop_at, held.until) == (110, 124, 130)
    assert Held(execution(), until=400, seconds=300).stop_at == 390


def test_a_renewal_counts_from_when_it_was_asked_for() -> None:
    leases = Leases(Clock())
    held = leases.take(execution(lease_s=30), 100)
    leases.renewed([1], {1: 60.0}, since=110)
    assert (held.until, held.seconds, held.why) == (170, 60, "")


def test_one_that_is_not_found_any_more_stops() -> None:
    leases = Leases(Clock())
    held, other = leases.take(execution(1), 100), leases.take(execution(2), 100)
    leases.drop(execution(3))
    leases.renewed([1, 2, 3], {2: 30.0}, since=110)
    assert "another worker" in held.why
    assert held.execution.lost.is_set()
    assert not other.why


def test_a_handler_is_cancelled_in_time_and_abandoned_where_it_does_not_stop() -> None:
    async def course() -> None:
        now, abandoned = Clock(), list[int]()
        leases = Leases(now, lambda one: abandoned.append(one.id))
        held = leases.take(execution(lease_s=30), 100)
        held.handler = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        assert leases.watch() == 24
        assert not held.why
        now.now = 124
        assert leases.watch() == 6
        assert held.why.startswith("worker lost its lease")
        assert abandoned == []
        await asyncio.sleep(0)
        now.now = 130
        leases.watch()
        leases.watch()
        assert abandoned == [1]
        stubborn.__dict__["enough"] = True
        held.handler.cancel()
        await asyncio.wait({held.handler})

    asyncio.run(course())


def test_renewals_that_fail_are_tried_again_until_one_is_heard() -> None:
    async def course() -> None:
        now, asked = Clock(), list[list[int]]()
        leases = Leases(now)

        async def renew(numbers: list[int], _timeout: float) -> dict[int, float]:
            asked.append(numbers)
            if len(asked) < 3:
                raise psycopg.OperationalError("the server is away")
            return dict.fromkeys(numbers, 1.0)

        renewing = asyncio.create_task(leases.renewing(renew))
        await asyncio.sleep(0)
        held = leases.take(execution(1, lease_s=1), 100)
        leases.take(execution(2, lease_s=1), 100)
        now.now = 100.5
        async with asyncio.timeout(30):
            while held.until == 101:
                await asyncio.sleep(0.001)
        renewing.cancel()
        assert asked == [[1, 2]] * 3
        assert held.until == 101.5

    asyncio.run(course())
