"""A record is one file that an auditor can trust."""

from __future__ import annotations

import copy
import re
from dataclasses import replace
from itertools import pairwise
from typing import Any

import nbformat
import pytest
import recorded
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from pgrunbook.checklist import Checked, Item
from pgrunbook.views import style
from pgrunbook.views.record import Summary, export, synthesize
from pgrunbook.views.table import to_html
from pgrunbook.views.view import View

pytestmark = pytest.mark.static

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
HOSTILE = (
    "\"'><script>alert(1)</script><img src=http://evil/x onerror=alert(1)>{{ 7*7 }}{% raw %}\u202e\x00\n# x"
)
ROW = {"step": "002", "outcome": "done"}
HELD = ({**ROW, "worst stall ms": 8.1},)

SUMMARY = Summary(
    run_id="20260301-7f3a",
    change="010_class_code",
    title="Class codes become unique",
    outcome="done",
    good=True,
    target="service=registration",
    target_kind="live",
    operator="m.weber",
    server="PostgreSQL 18.4",
    started="2026-03-01T22:00:00+00:00",
    finished="2026-03-01T22:07:41+00:00",
    stall_budget_ms=100,
    worst_stall_ms=8.1,
    approvals=({"step": "002", "by": "a.lopez"},),
    checks=({"check": "10_duplicate_codes", "rows": 0},),
    steps=(ROW,),
    remedies=({"remedy": "10_duplicate_codes", "rows": 5},),
    verification=({"step": "002", "result": "ok"},),
    rollbacks=({"to": "the beginning", "catalog": "the same"},),
    scripts=({"file": "migrate/002.sql", "sha256": "ab" * 32},),
    events=(
        {"at": "2026-03-01T22:00:00Z", "kind": "step done", "step": None, "actor": "x", "hash": "cd" * 32},
    ),
    versions=({"name": "pgrunbook", "version": "0.1.0"},),
    chain="unbroken, 1 events, head cdcdcdcdcdcd",
)


def picture() -> style.Picture:
    fig = style.figure(3, 1)
    axes = fig.subplots()
    style.tip(axes.plot([0, 1], [0, 1])[0], "a point")
    return style.render(fig, alt="a line")


def notebook(*outputs: dict[str, Any], source: str = "runbook.apply()") -> Any:
    cells = [
        new_markdown_cell("# Title\n\n## Preflight\n\n#### Deep", id="a"),
        new_code_cell(
            source, id="b", execution_count=1, outputs=[nbformat.from_dict(one) for one in outputs]
        ),
    ]
    return new_notebook(cells=cells)


def shown(view: View) -> dict[str, Any]:
    return dict(new_output("display_data", data=view.data(), metadata=view.metadata()))


