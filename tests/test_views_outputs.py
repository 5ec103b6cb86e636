"""An output is reduced to what may be seen."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from pgrunbook.views.outputs import shown
from pgrunbook.views.view import View

pytestmark = pytest.mark.static

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>t</title><path d="M0 0"/></svg>'
PNG = base64.b64encode(b"\x89PNG\r\n").decode()


def output(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"output_type": "display_data", "data": data, "metadata": metadata or {}}


def of(view: View) -> dict[str, Any]:
    return output(dict(view.data()), dict(view.metadata()))


def test_an_output_of_ours_keeps_verdict_table_picture_and_facts() -> None:
    view = View("done", html="<table><tr><td>x</td></tr></table>", svg=SVG, png=b"x", facts={"pid": 1234})
    seen = shown(of(view), prefix="f1-")
    assert seen.verdict == "done"
    assert "<td>x</td>" in seen.html
    assert seen.figure.startswith("<svg")
    assert seen.facts == (("pid", "1234"),)
    assert (seen.plain, seen.note) == ("", "")


def test_a_picture_that_is_not_svg_falls_back_to_png() -> None:
    for svg in ("<svg><script>alert(1)</script></svg>", "junk", None):
        seen = shown(
            output({"text/plain": 'a "b"', "image/png": PNG}, {"pgrunbook": {"svg": svg}}), prefix=""
        )
        assert seen.figure == f'<img alt="a &quot;b&quot;" src="data:image/png;base64,{PNG}">'


def test_an_image_that_is_no_base64_is_left_out() -> None:
    for code in ('" onerror="alert(1)', "abc<", "", 5):
        assert shown(output({"text/plain": "x", "image/png": code}), prefix="").figure == ""


def test_a_widget_is_its_text() -> None:
    data = {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Button(<b>)"}
    seen = shown(output(data), prefix="")
    assert seen.plain == "Button(&lt;b&gt;)"
    assert seen.figure == seen.html == ""


def test_active_html_falls_back_to_text_and_says_what_is_missing() -> None:
    data = {"text/html": "<div><script>plotly()</script></div>", "text/plain": "Figure"}
    seen = shown(output(data), prefix="")
    assert (seen.plain, seen.html) == ("Figure", "")
    assert seen.note == "not carried into the record: script"


def test_a_data_frame_is_a_table_without_a_note() -> None:
    frame = '<table border="1" class="dataframe"><tr><td>1</td></tr></table>'
    html = f"<div>\n<style scoped>td {{}}</style>\n{frame}</div>"
    seen = shown(output({"text/html": html, "text/plain": "   a"}), prefix="")
    assert '<table class="dataframe">' in seen.html
    assert (seen.plain, seen.note) == ("", "")


def test_an_output_that_cannot_be_shown_is_named() -> None:
    seen = shown(output({"application/x-odd<b>": "x", "application/javascript": "alert(1)"}), prefix="")
    assert seen.note == "not carried into the record: application/javascript, application/x-odd<b>"


def test_a_foreign_svg_is_cleaned_too() -> None:
    seen = shown(output({"image/svg+xml": SVG.replace("<path", "<script>x</script><path")}), prefix="")
    assert "<path" in seen.figure
    assert "script" not in seen.figure


def test_facts_read_well_and_stay_short() -> None:
    facts = {
        "worst_stall_ms": 6.2,
        "took_seconds": 15.5,
        "backend_pid": 50012,
        "rows": 12345,
        "undone": True,
        "waited_for": [4800, 4801],
        "samples": list(range(500)),
        "nested": {"a": {"b": 1}},
        "budget": {"stall": 100},
        "text": "<b>\u202e" + "x" * 5000,
        "none": None,
        "empty": "",
        "svg": "<svg",
    }
    seen = dict(shown(of(View("x", facts=facts)), prefix="").facts)
    assert seen["worst stall"] == "6.2 ms"
    assert seen["took"] == "15.5 s"
    assert seen["backend pid"] == "50012"
    assert seen["rows"] == "12,345"
    assert seen["undone"] == "yes"
    assert seen["waited for"] == "4800, 4801"
    assert seen["samples"] == "500 items, kept in the notebook"
    assert seen["nested"] == "1 entry, kept in the notebook"
    assert seen["budget"] == "stall 100"
    assert seen["text"].startswith('&lt;b&gt;<span class="mark">\\u202e</span>xxx')
    assert len(seen["text"]) < 500
    assert not {"none", "empty", "svg"} & set(seen)


def test_facts_without_end_are_counted() -> None:
    facts = shown(of(View("x", facts={f"fact {n}": n for n in range(100)})), prefix="").facts
    assert len(facts) == 31
    assert facts[-1] == ("more", "70 facts in the notebook")


def test_metadata_of_the_wrong_shape_is_no_output_of_ours() -> None:
    for odd in ("text", 5, ["x"], None):
        assert shown(output({"text/plain": "x"}, {"pgrunbook": odd}), prefix="").plain == "x"
    assert (
        shown(output({"text/plain": "x"}, {"pgrunbook": {"svg": 5, "a": [None]}}), prefix="").verdict == "x"
    )
