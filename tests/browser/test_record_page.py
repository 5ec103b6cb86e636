"""A record with hostile values everywhere, opened in a browser, asks for nothing and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import nbformat
import pytest
import recorded
from browser.axe import violations
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from playwright.sync_api import Browser, Page, Route

from pgrunbook.views import style, table
from pgrunbook.views.record import Summary, export
from pgrunbook.views.view import View

pytestmark = pytest.mark.browser

PWN = "window.__pwned=1;alert(1)"
HOSTILE = (
    f"\"'><script>{PWN}</script><img src=http://evil.example/x.png onerror='{PWN}'>"
    f"<svg onload='{PWN}'></svg><style>@import url(http://evil.example/x.css)</style>\u202e\x07"
)
PLOTLY = (
    f"<div id='plot'><script src='http://evil.example/plotly.js'></script><script>{PWN}</script>"
    "<link rel=stylesheet href='http://evil.example/x.css'><iframe src='http://evil.example/'></iframe></div>"
)


@dataclass
class Opened:
    """A page and everything that happened while it was open."""

    page: Page
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)


def hostile_summary() -> Summary:
    return recorded.summary(HOSTILE, steps=3, checks=3)


def display(data: dict[str, Any], metadata: dict[str, Any] | None = None) -> Any:
    return nbformat.from_dict({"output_type": "display_data", "data": data, "metadata": metadata or {}})


def hostile_notebook() -> Any:
    fig = style.figure(8, 2)
    axes = fig.subplots()
    (bar,) = axes.barh(0, 5)
    axes.set_yticks([0], labels=[style.label(HOSTILE)])
    style.tip(bar, HOSTILE)
    drawn = style.render(fig, alt=HOSTILE)
    evil_svg = drawn.svg.replace(
        "<path", f'<script>{PWN}</script><image href="http://evil.example/"/><path', 1
    )
    views = [
        View(
            HOSTILE,
            html=table.to_html([{HOSTILE: HOSTILE, "n": None}], caption=HOSTILE),
            facts={HOSTILE: HOSTILE},
        ),
        View("an SVG chart", svg=drawn.svg, png=drawn.png),
        View("an SVG chart that was tampered with", svg=evil_svg),
        View("a PNG chart", png=drawn.png),
    ]
    outputs = [display(dict(view.data()), dict(view.metadata())) for view in views]
    outputs += [
        display({"application/vnd.jupyter.widget-view+json": {"model_id": "x"}, "text/plain": "Button(GO)"}),
        display({"text/html": PLOTLY, "text/plain": "Figure"}),
        display({"text/html": HOSTILE, "text/plain": HOSTILE}),
        display({"image/svg+xml": f"<svg xmlns='http://www.w3.org/2000/svg' onload='{PWN}'/>"}),
        display({"application/javascript": PWN}),
        nbformat.from_dict({"output_type": "stream", "name": "stdout", "text": HOSTILE}),
        nbformat.from_dict({"output_type": "error", "ename": HOSTILE, "evalue": HOSTILE, "traceback": []}),
    ]
    cells = [
        new_markdown_cell(
            f"# {HOSTILE}\n\n{HOSTILE}\n\n[x](javascript:{PWN}) ![x](http://evil.example/x.png)", id="a"
        ),
        new_code_cell(HOSTILE, id="b", execution_count=1, outputs=outputs),
    ]
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("record") / "record.html"
    file.write_text(export(hostile_notebook(), hostile_summary()), encoding="utf-8")
    return file


@pytest.fixture
def opened(browser: Browser, record: Path, request: pytest.FixtureRequest) -> Iterator[Opened]:
    width = getattr(request, "param", 1400)
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
    page = context.new_page()
    seen = Opened(page)

    def route(one: Route) -> None:
        if one.request.url == record.as_uri():
            one.continue_()
        else:
            seen.requests.append(one.request.url)
            one.abort()

    page.route("**/*", route)
    page.on(
        "request",
        lambda one: seen.requests.append(one.url) if one.url[:5] not in ("file:", "data:") else None,
    )
    page.on("console", lambda one: seen.console.append(one.text))
    page.on("pageerror", lambda one: seen.console.append(str(one)))

    def dismiss(dialog: Any) -> None:
        seen.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", dismiss)
    page.goto(record.as_uri(), wait_until="load")
    yield seen
    context.close()


def test_the_page_asks_for_nothing_and_runs_nothing(opened: Opened) -> None:
    page = opened.page
    page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    for place in page.locator("figure, td, nav a").all()[:30]:
        place.hover(force=True)
    page.wait_for_load_state("networkidle")
    assert page.evaluate("typeof window.__pwned") == "undefined"
    assert page.evaluate("document.scripts.length") == 0
    assert (opened.requests, opened.console, opened.dialogs) == ([], [], [])


def test_the_browser_itself_refuses_a_script_that_slipped_through(opened: Opened) -> None:
    page = opened.page
    with page.expect_console_message(lambda message: "Content Security Policy" in message.text):
        page.evaluate("document.body.innerHTML = '<img src=x:y onerror=\"window.__pwned=1\">'")
    assert page.evaluate("typeof window.__pwned") == "undefined"


def test_every_chart_is_seen(opened: Opened) -> None:
    charts = opened.page.locator("figure svg")
    assert charts.count() >= 2
    for chart in charts.all()[:2]:
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 300
        assert box["height"] > 50
        assert chart.locator("path").count() > 3
    picture = opened.page.locator("figure img").first
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 300


def test_hostile_values_can_be_read_as_text(opened: Opened) -> None:
    text = opened.page.locator("body").inner_text()
    assert "<script>window.__pwned=1;alert(1)</script>" in text
    assert "\\u202e" in text
    assert "Button(GO)" in text
    assert "not carried into the record: iframe, link, script" in text


@pytest.mark.parametrize("opened", [400, 1400], indirect=True)
def test_the_page_fits_a_telephone_and_a_desk(opened: Opened) -> None:
    wide, seen = opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide <= seen


@pytest.mark.parametrize("media", ["screen", "print"])
def test_the_page_is_accessible(opened: Opened, media: Literal["screen", "print"]) -> None:
    opened.page.emulate_media(media=media)
    assert violations(opened.page) == []


def test_what_is_not_accessible_is_found(opened: Opened) -> None:
    opened.page.evaluate(
        "document.querySelector('td').style.color = '#ddd'; document.querySelector('figure img').alt = '';"
        " document.querySelector('figure img').removeAttribute('alt'); document.documentElement.lang = ''"
    )
    found = {one.split()[0] for one in violations(opened.page)}
    assert found == {"color-contrast", "image-alt", "html-has-lang"}


def test_the_page_prints(opened: Opened) -> None:
    pdf = opened.page.pdf(prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF")
    opened.page.emulate_media(media="print")
    assert opened.page.locator("figure svg").first.is_visible()
    assert opened.page.evaluate(
        "[...document.querySelectorAll('.wide')].every(e => e.scrollWidth <= e.clientWidth + 1)"
    )
