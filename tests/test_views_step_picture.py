"""The picture that a step leaves: its waits, its build, and all of it in words."""

from __future__ import annotations

import pytest
from drawing import WAIT

from pgrunbook.observers.progress import BuildSample
from pgrunbook.spells import Seen
from pgrunbook.views.step_picture import step_picture
from pgrunbook.views.view import View, pictured

pytestmark = pytest.mark.static

WAITED = Seen(
    waits=[WAIT], held=[(410.0, 413.0, "001")], held_back=[(5.0, 400.0, "pid 7 'x'")], stall_budget_ms=100
)
BUILT = Seen(offset_ms=1000, builds=[BuildSample(500.0, "building index", 1, 2, None)], samples=5)


def test_a_step_that_nobody_waited_for_leaves_a_calm_picture() -> None:
    assert (
        step_picture([Seen(samples=3, stall_budget_ms=100)]).alt
        == "no lock waits in 3 samples; stall budget 100 ms."
    )


def test_waits_and_builds_of_several_jobs_stand_in_one_picture() -> None:
    picture = step_picture([WAITED, BUILT])
    assert "registration (pid 4711) waited 6 ms" in picture.alt
    assert "did not ask for 395 ms, because of pid 7 'x'" in picture.alt
    assert "Index build, 1 phase in 1.5 s: building index 1.5 s, last seen at 50 %." in picture.alt
    assert picture.png != step_picture([WAITED]).png


def test_a_build_alone_has_no_chart_of_waits() -> None:
    assert step_picture([BUILT]).alt.startswith("Index build")


def test_a_view_takes_the_last_picture_once() -> None:
    drawn = [step_picture([BUILT]), step_picture([WAITED])]
    last = drawn[-1]
    view = pictured(View("001 ... done"), drawn)
    assert (view.text, view.svg, view.facts["picture"], drawn) == ("001 ... done", last.svg, last.alt, [])
    assert pictured(view, [step_picture([BUILT])]) == view
    assert pictured(View("x"), []) == View("x")
