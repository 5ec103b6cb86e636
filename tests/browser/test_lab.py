"""A person at a live notebook in JupyterLab: GO, NO-GO, Cancel and the stop button, clicked with Chromium."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from pgrunbook import scaffold
from pgrunbook import server as embedded

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CHANGE = "700_clicked"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
# The cells of the template that a gate and a step need, and one more that shows that Run All went on.
KEPT = ("change =", "Runbook.open", "runbook.preflight()", 'gate("001")', 'apply("001")', 'gate("002")')
LAST = "'Run All came to its ' + 'end'"
PATIENCE_MS = 30_000
ASKED = 'await runbook.checklist("before")'
CHECKLIST = """\
## Before
- [ ] backup: A backup of this database was taken today, and restored somewhere to see that it can be.
- [ ] staging: The change was applied, rolled back and applied again on staging, with this version of its files.
"""


@dataclass
class Lab:
    """A JupyterLab with the small change in its folder; its target is whatever `service` was last given."""

    folder: Path
    port: int
    token: str
    process: subprocess.Popen[bytes]

    @property
    def notebook(self) -> Path:
        """The only notebook."""
        return self.folder / "notebooks" / f"{CHANGE}.ipynb"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}/{path}?token={self.token}"

    def ask(self, path: str, method: str = "GET") -> Any:
        request = urllib.request.Request(self.url(path), method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"null")


@dataclass
class Operator:
    """Somebody at the open notebook, with a psql window beside it."""

    page: Page
    lab: Lab
    conn: psycopg.Connection[Any]
    eventually: Callable[..., Any]
    others: list[psycopg.Connection[Any]] = field(default_factory=list)

    def run_all(self) -> None:
        self.menu("Run", "Run All Cells")

    def menu(self, bar: str, item: str) -> None:
        self.page.locator(f'.lm-MenuBar-itemLabel:text-is("{bar}")').click()
        self.page.locator(f'.lm-Menu-itemLabel:text-is("{item}")').click()

    def cell(self, source: str) -> Locator:
        return self.page.locator(".jp-CodeCell").filter(has_text=source).first

    def run_cell(self, source: str) -> None:
        self.cell(source).locator(".jp-InputArea-editor").click()
        self.page.keyboard.press("Control+Enter")

    def button(self, label: str) -> Locator:
        return self.page.locator(f'button.jupyter-button:text-is("{label}")')

    def answer(self, button: str, *, word: str = "", reason: str = "CHG-1234") -> None:
        self.type("reason or ticket", reason)
        self.type("to arm GO", word)
        self.button(button).click()

    def type(self, field: str, text: str) -> None:
        """Type key by key: each key is a message to the kernel, whose cell is waiting."""
        self.page.get_by_placeholder(field).fill("")
        self.page.get_by_placeholder(field).press_sequentially(text)

    def output(self, source: str) -> str:
        return self.cell(source).locator(".jp-OutputArea-output").first.inner_text()

    def waits_in_the_way(self, who: str) -> None:
        self.page.get_by_text(re.compile(rf"pid \d+ '{who}' holds AccessShareLock")).wait_for()

    def somebody(self, name: str) -> psycopg.Connection[Any]:
        """A session that has read the table and left its transaction open."""
        other = psycopg.connect(self.conn.info.dsn, application_name=name)
        other.execute("SELECT count(*) FROM example")
        self.others.append(other)
        return other

    def status(self) -> str:
        if self.conn.execute("SELECT to_regclass('pgrunbook.step')").fetchone() == (None,):
            return "no ledger"
        row = self.conn.execute("SELECT status FROM pgrunbook.step WHERE step LIKE '001%'").fetchone()
        return str(row[0]) if row else "not run"

    def events(self) -> list[tuple[str, str]]:
        found = self.conn.execute("SELECT kind, actor FROM pgrunbook.event WHERE step <> '' ORDER BY id")
        return [(str(kind), str(actor)) for kind, actor in found]

    def saved(self, source: str, shows: str) -> list[Any]:
        """The code cells of the file, saved until that cell's output in it shows a text."""

        def cells() -> list[Any]:
            self.menu("File", "Save Notebook")
            try:
                found = nbformat.read(self.lab.notebook, as_version=4).cells
            except nbformat.reader.NotJSONError:
                return []  # half written
            return found if any(source in cell.source and shows in str(texts(cell)) for cell in found) else []

        found: list[Any] = self.eventually(cells, interval=0.2)
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI has to click the gates in one")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield running
        running.close()


