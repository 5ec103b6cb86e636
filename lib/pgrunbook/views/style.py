"""The look of every picture: colours, type, and one way to draw the same bytes each time."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO, StringIO
from typing import Any, ParamSpec, TypeVar

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from pgrunbook.views import svg as pictures
from pgrunbook.views.text import shorten, visible

__all__ = [
    "Picture",
    "aside",
    "figure",
    "house",
    "label",
    "nothing",
    "plain_axes",
    "render",
    "tip",
    "title",
]

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's palette: told apart by every common kind of colour vision. Their lightness differs too, and
# every pair that stands side by side also differs in hatch or marker, for paper and greyscale.
BLUE, VERMILLION, ORANGE, SKY, GREEN = "#0072B2", "#D55E00", "#E69F00", "#56B4E9", "#009E73"
INK, QUIET, GREY, FAINT = "#1f2328", "#59636e", "#9aa4ae", "#e4e8ec"

_PNG_DPI = 110
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


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: SVG for the record, PNG for the notebook, and a sentence for who cannot see it."""

    svg: str
    png: bytes
    alt: str


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


def title(fig: Figure, text: str) -> None:
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
    png = BytesIO()
    fig.savefig(png, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    raw = StringIO()
    fig.savefig(raw, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    drawn = pictures.rebuild(raw.getvalue(), alt=alt)
    assert drawn is not None, "matplotlib wrote an SVG that our own allow-list refuses"
    # Matplotlib says this in a style sheet, which would reach the whole page around the picture.
    drawn = drawn.replace("<svg ", '<svg stroke-linejoin="round" stroke-linecap="butt" ', 1)
    return Picture(svg=drawn, png=png.getvalue(), alt=alt)
