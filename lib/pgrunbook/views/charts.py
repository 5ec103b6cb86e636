"""Pictures of what a change cost: lock waits, query times, index builds, sizes."""

from __future__ import annotations

from pgrunbook.views.build_progress import Progress, build_progress
from pgrunbook.views.lock_waits import lock_waits
from pgrunbook.views.query_times import Timing, timings
from pgrunbook.views.sizes import Size, sizes
from pgrunbook.views.stalls import Stall, stalls
from pgrunbook.views.style import Picture
from pgrunbook.views.wait_bars import Wait

__all__ = [
    "Picture",
    "Progress",
    "Size",
    "Stall",
    "Timing",
    "Wait",
    "build_progress",
    "lock_waits",
    "sizes",
    "stalls",
    "timings",
]
