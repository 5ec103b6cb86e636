"""The view of duplicates: totals, the groups by size, and the rows of the largest ones."""

from __future__ import annotations

from collections.abc import Iterator

from pgrunbook.duplicates import Duplicates, Group
from pgrunbook.duplicates.extract import Extract
from pgrunbook.views import table
from pgrunbook.views.text import visible
from pgrunbook.views.units import counted
from pgrunbook.views.view import View

__all__ = ["line", "show", "text"]

SIZES, COLUMNS = 10, 8


def line(found: Duplicates) -> str:
    """Return the verdict on a key."""
    if not found.groups:
        return visible(f"{found.key}: no duplicates")
    return visible(
        f"{found.key}: {counted(found.groups, 'group')} of duplicates, {counted(found.rows, 'row')},"
        f" {found.surplus:,} too many; the largest group has {found.largest:,}"
    )


def show(found: Duplicates, exported: Extract | None = None) -> View:
    """Return the duplicates: a verdict, how many groups have which size, the rows of the largest groups."""
    said = line(found)
    if not found.groups:
        return View(said)
    more = f"; {counted(exported.rows, 'row')} in {exported.file.name}" if exported else ""
    parts = [table.to_html(_sizes(found), caption=said + more, cap=SIZES)]
    parts += [
        table.to_html(_rows(group), caption=_caption(found, group, number), total=group.size)
        for number, group in enumerate(found.shown, 1)
    ]
    facts = {"file": exported.file.name, "rows": exported.rows, "bytes": exported.bytes} if exported else {}
    return View(said + more, html="\n<br>\n".join(parts), facts=facts)


def text(found: Duplicates) -> Iterator[str]:
    """Yield the same for a terminal, one table each."""
    if found.groups:
        yield table.to_text(_sizes(found), cap=SIZES)
    for number, group in enumerate(found.shown, 1):
        yield table.to_text(_rows(group), caption=_caption(found, group, number), total=group.size)


def _sizes(found: Duplicates) -> list[dict[str, object]]:
    return [{"rows in a group": size, "groups": groups} for size, groups in found.sizes]


def _rows(group: Group) -> list[dict[str, object]]:
    names = list(group.members[0].differing)[:COLUMNS]
    return [
        {
            **one.identity,
            **{name: one.differing[name] for name in names},
            **({"the remedy": one.fate} if one.fate else {}),
        }
        for one in group.members
    ]


def _caption(found: Duplicates, group: Group, number: int) -> str:
    values = ", ".join(
        f"{part} = {'NULL' if value is None else value}" for part, value in group.values.items()
    )
    caption = f"group {number:,} of {found.groups:,}: {values}"
    differing = len(group.members[0].differing)
    if differing > COLUMNS:
        caption += f"; {counted(differing - COLUMNS, 'more column differs', 'more columns differ')}"
    return caption if differing else f"{caption}; nothing else differs"
