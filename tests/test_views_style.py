"""One style for all pictures, whatever the process has set."""

from __future__ import annotations

from collections.abc import Callable

import matplotlib as mpl
import pytest
from drawing import build_progress, lock_waits, sizes, timings

from pgrunbook.views.style import Picture, figure, label, render

pytestmark = pytest.mark.static

EVERY = pytest.mark.parametrize("draw", [lock_waits, timings, build_progress, sizes])


@EVERY
def test_settings_of_the_process_do_not_change_a_picture_nor_it_them(draw: Callable[[], Picture]) -> None:
    calm = draw()
    with mpl.rc_context({"font.size": 30, "svg.hashsalt": "other", "axes.facecolor": "red"}):
        assert draw() == calm
        assert mpl.rcParams["font.size"] == 30


@EVERY
def test_the_same_numbers_give_the_same_bytes(draw: Callable[[], Picture]) -> None:
    assert draw() == draw()


def test_a_label_is_one_short_line() -> None:
    assert label("a\nb" + "c" * 40, 5) == "a↵bcc…"


def test_an_empty_figure_still_has_its_alternative() -> None:
    assert render(figure(2, 1), alt="nothing\nhere").alt == "nothing↵here"
