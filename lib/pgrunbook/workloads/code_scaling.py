"""How many users a way of numbering is enough for: the table of the specification, corrected."""

from __future__ import annotations

from collections.abc import Mapping

from pgrunbook import kernel
from pgrunbook.views import table
from pgrunbook.views.view import View

__all__ = ["SCALES", "scaling"]

# If everybody creates one class a minute, which is more than anybody does all day.
_ROWS = (
    {
        "users": "0 to 100",
        "codes a second": "under 2",
        "the specification": "lock the row of the last code",
        "enough": "one counter row a prefix",
        "why": "that lock lets two writers have the same number, with two users already",
    },
    {
        "users": "100 to 1,000",
        "codes a second": "2 to 17",
        "the specification": "a text_pattern_ops index, connections sharded by prefix",
        "enough": "the same counter row; watch desk.waits()",
        "why": "the counter never searches for the last code; the index serves searches by prefix."
        " Each prefix has a row of its own, so they are apart already",
    },
    {
        "users": "1,000 and more",
        "codes a second": "from 17",
        "the specification": "blocks of numbers, kept in Redis",
        "enough": "the counter row up to what is measured here, then next_class_codes",
        "why": "PostgreSQL reserves a block in one update and needs no second store that may forget it."
        " Blocks cost the order between servers, and a gap at every crash",
    },
)
SCALES = tuple(row["users"] for row in _ROWS)
"""The first column, which measured figures are given by."""


def scaling(measured: Mapping[str, object] | None = None) -> View:
    """Return the table; `measured` says by the number of users what was measured here.

    Figures vary, so they stand in the facts, and in the table only where somebody looks at it.
    Raises KeyError for a scale that the table does not have.
    """
    figures = dict(measured or {})
    if strange := figures.keys() - set(SCALES):
        raise KeyError(f"no such scale: {', '.join(sorted(strange))}; choose from: {'; '.join(SCALES)}")
    live = bool(figures) and kernel.attended()
    rows = [{**row, **({"measured here": figures.get(row["users"], "")} if live else {})} for row in _ROWS]
    line = f"{len(rows)} scales, one counter row a prefix is enough for the first 2"
    return View(line, html=table.to_html(rows, caption=line), facts={"measured": figures} if figures else {})
