"""Pictures of what a change cost: lock waits, query times, index builds, sizes."""

from __future__ import annotations

from pgrunbook.views.build_progress import Progress, build_progress
from pgrunbook.views.lock_waits import Wait, lock_waits
from pgrunbook.views.query_times import Timing, timings
from pgrunbook.views.sizes import Size, sizes
from pgrunbook.views.style import Picture

__all__ = [
    "Picture",
    "Progress",
    "Size",
    "Timing",
    "Wait",
    "build_progress",
    "lock_waits",
    "sizes",
    "timings",
]
