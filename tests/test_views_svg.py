"""A picture that is rebuilt can only be seen."""

from __future__ import annotations

import pytest

from pgrunbook.views.svg import rebuild

pytestmark = pytest.mark.static

HEAD = '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="0 0 9 9"'


def wrap(inside: str) -> str:
    return f"{HEAD}>{inside}</svg>"


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        '<script xlink:href="http://evil/x.js"/>',
        '<path d="M0 0" onclick="alert(1)"/>',
        '<foreignObject><p xmlns="http://www.w3.org/1999/xhtml">evil</p></foreignObject>',
        '<image href="http://evil/x.png"/>',
        '<use href="http://evil/x.svg#a"/>',
        '<use xlink:href="data:image/svg+xml;base64,evil"/>',
        '<a href="javascript:alert(1)"><text>x</text></a>',
        "<style>@import url(http://evil/);</style>",
        '<path style="fill: url(http://evil/)" d="M0 0"/>',
        '<path fill="url(http://evil/)" d="M0 0"/>',
        '<path style="background: red; behavior: evil" d="M0 0"/>',
        '<animate attributeName="href" values="javascript:alert(1)"/>',
        '<set attributeName="onclick" to="alert(1)"/>',
        "<title><script>alert(1)</script></title>",
        "<desc><svg><script>alert(1)</script></svg></desc>",
    ],
)
def test_nothing_that_acts_or_loads_survives(inside: str) -> None:
    kept = rebuild(wrap(inside))
    assert kept is not None
    for trace in (
        "script",
        "evil",
        "alert",
        "onclick",
        "foreignObject",
        "<style",
        "javascript",
        "<a",
        "<image",
    ):
        assert trace not in kept


def test_an_event_handler_on_the_picture_itself_is_gone() -> None:
    kept = rebuild(f'{HEAD} onload="alert(1)"><path d="M0 0"/></svg>')
    assert kept is not None
    assert "alert" not in kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a picture",
        "<html/>",
        "<svg/>",
        "<svg",
        f'<!DOCTYPE svg [<!ENTITY a "aa">]>{wrap("<text>&a;</text>")}',
        f'<!DOCTYPE svg [<!ENTITY a SYSTEM "file:///etc/passwd">]>{wrap("<text>&a;</text>")}',
        wrap("x" * 2_000_001),
    ],
)
def test_what_is_no_picture_is_refused(text: str) -> None:
    assert rebuild(text) is None


def test_text_and_tooltips_are_escaped() -> None:
    kept = rebuild(wrap('<g id="tip:&lt;b&gt; &amp; &quot;x"><text>&lt;script&gt;</text></g>'))
    assert kept is not None
    assert "<title>&lt;b&gt; &amp; &quot;x</title>" in kept
    assert "<text>&lt;script&gt;</text>" in kept


def test_ids_of_two_pictures_do_not_meet() -> None:
    picture = wrap(
        '<defs><path id="m" d="M0 0"/><clipPath id="c"><path d="M0 0"/></clipPath></defs>'
        '<use xlink:href="#m" clip-path="url(#c)" style="fill: url(#h)"/>'
        '<g id="figure_1"><path d="M1 1"/></g>'
    )
    kept = rebuild(picture, prefix="f2-")
    assert kept is not None
    for part in ('id="f2-m"', 'href="#f2-m"', 'id="f2-c"', 'clip-path="url(#f2-c)"', "fill: url(#f2-h)"):
        assert part in kept
    assert "figure_1" not in kept


def test_a_picture_is_named_for_who_cannot_see_it() -> None:
    kept = rebuild(wrap(""), alt='6 ms "worst" <stall>')
    assert kept is not None
    assert 'role="img"' in kept
    assert 'aria-label="6 ms &quot;worst&quot; &lt;stall&gt;"' in kept


def test_rebuilding_twice_changes_nothing_more() -> None:
    once = rebuild(wrap('<g id="tip:a"><path d="M 0 0" style="fill: #fff"/></g>'), alt="a")
    assert once is not None
    assert rebuild(once) == once


def test_a_picture_nested_without_end_is_cut_not_followed() -> None:
    kept = rebuild(wrap("<g>" * 500 + '<path d="M0 0"/>' + "</g>" * 500))
    assert kept is not None
    assert "path" not in kept


def test_the_words_of_a_picture_are_its_title_and_its_description() -> None:
    kept = rebuild(wrap("<title>old</title>"), alt="Lock waits: nobody waited; 3 <samples>.")
    assert kept is not None
    assert (
        "<title>Lock waits: nobody waited</title><desc>Lock waits: nobody waited; 3 &lt;samples&gt;.</desc>"
        in kept
    )
    assert 'role="img"' in kept


def test_a_picture_cannot_be_pushed_over_the_page() -> None:
    moved = '<svg xmlns="http://www.w3.org/2000/svg" transform="translate(0 -900)"><g transform="scale(2)"/></svg>'
    drawn = rebuild(moved) or ""
    assert "translate" not in drawn
    assert 'transform="scale(2)"' in drawn
