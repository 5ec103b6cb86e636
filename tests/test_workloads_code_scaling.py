"""The scaling table: the same on every run, figures only where somebody looks."""

from __future__ import annotations

import pytest

from pgrunbook import kernel
from pgrunbook.workloads.code_scaling import SCALES, scaling

pytestmark = pytest.mark.static


def test_figures_are_kept_in_the_facts_and_change_nothing_that_is_compared() -> None:
    plain = scaling()
    assert plain.text == "3 scales, one counter row a prefix is enough for the first 2"
    measured = scaling({SCALES[0]: "2,310 codes/s <b>"})
    assert (measured.text, measured.html) == (plain.text, plain.html)
    assert measured.facts == {"measured": {SCALES[0]: "2,310 codes/s <b>"}}
    assert plain.facts == {}


def test_a_person_sees_the_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "attended", lambda: True)
    html = scaling({SCALES[0]: "2,310 codes/s <b>"}).html
    assert html
    assert "2,310 codes/s &lt;b&gt;" in html


def test_a_scale_that_is_not_there_is_refused() -> None:
    with pytest.raises(KeyError, match="no such scale: 5"):
        scaling({"5": "x"})
