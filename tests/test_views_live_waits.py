"""The live picture: our own row first, who waits for whom, and nothing while nobody does."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from drawing import HOSTILE

from pgrunbook.spells import Spell
from pgrunbook.views.live_waits import BEHIND, HELD_BACK, HOLDS, OTHER, OURS, live_waits, says

pytestmark = pytest.mark.static

BACK = Spell(0, "", 10.0, 3210.0, HELD_BACK, (77,))
WEB = Spell(8, "web", 3300.0, 3306.0, BEHIND, (1,))


def rows(svg: str) -> list[str]:
    return re.findall(r'text-anchor="end"[^>]*>([^<]*)<', svg)


def test_while_nobody_waits_there_is_no_picture() -> None:
    assert live_waits([], []) == ""


def test_our_step_stands_first_and_says_why_it_waits() -> None:
    drawn = live_waits([BACK], [WEB])
    assert rows(drawn) == ["our step", "web (8)"]
    assert "3.2 s for pid 77" in drawn
    assert says([BACK], [WEB]) == (
        "our step: we look and do not ask, 3.2 s; web (pid 8) waits behind us for pid 1, 6 ms"
    )
    root = ElementTree.fromstring(drawn)
    assert (root.get("role"), root.get("aria-label")) == ("img", says([BACK], [WEB]))


def test_each_kind_is_told_by_its_lightness_or_its_hatch() -> None:
    ours = [replace(BACK, side=side) for side in (HELD_BACK, OURS, HOLDS)]
    others = [replace(WEB, pid=pid, side=side) for pid, side in ((8, BEHIND), (9, OTHER), (10, "beside us"))]
    drawn = live_waits(ours, others)
    hatched = set(re.findall(r'fill="url\(#([\w-]+)\)"', drawn))
    assert hatched == {
        "pgrunbook-live-held-back", "pgrunbook-live-ours", "pgrunbook-live-holds", "pgrunbook-live-other",
    }  # fmt: skip
    assert set(re.findall(r'<pattern id="([\w-]+)"', drawn)) == hatched


def test_a_moment_more_does_not_change_the_axis() -> None:
    def axis(end_ms: float) -> list[str]:
        return re.findall(
            r'text-anchor="middle"[^>]*>([^<]*)<', live_waits([replace(BACK, end_ms=end_ms)], [])
        )

    assert axis(3210.0) == axis(4900.0) == ["0 ms", "2.5 s", "5 s"]
    assert axis(10_800_000.0) == ["0 ms", "1 h 30 min", "3 h"]


def test_of_many_sessions_the_worst_are_shown_and_the_others_counted() -> None:
    others = [replace(WEB, pid=pid, side=BEHIND if pid == 60 else OTHER) for pid in range(1, 61)]
    drawn = live_waits([BACK], others)
    assert len(rows(drawn)) == 7
    assert rows(drawn)[1] == "web (60)"
    assert "and 54 more" in drawn
    assert len(drawn) < 8000


def test_names_are_only_text_and_never_long() -> None:
    drawn = live_waits([], [replace(WEB, who=HOSTILE)])
    assert "<script" not in drawn
    assert "\u202e" not in drawn
    ElementTree.fromstring(drawn)
    assert max(map(len, rows(drawn))) < 120
