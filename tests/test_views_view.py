"""A view keeps what varies out of what is compared."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from IPython.core.formatters import DisplayFormatter

from pgrunbook import kernel
from pgrunbook.views.outputs import shown
from pgrunbook.views.sanitise import clean_html
from pgrunbook.views.table import to_html
from pgrunbook.views.view import FIGURE, View

pytestmark = pytest.mark.static

FULL = View(
    "002 ... done, nobody stalled",
    html="<table></table>",
    png=b"\x89PNG",
    svg="<svg/>",
    facts={"at": datetime(2026, 3, 1, tzinfo=UTC), "cost": Decimal("1.5"), "pid": 7},
)


def test_a_view_shows_its_verdict_as_plain_text() -> None:
    assert str(FULL) == repr(FULL) == "002 ... done, nobody stalled"


def test_data_holds_only_what_tests_may_compare_and_the_png() -> None:
    data, _ = FULL._repr_mimebundle_()
    assert data == {
        "text/plain": "002 ... done, nobody stalled",
        "text/html": "<table></table>",
        "image/png": base64.b64encode(b"\x89PNG").decode(),
    }


def test_metadata_holds_facts_and_svg_as_json() -> None:
    _, metadata = FULL._repr_mimebundle_()
    assert metadata == {
        "pgrunbook": {"at": "2026-03-01T00:00:00+00:00", "cost": "1.5", "pid": 7, "svg": "<svg/>"}
    }
    assert json.loads(json.dumps(metadata)) == metadata


def test_a_view_of_text_alone_is_an_output_of_ours_too() -> None:
    assert View("ok")._repr_mimebundle_() == ({"text/plain": "ok"}, {"pgrunbook": {}})


def test_a_fact_named_svg_does_not_become_the_picture() -> None:
    assert View("ok", facts={"svg": "<script>"}).metadata() == {"pgrunbook": {}}


def test_kinds_can_be_asked_for_and_left_out() -> None:
    assert set(FULL._repr_mimebundle_(include=["text/plain"])[0]) == {"text/plain"}
    assert set(FULL._repr_mimebundle_(exclude=["image/png"])[0]) == {"text/plain", "text/html"}


def test_ipython_takes_the_bundle_as_it_is() -> None:
    data, metadata = DisplayFormatter().format(FULL)
    assert data["text/plain"] == FULL.text
    assert metadata["pgrunbook"]["svg"] == "<svg/>"


def test_a_verdict_with_a_lone_surrogate_can_be_saved() -> None:
    data, _ = View("a\ud800", html="b\ud800")._repr_mimebundle_()
    assert json.dumps(data, ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize("value", ["$a$", "\\(a\\)", "\\[a\\]", "\\begin{a}", "a $1, $2", "\\ref{a}"])
def test_values_are_no_formulas(value: str) -> None:
    made = View("v", html=to_html([{"x": value}])).data()["text/html"]
    assert made.startswith('<div class="mathjax_ignore">')
    assert value in made


def test_only_what_could_be_a_formula_is_set_apart() -> None:
    for harmless in (
        "<table><tr><td>5 $</td></tr></table>",
        "<pre>DO $a$ SELECT $1 $a$</pre>",
        "<b>C:\\x</b>",
    ):
        assert "mathjax" not in View("v", html=harmless).data()["text/html"]


def test_words_stand_to_the_left_in_a_notebook_and_numbers_to_the_right() -> None:
    html = to_html([{"who": "ann", "n": 1}], caption="two")
    shown = View("x", html=html).data()["text/html"]
    left = 'style="text-align: left"'
    assert f"<caption {left}>two</caption>" in shown
    assert f'<thead><tr><th {left} scope="col">who</th><th scope="col" class="number">n</th>' in shown
    assert f'<tr><td {left}>ann</td><td class="number">1</td></tr>' in shown
    assert clean_html(shown) == clean_html(html)


def test_where_somebody_watches_a_picture_has_words_that_can_be_spoken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    view = View(
        "verdict",
        png=b"png",
        svg='<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
        facts={"picture": 'worst stall "6 ms" <b>'},
    )
    assert "text/html" not in view._repr_mimebundle_()[0]
    monkeypatch.setattr(kernel, "attended", lambda: True)
    data, metadata = view._repr_mimebundle_()
    assert data["text/html"] == (
        '<div class="pgrunbook-figure"><div>verdict</div>'
        '<img alt="worst stall &quot;6 ms&quot; &lt;b&gt;" src="data:image/png;base64,cG5n"></div>'
    )
    assert data["text/html"].startswith(FIGURE)
    # The record has the SVG, which says the same.
    kept = shown({"data": data, "metadata": metadata}, prefix="a")
    assert (kept.html, kept.note) == ("", "")
    assert "<svg" in kept.figure


def test_where_somebody_watches_a_table_fits_a_narrow_page(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "derived_unique_index_on_classes"
    view = View("verdict", html=to_html([{name: name, "code": "a_<b>_c"}]))
    saved = view._repr_mimebundle_()[0]["text/html"]
    assert "<style>" not in saved
    monkeypatch.setattr(kernel, "attended", lambda: True)
    watched = view._repr_mimebundle_()[0]["text/html"]
    assert watched.startswith("<style>table.pgrunbook{")
    assert watched.replace("<wbr>", "").endswith(saved)
    assert ">derived_<wbr>unique_<wbr>index_<wbr>on_<wbr>classes</td>" in watched
    assert "a_&lt;b&gt;_c" in watched
