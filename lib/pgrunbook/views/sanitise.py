"""Foreign HTML and Markdown, reduced to what may stand in a record: words, lists, tables."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape
from typing import Any

import bleach
from bs4 import BeautifulSoup
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

from pgrunbook.views.text import encodable, visible

__all__ = ["CLASSES", "TAGS", "clean_html", "clean_markdown", "dropped", "plain_lines"]

# Taken out with everything inside; what stands in other unknown elements stays as text.
_WITH_CONTENT = "script style template noscript iframe object svg math head title"
_WORDS = (
    "p br hr div span em strong b i u s del ins sub sup small code pre kbd samp blockquote ul ol li dl dt dd"
    " table caption thead tbody tfoot tr th td"
)
TAGS = frozenset(_WORDS.split())
_HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
# Our tables' and pandas' own; then Pygments' short names, so that SQL keeps bold keywords and grey comments.
CLASSES = (
    "pgrunbook dataframe null mark more number hash time good bad long"
    " highlight k kn kd kt kc kr c c1 ch cm s s1 s2 sa m mi mf o ow p n nb nf"
)
_LARGEST = 3_000_000
_LONGEST = 20_000
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_HEADING = re.compile(r"<h([1-6])>(.*?)</h\1>", re.DOTALL)


def _attribute(tag: str, name: str, value: str) -> bool:
    """Allow attributes that hold no free text: nothing in a kept attribute can look like a tag."""
    if name == "class":
        return set(value.split()) <= set(CLASSES.split())
    if name in ("colspan", "rowspan"):
        return tag in ("td", "th") and value.isascii() and value.isdigit() and len(value) < 4
    return name == "scope" and tag == "th" and value in ("col", "row", "colgroup", "rowgroup")


_EMPTY_HEAD = re.compile(r"<th(?: [^>]{0,200})?></th>")


def clean_html(html: str, *, headings: bool = False) -> str:
    """Return the HTML with only text, lists and tables left; '' where nothing is left to see.

    No link, image, form, style, script, identifier or event handler survives: whatever a database or a
    foreign object put into an output can be read, and can do nothing.

    >>> clean_html('<b onclick="x()">a</b><script>alert(1)</script><img src="http://x/">')
    '<b>a</b>'
    """
    if "<" not in html or len(html) > _LARGEST:
        return _spelled_out(escape(html)) if len(html) <= _LARGEST else ""
    try:
        soup = BeautifulSoup(encodable(html), "html.parser")
        for tag in soup(_WITH_CONTENT.split()):
            tag.decompose()
        tags = TAGS | _HEADINGS if headings else TAGS
        cleaned: str = bleach.clean(str(soup), tags=tags, attributes=_attribute, protocols=(), strip=True)
        # An empty corner, as pandas makes it, heads nothing.
        cleaned = _EMPTY_HEAD.sub("<td></td>", cleaned)
    except RecursionError:
        return ""
    return _spelled_out(cleaned) if re.sub(r"<[^>]*>", "", cleaned).strip() else ""


def _spelled_out(html: str) -> str:
    """Return clean HTML with what hides spelled out, also behind entities; blanks of the layout stay."""
    return re.sub(r"[^\n\t\xa0 -~]+", lambda found: visible(found[0]), html)


def dropped(html: str) -> tuple[str, ...]:
    """Return the names of the elements that a record does not carry, for the note that says so.

    >>> dropped("<b>x</b><script>y</script><img src=x>")
    ('img', 'script')
    """
    if len(html) > _LARGEST:
        return ("more than 3 MB",)
    # Tables of pandas come with a style element; it is no loss and would only be noise.
    known = TAGS | _HEADINGS | {"style", "html", "body", "head", "a", "font", "center"}
    names = set(re.findall(r"<([a-z][a-z0-9-]{0,30})\b", html.lower()))
    return tuple(sorted(names - known))


class _Renderer(IPythonRenderer):
    """Markdown for a page that links nowhere and loads nothing."""

    def link(self, text: str, url: str, title: str | None = None) -> str:
        """Return the text followed by the address, which works on paper too."""
        return text if url.startswith("#") or text == escape(url) else f"{text} ({escape(url)})"

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Return what the picture is said to show."""
        return f"<em>[picture: {escape(text)}]</em>" if text else ""


def clean_markdown(source: str, *, anchor: Callable[[int, str], tuple[int, str]] | None = None) -> str:
    """Return Markdown as HTML, reduced like `clean_html`; links become their text and address.

    `anchor` is asked for the level and id of each heading, given its level and text.
    """
    renderer: Any = _Renderer(escape=False, exclude_anchor_links=True)
    html = clean_html(MarkdownWithMath(renderer=renderer).render(encodable(source)), headings=True)
    if anchor is None:
        return html

    def anchored(found: re.Match[str]) -> str:
        inner = re.sub(r"</?h[1-6]>", "", found[2])
        level, name = anchor(int(found[1]), unescape(re.sub(r"<[^>]*>", "", inner)))
        return f'<h{level} id="{escape(name)}">{inner}</h{level}>'

    return _HEADING.sub(anchored, html)


def plain_lines(text: str) -> str:
    r"""Return text for a `pre` element: escaped, no terminal colours, hidden characters spelled out, capped.

    >>> plain_lines("\x1b[31ma\x1b[0m <b>\n\tc")
    'a &lt;b&gt;\n        c'
    """
    shown = _ANSI.sub("", text[:_LONGEST])
    lines = [visible(line.rstrip("\r").expandtabs(8)) for line in shown.split("\n")]
    more = f"\n… ({len(text):,} characters, the first {_LONGEST:,} shown)" if len(text) > _LONGEST else ""
    return escape("\n".join(lines).rstrip("\n") + more)
