"""Pictures for tests: one of each kind, from numbers that are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
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


# -- more than is comfortable ------------------------------------------------------------------------

LONG = "a name that is longer than anybody can read"


@dataclass(frozen=True)
class Stalled:
    """One step's worst stall."""

    step: str
    worst_stall_ms: float
    stall_budget_ms: float = 100.0


def sixty_waits() -> Picture:
    waits = [
        replace(
            WAIT, pid=1000 + n, who=LONG if n % 3 else "web", at_ms=500.0 + 977 * n, waited_ms=7.0 * n,
            side=list(Side)[n % 3],
        )
        for n in range(60)
    ]  # fmt: skip
    held = [(n * 3000.0, n * 3000.0 + 40, f"{n:03d}") for n in range(20)]
    return charts.lock_waits(waits, stall_budget_ms=100, held=held, held_back=[(1000.0, 9000.0, LONG)])


def wait_of_hours() -> Picture:
    wait = replace(WAIT, at_ms=10_900_000.0, waited_ms=10_800_000.0)
    return charts.lock_waits([wait], stall_budget_ms=100, held=[(5.0, 10_900_000.0, "003")])


def wait_of_nothing() -> Picture:
    return charts.lock_waits([replace(WAIT, at_ms=0.0, waited_ms=0.0)], stall_budget_ms=100)


def twenty_stalls() -> Picture:
    return charts.stalls([Stalled(f"{n:03d}_{LONG}", 6.5 * n) for n in range(20)])


def stalls_far_apart() -> Picture:
    return charts.stalls(
        [Stalled("001_a", 0.0), Stalled("002_b", 10_800_000.0), Stalled("003_c", 12.0, 2000.0)]
    )


def build_of_hours() -> Picture:
    phases = [
        "initializing",
        "waiting for writers before build",
        "building index: loading tuples in tree",
        "x",
    ]
    return charts.build_progress(
        [
            BuildSample(n * 2_700_000.0, phases[n // 2 % 4], n, 100, 4800 if n % 4 > 1 else None)
            for n in range(16)
        ]
    )


def one_look_at_a_build() -> Picture:
    return charts.build_progress([BuildSample(0.0, "initializing", 0, 0, None)])


def twenty_timings() -> Picture:
    plan = ("Bitmap Heap Scan", "Bitmap Index Scan", "Gather Merge")
    before = [Timed(f"{n:02d}_{LONG}", (10.0, 12.0, 20.0), 12.0, shared_hit=123_456_789) for n in range(20)]
    after = [Timed(f"{n:02d}_{LONG}", (0.0, 0.0, 0.01), 0.0, nodes=plan, shared_read=9) for n in range(20)]
    return charts.timings(before, after)


def timing_of_hours() -> Picture:
    return charts.timings([Timed("a", (10_800_000.0,), 10_800_000.0)], [])


def twenty_sizes() -> Picture:
    return charts.sizes([SizeChange(f"{LONG} {n}, indexes", n * 10**8, 3 * n * 10**8) for n in range(20)])


def sizes_far_apart() -> Picture:
    return charts.sizes([SizeChange("a", 0, 0), SizeChange("b", 0, 8192), SizeChange("c", 3 * 1024**4, 1)])


CROWDED = [
    sixty_waits, wait_of_hours, wait_of_nothing, twenty_stalls, stalls_far_apart, build_of_hours,
    one_look_at_a_build, twenty_timings, timing_of_hours, twenty_sizes, sizes_far_apart,
]  # fmt: skip
