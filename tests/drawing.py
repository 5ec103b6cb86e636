"""Pictures for tests: one of each kind, from numbers that are known."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree

from pgrunbook.observers.locks import Side, Wait
from pgrunbook.observers.progress import BuildSample
from pgrunbook.observers.size import SizeChange
from pgrunbook.views import charts
from pgrunbook.views.charts import Picture

HOSTILE = "<script>alert(1)</script> $\\frac{1}$ \"'& 😀日本 \x00\x07\u202e\n" + "x" * 500

WAIT = Wait(
    at_ms=412.0,
    pid=4711,
    who="registration",
    waited_ms=6.0,
    wants="RowExclusiveLock",
    relation="classes",
    blockers=(5001,),
    side=Side.BEHIND_US,
)


@dataclass(frozen=True)
class Timed:
    """A timing with the median given, so that what is drawn is known."""

    name: str
    runs_ms: tuple[float, ...]
    median_ms: float
    title: str = "look up a class"
    nodes: tuple[str, ...] = ("Seq Scan",)
    rows: int = 1
    shared_hit: int = 3
    shared_read: int = 0


def lock_waits() -> Picture:
    return charts.lock_waits([WAIT], stall_budget_ms=100, held=[(410.0, 413.0, "003")])


def timings() -> Picture:
    return charts.timings([Timed("a", (40.0, 42.0), 41.0)], [Timed("a", (0.04, 0.06), 0.05)])


def build_progress() -> Picture:
    return charts.build_progress(
        [
            BuildSample(0.0, "building index: scanning table", 10, 100, None),
            BuildSample(900.0, "building index: scanning table", 90, 100, None),
            BuildSample(1000.0, "waiting for old snapshots", 0, 1, 4800),
        ]
    )


def sizes() -> Picture:
    return charts.sizes([SizeChange("classes", 8192, 16384)])


def text_of(picture: Picture) -> str:
    return " ".join(ElementTree.fromstring(picture.svg).itertext())
