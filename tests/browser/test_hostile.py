"""Hostile names, values and words in every place of a run: in JupyterLab and in the record they are text."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psycopg
import pytest
import throwaway
from browser.axe import violations
from browser.lab import Lab, Operator
from playwright.sync_api import Page
from psycopg import sql

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

PWN = "window.__pwned=1"
# At most 63 bytes, as names and application names are.
SHORT = [
    f"\"><img src=x onerror='{PWN}'>",
    f"</style></title><script>{PWN}</script>",
    f"]]><svg onload={PWN}>",
    f"$\\href{{javascript:{PWN}}}{{x}}$",
    f"{{{{ {PWN} }}}} %s %n %(x)s {{0}} ${{7*7}}",
]
LONG = [
    f"<a href='javascript:{PWN}' autofocus onfocus='{PWN}'>x</a><iframe srcdoc='<script>parent.__pwned=1</script>'>",
    "<style>body{display:none;background:url(http://evil.example/s)}</style><link rel=stylesheet href=//evil.example>",
    f"[x](javascript:{PWN}) ![x](http://evil.example/i.png) <http://evil.example/> **bold** `x`",
    f"$$\\unicode{{x}} \\href{{javascript:{PWN}}}{{click}} \\require{{html}} \\style{{position:fixed}}{{x}}$$ \\(x\\)",
    json.dumps(
        {"$schema": "http://evil.example/vega.json", "data": {"url": "http://evil.example/d"}, "mark": PWN}
    ),
    "\u202egnp.exe\u2066 zero\u200bwidth \x1b[31mred\x07 \x85 \u2028 line",
    f"'\"`><script src=//evil.example/s.js></script><base href=//evil.example/><form action='javascript:{PWN}'>",
    "w" * 100_000,
]
TABLE, INDEX, ROLE = SHORT[0], SHORT[2], SHORT[1][:63]
APPLICATION = SHORT[3]
REASON = f"{LONG[0]} {LONG[3]} {SHORT[4]}"


def quoted(name: str) -> str:
    return sql.Identifier(name).as_string(None)


def literal(text: str) -> str:
    return sql.Literal(text).as_string(None)


def files() -> dict[str, str | None]:
    table, note = quoted(TABLE), quoted(SHORT[4])
    title, lock = f"Add {SHORT[1]} and {LONG[3]}", f"-- lock: AccessExclusive on {table}\n\n"
    there = (
        f"SELECT 1 AS {note} WHERE NOT EXISTS (SELECT FROM pg_attribute WHERE attname = {literal(SHORT[4])}"
    )
    telling = literal(
        f"BEGIN RAISE NOTICE USING MESSAGE = {literal(LONG[0])}, DETAIL = {literal(LONG[3])}; END"
    )
    failing = telling.replace("NOTICE", "EXCEPTION")
    return {
        "README.md": f"# {LONG[0]}\n\n{LONG[2]}\n\n{LONG[3]}\n",
        "checklist.md": f"## Before\n- [ ] backup: {LONG[0]} {SHORT[3]} A backup was taken.\n",
        "preflight/10_rows.sql": (
            f"-- {SHORT[0]} {LONG[2]}\n-- severity: warn\n-- effect: {LONG[0]}\n-- remedy: {SHORT[3]}\n\n"
            f"SELECT said AS {quoted(SHORT[0])}, said AS {quoted(SHORT[3])} FROM {table} ORDER BY id;\n"
        ),
        "migrate/001_add.sql": (
            f"-- {title}\n{lock}-- {LONG[0]}\nALTER TABLE {table} ADD COLUMN {note} text;\n"
            f"COMMENT ON TABLE {table} IS {literal(LONG[6])};\nDO {telling};\n"
        ),
        "verify/001_add.sql": f"-- {title}\n\n{there} AND attnum > 0);\n",
        "rollback/001_add.sql": f"-- {title}\n{lock}ALTER TABLE {table} DROP COLUMN {note};\n",
        "migrate/002_fail.sql": f"-- {SHORT[3]}\n{lock}DO {failing};\n",
        "verify/002_fail.sql": f"-- {title}\n\nSELECT 1 AS x;\n",
        "rollback/002_fail.sql": f"-- {title}\n-- lock: none\n\nSELECT 1;\n",
        "timing/10_rows.sql": (
            f"-- {SHORT[1]} {LONG[3]}\n-- expect: median < 1000 ms\n\n"
            f"SELECT count(*) AS {quoted(SHORT[2])} FROM {table};\n"
        ),
    }


CELLS = """\
from pgrunbook import Runbook
runbook = Runbook.open("700_hostile"); runbook
runbook.preflight()
runbook.sql("001")
runbook.time_before()
await runbook.checklist("before")
await runbook.gate("001")
await runbook.apply("001")
runbook.time_after()
runbook.lock_waits()
runbook.status()
await runbook.gate("002")
await runbook.apply("002")
runbook.verify()
runbook.record()
"""


@pytest.fixture
def notebook(lab: Lab) -> Lab:
    """The notebook of a change that is hostile in every word."""
    throwaway.write(lab.folder / "changes", files(), name="700_hostile")
    cells = [
        nbformat.v4.new_code_cell(line, id=f"c{n}", metadata={"tags": ["raises-exception"]})
        for n, line in enumerate(CELLS.splitlines())
    ]
    whole = nbformat.read(lab.folder / "whole.ipynb", as_version=4)
    book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": whole.metadata["kernelspec"]})
    nbformat.write(book, lab.notebook)
    return lab


@pytest.fixture
def table(operator: Operator) -> Iterator[None]:
    """A hostile table in the target, with hostile rows, and a hostile role's session that holds it."""
    conn = operator.conn
    conn.execute(f"CREATE TABLE {quoted(TABLE)} (id serial, said text)".encode())
    for value in [*SHORT, *LONG]:
        conn.execute(f"INSERT INTO {quoted(TABLE)} (said) VALUES ({literal(value)})".encode())
    conn.execute(f"CREATE INDEX {quoted(INDEX)} ON {quoted(TABLE)} (id)".encode())
    conn.execute(f"CREATE ROLE {quoted(ROLE)} LOGIN SUPERUSER".encode())
    yield
    for other in operator.others:
        other.close()
    conn.execute(f"DROP ROLE {quoted(ROLE)}".encode())


