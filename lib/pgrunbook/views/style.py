"""The look of every picture: colours, type, and one way to draw the same bytes each time."""

from __future__ import annotations

import functools
import math
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator, FuncFormatter, MultipleLocator, NullLocator

from pgrunbook.views import svg as pictures
from pgrunbook.views.text import shorten, visible
from pgrunbook.views.units import duration

__all__ = [
    "Part",
    "Picture",
    "aside",
    "figure",
    "house",
    "label",
    "nothing",
    "picture",
    "plain_axes",
    "render",
    "tick_ms",
    "time_axis",
    "tip",
    "title",
]

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's palette: told apart by every common kind of colour vision. Their lightness differs too, and
# every pair that stands side by side also differs in hatch or marker, for paper and greyscale.
BLUE, VERMILLION, ORANGE, SKY, GREEN = "#0072B2", "#D55E00", "#E69F00", "#56B4E9", "#009E73"
# Vermillion as dark as blue: beside sky and orange it is told by its lightness too.
RUST = "#A33B00"
INK, QUIET, GREY, FAINT = "#1f2328", "#59636e", "#9aa4ae", "#e4e8ec"

_PNG_DPI = 110
# Ticks of a logarithmic axis: 0.1 µs, 1 µs ... 1 s, 10 s, 1 min, 10 min, 1 h, 10 h, 100 h.
_LOG_MS = (*(10.0**power for power in range(-4, 5)), 6e4, 6e5, 3.6e6, 3.6e7, 3.6e8)
# Matplotlib's settings are global to the process; whoever draws holds this.
_lock = threading.RLock()
_RULES: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "text.color": INK,
    "text.parse_math": False,  # a table named $\frac$ is a name, not a formula
    "text.usetex": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": QUIET,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.8,
    "axes.unicode_minus": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": QUIET,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 9,
    "grid.color": FAINT,
    "grid.linewidth": 0.8,
    "hatch.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "pgrunbook",
    "svg.image_inline": True,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Picture:
    """One picture: SVG for the record, PNG for the notebook, and a sentence for who cannot see it."""

    svg: str
    alt: str
    _figure: Figure = field(repr=False, compare=False)

    @functools.cached_property
    def png(self) -> bytes:
        """Return the PNG; a record has no use for it, and it takes as long as the SVG."""
        return _png(self._figure)


@dataclass(frozen=True, slots=True)
class Part:
    """One chart of a picture: its height in inches, and what draws it and returns it in words."""

    height: float
    draw: Callable[[FigureBase], str]


@contextmanager
def _rules() -> Iterator[None]:
    with _lock, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_RULES)
        with warnings.catch_warnings():
            # Names in scripts that DejaVu lacks: the SVG carries the text itself, the PNG shows boxes.
            warnings.filterwarnings("ignore", message=".*[Gg]lyph.*missing", category=UserWarning)
            yield


def house(draw: Callable[P, R]) -> Callable[P, R]:
    """Return the function, drawing under our settings whatever the process has set."""

    @functools.wraps(draw)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with _rules():
            return draw(*args, **kwargs)

    return inside


def label(text: object, limit: int = 32) -> str:
    """Return text for a picture: one line, nothing hidden, not too long.

    >>> label("a" * 40, 5)
    'aaaaa…'
    """
    line = visible(text)
    return line if len(line) <= limit else f"{line[:limit]}…"


def tip(artist: Artist, text: object) -> None:
    """Give a bar or point a tooltip."""
    artist.set_gid(pictures.TIP + shorten(visible(text), 400))


@house
def figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches, to be drawn without pyplot's global state."""
    return Figure(figsize=(width, height), layout="constrained", facecolor="white")


def plain_axes(axes: Axes, *, xlabel: str = "") -> None:
    """Leave only a baseline, faint vertical grid lines and names without tick marks."""
    axes.grid(True, axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", length=3)
    axes.set_xlabel(xlabel)


def time_axis(axes: Axes, reach_ms: float, *, xlabel: str = "", ticks: int = 6, zero: bool = True) -> None:
    """Leave a plain axis of times in ms, each tick in the unit that reads best, from microseconds to days.

    Without its `zero` where the axis of a neighbour ends there.
    """
    if axes.get_xscale() == "log":
        low, high = axes.get_xlim()
        there = [ms for ms in _LOG_MS if low <= ms <= high]
        axes.xaxis.set_major_locator(FixedLocator(there[:: 1 + len(there) // (ticks + 1)]))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MultipleLocator(tick_ms(reach_ms, ticks)))
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: duration(max(0.0, value)) if value or zero else "")
    )
    plain_axes(axes, xlabel=xlabel)


def tick_ms(reach_ms: float, ticks: int = 6) -> float:
    """Return a round distance of ticks, so that there are at most so many, in ms.

    >>> tick_ms(100), tick_ms(0.3), tick_ms(65_000), tick_ms(10_800_000)
    (20.0, 0.05, 15000.0, 1800000.0)
    """
    if reach_ms <= 10_000:
        power = 10.0 ** math.floor(math.log10(max(reach_ms, 1e-3) / ticks))
        return next(float(f"{n * power:.1g}") for n in (1, 2, 5, 10) if reach_ms / (n * power) <= ticks)
    seconds = (2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200)
    days = math.ceil(reach_ms / 86_400_000 / ticks)
    return float(next((s * 1000 for s in seconds if reach_ms / 1000 / s <= ticks), days * 86_400_000))


def title(fig: FigureBase, text: str) -> None:
    """Write the picture's headline at its upper left."""
    fig.suptitle(text, x=0.008, ha="left", fontsize=10.5, fontweight="bold")


def aside(axes: Axes, y: float, text: str, *, quiet: bool = False) -> None:
    """Write beside a row, right of the axes, what the row says in words."""
    axes.annotate(
        text,
        (1.015, y),
        xycoords=("axes fraction", "data"),
        va="center",
        fontsize=8.3,
        color=QUIET if quiet else INK,
    )


@house
def picture(*parts: Part) -> Picture:
    """Return charts one below the other as one picture; its alternative says what each of them says."""
    fig = figure(8.6, sum(part.height for part in parts))
    if len(parts) == 1:
        return render(fig, alt=parts[0].draw(fig))
    places: Any = fig.subfigures(len(parts), 1, height_ratios=[part.height for part in parts])
    said = [part.draw(place) for part, place in zip(parts, places, strict=True)]
    return render(fig, alt=" ".join(said))


@house
def nothing(why: str) -> Picture:
    """Return a picture that only says why there is nothing to draw."""
    fig = figure(8.6, 0.7)
    axes = fig.subplots()
    axes.axis("off")
    axes.text(0, 0.5, why, va="center", fontsize=11, color=QUIET)
    return render(fig, alt=f"{why}.")


@house
def render(fig: Figure, *, alt: str) -> Picture:
    """Return the figure as a picture; the same figure gives the same bytes, with no date and no version."""
    for text in fig.findobj(Text):
        assert isinstance(text, Text)
        text.set_parse_math(False)
    alt = visible(alt)
    raw = StringIO()
    fig.savefig(raw, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = pictures.rebuild(raw.getvalue(), alt=alt)
    assert drawn is not None, "matplotlib wrote an SVG that our own allow-list refuses"
    # Matplotlib says this in a style sheet, which would reach the whole page around the picture.
    drawn = drawn.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    return Picture(drawn, alt, fig)


@house
def _png(fig: Figure) -> bytes:
    png = BytesIO()
    fig.savefig(png, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return png.getvalue()