@pytest.fixture(scope="module")
def lab(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    write_notebook(folder)
    config = folder / "config" / "labconfig"
    config.mkdir(parents=True)
    (config / "default_setting_overrides.json").write_text(json.dumps(SETTINGS))
    port, token = free_port(), secrets.token_hex(8)
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={token}",
        f"--ServerApp.root_dir={folder / 'notebooks'}", f"--LabApp.workspaces_dir={folder / 'workspaces'}",
        f"--LabApp.user_settings_dir={folder / 'settings'}",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_DATA_DIR": str(folder / "data"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PGRUNBOOK_CHANGES": str(folder / "changes"),
        "PGRUNBOOK_RECORDS": str(folder / "records"),
        "PGRUNBOOK_OPERATOR": "ann",
        "PGRUNBOOK_TARGET": "service=clicked",
        "PGSERVICEFILE": str(folder / "services"),
    }
    with (folder / "lab.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    made = Lab(folder, port, token, process)
    try:
        wait_until_it_answers(made)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def write_notebook(folder: Path) -> None:
    """Make a change from the template, and of its notebook the part up to the second gate."""
    notebooks, changes = folder / "notebooks", folder / "changes"
    notebooks.mkdir()
    changes.mkdir()
    text = (ROOT / "notebooks" / "_template.py").read_text(encoding="utf-8")
    (notebooks / "_template.py").write_text(text, encoding="utf-8")
    scaffold.create(
        CHANGE, root=changes, template=ROOT / "sql" / "changes" / "_template", notebooks=notebooks
    )
    path = notebooks / f"{CHANGE}.ipynb"
    whole = nbformat.read(path, as_version=4)
    chosen = [next(cell for cell in whole.cells if words in cell.source) for words in KEPT]
    last = nbformat.v4.new_code_cell(LAST, id="the-last")
    book = nbformat.v4.new_notebook(
        cells=[*chosen, last], metadata={"kernelspec": whole.metadata["kernelspec"]}
    )
    nbformat.write(book, path)
    for twin in notebooks.glob("*.py"):
        twin.unlink()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_it_answers(lab: Lab) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            lab.ask("api/status")
        except OSError:
            assert lab.process.poll() is None, (lab.folder / "lab.log").read_text()
            assert time.monotonic() < until, (lab.folder / "lab.log").read_text()
            time.sleep(0.05)
        else:
            return


@pytest.fixture
def operator(
    lab: Lab, browser: Browser, server: embedded.Server, eventually: Callable[..., Any]
) -> Iterator[Operator]:
    """An operator before the freshly opened notebook; the target is a fresh database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    conninfo = embedded.create_database(server, name)
    parts = psycopg.conninfo.conninfo_to_dict(conninfo)
    service = "\n".join(["[clicked]", *(f"{key}={value}" for key, value in parts.items())])
    (lab.folder / "services").write_text(f"{service}\n")
    context = browser.new_context(viewport={"width": 1300, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    before = lab.notebook.read_bytes()
    with psycopg.connect(conninfo, autocommit=True) as conn:
        sample = lab.folder / "changes" / CHANGE / "samples" / "go.sql"
        conn.execute(sample.read_bytes())
        someone = Operator(page, lab, conn, eventually)
        try:
            page.goto(f"{lab.url(f'lab/tree/{lab.notebook.name}')}&reset")
            page.get_by_text(re.compile(r"^Python 3 \(ipykernel\) \| Idle$")).wait_for()
            yield someone
        finally:
            for other in someone.others:
                other.close()
            context.close()
            for running in lab.ask("api/sessions"):
                with contextlib.suppress(OSError):
                    lab.ask(f"api/sessions/{running['id']}", "DELETE")
            lab.notebook.write_bytes(before)
    embedded.drop_database(server, name)


@pytest.fixture
def checklist(lab: Lab) -> Iterator[None]:
    """The change has a checklist, and the notebook a cell for it, before it is opened."""
    file, before = lab.folder / "changes" / CHANGE / "checklist.md", lab.notebook.read_bytes()
    file.write_text(CHECKLIST, encoding="utf-8")
    book = nbformat.read(lab.notebook, as_version=4)
    book.cells.insert(3, nbformat.v4.new_code_cell(ASKED, id="checklist"))
    nbformat.write(book, lab.notebook)
    yield
    file.unlink()
    lab.notebook.write_bytes(before)


def texts(cell: Any) -> list[str]:
    return [out.get("evalue") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]


def widgets(cells: list[Any]) -> list[str]:
    return [
        kind for cell in cells for out in cell.outputs for kind in out.get("data", {}) if "widget" in kind
    ]


def test_run_all_waits_at_the_gate_and_go_lets_one_step_run(operator: Operator) -> None:
    operator.run_all()
    go = operator.button("GO")
    go.wait_for()
    # The question has come before the eye by itself: Run All leaves the notebook at its last cell.
    assert go.is_visible()
    assert operator.page.get_by_text("LIVE: service clicked").is_visible()
    assert go.is_disabled()
    assert operator.status() == "no ledger"

    operator.type("to arm GO", "apply")
    assert go.is_disabled()
    operator.answer("GO", word="APPLY")
    operator.page.get_by_text("Gate 002: ").wait_for()
    assert operator.status() == "done"
    assert operator.events() == [("gate", "ann"), ("apply started", "ann"), ("apply done", "ann")]
    assert (
        operator.output('gate("001")') == "gate 001_forbid_missing_label ... open, approved by ann (CHG-1234)"
    )

    operator.answer("NO-GO")
    operator.page.get_by_text("GateClosed").wait_for()
    cells = operator.saved('gate("002")', "NO-GO")
    assert widgets(cells) == []
    assert [len(cell.outputs) for cell in cells] == [0, 1, 1, 1, 1, 1, 0]
    assert texts(cells[4]) == ["001 Refuse rows without a label from now on ... done, nobody stalled"]


def test_no_go_is_one_sentence_and_no_later_cell_runs(operator: Operator) -> None:
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("NO-GO", reason="too late at night")
    operator.page.get_by_text("GateClosed").wait_for()
    shown = operator.output('gate("001")')
    assert shown.splitlines() == [
        "GateClosed: the gate of 001_forbid_missing_label is closed: ann said NO-GO (too late at night)",
        '  next: approve it with runbook.gate("001") in the notebook, or --approve-all --reason TEXT'
        " on the command line; nothing was changed",
    ]
    operator.page.get_by_text(re.compile(r"\| Idle$")).wait_for()
    cells = operator.saved('gate("001")', "NO-GO")
    assert [cell.execution_count is not None for cell in cells] == [True] * 4 + [False] * 3
    assert cells[3].outputs[0].ename == "GateClosed"
    assert widgets(cells) == []
    assert operator.status() == "not run"
    assert operator.events() == [("gate", "ann")]


def test_cancel_ends_a_wait_and_the_same_cell_resumes(operator: Operator) -> None:
    reader = operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    assert operator.status() == "running"
    # Nobody waits behind us: another reader and a writer get through at once.
    operator.conn.execute("SET statement_timeout TO '1s'; UPDATE example SET note = 'x' WHERE id = 1")

    operator.button("Cancel").click()
    operator.page.get_by_text("StepCancelled").wait_for()
    assert operator.output('apply("001")').splitlines() == [
        "StepCancelled: 001_forbid_missing_label was cancelled",
        "  the transaction was rolled back: nothing was left behind",
        "  next: run the same cell or command again to resume",
    ]
    assert operator.status() == "failed"
    assert operator.events()[-1] == ("apply cancelled", "ann")
    assert operator.page.get_by_text("Gate 002: ").count() == 0

    reader.close()
    operator.run_cell('apply("001")')
    operator.page.get_by_text("done, nobody stalled").wait_for()
    assert operator.status() == "done"
    assert operator.events()[-1] == ("apply done", "ann")
    assert widgets(operator.saved('apply("001")', "done")) == []


def test_the_stop_button_ends_a_wait_and_a_gate_at_once(operator: Operator) -> None:
    operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    began = time.monotonic()
    stop = operator.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]')
    stop.click()
    operator.page.get_by_text("StepCancelled").wait_for()
    assert time.monotonic() - began < 3
    assert operator.status() == "failed"
    assert operator.events()[-1] == ("apply cancelled", "ann")
    held = "SELECT count(*) FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation WHERE c.relname = 'example'"
    assert operator.conn.execute(f"{held} AND l.mode <> 'AccessShareLock'").fetchone() == (0,)

    operator.run_cell('gate("002")')
    operator.page.get_by_text("Gate 002: ").wait_for()
    stop.click()
    operator.page.get_by_text("the cell was stopped before anybody answered").wait_for()
    assert widgets(operator.saved('gate("002")', "stopped")) == []


def test_who_is_in_the_way_is_ended_on_the_second_click(operator: Operator) -> None:
    operator.somebody("month end report")
    operator.run_all()
    operator.button("GO").wait_for()
    operator.answer("GO", word="APPLY")
    operator.waits_in_the_way("month end report")
    operator.button("End its session").click()
    operator.page.get_by_text(
        re.compile(r"^End the session of pid \d+ 'month end report' of role 'postgres'\?$")
    ).wait_for()
    assert operator.status() == "running"
    operator.button("Yes, end the session").click()
    operator.page.get_by_text("Gate 002: ").wait_for()
    assert operator.status() == "done"
    # The step may be done before the session is seen to be gone, which is part of its event.
    operator.eventually(lambda: ("blocker ended", "ann") in operator.events())
    operator.answer("NO-GO")
    assert widgets(operator.saved('gate("002")', "NO-GO")) == []


def test_a_checklist_is_ticked_item_by_item_before_its_step(checklist: None, operator: Operator) -> None:
    operator.run_all()
    boxes = operator.page.locator('.jp-OutputArea input[type="checkbox"]')
    operator.button("Done, 2 items left open").wait_for()
    assert operator.status() == "no ledger"
    remark, name = operator.page.get_by_placeholder("remark"), operator.page.get_by_placeholder("your name")
    remark.nth(1).press_sequentially("on s2")
    name.nth(1).fill("")
    operator.eventually(boxes.nth(1).is_disabled)
    name.nth(1).press_sequentially("bob")
    boxes.nth(1).check()
    operator.eventually(lambda: operator.status() != "no ledger" and ("ticked", "ann") in operator.events())
    operator.button("Done, 1 item left open").click()
    # What is open closes the gate, which is not even asked.
    operator.page.get_by_text("ItemsOpen").wait_for()
    assert "backup: A backup of this database" in operator.output('gate("001")')
    assert operator.output(ASKED).startswith("before: 1 of 2 ticked")

    operator.run_cell(ASKED)
    boxes.nth(0).check()
    operator.button("Done").click()
    operator.page.get_by_text("before: 2 of 2 ticked").wait_for()
    cells = operator.saved(ASKED, "2 of 2")
    assert widgets(cells) == []
    told = operator.conn.execute(
        "SELECT detail ->> 'item', detail ->> 'who', detail ->> 'remark' FROM pgrunbook.event"
        " WHERE kind = 'ticked' ORDER BY id"
    )
    assert told.fetchall() == [("staging", "bob", "on s2"), ("backup", "ann", "")]
    operator.run_cell('gate("001")')
    operator.button("GO").wait_for()
    operator.answer("NO-GO")
