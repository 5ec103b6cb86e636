"""What the making of class codes came to: how many, how fast, how often a fallback, how many duplicates."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["ALERT_AFTER", "ALERT_RATE", "WINDOW", "CodeMetrics", "Figures"]

logger = logging.getLogger("pgrunbook.class_codes")

ALERT_RATE = 0.001
ALERT_AFTER = 1_000
WINDOW = 10_000
"""Creations that times and the fallback rate look back on: the last so many, however long the process runs."""


@dataclass(frozen=True, slots=True)
class Figures:
    """The metrics at one moment; times in milliseconds, of the creations of the window.

    A time is that of the one INSERT that makes the code and saves the class, as the caller saw it; the wait
    before a fallback counts.
    """

    created: int
    fallbacks: int
    duplicates: int
    failures: int
    p50_ms: float
    p99_ms: float
    fallback_rate: float


class CodeMetrics:
    """Counts for all threads of a process; `alert` is called when the fallback rate has passed the limit.

    The limit is one in a thousand of the last 10,000 creations, and nothing is said before 1,000 of them. It
    is told once, as a log record of level ERROR and to `alert`, and again only after the rate was below it.
    """

    def __init__(self, alert: Callable[[Figures], None] | None = None) -> None:
        self._alert = alert
        self._lock = threading.Lock()
        self._times: deque[float] = deque(maxlen=WINDOW)
        self._fell_back: deque[bool] = deque(maxlen=WINDOW)
        self._in_window = 0
        self._created = self._fallbacks = self._duplicates = self._failures = 0
        self._told = False

    def created(self, ms: float, *, fallback: bool) -> None:
        """Count a class that was saved, and how long it took."""
        with self._lock:
            self._created += 1
            self._fallbacks += fallback
            if len(self._fell_back) == WINDOW:
                self._in_window -= self._fell_back[0]
            self._in_window += fallback
            self._fell_back.append(fallback)
            self._times.append(ms)
            above = self._rate() > ALERT_RATE
            tell = above and not self._told and len(self._fell_back) >= ALERT_AFTER
            self._told = above and (self._told or tell)
            figures = self._figures() if tell else None
        if figures is not None:
            logger.error(
                "fallback rate of class codes is %.2f %%, above %.1f %%, over the last %d creations",
                figures.fallback_rate * 100,
                ALERT_RATE * 100,
                min(figures.created, WINDOW),
            )
            try:
                if self._alert is not None:
                    self._alert(figures)
            except Exception:
                # The class is saved: whoever is to be told must not make it look otherwise.
                logger.exception("the alert on the fallback rate failed")

    def duplicate(self) -> None:
        """Count a code that somebody had already."""
        with self._lock:
            self._duplicates += 1

    def failed(self) -> None:
        """Count a class that was not saved."""
        with self._lock:
            self._failures += 1

    @property
    def figures(self) -> Figures:
        """Return the figures of this moment."""
        with self._lock:
            return self._figures()

    def _rate(self) -> float:
        return self._in_window / len(self._fell_back) if self._fell_back else 0.0

    def _figures(self) -> Figures:
        ordered = sorted(self._times)
        return Figures(
            created=self._created,
            fallbacks=self._fallbacks,
            duplicates=self._duplicates,
            failures=self._failures,
            p50_ms=_percentile(ordered, 50),
            p99_ms=_percentile(ordered, 99),
            fallback_rate=self._rate(),
        )


def _percentile(ordered: list[float], percent: int) -> float:
    """Return the nearest-rank percentile of sorted values; 0 of none.

    >>> _percentile([1.0, 2.0, 3.0, 4.0], 50), _percentile([1.0, 2.0], 99), _percentile([], 50)
    (2.0, 2.0, 0.0)
    """
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else 0.0
