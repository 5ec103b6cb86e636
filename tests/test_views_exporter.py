"""The exporter: our template, autoescape on, nothing in the page that was not cleaned."""

from __future__ import annotations

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from pgrunbook.views.exporter import RecordExporter

pytestmark = pytest.mark.static

PAGE = {
    "run_id": "r",
    "change": "c",
    "title": "t",
    "outcome": "done",
    "good": True,
    "facts": [],
    "before": [],
    "after": [],
    "stall": {"says": "", "percent": None, "over": False},
}


def html(*cells: object) -> str:
    page, _ = RecordExporter().from_notebook_node(new_notebook(cells=list(cells)), resources={"page": PAGE})
    return str(page)


def test_markdown_becomes_text_that_leads_nowhere() -> None:
    page = html(new_markdown_cell("# One\n\n[here](https://example.org) <img src=x onerror=alert(1)> *so*"))
    assert "<em>so</em>" in page
    assert 'href="https' not in page
    assert "onerror" not in page


def test_headings_that_repeat_get_anchors_of_their_own() -> None:
    page = html(new_markdown_cell("## Verify"), new_markdown_cell("## Verify"))
    anchors = [part.split('"')[0] for part in page.split('href="#')[1:]]
    assert len(anchors) == len(set(anchors))
    assert all(f'id="{anchor}"' in page for anchor in anchors)


def test_code_and_streams_are_shown_as_text() -> None:
    stream = new_output("stream", text="<script>alert(1)</script>")
    page = html(new_code_cell("print('<b>')", execution_count=1, outputs=[stream]))
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "<b>" not in page
