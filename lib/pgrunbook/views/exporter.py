"""The nbconvert exporter behind a record: one page, everything escaped unless a cleaner made it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jinja2 import Environment
from markupsafe import Markup
from nbconvert.exporters.templateexporter import TemplateExporter
from nbconvert.filters import Highlight2HTML

from pgrunbook.views.outputs import Shown, shown
from pgrunbook.views.sanitise import clean_html, clean_markdown, plain_lines
from pgrunbook.views.table import jointed
from pgrunbook.views.text import shorten, visible

__all__ = ["RecordExporter", "source"]


class RecordExporter(TemplateExporter):
    """Renders a notebook and a summary through the template in this package.

    It is not an HTMLExporter: that one knows a dozen addresses of script libraries and parses the finished
    page once more with a lenient parser, which could undo what was cleaned. Here autoescaping is on, and only
    `Markup` from a cleaner passes as it is. Use one exporter for one page.
    """

    output_mimetype = "text/html"

    def __init__(self, *, redrawn: Mapping[str, str] = MappingProxyType({}), **options: Any) -> None:
        """Point nbconvert at the template folder of this package.

        `redrawn` names the sections of the page that show pictures already, drawn from the ledger, with their titles.
        """
        self._redrawn = redrawn
        folder = Path(str(resources.files("pgrunbook.views")))
        self.headings: list[dict[str, str]] = []
        self._level = 2
        self._anchors = 0
        self._figures = 0
        parent: Any = super()
        parent.__init__(
            template_name="template", file_extension=".html", extra_template_basedirs=[str(folder)], **options
        )

    def _create_environment(self) -> Environment:
        parent: Any = super()
        environment: Environment = parent._create_environment()
        environment.autoescape = True
        environment.finalize = _one_line
        environment.trim_blocks = environment.lstrip_blocks = True
        environment.globals["stylesheet"] = Markup(
            resources.files("pgrunbook.views").joinpath("template", "record.css").read_text("utf-8")
        )
        environment.globals["headings"] = self.headings
        filters: dict[str, Any] = {
            "code": lambda text: source(text, "python"),
            "jointed": lambda html: Markup(jointed(str(html))),
            "lines": lambda text: Markup(plain_lines(str(text))),
            "markdown": self._markdown,
            "shown": self._shown,
        }
        environment.filters.update(filters)
        return environment

    def _markdown(self, source: str) -> Markup:
        return Markup(clean_markdown(source, anchor=self._anchor))

    def _anchor(self, level: int, text: str) -> tuple[int, str]:
        """Return where a heading of the notebook stands below the record's own h1 and h2."""
        self._anchors += 1
        name = f"evidence-{self._anchors}"
        self._level = 3 if level <= 2 or self._level < 3 else 4
        if self._level == 3:
            self.headings.append({"id": name, "title": shorten(visible(text), 80)})
        return self._level, name

    def _shown(self, output: Mapping[str, Any]) -> Shown:
        self._figures += 1
        return shown(output, prefix=f"f{self._figures}-", redrawn=self._redrawn)


def _one_line(value: object) -> object:
    """Return what a template puts into the page; all that is not markup becomes one visible line."""
    return value if isinstance(value, Markup) else visible(value)


def source(text: str, language: str) -> Markup:
    """Return source code as HTML, coloured where its language is known."""
    if not language or len(text) > 20_000 or re.search(r"[^\n\t -~\u00a1-\u1fff]", text):
        return Markup(f"<pre>{plain_lines(text)}</pre>")
    highlight: Any = Highlight2HTML
    marked: str = highlight(pygments_lexer=language)(text)
    return Markup(clean_html(marked))
