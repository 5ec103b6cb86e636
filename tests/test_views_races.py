"""Races as views: many permutations stay readable, waiting shows, and hostile text stays text."""

from __future__ import annotations

import re

import pytest

from pgrunbook import race
from pgrunbook.interleaving import Interleaving
from pgrunbook.outcome import Result
from pgrunbook.racer import Failure, Report, Rows
from pgrunbook.views import races

pytestmark = pytest.mark.static

HOSTILE = "<script>alert(1)</script>"
TEXT = f"""# Title {HOSTILE}
# A line for the reader
# expect: n 1 in some permutation
# expect: n 1

session s1 step one {{ SELECT '{HOSTILE}' }} step end1 {{ COMMIT }}
session s2 step two {{ SELECT 2 }}
"""


def made() -> Result:
    read = race.parse(TEXT, file="10_made.spec")
    first, second, third = read.spec.permutations

    def outcome(n: int) -> tuple[Rows, ...]:
        return (Rows(("n",), ((str(n),),)),)

    one, end1, two = first.turns
    waits = (
        Report(one, 0, 0, 1, rows=(Rows(("a", "b"), ((HOSTILE, None),)),)),
        Report(
            two,
            1,
            2,
            3,
            waited=True,
            waited_for=("s1",),
            released_by="end1",
            failure=Failure("23505", "no\nway"),
        ),
        Report(end1, 2, 2, 2, notices=["NOTICE: so"]),
    )
    simple = (Report(one, 0, 0, 1), Report(end1, 1, 1, 2), Report(two, 2, 2, 3, rows=(Rows(("n",), ()),)))
    return Result(
        read,
        (
            Interleaving(first, simple, outcome(1)),
            Interleaving(second, waits, outcome(0)),
            Interleaving(third, impossible_at=0),
        ),
    )


def test_the_verdict_counts_outcomes_and_names_the_permutation_that_breaks_a_promise() -> None:
    assert races.verdict(made()) == (
        "10_made: 2 of 3 permutations can happen: n 1 in 1; n 0, error 23505 in 1;"
        " NOT AS EXPECTED: expected n 1 in every permutation: not in one two end1"
    )


def test_the_whole_is_text_line_by_line() -> None:
    assert (
        races.in_full(made())
        == f"""\
10_made: Title {HOSTILE}
2 of 3 permutations can happen
expect n 1 in some permutation: holds
expect n 1 in every permutation: BROKEN

outcome 1: n 1 (1 permutation)
    one end1 two
    1  s1  one   done
    2  s1  end1  done
    3  s2  two   no row

outcome 2: n 0, error 23505 (1 permutation)
    one two end1
    1  s1  one   a {HOSTILE}, b NULL
    2  s2  two   waits for s1
    3  s1  end1  NOTICE: so
    3  s2  two   goes on after end1: ERROR 23505: no↵way
"""
    )


def test_a_notebook_gets_the_steps_and_a_timeline_of_each_outcome() -> None:
    view = races.race(made())
    assert view.text == races.verdict(made())
    html = view.html or ""
    assert HOSTILE not in html
    assert html.count("<table") == 4
    cells = [re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", html)]
    assert "two: waits for s1" in cells
    assert "two goes on: ERROR 23505: no↵way" in cells
    assert "one end1 two" in cells


def test_a_step_that_waits_for_long_shows_as_waiting_in_between() -> None:
    read = race.parse(
        TEXT.replace("{ SELECT 2 }", "{ SELECT 2 } permutation two one end1"), file="10_made.spec"
    )
    (order,) = read.spec.permutations
    two, one, end1 = order.turns
    reports = (
        Report(two, 0, 2, 3, waited=True, released_by="end1"),
        Report(one, 1, 1, 1),
        Report(end1, 2, 2, 2),
    )
    html = races.race(Result(read, (Interleaving(order, reports, (Rows(("n",), (("1",),)),)),))).html or ""
    assert "<td>two: is held back</td>" in html
    assert "<td>waits</td>" in html
    assert "<td>two goes on: done</td>" in html


def test_the_overview_has_a_row_for_each_race_and_names_the_broken() -> None:
    view = races.overview([made()])
    assert view.text == "NOT AS EXPECTED: 10_made"
    assert '<td class="bad">broken</td>' in (view.html or "")
    assert HOSTILE not in (view.html or "")
    assert races.overview([]).text == "every race ends as its file expects"


def test_a_terminal_gets_one_line_for_each_race() -> None:
    assert races.summary([made()]).splitlines()[-1].split() == [
        "10_made",
        "|",
        "3",
        "|",
        "2",
        "|",
        "2",
        "|",
        "BROKEN",
    ]


def test_machines_get_every_permutation() -> None:
    facts = races.facts(made())
    assert facts["outcomes"] == [
        {"label": "n 1", "permutations": ["one end1 two"]},
        {"label": "n 0, error 23505", "permutations": ["one two end1"]},
    ]
    assert facts["broken"] == ["expected n 1 in every permutation: not in one two end1"]


def test_many_rows_are_cut_and_counted() -> None:
    (report, *_) = made().interleavings[0].reports
    report.rows = (Rows(("n",), tuple((str(n),) for n in range(40))),)
    assert races.said(report) == "n 0; n 1; n 2; n 3; n 4; 40 rows in all"