def page(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


def safe(html: str) -> None:
    soup = page(html)
    assert not soup.find_all(["script", "iframe", "object", "embed", "link", "form", "base", "foreignobject"])
    for tag in soup.find_all(True):
        assert not [name for name in tag.attrs if name.lower().startswith("on")]
        for name in ("href", "src", "xlink:href"):
            value = str(tag.attrs.get(name, "#"))
            assert value.startswith("#") or (tag.name == "img" and value.startswith("data:image/"))
    assert "url(http" not in html


def hostile_summary() -> Summary:
    return recorded.summary(HOSTILE)


def test_the_same_run_gives_the_same_bytes() -> None:
    nb = notebook(shown(View("done", svg=picture().svg, png=picture().png, facts={"pid": 1})))
    assert export(nb, SUMMARY) == export(nb, SUMMARY)


def test_the_notebook_is_left_as_it_was() -> None:
    nb = notebook(shown(View("done")))
    before = copy.deepcopy(nb)
    export(nb, SUMMARY)
    assert nb == before


def test_the_page_forbids_everything_but_its_own_styles_and_images() -> None:
    html = export(notebook(), SUMMARY)
    (policy,) = page(html).find_all("meta", attrs={"http-equiv": "Content-Security-Policy"})
    assert policy["content"] == POLICY
    assert html.index("Content-Security-Policy") < html.index("<style>")
    safe(html)


def test_a_page_has_language_title_skip_link_and_contents_that_lead_somewhere() -> None:
    soup = page(export(notebook(shown(View("done", svg=picture().svg))), SUMMARY))
    assert soup.html is not None
    assert soup.html["lang"] == "en"
    assert soup.title is not None
    assert soup.title.get_text() == "010_class_code: done, run 20260301-7f3a"
    names = {str(tag["id"]) for tag in soup.find_all(id=True)}
    links = [str(tag["href"]) for tag in soup.find_all(href=True)]
    assert "#main" in links
    assert {link[1:] for link in links} <= names
    assert len(names) == len(soup.find_all(id=True))


def test_headings_never_skip_a_level() -> None:
    levels = [int(tag.name[1]) for tag in page(export(notebook(), SUMMARY)).find_all(re.compile("^h[1-6]$"))]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_the_summary_comes_before_the_evidence_and_the_proofs_after() -> None:
    titles = [tag.get_text() for tag in page(export(notebook(), SUMMARY)).find_all("h2")]
    evidence = titles.index("What the operator saw")
    assert {"Approvals", "Checks before", "Steps", "Remedies", "Verification", "Rollback"} <= set(
        titles[:evidence]
    )
    assert titles[evidence + 1 :] == ["Scripts", "Events", "Versions"]


def test_every_fact_of_the_summary_can_be_read() -> None:
    text = page(export(notebook(), SUMMARY)).get_text(" ")
    for fact in (
        "Class codes become unique",
        "service=registration (live)",
        "PostgreSQL 18.4",
        "m.weber",
        "2026-03-01 22:00:00 UTC",
        "7 min 41 s",
        "8.1 ms, within the budget of 100 ms",
        "a.lopez",
        "ab" * 32,
        "cd" * 32,
        "unbroken, 1 events, head cdcdcdcdcdcd",
    ):
        assert fact in text


@pytest.mark.parametrize(
    ("worst", "says"),
    [
        (None, "Stalls were not measured"),
        (0.0, "Nobody stalled, within the budget"),
        (140.0, "140 ms, OVER the budget of 100 ms"),
    ],
)
def test_the_worst_stall_is_set_against_the_budget(worst: float | None, says: str) -> None:
    assert says in page(export(notebook(), replace(SUMMARY, worst_stall_ms=worst))).get_text(" ")


def test_a_bad_outcome_does_not_look_good() -> None:
    soup = page(export(notebook(), replace(SUMMARY, outcome="stopped at 002", good=False, finished=None)))
    assert soup.select_one(".banner.bad") is not None
    assert soup.select_one(".banner.good") is None
    assert "✗ stopped at 002" in soup.get_text()
    assert "not finished" in soup.get_text(" ")


def test_what_did_not_happen_is_said() -> None:
    empty = replace(SUMMARY, steps=(), rollbacks=())
    text = page(export(notebook(), empty)).get_text(" ")
    assert "No step ran." in text
    assert "No step was rolled back." in text


def test_a_checklist_says_what_is_open_and_a_change_without_one_says_nothing() -> None:
    rows = tuple(Checked(Item(key, "x", "after")).row for key in ("smoke", "<b>quiet</b>"))
    section = page(export(notebook(), replace(SUMMARY, checklist=rows))).select_one("#checklist")
    assert section is not None
    lead = section.select_one(".lead")
    assert lead is not None
    assert lead.text == "0 of 2 items ticked. Open: smoke, <b>quiet</b>."
    assert page(export(notebook(), replace(SUMMARY, checklist=()))).select_one("#checklist") is None


def test_hostile_values_in_every_field_stay_text() -> None:
    html = export(notebook(), hostile_summary())
    safe(html)
    assert "\u202e" not in html
    assert "\x00" not in html
    # What a template would have made 49 of.
    assert "{{ 7*7 }}{% raw %}" in page(html).get_text()


def test_hostile_values_in_every_part_of_a_notebook_stay_text() -> None:
    outputs: list[dict[str, Any]] = [
        {"output_type": "stream", "name": "stdout", "text": HOSTILE},
        {"output_type": "error", "ename": HOSTILE, "evalue": HOSTILE, "traceback": [HOSTILE]},
        shown(View(HOSTILE, html=HOSTILE, svg=f"<svg>{HOSTILE}</svg>", png=b"x", facts={HOSTILE: HOSTILE})),
        {"output_type": "display_data", "data": {"text/html": HOSTILE, HOSTILE: HOSTILE}, "metadata": {}},
        {
            "output_type": "display_data",
            "data": {"text/markdown": HOSTILE},
            "metadata": {"pgrunbook": HOSTILE},
        },
        {"output_type": "display_data", "data": {"application/javascript": "alert(1)"}, "metadata": {}},
    ]
    nb = notebook(*outputs, source=HOSTILE)
    nb.cells += [
        new_markdown_cell(HOSTILE, id="x"),
        new_raw_cell(HOSTILE, id="y", metadata={"raw_mimetype": "text/html"}),
    ]
    html = export(nb, SUMMARY)
    safe(html)
    assert "\u202e" not in html


def test_a_picture_keeps_its_tooltips_and_its_own_ids() -> None:
    svg = picture().svg
    html = export(notebook(shown(View("one", svg=svg)), shown(View("two", svg=svg))), SUMMARY)
    figures = page(html).select("figure svg")
    assert len(figures) == 2
    assert all(figure.find("title") is not None for figure in figures)
    assert "a point" in figures[0].get_text()
    assert not {str(tag["id"]) for tag in figures[0].find_all(id=True)} & {
        str(tag["id"]) for tag in figures[1].find_all(id=True)
    }


def test_an_error_is_shown_without_its_traceback() -> None:
    error = {
        "output_type": "error",
        "ename": "GateClosed",
        "evalue": "step 002 is not approved",
        "traceback": ["File /x"],
    }
    text = page(export(notebook(error), SUMMARY)).get_text(" ")
    assert "GateClosed" in text
    assert "step 002 is not approved" in text
    assert "File /x" not in text


def test_a_record_can_be_made_from_views_alone() -> None:
    entries = [
        ("Step *002* <b>", View("002 ... done", svg=picture().svg, facts={"pid": 77})),
        ("", View("x")),
    ]
    nb = synthesize("A # title", entries)
    nbformat.validate(nb)
    soup = page(export(nb, SUMMARY))
    assert [tag.get_text() for tag in soup.find_all("h3")] == ["A # title", "Step *002* <b>", "untitled"]
    assert "002 ... done" in soup.get_text()
    assert soup.select_one("figure svg") is not None
    assert nb == synthesize("A # title", entries)


def test_an_ordinary_record_is_small() -> None:
    outputs = [shown(View("done", svg=picture().svg, png=picture().png)) for _ in range(20)]
    assert len(export(notebook(*outputs), SUMMARY).encode()) < 400_000


def test_a_cell_that_did_not_run_says_so() -> None:
    nb = notebook()
    nb.cells[1].execution_count = None
    assert "not run" in page(export(nb, SUMMARY)).get_text()


def test_times_that_are_no_times_are_shown_as_they_are() -> None:
    text = page(
        export(notebook(), replace(SUMMARY, started="soon", finished="2026-03-01T22:00:00"))
    ).get_text(" ")
    assert "soon" in text
    assert "unknown" in text


def test_a_record_of_the_ledger_alone_says_that_nothing_else_was_kept() -> None:
    soup = page(export(synthesize("A title", []), SUMMARY))
    section = soup.select_one("#evidence")
    assert section is not None
    assert "Nothing more was kept" in section.get_text()
    assert section.find("h3") is None


def test_what_the_page_draws_from_the_ledger_is_not_drawn_a_second_time() -> None:
    view = View(
        "lock waits of 2 steps: nobody stalled", svg=picture().svg, facts={"section": "waits", "n": 77}
    )
    for summary, drawings in ((recorded.summary("things"), 0), (SUMMARY, 1)):
        section = page(export(notebook(shown(view)), summary)).select_one("#evidence")
        assert section is not None
        assert len(section.select("figure")) == drawings
        assert ("shown above under Lock waits" in section.get_text(" ")) is not bool(drawings)
        assert "lock waits of 2 steps: nobody stalled" in section.get_text(" ")


def test_times_held_are_said_once_where_the_observers_saw_them() -> None:
    for summary, there in ((recorded.summary("things"), False), (replace(SUMMARY, steps=HELD), True)):
        steps = page(export(notebook(), summary)).select_one("#steps")
        assert steps is not None
        assert ("worst stall" in steps.get_text(" ")) is there


def test_long_names_in_tables_may_break_at_their_joints() -> None:
    name = "migrate/002_add_unique_index.sql"
    view = View("seen", html=to_html([{"file": name}]))
    summary = recorded.summary("x", steps=1, checks=1)
    html = export(synthesize("t", [("heading", view)]), summary)
    assert ">migrate/<wbr>002_<wbr>add_<wbr>unique_<wbr>index.<wbr>sql</td>" in html