class Watched:
    """Everything that a page asks for, says and shows by itself."""

    def __init__(self, page: Page, own: str) -> None:
        self.page, self.own = page, own
        self.requests: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", lambda one: self._asked(one.url))
        page.on("dialog", self._dialog)

    def _asked(self, url: str) -> None:
        if not url.startswith((self.own, "data:", "blob:", self.own.replace("http", "ws"))):
            self.requests.append(url)

    def _dialog(self, dialog: Any) -> None:
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def harmless(self) -> None:
        """Nothing of what was planted ran, asked for anything, or became an element."""
        assert self.page.evaluate("typeof window.__pwned") == "undefined"
        assert self.requests == []
        assert self.dialogs == []
        within = ".jp-OutputArea-output" if self.own.startswith("http") else "body"
        active = [
            f"{within} {what}"
            for what in (
                "script", "iframe", "[onerror]", "[onload]", "[onfocus]", "[srcdoc]", "a[href^='javascript']",
                "link", "base", "form", "mjx-container", ".MathJax", "img[src='x']", "a[href*='evil']",
            )
        ]  # fmt: skip
        found = self.page.locator(", ".join(active)).evaluate_all(
            "all => all.map(one => one.outerHTML.slice(0, 300))"
        )
        assert found == []


def accessible(page: Page) -> None:
    """Say nothing where axe-core finds nothing in what our cells have put out.

    The frames around it are JupyterLab's own.
    """
    found = violations(page, ".jp-OutputArea-output > *")
    assert found == [], "\n".join(found)


def test_a_whole_run_with_hostile_words_everywhere(operator: Operator, table: None) -> None:
    page = operator.page
    watched = Watched(page, f"http://127.0.0.1:{operator.lab.port}/")
    operator.run_all()
    page.locator('.jp-OutputArea input[type="checkbox"]').first.wait_for()
    watched.harmless()
    accessible(page)
    board = operator.output("runbook.preflight()")
    for value in SHORT:
        assert value in board, value
    assert "\\u202egnp.exe\\u2066" in board
    operator.look("hostile_1_board")
    page.get_by_placeholder("remark").fill(REASON)
    page.get_by_placeholder("your name").fill(SHORT[1])
    page.locator('.jp-OutputArea input[type="checkbox"]').first.check()
    operator.button("Done").click()
    operator.button("GO").wait_for()
    watched.harmless()
    accessible(page)
    operator.look("hostile_2_gate")

    holder = psycopg.connect(operator.conn.info.dsn, user=ROLE, application_name=APPLICATION)
    operator.others.append(holder)
    holder.execute(f"SELECT {literal(LONG[0][:100])} AS {quoted(SHORT[3])} FROM {quoted(TABLE)}".encode())
    page.get_by_placeholder("reason or ticket").fill(REASON)
    page.get_by_placeholder("to arm GO").press_sequentially("APPLY")
    operator.button("GO").click()
    operator.button("End its session").wait_for()
    watched.harmless()
    accessible(page)
    shown = page.locator(".jp-OutputArea").filter(has=operator.button("Cancel")).first.inner_text()
    assert APPLICATION in shown, shown
    assert ROLE in shown
    operator.look("hostile_3_blocker")
    operator.button("End its session").click()
    operator.button("Yes, end the session").click()

    operator.page.get_by_text("Gate 002: ").wait_for()
    page.get_by_placeholder("reason or ticket").fill(LONG[0])
    page.get_by_placeholder("to arm GO").press_sequentially("APPLY")
    operator.button("GO").click()
    page.get_by_text("record written").wait_for()
    watched.harmless()
    accessible(page)
    operator.look("hostile_4_end")

    (file,) = operator.lab.folder.glob("records/*700_hostile*/record.html")
    record = page.context.new_page()
    opened = Watched(record, "file://")
    record.goto(file.as_uri())
    for media in ("screen", "print"):
        record.emulate_media(media=media)  # type: ignore[arg-type]
        opened.harmless()
        found = violations(record)
        assert found == [], "\n".join(found)
    text = record.locator("body").inner_text()
    missing = [
        one
        for one in (*SHORT, APPLICATION, ROLE, LONG[0], LONG[2], "\\u202egnp.exe\\u2066")
        if one not in text
    ]
    assert missing == []
    if folder := os.environ.get("BROWSER_PICTURES"):
        record.screenshot(path=Path(folder) / "hostile_5_record.png", full_page=True)


def test_what_would_act_is_found(operator: Operator) -> None:
    watched = Watched(operator.page, f"http://127.0.0.1:{operator.lab.port}/")
    code = f"from IPython.display import HTML; HTML({'<p style=color:#eee>pale</p>' + SHORT[0] + LONG[0]!r})"
    operator.cell("").locator(".jp-InputArea-editor").click()
    operator.page.keyboard.press("Control+A")
    operator.page.keyboard.insert_text(code)
    operator.page.keyboard.press("Control+Enter")
    operator.page.get_by_text("pale").last.wait_for()
    operator.eventually(lambda: operator.page.evaluate("typeof window.__pwned") != "undefined")
    with pytest.raises(AssertionError):
        watched.harmless()
    assert "frame-title" in str(violations(operator.page, ".jp-OutputArea-output > *"))
