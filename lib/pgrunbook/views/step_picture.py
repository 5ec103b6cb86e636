"""The picture that a step leaves behind: who waited, for whom and how long, and how its build went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pgrunbook.spells import Seen, Span
from pgrunbook.views import build_progress, lock_waits
from pgrunbook.views.style import Picture, picture

__all__ = ["step_picture"]


def step_picture(jobs: Sequence[Seen]) -> Picture:
    """Return the lock waits of jobs, one after the other, and the builds among them where there were any."""
    budgets = [one.stall_budget_ms for one in jobs if one.stall_budget_ms]
    budget = min(budgets, default=0.0)
    waits = [replace(wait, at_ms=wait.at_ms + one.offset_ms) for one in jobs for wait in one.waits]
    builds = [replace(build, at_ms=build.at_ms + one.offset_ms) for one in jobs for build in one.builds]
    held = [_later(span, one.offset_ms) for one in jobs for span in one.held]
    back = [_later(span, one.offset_ms) for one in jobs for span in one.held_back]
    parts = []
    if waits or back or not builds:
        samples = sum(one.samples for one in jobs)
        if not waits and not back:
            return lock_waits.lock_waits([], stall_budget_ms=budget, samples=samples)
        parts.append(lock_waits.part(waits, stall_budget_ms=budget, held=held, held_back=back))
    if builds:
        parts.append(build_progress.part(builds))
    return picture(*parts)


def _later(span: Span, ms: float) -> Span:
    start, end, label = span
    return start + ms, end + ms, label
