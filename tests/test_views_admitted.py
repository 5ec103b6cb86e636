"""What evidence may hold: all that our cleaners write of hostile outputs, and nothing else."""

from __future__ import annotations

import pytest

from pgrunbook.views.admitted import foreign

DRAWN = '<figure><svg xmlns="http://www.w3.org/2000/svg" width="4"><clipPath id="f1-a"><path d="M0 0"/></clipPath>'


@pytest.mark.parametrize(
    "html",
    [
        "",
        "a &lt;b&gt; c",
        '<div class="prose">\n<h3 id="evidence-1">a</h3><p>b<br>c</p></div>',
        '<div class="wide" role="group" aria-label="table" tabindex="0"><table class="dataframe"><tr>'
        '<th scope="row">a</th><td colspan="2">b</td></tr></table></div>',
        f'{DRAWN}<g style="fill: #fff; stroke: none"><use href="#f1-a"/><title>t</title></g></svg></figure>',
        '<figure><img alt="a > b" src="data:image/png;base64,AAAA"></figure>',
    ],
)
def test_what_our_cleaners_write_is_admitted(html: str) -> None:
    assert foreign(html) is None


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ("<b>x", (4, "no </b>")),
        ("<b><i></b></i>", (6, "</b>")),
        ("</main>", (0, "</main>")),
        ("a<!-- b -->", (1, "<!-->")),
        ("<![CDATA[x]]>", (0, "<![CDATA[x]]>")),
        ("<p onclick='x'>", (0, "<p>")),
        ('<p onclick="x">y</p>', (0, "<p>")),
        ('<p style="color: red">y</p>', (0, "<p>")),
        ('<p class="banner good">y</p>', (0, "<p>")),
        ('<p id="main">y</p>', (0, "<p>")),
        ("<title>y</title>", (0, "<title>")),
        ("<STYLE>y</STYLE>", (0, "<STYLE>")),
        ('<img src="https://example.org/a.png">', (0, "<img>")),
        ('<svg transform="translate(0 -900)"></svg>', (0, "<svg>")),
        ('<svg style="position: fixed"></svg>', (0, "<svg>")),
        ("<svg><style>x</style></svg>", (5, "<style>")),
        ("<svg><p>x</p></svg>", (5, "<p>")),
        ("a < b", (2, "<>")),
    ],
)
def test_everything_else_is_named_with_its_place(html: str, found: tuple[int, str]) -> None:
    assert foreign(html) == found


def test_among_the_headings_are_links_to_the_evidence_alone() -> None:
    assert foreign('<ol>\n<li><a href="#evidence-1">a</a></li>\n</ol>', headings=True) is None
    for html in (
        "<p>a</p>",
        '<a href="#facts">a</a>',
        '<a href="#evidence-1" class="skip">a</a>',
        "<ol>",
        "<h3>a</h3>",
    ):
        assert foreign(html, headings=True) is not None, html
