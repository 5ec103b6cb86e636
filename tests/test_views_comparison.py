"""Two runs side by side, in words and as a picture."""

from __future__ import annotations

import dataclasses

import pytest

from pgrunbook.comparison import Comparison, Part, Query, Side, Step
from pgrunbook.views import comparison

pytestmark = pytest.mark.static

SIDE = Side(
    run_id="r1",
    target="shop",
    target_kind="rehearsal",
    started="2026-01-31T12:00:00Z",
    outcome="done",
    stall_budget_ms=100.0,
    worst_stall_ms=6.0,
)
STEP = Step(
    name="001_a",
    ends=("done", "done"),
    seconds=(0.5, 1.0),
    waited_s=(0.0, 0.4),
    held_ms=(2.0, 3.0),
    worst_stall_ms=(6.0, None),
    attempts=(1, 3),
)
FOUND = Comparison(
    change="010_a",
    first=SIDE,
    second=dataclasses.replace(SIDE, run_id="r2", target_kind="live"),
    parts=(
        Part(name="outcome", verdict="done in both", differs=False),
        Part(
            name="scripts",
            verdict="1 of 2 files differ: a.sql",
            differs=True,
            rows=({"file": "a.sql", "first": "aa"},),
        ),
    ),
    steps=(STEP, dataclasses.replace(STEP, name="002_b", seconds=(None, 20.0))),
    queries=(Query(name="10_q", before_ms=(5.0, 5.0), after_ms=(0.5, None)),),
)


def test_the_verdict_and_its_table_hold_nothing_that_varies() -> None:
    view = comparison.differences(FOUND)
    assert view.text == "010_a, rehearsal against live: scripts differs"
    assert view.html is not None
    assert "a.sql" in view.html
    for varying in ("r1", "0.5", "12:00", "ms"):
        assert varying not in view.html


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        ((), "nothing differs"),
        (("scripts",), "scripts differs"),
        (("scripts", "plans"), "scripts, plans differ"),
    ],
)
def test_one_line_names_the_parts_that_differ(names: tuple[str, ...], verdict: str) -> None:
    parts = tuple(Part(name=name, verdict="x", differs=True) for name in names)
    view = comparison.differences(dataclasses.replace(FOUND, parts=parts))
    assert view.text == f"010_a, rehearsal against live: {verdict}"


def test_a_terminal_gets_times_and_ratios_too() -> None:
    text = comparison.in_words(FOUND)
    for said in ("first  r1: shop (rehearsal), done", "001_a | 500 ms | 1 s    | 2.00 ", "10_q  | 5 ms"):
        assert said in text
    assert "NULL" not in text


def test_the_picture_has_both_runs_the_budget_and_a_text_for_who_cannot_see_it() -> None:
    drawn = comparison.picture(FOUND)
    assert "001_a 500 ms and 1 s, worst stall 6 ms and -" in drawn.alt
    assert "002_b - and 20 s" in drawn.alt
    for said in ("budget 100 ms", "first: rehearsal, done", "second: live, done", "001_a, second: 1 s"):
        assert said in drawn.svg
    assert drawn == comparison.picture(FOUND)


def test_without_a_step_the_picture_says_so() -> None:
    assert comparison.picture(dataclasses.replace(FOUND, steps=())).alt == "no step ran in either run."


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [(6, 6, "within the budget in both"), (600, 6, "OVER the budget in the first"),
     (6, 600, "OVER the budget in the second"), (600, 600, "OVER the budget in the first and the second"),
     (None, 600, "OVER the budget in the second, not known in the first"),
     (None, None, "not known in the first and the second")],
)  # fmt: skip
def test_the_line_below_the_picture_says_whether_anybody_stalled_too_long(
    first: float | None, second: float | None, said: str
) -> None:
    found = dataclasses.replace(
        FOUND,
        first=dataclasses.replace(SIDE, worst_stall_ms=first),
        second=dataclasses.replace(SIDE, worst_stall_ms=second),
    )
    assert comparison.costs(found).text == f"010_a: 2 steps in two runs; stalls {said}"


def test_machines_get_all_of_it() -> None:
    facts = comparison.facts(FOUND)
    assert facts["differing"] == ["scripts"]
    assert isinstance(facts["steps"], list)
    assert facts["steps"][0]["ratio"] == 2.0


def test_hostile_names_stay_text() -> None:
    evil = "<script>alert(1)</script>\u202e"
    part = Part(name="scripts", verdict=evil, differs=True, rows=({"file": evil, "first": evil},))
    found = dataclasses.replace(
        FOUND, change=evil, parts=(part,), steps=(dataclasses.replace(STEP, name=evil),)
    )
    html = comparison.differences(found).html or ""
    assert "<script" not in html + comparison.picture(found).svg
    assert "\u202e" not in comparison.costs(found).text + comparison.in_words(found).splitlines()[0]
