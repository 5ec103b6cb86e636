"""A view: what one notebook output shows, and what only the record keeps."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from html import escape
from typing import TYPE_CHECKING

from pgrunbook import kernel
from pgrunbook.views.facts import json_safe
from pgrunbook.views.table import jointed
from pgrunbook.views.text import encodable, visible

__all__ = ["FIGURE", "KEY", "SECTION", "View", "pictured"]

if TYPE_CHECKING:
    from pgrunbook.views.style import Picture

FIGURE = '<div class="pgrunbook-figure">'
"""How a verdict with its picture begins: the record has verdict and SVG, and takes this for no table."""
# The key under which our metadata stands in an output.
KEY = "pgrunbook"
# The fact that names the section of a record that shows the same as an output, drawn from the ledger.
SECTION = "section"
# How a table of ours fits the page of whoever watches: long names break at their joints, or anywhere, cells
# begin at the top, and a table of few columns leaves its caption room. What is saved without a person has none of it.
_FITTING = (
    "<style>table.pgrunbook{min-width:min(100%,40em)}"
    "table.pgrunbook :is(td,th){vertical-align:top;padding:.35em .6em;overflow-wrap:break-word}"
    "table.pgrunbook :is(.time,td.number){white-space:nowrap}"
    "table.pgrunbook td:is(.long,.hash){min-width:14em;overflow-wrap:anywhere}</style>"
)
# JupyterLab sets every cell to the right, and of all that could change that lets only this through.
_LEFT = r'<\1 style="text-align: left"\2'
_WORDS = re.compile(r'<(caption|td|th)\b((?![^>]*class="number")[^>]*>)')
_MATH = re.compile(r"\$.*\$|\\[(\[]|\\(?:begin|ref|eqref)\b", re.DOTALL)
_PRE = re.compile(r"<pre\b.*?</pre>", re.DOTALL)


def literal(html: str) -> str:
    r"""Return HTML in which JupyterLab takes nothing for a formula, links of formulas included.

    >>> literal("<b>from $1 to $2</b>")
    '<div class="mathjax_ignore"><b>from $1 to $2</b></div>'
    """
    return f'<div class="mathjax_ignore">{html}</div>' if _MATH.search(_PRE.sub("", html)) else html


@dataclass(frozen=True, slots=True, repr=False)
class View:
    """One output: `text` is a deterministic verdict; times, pids and samples belong in `facts`.

    Notebook tests compare text and HTML but neither metadata nor PNG, so `html` too may hold only what
    does not vary between runs; the SVG travels in the metadata, where the record's template finds it.
    """

    text: str
    html: str | None = None
    png: bytes | None = None
    svg: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)

    def data(self) -> dict[str, str]:
        """Return the output's data by MIME type."""
        data = {"text/plain": encodable(self.text)}
        if self.html:
            data["text/html"] = literal(_WORDS.sub(_LEFT, encodable(self.html)))
        if self.png:
            data["image/png"] = base64.b64encode(self.png).decode("ascii")
        return data

    def metadata(self) -> dict[str, dict[str, object]]:
        """Return the output's metadata: the facts, made JSON-safe, and the SVG."""
        kept = {str(name): json_safe(value) for name, value in self.facts.items() if name != "svg"}
        return {KEY: {**kept, "svg": encodable(self.svg)} if self.svg else kept}

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> tuple[dict[str, str], dict[str, dict[str, object]]]:
        whole = self.data()
        if self.html and kernel.attended():
            whole["text/html"] = _FITTING + jointed(whole["text/html"])
        elif self.png and kernel.attended():
            # Of an output JupyterLab shows one part alone, and an image without words for a screen reader.
            alt = escape(visible(str(self.facts.get("picture") or self.text)))
            said = "".join(f"<div>{escape(visible(line))}</div>" for line in self.text.splitlines())
            whole["text/html"] = literal(
                f'{FIGURE}{said}<img alt="{alt}" src="data:image/png;base64,{whole["image/png"]}"></div>'
            )
        data = {
            kind: value
            for kind, value in whole.items()
            if (not include or kind in include) and (not exclude or kind not in exclude)
        }
        return data, self.metadata()

    def __repr__(self) -> str:
        """Return the verdict."""
        return self.text

    def __str__(self) -> str:
        """Return the verdict."""
        return self.text


def pictured(view: View, drawn: list[Picture]) -> View:
    """Return the view with the last picture that was drawn, if it has none yet; the list is empty afterwards.

    The picture's words are among the facts.
    """
    last = drawn[-1] if drawn else None
    drawn.clear()
    if last is None or view.png is not None:
        return view
    return replace(view, png=last.png, svg=last.svg, facts={**view.facts, "picture": last.alt})
