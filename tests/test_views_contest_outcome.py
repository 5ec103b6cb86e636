"""The contest's verdict: the same words for the same facts, whatever the figures."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from contestants import CLEAN, DOUBLING, GAPPY, YARDSTICK, Ran, several

from pgrunbook.views.contest_outcome import Kind, figures, kind_of, outcome, verdict

pytestmark = pytest.mark.static


def test_the_verdict_tells_who_kept_to_one_code_a_class() -> None:
    assert verdict([YARDSTICK, CLEAN, GAPPY, DOUBLING]) == (
        "16 writers; no duplicate, no gap: counter; no duplicate, but gaps: sequence; duplicates: max"
    )


def test_one_duplicate_anywhere_makes_a_method_one_that_duplicates() -> None:
    found = several()
    assert verdict(found).startswith("1 to 64 writers; no duplicate, no gap: counter;")
    worse = [*found, Ran("counter", 4, 64, duplicates=1)]
    assert "duplicates: counter" in verdict(worse)
    assert "no gap: counter" not in verdict(worse)


def test_figures_do_not_change_the_verdict() -> None:
    def faster() -> Iterator[Ran]:
        for one in several():
            yield Ran(
                one.method, one.writers, one.prefixes, duplicates=one.duplicates, gaps=one.gaps, p99_ms=99.0
            )

    assert verdict(list(faster())) == verdict(several())


def test_a_method_without_a_code_proves_nothing() -> None:
    idle = Ran("stuck", codes=0, stopped=True)
    assert kind_of([idle]) is Kind.NOTHING
    assert verdict([idle]) == "16 writers; no code at all: stuck"
    assert verdict([]) == verdict([YARDSTICK]) == "no method created a class"


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (CLEAN, "no duplicate, no gap"),
        (YARDSTICK, "no class to number"),
        (Ran("x", duplicates=1, gaps=1, retries=1), "1 duplicate, 1 gap, 1 retry"),
        (Ran("x", codes=1500, stopped=True, retries=2), "no duplicate, no gap, 2 retries, stopped at 1,500"),
    ],
)
def test_an_outcome_is_said_in_words(one: Ran, said: str) -> None:
    assert outcome(one) == said


def test_every_figure_is_kept() -> None:
    assert figures(CLEAN) == {
        "method": "counter",
        "writers": 16,
        "prefixes": 1,
        "codes": 2000,
        "wanted": 2000,
        "duplicates": 0,
        "gaps": 0,
        "retries": 0,
        "codes per second": 4000,
        "p50 ms": 1.5,
        "p99 ms": 12.25,
        "max ms": 40.0,
        "stopped": False,
    }
