"""SVG rebuilt from an allow-list, so that a picture can stand inside a page and do nothing but be seen."""

from __future__ import annotations

import re
from html import escape
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, ParseError

__all__ = ["ATTRIBUTES", "ELEMENTS", "PROPERTIES", "TIP", "rebuild"]

# An element whose id starts so gets the rest as its <title>, which browsers show as a tooltip.
TIP = "tip:"

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_LARGEST = 2_000_000
_DEEPEST = 60

ELEMENTS = (
    "svg g path rect circle ellipse line polyline polygon text tspan defs clipPath use title desc pattern"
)
_TEXTUAL = frozenset({"text", "tspan", "title", "desc"})
ATTRIBUTES = (
    "x y x1 y1 x2 y2 dx dy cx cy r rx ry d points width height viewBox transform preserveAspectRatio"
    " fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset"
    " stroke-linecap stroke-linejoin opacity clip-path clip-rule text-anchor font-size font-family"
    " font-weight patternUnits clipPathUnits role aria-label"
)
PROPERTIES = (
    "fill fill-opacity fill-rule stroke stroke-width stroke-opacity stroke-dasharray stroke-dashoffset"
    " stroke-linecap stroke-linejoin stroke-miterlimit opacity font font-family font-size font-weight"
    " font-style text-anchor"
)
_NAME = re.compile(r"[\w.-]+")
_LOCAL = re.compile(r"url\(#([\w.-]+)\)")
_VALUE = re.compile(r"[-+\w\s.,#%'\"]*")
_GEOMETRY = re.compile(r"[-+\w\s.,#%()]*")


def rebuild(svg: str, *, prefix: str = "", alt: str = "") -> str | None:
    """Return the picture with only drawing left in it, or None where it is not an SVG that can be trusted.

    Only listed elements and attributes survive; scripts, styles, images, event handlers, foreign content and
    every address but `#id` are gone. `prefix` goes before each id, because ids of several pictures meet in
    one page; `alt` becomes the label that a screen reader speaks.
    """
    # No picture of ours defines entities; one that does means to grow or to fetch.
    if len(svg) > _LARGEST or "<!ENTITY" in svg:
        return None
    try:
        root = ElementTree.fromstring(svg)
    except (ParseError, ValueError):
        return None
    if root.tag != f"{_SVG}svg":
        return None
    if alt:
        root.set("aria-label", alt)
    if not root.get("aria-label"):
        root.set("aria-label", "picture")
    root.set("role", "img")
    if alt:
        # The title is what a mouse over the picture shows: its first words; the description says all.
        for name, text in (("desc", alt), ("title", _headline(alt))):
            told = Element(f"{_SVG}{name}")
            told.text = text
            root.insert(0, told)
    return _element(root, prefix=prefix, used=_references(root), depth=0)


def _headline(alt: str) -> str:
    """Return the first clause of a picture's words.

    >>> _headline("Lock waits: nobody waited; 3 samples."), _headline("x" * 99) == "x" * 80 + "…"
    ('Lock waits: nobody waited', True)
    """
    first = re.split(r"[;.] |\.$", alt, maxsplit=1)[0]
    return first if len(first) <= 80 else f"{first[:80]}…"


def _references(root: Element) -> frozenset[str]:
    found: set[str] = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            found.update(_LOCAL.findall(value))
            if name in ("href", _XLINK) and value.startswith("#"):
                found.add(value[1:])
    return frozenset(found)


def _element(element: Element, *, prefix: str, used: frozenset[str], depth: int) -> str:
    name = str(element.tag).removeprefix(_SVG)
    if name not in ELEMENTS.split() or depth > _DEEPEST:
        return ""
    opening = [name]
    if name == "svg":
        opening.append('xmlns="http://www.w3.org/2000/svg"')
    tip = ""
    for key, value in element.attrib.items():
        if key == "id" and value.startswith(TIP):
            tip = f"<title>{escape(value.removeprefix(TIP))}</title>"
            continue
        # Of the outermost element it would push the whole picture over the page.
        kept = None if depth == 0 and key == "transform" else _attribute(key, value, prefix=prefix, used=used)
        if kept is not None:
            opening.append(f'{kept[0]}="{escape(kept[1])}"')
    text = escape(element.text or "") if name in _TEXTUAL else ""
    inner = [tip, text]
    for child in [] if name in ("title", "desc") else element:
        inner.append(_element(child, prefix=prefix, used=used, depth=depth + 1))
        if name in _TEXTUAL:
            inner.append(escape(child.tail or ""))
    content = "".join(inner)
    if name == "g" and len(opening) == 1 and not tip and element.find(f"{_SVG}title") is None:
        return content
    # A line end after each shape keeps the file readable and diffable; it draws nothing.
    end = "" if name in _TEXTUAL else "\n"
    return f"<{' '.join(opening)}>{content}</{name}>{end}" if content else f"<{' '.join(opening)}/>{end}"


def _attribute(key: str, value: str, *, prefix: str, used: frozenset[str]) -> tuple[str, str] | None:
    """Return the attribute as it may stay, or None."""
    if key == "id":
        return ("id", prefix + value) if value in used and _NAME.fullmatch(value) else None
    if key in ("href", _XLINK):
        return ("href", f"#{prefix}{value[1:]}") if value[:1] == "#" and _NAME.fullmatch(value[1:]) else None
    if key == "style":
        declarations = [_declaration(part, prefix=prefix) for part in value.split(";")]
        kept = "; ".join(declaration for declaration in declarations if declaration)
        return ("style", kept) if kept else None
    if key not in ATTRIBUTES.split():
        return None
    if key == "aria-label":
        return key, value
    local = _LOCAL.fullmatch(value)
    if local:
        return key, f"url(#{prefix}{local[1]})"
    return (key, value) if _GEOMETRY.fullmatch(value) and "url" not in value.lower() else None


def _declaration(text: str, *, prefix: str) -> str | None:
    name, _, value = (part.strip() for part in text.partition(":"))
    if name not in PROPERTIES.split():
        return None
    local = _LOCAL.fullmatch(value)
    if local:
        return f"{name}: url(#{prefix}{local[1]})"
    return f"{name}: {value}" if _VALUE.fullmatch(value) else None
