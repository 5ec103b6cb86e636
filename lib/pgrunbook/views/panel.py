"""What all live panels share: their frame of text, and how they give way to static output."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets
from IPython.display import clear_output

from pgrunbook.views.text import shorten, visible

__all__ = ["WAITING", "WORKING", "beside", "close", "escaped", "family", "html", "markup"]

_LONGEST = 400  # characters of one line
WAITING, WORKING = "#d97706", "#2563eb"


def html(colour: str, title: str, rows: Any, note: str = "") -> Any:
    """Return a panel's text as a widget."""
    return ipywidgets.HTML(markup(colour, title, rows, note))


def markup(colour: str, title: str, rows: Any, note: str = "") -> str:
    """Return a panel's text; names and values may come from the database, the note is our own markup."""
    cells = "".join(
        f'<tr><td style="padding:0 1em 0 0;vertical-align:top;opacity:.7;white-space:nowrap">{escaped(name)}</td>'
        f'<td style="padding:0">{escaped(value)}</td></tr>'
        for name, value in rows
    )
    after = f'<div style="margin-top:.4em">{note}</div>' if note else ""
    return (
        f'<div style="border-left:4px solid {colour};padding:.2em 0 .2em .8em;line-height:1.5">'
        f'<b>{escaped(title)}</b><table style="border-collapse:collapse;margin:.3em 0 0">{cells}</table>{after}</div>'
    )


def escaped(text: str) -> str:
    """Return text of anybody's as HTML of one line, cut where it is too long."""
    return escape(visible(shorten(text, _LONGEST)))


def beside(*widgets: Any) -> Any:
    """Return widgets side by side, and below each other where the page is too narrow for all of them."""
    return ipywidgets.HBox(widgets, layout={"flex_flow": "row wrap"})


def close(box: Any) -> None:
    """Take a panel away, and all that is in it."""
    if box is None:
        return
    # What comes next takes the panel's place, so that the saved notebook holds one output and no widget.
    clear_output(wait=True)
    for one in family(box):
        one.close()


def family(widget: Any) -> list[Any]:
    """Return what is in a widget, and the widget."""
    inner = [found for child in getattr(widget, "children", ()) for found in family(child)]
    return [*inner, widget]
