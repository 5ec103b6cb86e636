"""The markup that a record's evidence may hold: what our cleaners write, and nothing that hides or covers a page."""

from __future__ import annotations

import re

from pgrunbook.views import sanitise, svg

__all__ = ["foreign"]

_TAG = re.compile(r'<(/?)([A-Za-z][A-Za-z0-9]*)((?:\s+[A-Za-z][\w:-]*(?:="[^"<]*")?)*)\s*(/?)>')
_BEGIN = re.compile(r"</?[^\s/>]*")
_ATTRIBUTE = re.compile(r'([A-Za-z][\w:-]*)(?:="([^"<]*)")?')
_VOID = frozenset({"br", "hr", "img", "wbr"})
_DRAWN = frozenset(svg.ELEMENTS.split())
_WRITTEN = sanitise.TAGS | {"h3", "h4", "figure", "img", "wbr"}
_CLASSES = frozenset(
    f"{sanitise.CLASSES} prose input prompt output stream stderr error verdict wide facts note".split()
)
_PLAIN = frozenset({"colspan", "rowspan", "scope", "role", "tabindex", "alt", "aria-label"})
_PICTURE = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
_ID = re.compile(r"(?:evidence-\d+|f\d+-[\w.-]+)")


def foreign(html: str, *, headings: bool = False) -> tuple[int, str] | None:
    """Return the first place that no cleaner wrote, as character and what stands there; None where there is none.

    With `headings` only a list of links to the evidence may be there. Elements must be closed in their order.

    >>> foreign("<p>a <b>b</b><br></p>"), foreign("<p>a</p><style>main { display: none }</style>")
    (None, (8, '<style>'))
    """
    still_open: list[str] = []
    at = html.find("<")
    while at >= 0:
        tag = _TAG.match(html, at)
        if tag is None or not _fits(tag, still_open, headings=headings):
            return at, f"{_BEGIN.findall(html[at : at + 40])[0]}>"
        if tag[1]:
            still_open.pop()
        elif tag[2] not in _VOID and not tag[4]:
            still_open.append(tag[2])
        at = html.find("<", tag.end())
    return (len(html), f"no </{still_open[-1]}>") if still_open else None


def _fits(tag: re.Match[str], still_open: list[str], *, headings: bool) -> bool:
    closes, name, given, alone = tag.groups()
    if closes:
        return bool(still_open) and still_open[-1] == name and not given and not alone
    attributes = _ATTRIBUTE.findall(given)
    if headings:
        return (name in ("ol", "li") and not given) or (
            name == "a" and bool(re.fullmatch(r' href="#evidence-\d+"', given))
        )
    drawn = "svg" in still_open
    if drawn or name == "svg":
        return name in _DRAWN and all(_in_picture(*one, outermost=not drawn) for one in attributes)
    return name in _WRITTEN and (not alone or name in _VOID) and all(_in_text(*one) for one in attributes)


def _in_picture(name: str, value: str, *, outermost: bool) -> bool:
    if name == "style":
        names = {one.partition(":")[0].strip() for one in value.split(";")}
        return names <= set(svg.PROPERTIES.split())
    if name == "href":
        return value.startswith("#f")
    if name == "id":
        return bool(_ID.fullmatch(value))
    # The outermost one could be pushed over the page.
    return name == "xmlns" or (name in svg.ATTRIBUTES.split() and not (outermost and name == "transform"))


def _in_text(name: str, value: str) -> bool:
    if name == "class":
        return set(value.split()) <= _CLASSES
    if name == "src":
        return bool(_PICTURE.fullmatch(value))
    if name == "id":
        return bool(_ID.fullmatch(value))
    return name in _PLAIN
