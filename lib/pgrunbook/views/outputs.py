"""One notebook output, as the record shows it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import Any

from markupsafe import Markup

from pgrunbook.views.sanitise import clean_html, dropped, plain_lines
from pgrunbook.views.svg import rebuild
from pgrunbook.views.table import heading, html_text
from pgrunbook.views.text import shorten, visible
from pgrunbook.views.units import counted, duration
from pgrunbook.views.view import FIGURE, KEY, SECTION

__all__ = ["Shown", "shown"]

_MOST_FACTS = 30
_LONGEST_LIST = 6
_LONGEST_FACT = 300
_BASE64 = re.compile(r"[A-Za-z0-9+/\s]+={0,2}\s*")
_LARGEST_IMAGE = 4_000_000
_EXTRAS = frozenset({"text/plain", "text/html", "image/png", "image/jpeg", "image/svg+xml"})


@dataclass(frozen=True, slots=True)
class Shown:
    """What is left of an output: safe markup, in the order in which it is read; '' where there is none."""

    verdict: Markup
    plain: Markup
    html: Markup
    figure: Markup
    facts: tuple[tuple[str, Markup], ...]
    note: str


def _text(data: Mapping[str, Any], kind: str) -> str:
    value = data.get(kind, "")
    return "".join(map(str, value)) if isinstance(value, list) else value if isinstance(value, str) else ""


def shown(
    output: Mapping[str, Any], *, prefix: str, redrawn: Mapping[str, str] = MappingProxyType({})
) -> Shown:
    """Return the output's parts; `prefix` keeps the ids inside its picture apart from all others.

    Of an output that a section of the page shows already, drawn from the ledger, the verdict alone is left.

    An output of ours opens with its verdict and keeps its table, picture and facts. Of a foreign output the
    best single part is shown. Nothing that could act is ever kept, and a note says what was left out.
    """
    data: Mapping[str, Any] = output.get("data") or {}
    metadata: Mapping[str, Any] = output.get("metadata") or {}
    ours = isinstance(metadata.get(KEY), Mapping)
    facts: Mapping[str, Any] = metadata[KEY] if ours else {}
    text, html = _text(data, "text/plain"), _text(data, "text/html")
    if title := redrawn.get(str(facts.get(SECTION, ""))):
        drawn = f"shown above under {title}, from the ledger"
        return Shown(Markup(plain_lines(text)), Markup(), Markup(), Markup(), (), drawn)
    if ours and html.removeprefix('<div class="mathjax_ignore">').startswith(FIGURE):
        html = ""
    table = clean_html(html) if html else ""
    svgs = (facts.get("svg"), _text(data, "image/svg+xml"))
    figure = _figure(svgs, data, alt=text, prefix=prefix)
    if ours:
        verdict, plain = plain_lines(text), ""
        # In the notebook the caption stands for the verdict; beside it, it would say the same twice.
        table = table.replace(f"<caption>{verdict}</caption>", "", 1)
    else:
        verdict, plain = "", "" if table or figure else plain_lines(text)
        figure = "" if table else figure
    lost = list(dropped(html)) if html else []
    if not (verdict or plain or table or figure):
        lost += sorted(visible(kind) for kind in data if kind not in _EXTRAS)
    return Shown(
        verdict=Markup(verdict),
        plain=Markup(plain),
        html=Markup(table),
        figure=Markup(figure),
        facts=_facts(facts),
        note=f"not carried into the record: {', '.join(lost[:12])}" if lost else "",
    )


def _figure(svgs: tuple[object, ...], data: Mapping[str, Any], *, alt: str, prefix: str) -> str:
    for svg in svgs:
        drawn = rebuild(svg, prefix=prefix) if isinstance(svg, str) and svg else None
        if drawn:
            return drawn
    for kind in ("image/png", "image/jpeg"):
        code = _text(data, kind)
        if code and len(code) <= _LARGEST_IMAGE and _BASE64.fullmatch(code):
            label = escape(shorten(visible(alt), 200) or "picture")
            return f'<img alt="{label}" src="data:{kind};base64,{"".join(code.split())}">'
    return ""


def _facts(facts: Mapping[str, Any]) -> tuple[tuple[str, Markup], ...]:
    items = [
        (str(name), value)
        for name, value in facts.items()
        if name not in ("svg", SECTION) and value not in (None, "", [], {})
    ]
    pairs = [_fact(name, value) for name, value in items[:_MOST_FACTS]]
    if len(items) > _MOST_FACTS:
        pairs.append(("more", f"{counted(len(items) - _MOST_FACTS, 'fact')} in the notebook"))
    return tuple((label, Markup(html_text(shorten(text, _LONGEST_FACT)))) for label, text in pairs)


def _fact(name: str, value: object) -> tuple[str, str]:
    label = shorten(heading(name), 60)
    if isinstance(value, bool):
        return label, "yes" if value else "no"
    if isinstance(value, int | float):
        if name.endswith("_ms"):
            return label.removesuffix(" ms"), duration(value)
        if name.endswith("_seconds"):
            return label.removesuffix(" seconds"), duration(value * 1000)
        return label, f"{value:,}" if isinstance(value, int) and "pid" not in name else str(value)
    if isinstance(value, list):
        simple = all(not isinstance(item, list | Mapping) for item in value)
        if simple and len(value) <= _LONGEST_LIST:
            return label, ", ".join(map(str, value))
        return label, f"{counted(len(value), 'item')}, kept in the notebook"
    if isinstance(value, Mapping):
        simple = all(not isinstance(item, list | Mapping) for item in value.values())
        if simple and len(value) <= _LONGEST_LIST:
            return label, ", ".join(f"{key} {item}" for key, item in value.items())
        return label, f"{counted(len(value), 'entry', 'entries')}, kept in the notebook"
    return label, str(value)
