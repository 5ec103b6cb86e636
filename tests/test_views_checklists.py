"""A checklist as a view: one deterministic line, a table, and times among the facts."""

from __future__ import annotations

import pytest

from pgrunbook.checklist import Checked, Item, Tick
from pgrunbook.views import checklists

pytestmark = pytest.mark.static

BACKUP = Item("backup", "It was <restored>.", "before")
STAGING = Item("staging", "It ran.", "before")
AT = "2026-01-31T12:00:00Z"


def test_the_table_says_what_is_open_and_the_facts_say_when() -> None:
    view = checklists.view(
        "before", [Checked(BACKUP, Tick("ann", AT, "on s2")), Checked(STAGING, why="taken back by bob")]
    )
    assert view.text == "before: 1 of 2 ticked"
    html = view.html or ""
    assert "<td>It was &lt;restored&gt;.</td><td>ticked</td><td>ann</td><td>on s2</td>" in html
    assert "<td>OPEN, taken back by bob</td><td>-</td><td>-</td>" in html
    assert AT not in html
    assert view.facts == {"ticked": {"backup": f"ann, {AT}"}}


def test_a_rehearsal_is_the_same_whoever_runs_it() -> None:
    views = [
        checklists.view("before", [Checked(BACKUP, Tick(who, at, "its own", "rehearsal"))])
        for who, at in (("ann", AT), ("bob", "2026-02-01T12:00:00Z"))
    ]
    assert views[0].data() == views[1].data()
    assert views[0].text == "before: 1 of 1 ticked by the rehearsal"


def test_a_line_names_what_is_open_and_stays_one_line() -> None:
    assert checklists.line("a\nb", [Checked(STAGING)], named=True).endswith(": 0 of 1 ticked, open: staging")
    assert "\n" not in checklists.line("a\nb", [Checked(STAGING)])
