"""A crowd: sessions in threads of their own that begin their work at one moment."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

__all__ = ["together"]


def together(size: int, body: Callable[[int, Callable[[], object]], object]) -> float:
    """Let each of a crowd do its work from one moment on; return how long it took, in seconds.

    `body` is called with a number and with what it calls once it is prepared, which returns when all are. Raises
    what failed first.
    """
    barrier = threading.Barrier(size + 1)
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            body(number, barrier.wait)
        except BaseException as failure:
            failures.append(failure)
            barrier.abort()

    threads = [threading.Thread(target=one, args=(number,), daemon=True) for number in range(size)]
    for thread in threads:
        thread.start()
    with contextlib.suppress(threading.BrokenBarrierError):
        barrier.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    if failures:
        raise failures[0]
    return seconds
