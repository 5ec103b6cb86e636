"""Foreign HTML and Markdown can be read and can do nothing."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.views.sanitise import clean_html, clean_markdown, dropped, plain_lines

pytestmark = pytest.mark.static

ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<img src='http://evil/x.png'>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<a href='javascript:alert(1)'>x</a>",
    "<a href='http://evil/'>x</a>",
    "<iframe src='http://evil/'></iframe>",
    "<object data='http://evil/'></object><embed src='http://evil/'>",
    "<form action='http://evil/'><input autofocus onfocus=alert(1)><button>go</button></form>",
    "<link rel=stylesheet href='http://evil/'><meta http-equiv=refresh content='0;url=http://evil/'>",
    "<base href='http://evil/'>",
    "<style>body{background:url(http://evil/)}</style>",
    "<p style='background:url(http://evil/)'>x</p>",
    "<div id=main class='banner good'>x</div>",
    "<td class='good\" onclick=alert(1)'>x",
    "<th scope='col\" onclick=alert(1)'>x",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'></noscript>",
    "<template><img src=x onerror=alert(1)></template>",
    "<!--><img src=x onerror=alert(1)>-->",
    "<video><source onerror=alert(1)></video><audio src='http://evil/'>",
    "<details open ontoggle=alert(1)>x</details>",
    "<scr<script>ipt>alert(1)</scr</script>ipt>",
]
ALLOWED_ATTRIBUTES = {"class", "colspan", "rowspan", "scope", "id"}


def harmless(html: str) -> bool:
    soup = BeautifulSoup(html, "html.parser")
    tags = soup.find_all(True)
    bad = [
        tag.name
        for tag in tags
        if not re.fullmatch(r"h[1-6]|t(able|head|body|foot|r|d|h)|[a-z]{1,10}", tag.name)
    ]
    active = {
        "script",
        "img",
        "svg",
        "math",
        "a",
        "iframe",
        "object",
        "embed",
        "form",
        "input",
        "button",
        "link",
    }
    active |= {"meta", "base", "style", "video", "audio", "source", "details", "template", "noscript"}
    attributes = {name for tag in tags for name in tag.attrs}
    return not bad and not active & {tag.name for tag in tags} and attributes <= ALLOWED_ATTRIBUTES


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_html_comes_to_nothing(attack: str) -> None:
    assert harmless(clean_html(attack))
    assert harmless(clean_html(f"<table><tr><td>{attack}</td></tr></table>"))
    assert "id=" not in clean_html(attack)
    assert "banner" not in clean_html(attack)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_in_markdown_comes_to_nothing(attack: str) -> None:
    for source in (
        attack,
        f"# {attack}",
        f"- {attack}",
        f"a\n\n{attack}\n\nb",
        f"| {attack} |\n|---|\n| {attack} |",
    ):
        assert harmless(clean_markdown(source, anchor=lambda level, text: (3, "x")))


@given(st.text("<>/'\"= \n\x00\u202eabchimgsrtvxy!-", max_size=60))
def test_no_text_becomes_active(text: str) -> None:
    assert harmless(clean_html(text))
    assert harmless(clean_markdown(text, anchor=lambda level, heading: (3, "x")))


def test_a_table_keeps_its_shape() -> None:
    rows = '<tr><th scope="col">a</th></tr><tr><td class="null" colspan="2">b</td></tr>'
    html = f'<table class="pgrunbook">{rows}</table>'
    cleaned = clean_html(html)
    for part in (
        '<table class="pgrunbook">',
        '<th scope="col">a</th>',
        '<td class="null" colspan="2">b</td>',
    ):
        assert part in cleaned


def test_a_corner_of_a_table_that_heads_nothing_is_no_heading() -> None:
    assert clean_html('<table><tr><th scope="col"></th><th>a</th></tr></table>') == (
        "<table><tbody><tr><td></td><th>a</th></tr></tbody></table>"
    )


def test_what_a_script_holds_is_not_shown_as_text() -> None:
    assert clean_html("<b>x</b><script>plotly = 1</script><style>b{}</style>") == "<b>x</b>"


def test_html_with_nothing_left_to_see_is_nothing() -> None:
    assert clean_html("<div><script>x</script></div>") == ""
    assert clean_html("<p>" * 10 + "x" * 3_000_001) == ""


def test_html_nested_without_end_is_left_out_not_followed() -> None:
    assert harmless(clean_html("<div>" * 5000 + "deep"))


def test_what_was_left_out_is_named() -> None:
    assert dropped("<SCRIPT>x</SCRIPT><iframe></iframe><b>y</b><style></style>") == ("iframe", "script")
    assert dropped("<table><tr><td>x</td></tr></table>") == ()


def test_a_link_becomes_its_text_and_address() -> None:
    html = clean_markdown("Read [the manual](https://www.postgresql.org/docs/) or <https://a.example/>.")
    assert "the manual (https://www.postgresql.org/docs/)" in html
    assert html.count("https://a.example/") == 1
    assert "<a" not in html


def test_a_picture_in_markdown_becomes_its_description() -> None:
    assert "[picture: a plan]" in clean_markdown("![a plan](http://x/y.png)")
    assert clean_markdown("![](attachment:gone.png)") == ""


def test_sql_in_markdown_keeps_its_keywords() -> None:
    html = clean_markdown("```sql\nCREATE TABLE x (); -- <b>\n```")
    assert '<span class="k">CREATE</span>' in html
    assert "&lt;b&gt;" in html


def test_headings_get_the_level_and_name_that_the_page_gives_them() -> None:
    seen: list[tuple[int, str]] = []

    def anchor(level: int, text: str) -> tuple[int, str]:
        seen.append((level, text))
        return 3, 'a"b'

    html = clean_markdown("# One *more* <b>&amp;</b>\n\n### Two", anchor=anchor)
    assert seen == [(1, "One more &"), (3, "Two")]
    assert html.count('<h3 id="a&quot;b">') == 2


def test_headings_in_an_output_do_not_disturb_the_page() -> None:
    assert clean_html("<h1>x</h1>") == "x"


def test_what_hides_is_spelled_out_even_behind_an_entity() -> None:
    assert clean_html("<b>a&#x202e;b&#7;\u200bc</b>") == "<b>a\\u202eb?\\u200bc</b>"
    assert clean_html("a\u202eb") == "a\\u202eb"
    assert clean_html("<p>é 日本 😀\n\tx</p>") == "<p>é 日本 😀\n\tx</p>"


def test_terminal_text_is_shown_without_its_controls() -> None:
    assert plain_lines("\x1b[1;31mred\x1b[0m\x1b]8;;http://evil\x07link\x07 <b>\u202e") == (
        "redlink\\x07 &lt;b&gt;\\u202e"
    )


def test_endless_output_is_cut_and_says_so() -> None:
    shown = plain_lines("x" * 1_000_000)
    assert len(shown) < 21_000
    assert "1,000,000 characters" in shown
