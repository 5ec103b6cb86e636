"""Metrics of class codes: counts, percentiles, the alert, all with bounded memory."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import pytest

from pgrunbook.workloads import code_metrics
from pgrunbook.workloads.code_metrics import ALERT_AFTER, CodeMetrics, Figures

pytestmark = pytest.mark.static


def test_times_are_percentiles_in_milliseconds() -> None:
    metrics = CodeMetrics()
    assert metrics.figures == Figures(0, 0, 0, 0, 0.0, 0.0, 0.0)
    for ms in range(100, 0, -1):
        metrics.created(float(ms), fallback=False)
    assert (metrics.figures.p50_ms, metrics.figures.p99_ms) == (50, 99)


def test_threads_lose_no_count() -> None:
    metrics = CodeMetrics()

    def work(number: int) -> None:
        for _ in range(250):
            metrics.created(1.0, fallback=number == 0)
            metrics.duplicate()
            metrics.failed()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    figures = metrics.figures
    assert (figures.created, figures.fallbacks, figures.duplicates, figures.failures) == (
        2000,
        250,
        2000,
        2000,
    )
    assert figures.fallback_rate == 250 / 2000


def test_one_in_a_thousand_is_no_alarm_and_more_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Figures] = []
    metrics = CodeMetrics(alert=told.append)
    # Before a thousand nobody can tell one in a thousand.
    metrics.created(1.0, fallback=True)
    for _ in range(ALERT_AFTER - 1):
        metrics.created(1.0, fallback=False)
    assert metrics.figures.fallback_rate == 0.001
    assert told == []
    metrics.created(1.0, fallback=True)
    metrics.created(1.0, fallback=True)
    assert [figures.fallbacks for figures in told] == [2]
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
        (logging.ERROR, "fallback rate of class codes is 0.20 %, above 0.1 %, over the last 1001 creations")
    ]


def test_the_alarm_is_told_again_after_the_rate_was_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_metrics, "WINDOW", 1_000)
    told: list[Figures] = []
    metrics = CodeMetrics(alert=told.append)
    for outage in (1, 2):
        for _ in range(1_000):
            metrics.created(1.0, fallback=False)
        for _ in range(2):
            metrics.created(1.0, fallback=True)
        assert len(told) == outage
    assert told[1].fallbacks == 4
    assert told[1].fallback_rate == 0.002


def test_memory_does_not_grow_with_the_number_of_creations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(code_metrics, "WINDOW", 100)
    metrics = CodeMetrics()
    for ms in range(1_000):
        metrics.created(float(ms), fallback=ms < 500)
    figures = metrics.figures
    assert (figures.created, figures.fallbacks) == (1_000, 500)
    assert figures.fallback_rate == 0
    assert (figures.p50_ms, figures.p99_ms) == (949, 998)
    assert len(metrics._times) == len(metrics._fell_back) == 100


def test_an_alert_that_fails_does_not_make_a_saved_class_look_unsaved(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fails(_figures: Figures) -> None:
        raise ZeroDivisionError

    metrics = CodeMetrics(alert=fails)
    for number in range(ALERT_AFTER):
        metrics.created(1.0, fallback=number < 2)
    assert caplog.records[-1].getMessage() == "the alert on the fallback rate failed"
    assert metrics.figures.created == ALERT_AFTER
