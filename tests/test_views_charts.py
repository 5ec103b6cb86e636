"""Pictures say what the numbers say, the same way each time."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from pgrunbook.explain import Timing
from pgrunbook.observers.locks import Side, Wait
from pgrunbook.observers.progress import BuildSample
from pgrunbook.observers.size import SizeChange
from pgrunbook.views import charts, style
from pgrunbook.views.charts import Picture
from pgrunbook.views.lock_waits import collapse

VIEWS = Path(style.__file__).parent
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


EVERY = pytest.mark.parametrize("draw", [lock_waits, timings, build_progress, sizes])


def text_of(picture: Picture) -> str:
    return " ".join(ElementTree.fromstring(picture.svg).itertext())


@EVERY
def test_the_same_numbers_give_the_same_bytes(draw: Callable[[], Picture]) -> None:
    assert draw() == draw()


@EVERY
def test_settings_of_the_process_do_not_change_a_picture_nor_it_them(draw: Callable[[], Picture]) -> None:
    calm = draw()
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.facecolor": "red"}):
        assert draw() == calm
        assert mpl.rcParams["font.size"] == 30


@EVERY
def test_a_picture_is_a_labelled_image_without_anything_that_acts(draw: Callable[[], Picture]) -> None:
    picture = draw()
    root = ElementTree.fromstring(picture.svg)
    assert root.get("role") == "img"
    assert root.get("aria-label") == picture.alt
    assert picture.png.startswith(b"\x89PNG")
    for trace in (
        "<style",
        "<script",
        "<metadata",
        "<!DOCTYPE",
        "http://www.w3.org/1999/xlink",
        "matplotlib",
    ):
        assert trace not in picture.svg
    assert len(picture.svg) < 60_000


def test_hostile_names_stay_text_in_every_picture() -> None:
    wait = replace(WAIT, who=HOSTILE, relation=HOSTILE, wants=HOSTILE)
    pictures = [
        charts.lock_waits([wait], stall_budget_ms=100, held=[(0.0, 1.0, HOSTILE)]),
        charts.timings([Timed(HOSTILE, (1.0,), 1.0, title=HOSTILE, nodes=(HOSTILE,))], []),
        charts.build_progress([BuildSample(5.0, HOSTILE, 1, 2, None)]),
        charts.sizes([SizeChange(HOSTILE, 1, 2)]),
    ]
    for picture in pictures:
        assert "<script" not in picture.svg
        assert "<script>alert(1)</script> $\\frac{1}$" in text_of(picture)
        assert "\u202e" not in picture.svg


def test_many_samples_of_one_wait_are_one_bar() -> None:
    waits = [replace(WAIT, at_ms=400.0 + n, waited_ms=1.0 + n) for n in range(0, 50, 5)]
    (bar,) = collapse(waits)
    assert (bar.start_ms, bar.end_ms, bar.waited_ms) == (399.0, 445.0, 46.0)


def test_two_waits_of_one_session_stay_two_bars() -> None:
    assert len(collapse([WAIT, replace(WAIT, at_ms=900.0)])) == 2


def test_a_wait_is_as_bad_as_its_worst_sample() -> None:
    (bar,) = collapse([replace(WAIT, side=Side.OTHER, at_ms=410.0, waited_ms=4.0), WAIT])
    assert bar.side == "behind us"


def test_the_worst_stall_is_stated_against_the_budget() -> None:
    assert "worst stall 6 ms, within the stall budget of 100 ms" in text_of(lock_waits())
    late = charts.lock_waits([replace(WAIT, waited_ms=150.0)], stall_budget_ms=100)
    assert "worst stall 150 ms, OVER the stall budget of 100 ms" in late.alt


def test_waits_of_others_are_no_stall_of_ours() -> None:
    picture = charts.lock_waits([replace(WAIT, side=Side.OTHER, waited_ms=5000.0)], stall_budget_ms=100)
    assert "nobody waited behind us" in picture.alt


def test_a_bar_says_who_waited_for_what() -> None:
    tip = "registration (pid 4711) waited 6 ms for RowExclusiveLock on classes, held up by 5001"
    assert f"<title>{tip}</title>" in lock_waits().svg


def test_no_waits_make_a_calm_picture() -> None:
    picture = charts.lock_waits([], stall_budget_ms=100, samples=412)
    assert picture.alt == "no lock waits in 412 samples; stall budget 100 ms."
    assert "no lock waits in 412 samples" in text_of(picture)


def test_more_sessions_than_fit_are_counted() -> None:
    waits = [replace(WAIT, pid=pid, waited_ms=float(pid)) for pid in range(1, 31)]
    assert "10 more sessions" in text_of(charts.lock_waits(waits, stall_budget_ms=100))


def test_a_side_unknown_to_the_picture_is_someone_else() -> None:
    class Odd(Enum):
        NEW = "beside us"

    (bar,) = collapse([replace(WAIT, side=Odd.NEW)])  # type: ignore[arg-type]
    assert bar.side == "other"


def test_times_far_apart_say_how_much_faster() -> None:
    assert "41 ms → 0.05 ms, 820 times faster" in text_of(timings())


def test_a_real_timing_can_be_drawn() -> None:
    one = Timing(
        name="a",
        title="t",
        runs_ms=(3.0, 1.0, 2.0),
        rows=1,
        nodes=("Index Scan",),
        indexes=("i",),
        shared_hit=1,
        shared_read=0,
    )
    assert "2 ms → 2 ms, about the same" in text_of(charts.timings([one], [one]))


def test_a_query_timed_only_once_says_when() -> None:
    assert "41 ms, timed only before" in text_of(charts.timings([Timed("a", (41.0,), 41.0)], []))


def test_a_query_too_fast_to_measure_can_stand_on_a_logarithmic_axis() -> None:
    assert charts.timings([Timed("a", (0.0,), 0.0)], [Timed("a", (50.0,), 50.0)]).svg


def test_a_build_names_its_phases_and_whom_it_waited_for() -> None:
    shown = text_of(build_progress())
    assert "building index: scanning table" in shown
    assert "last seen at 90%" in shown
    assert "waited for pid 4800" in shown


def test_nothing_to_draw_is_said() -> None:
    assert "no query was timed" in text_of(charts.timings([], []))
    assert "over before it was looked at" in text_of(charts.build_progress([]))
    assert "no size was measured" in text_of(charts.sizes([]))


def test_sizes_say_what_was_added() -> None:
    assert "8 kB → 16 kB, +100 %" in text_of(sizes())


def test_colours_differ_in_greyscale_or_in_hatch() -> None:
    from pgrunbook.views.lock_waits import _SIDES

    assert len({hatch for _, hatch, _ in _SIDES.values()}) == len(_SIDES)


@pytest.mark.static
@pytest.mark.parametrize("file", sorted(VIEWS.glob("*.py")), ids=lambda file: file.stem)
def test_no_view_imports_a_database_driver_or_pyplot(file: Path) -> None:
    names = []
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    assert not [name for name in names if name.startswith(("psycopg", "sqlalchemy", "matplotlib.pyplot"))]


def test_pictures_tables_and_records_work_where_no_driver_is_loaded() -> None:
    code = (
        "import sys; from pgrunbook.views import charts, record, table, verdict, view;"
        " print([name for name in ('psycopg', 'sqlalchemy', 'matplotlib.pyplot') if name in sys.modules])"
    )
    path = str(VIEWS.parents[1])
    run = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {path!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert run.stdout.strip() == "[]"
