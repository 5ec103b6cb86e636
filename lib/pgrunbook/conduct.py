"""Conducting work: it runs in a thread while the notebook awaits, so that Cancel and the stop button reach it."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

from pgrunbook import kernel
from pgrunbook.errors import StoppedTooLate

__all__ = ["POLL_S", "conduct"]

T = TypeVar("T")
POLL_S = 0.1


async def conduct(
    name: str,
    work: Callable[[], T],
    *,
    cancel: Callable[[], None],
    wanted: Callable[[], bool] = lambda: False,
    frame: Callable[[], None] = lambda: None,
) -> T:
    """Return what `work` returns or raise what it raises, never before it has come to its clean end.

    `cancel` is called from another thread, again and again until the work has ended, once `wanted` says so,
    the notebook's stop button is pressed or the kernel is about to end. `frame` is called every tenth of a
    second. Raises StoppedTooLate when the stop button was pressed and the work came to its end all the same.
    """
    stop, ended = threading.Event(), threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_S):
            if stop.is_set() or wanted() or not kernel.still_here():
                # The next round asks again: a request may come just before the statement that it means.
                with contextlib.suppress(Exception):
                    cancel()

    watcher = threading.Thread(target=watch, name="pgrunbook-cancel", daemon=True)

    def body() -> T:
        try:
            return work()
        finally:
            ended.set()
            # No late request may meet the statement of a later cell.
            watcher.join()

    watcher.start()
    task = asyncio.ensure_future(asyncio.to_thread(body))
    while not task.done():
        try:
            # A picture that cannot be drawn must not leave the work alone.
            with contextlib.suppress(Exception):
                frame()
            await asyncio.wait({task}, timeout=POLL_S)
        except asyncio.CancelledError:
            stop.set()
    result = task.result()
    if stop.is_set():
        raise StoppedTooLate(work=name)
    return result
