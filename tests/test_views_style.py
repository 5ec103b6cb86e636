"""One style for all pictures, whatever the process has set."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib as mpl
import pytest
from drawing import CROWDED, build_progress, lock_waits, sizes, timings
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from pgrunbook.views import build_progress as build_module
from pgrunbook.views import live_waits as live_waits_module
from pgrunbook.views import lock_waits as lock_waits_module
from pgrunbook.views import query_times as times_module
from pgrunbook.views import sizes as sizes_module
from pgrunbook.views import stalls as stalls_module
from pgrunbook.views import style
from pgrunbook.views.style import BLUE, FAINT, ORANGE, Picture, figure, label, render

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


# -- in print, in greyscale and to the colour-blind --------------------------------------------------

# Linear RGB as it is seen: Machado, Oliveira and Fernandes 2009, severity 1; then without any colour.
VISIONS = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
    "greyscale": ((0.2126, 0.7152, 0.0722),) * 3,
}  # fmt: skip
# Each chart's fills with their hatches or markers, as they stand side by side.
SERIES: Mapping[str, Sequence[tuple[str, str]]] = {
    "lock waits": [(fill, hatch) for fill, hatch, _ in lock_waits_module._SIDES.values()],
    "live": [*live_waits_module._LOOKS.values()],
    "stalls": [(look["facecolor"], look["hatch"]) for look in (stalls_module._WITHIN, stalls_module._OVER)],
    "builds": [(BLUE, ""), (FAINT, ""), (ORANGE, build_module._WAITED["hatch"])],
    "sizes": [(look["facecolor"], look["hatch"]) for look in (sizes_module._BEFORE, sizes_module._AFTER)],
    "timings": [
        (str(look.get("markerfacecolor", look["color"])), look["marker"])
        for look in map(times_module._marker, ("before", "after"))
    ],
}


def lightness(colour: str, vision: str) -> float:
    """CIE L* of a colour as somebody sees it."""
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(colour)]
    seen = [sum(map(operator.mul, row, linear)) for row in VISIONS[vision]]
    y = min(1.0, max(0.0, 0.2126 * seen[0] + 0.7152 * seen[1] + 0.0722 * seen[2]))
    return 116 * y ** (1 / 3) - 16 if y > 0.008856 else 903.3 * y


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("chart", SERIES)
def test_two_series_are_told_apart_without_their_colour(chart: str, vision: str) -> None:
    for (one, hatch), (other, other_hatch) in itertools.combinations(SERIES[chart], 2):
        apart = abs(lightness(one, vision) - lightness(other, vision))
        assert apart >= 20 or hatch != other_hatch, (one, other, apart)
        # Two that differ in their hatch alone are both light enough for it to be seen.
        if apart < 20:
            assert (
                min(lightness(fill, vision) for fill, drawn in ((one, hatch), (other, other_hatch)) if drawn)
                > 50
            )


def test_the_simulation_knows_colours_that_are_hard_to_tell() -> None:
    apart = {vision: abs(lightness("#d62728", vision) - lightness("#2ca02c", vision)) for vision in VISIONS}
    assert apart["deuteranopia"] < 20
    assert lightness("white", "greyscale") == pytest.approx(100)


@EVERY
def test_no_text_is_too_small_on_paper_and_none_lies_on_another(
    draw: Callable[[], Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    legible(monkeypatch, draw)


@pytest.mark.parametrize("draw", CROWDED, ids=lambda draw: draw.__name__)
def test_many_steps_long_names_and_extreme_values_leave_every_text_readable(
    draw: Callable[[], Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    legible(monkeypatch, draw)


def legible(monkeypatch: pytest.MonkeyPatch, draw: Callable[[], Picture]) -> None:
    figures: list[Figure] = []

    def kept(fig: Figure, *, alt: str) -> Picture:
        figures.append(fig)
        return render(fig, alt=alt)

    monkeypatch.setattr(style, "render", kept)
    draw()
    (fig,) = figures
    drawn = [
        tick.label1 for axes in fig.axes for axis in (axes.xaxis, axes.yaxis) for tick in axis._update_ticks()
    ]
    ticks = {
        tick.label1
        for axes in fig.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
    }
    texts = [
        one
        for one in fig.findobj(Text)
        if isinstance(one, Text) and one.get_visible() and one.get_text() and one not in ticks - {*drawn}
    ]
    # Printed on A4 the picture is 17 cm wide: 7 points there.
    assert min(float(one.get_fontsize()) for one in texts) * 17 / 2.54 / fig.get_figwidth() >= 6.2
    boxes = [(one.get_text(), one.get_window_extent().shrunk(0.96, 0.8)) for one in texts]
    for (text, box), (other, other_box) in itertools.combinations(boxes, 2):
        assert not (box.overlaps(other_box) and box.width and other_box.width), (text, other)
    assert all(box.x0 >= -2 and box.x1 <= fig.bbox.width + 2 for _, box in boxes)


def test_a_png_is_drawn_once_somebody_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds: list[str] = []
    save = Figure.savefig

    def saved(fig: Figure, *given: Any, **options: Any) -> None:
        kinds.append(options["format"])
        save(fig, *given, **options)

    monkeypatch.setattr(Figure, "savefig", saved)
    drawn = style.nothing("nothing here")
    assert kinds == ["svg"]
    assert drawn.png.startswith(b"\x89PNG")
    assert drawn.png is drawn.png
    assert kinds == ["svg", "png"]
