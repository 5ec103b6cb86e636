"""Conducting: whatever interrupts the notebook, the work comes to its own clean end first."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from pgrunbook import kernel
from pgrunbook.conduct import conduct
from pgrunbook.errors import StepCancelled, StoppedTooLate

pytestmark = pytest.mark.static

GONE = StepCancelled(step="001_only", left="nothing was left behind")


class Work:
    """Work that goes on until it is cancelled or released."""

    def __init__(self) -> None:
        self.began, self.over, self.cancelled = threading.Event(), threading.Event(), 0

    def __call__(self) -> str:
        self.began.set()
        assert self.over.wait(30)
        if self.cancelled:
            raise GONE
        return "done"

    def cancel(self) -> None:
        self.cancelled += 1
        self.over.set()


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_it_returns_what_the_work_returns() -> None:
    assert asyncio.run(conduct("adding", lambda: 1 + 1, cancel=lambda: None)) == 2


def test_it_raises_what_the_work_raises() -> None:
    with pytest.raises(ZeroDivisionError):
        asyncio.run(conduct("dividing", lambda: 1 // 0, cancel=lambda: None))


def test_the_notebook_goes_on_meanwhile() -> None:
    async def scene() -> None:
        work, frames = Work(), []
        task = asyncio.ensure_future(conduct("x", work, cancel=work.cancel, frame=lambda: frames.append(1)))
        await until(lambda: len(frames) > 2)
        work.over.set()
        assert await task == "done"

    asyncio.run(scene())


def test_a_picture_that_cannot_be_drawn_does_not_leave_the_work_alone() -> None:
    def broken() -> None:
        raise RuntimeError("no such widget")

    assert asyncio.run(conduct("x", lambda: "done", cancel=lambda: None, frame=broken)) == "done"


def test_cancel_is_asked_for_until_the_work_has_ended() -> None:
    work, refused = Work(), []

    def cancel() -> None:
        if len(refused) < 2:
            refused.append(1)
            raise OSError("the server cannot be reached")
        work.cancel()

    with pytest.raises(StepCancelled) as caught:
        asyncio.run(conduct("x", work, cancel=cancel, wanted=lambda: True))
    assert caught.value is GONE
    assert len(refused) == 2


def test_the_stop_button_cancels_and_waits_for_the_clean_end() -> None:
    async def scene() -> None:
        work = Work()
        task = asyncio.ensure_future(conduct("x", work, cancel=work.cancel))
        await until(work.began.is_set)
        task.cancel()
        with pytest.raises(StepCancelled):
            await task

    asyncio.run(scene())


def test_a_second_press_of_the_stop_button_does_not_leave_the_work_alone() -> None:
    async def scene() -> None:
        work, asked = Work(), threading.Event()
        task = asyncio.ensure_future(conduct("x", work, cancel=asked.set))
        await until(work.began.is_set)
        task.cancel()
        await until(asked.is_set)
        task.cancel()
        await asyncio.sleep(0)
        assert not task.done()
        work.cancel()
        with pytest.raises(StepCancelled):
            await task

    asyncio.run(scene())


def test_work_that_ends_in_spite_of_the_stop_button_ends_run_all_and_says_that_it_is_done() -> None:
    async def scene() -> None:
        work = Work()
        task = asyncio.ensure_future(conduct("001 Add the note", work, cancel=work.over.set))
        await until(work.began.is_set)
        task.cancel()
        with pytest.raises(StoppedTooLate, match="001 Add the note came to its end before"):
            await task

    asyncio.run(scene())


def test_a_kernel_that_ends_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work()
    monkeypatch.setattr(kernel, "still_here", lambda: not work.began.is_set())
    with pytest.raises(StepCancelled):
        asyncio.run(conduct("x", work, cancel=work.cancel))


def test_no_late_request_meets_the_next_work() -> None:
    asked: list[float] = []
    work = Work()

    def cancel() -> None:
        work.cancel()
        time.sleep(0.05)
        asked.append(time.monotonic())

    with pytest.raises(StepCancelled):
        asyncio.run(conduct("x", work, cancel=cancel, wanted=lambda: True))
    ended = time.monotonic()
    assert asked
    assert max(asked) <= ended
    assert not [one for one in threading.enumerate() if one.name == "pgrunbook-cancel"]
