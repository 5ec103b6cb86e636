"""A JupyterLab of the tests' own, and somebody at a notebook in it with a psql window beside."""

from __future__ import annotations

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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import psutil
import psycopg
import pytest
from playwright.sync_api import Browser, Locator, Page, sync_playwright

from pgrunbook import scaffold

ROOT = Path(__file__).resolve().parents[2]
CHANGE = "700_clicked"
# The cells of the template that a gate and a step need, and one more that shows that Run All went on.
KEPT = ("change =", "Runbook.open", "runbook.preflight()", 'gate("001")', 'apply("001")', 'gate("002")')
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/apputils-extension:themes": {"adaptive-theme": True},
}
PATIENCE_MS = 60_000
# What sticks out of an output, to be scrolled to or not, and buttons whose words do not fit them.
CUT = """output => [...output.querySelectorAll('*')]
    .filter(one => one.getBoundingClientRect().right > output.getBoundingClientRect().right + 1
        || one.tagName == 'BUTTON' && one.scrollWidth > one.clientWidth)
    .map(one => one.outerHTML.slice(0, 80))"""


@contextmanager
def chromium() -> Iterator[Browser]:
    """Give the machine's Chromium, without a window; without one the tests are skipped, but not in CI."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no Chromium on this machine, and CI has to click and to read in one")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield running
        running.close()


@dataclass
class Lab:
    """A JupyterLab with the small change in its folder; its target is whatever `target` was last given."""

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
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"null")

    def target(self, conninfo: str, **other: str) -> None:
        """Let the next kernel's connections lead there."""
        parts = psycopg.conninfo.conninfo_to_dict(conninfo, **other)
        service = "\n".join(["[clicked]", *(f"{key}={value}" for key, value in parts.items())])
        (self.folder / "services").write_text(f"{service}\n")

    def keep(self, kept: Sequence[str], last: str = "") -> None:
        """Make the notebook anew: the template's cells with these words, in order, and one more."""
        whole = nbformat.read(self.folder / "whole.ipynb", as_version=4)
        rest = iter([cell for cell in whole.cells if cell.cell_type == "code"])
        cells = [next(cell for cell in rest if words in cell.source) for words in kept]
        cells += [nbformat.v4.new_code_cell(last, id="the-last")] if last else []
        book = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": whole.metadata["kernelspec"]})
        nbformat.write(book, self.notebook)


@contextmanager
def started(folder: Path) -> Iterator[Lab]:
    """Give a JupyterLab whose only notebook is that of a change made from the template."""
    notebooks, changes = folder / "notebooks", folder / "changes"
    notebooks.mkdir()
    changes.mkdir()
    text = (ROOT / "notebooks" / "_template.py").read_text(encoding="utf-8")
    (notebooks / "_template.py").write_text(text, encoding="utf-8")
    scaffold.create(
        CHANGE, root=changes, template=ROOT / "sql" / "changes" / "_template", notebooks=notebooks
    )
    (notebooks / f"{CHANGE}.ipynb").rename(folder / "whole.ipynb")
    for twin in notebooks.glob("*.py"):
        twin.unlink()
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


@dataclass
class Operator:
    """Somebody at the open notebook, with a psql window beside it."""

    page: Page
    lab: Lab
    conn: psycopg.Connection[Any]
    eventually: Callable[..., Any]
    others: list[psycopg.Connection[Any]] = field(default_factory=list)

    def open(self, name: str = "") -> None:
        """Open the notebook in this page, or open it again; `name` is another one beside it."""
        self.page.goto(f"{self.lab.url(f'lab/tree/{name or self.lab.notebook.name}')}&reset")
        self.page.get_by_text(re.compile(r"^Python 3 \(ipykernel\) \| (Idle|Busy|Unknown)$")).wait_for()

    def run_all(self) -> None:
        self.menu("Run", "Run All Cells")

    def menu(self, bar: str, item: str) -> None:
        self.page.locator(f'.lm-MenuBar-itemLabel:text-is("{bar}")').click()
        self.page.locator(f'.lm-Menu-itemLabel:text-is("{item}")').click()

    def is_idle(self) -> None:
        """Wait until the kernel does nothing."""
        self.page.get_by_text(re.compile(r"\| Idle$")).wait_for()

    def stop(self) -> None:
        self.page.locator('.jp-NotebookPanel-toolbar [data-jp-item-name="interrupt"]').click()

    def save(self) -> None:
        """Save until nothing is left to be saved."""
        self.menu("File", "Save Notebook")
        self.page.locator(".jp-mod-dirty").wait_for(state="detached")

    def kernel(self) -> psutil.Process:
        """Return the only kernel's process."""
        found: list[psutil.Process] = self.eventually(
            lambda: [
                one for one in psutil.Process(self.lab.process.pid).children(recursive=True)
                if "ipykernel_launcher" in " ".join(one.cmdline())
            ]
        )  # fmt: skip
        return found[0]

    def sessions(self, purpose: str) -> list[int]:
        """Return the server's sessions that a run has for a purpose."""
        found = self.conn.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE %s",
            [f"pgrunbook {purpose} %"],
        )
        return [int(pid) for (pid,) in found]

    def run_from(self, source: str) -> None:
        """Run a cell and all below it."""
        self.cell(source).locator(".jp-InputArea-editor").click()
        self.menu("Run", "Run Selected Cell and All Below")

    def look(self, name: str) -> None:
        """Take a picture where somebody wants to look at them: BROWSER_PICTURES names a folder."""
        if folder := os.environ.get("BROWSER_PICTURES"):
            self.page.screenshot(path=Path(folder) / f"{name}.png")

    def looks_well(self, name: str, source: str) -> None:
        """See to it that nothing of an output is cut, on a narrow page, in the light and in the dark."""
        shown = self.cell(source).locator(".jp-OutputArea-output").last
        wide = self.page.viewport_size
        for theme in ("dark", "light"):
            self.page.emulate_media(color_scheme=theme)
            self.page.locator(f'body[data-jp-theme-light="{str(theme == "light").lower()}"]').wait_for(
                state="attached"
            )
            for width in (1024, 1440):
                self.page.set_viewport_size({"width": width, "height": 1000})
                shown.scroll_into_view_if_needed()
                self.look(f"{name}_{width}_{theme}")
                assert (shown.evaluate(CUT), name, width, theme) == ([], name, width, theme)
        self.page.set_viewport_size(wide)

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
        return self.cell(source).locator(".jp-OutputArea-output").last.inner_text()

    def waits_in_the_way(self, who: str) -> None:
        # The gate shows them too while it waits.
        self.button("GO").wait_for(state="hidden")
        self.page.get_by_text(re.compile(rf"pid \d+ '{who}' holds AccessShareLock")).wait_for()

    def somebody(self, name: str) -> psycopg.Connection[Any]:
        """A session that has read the table and left its transaction open."""
        other = psycopg.connect(self.conn.info.dsn, application_name=name)
        other.execute("SELECT count(*) FROM example")
        self.others.append(other)
        return other

    def status(self, step: str = "001") -> str:
        if self.conn.execute("SELECT to_regclass('pgrunbook.step')").fetchone() == (None,):
            return "no ledger"
        row = self.conn.execute(
            "SELECT status FROM pgrunbook.step WHERE step LIKE %s", [f"{step}%"]
        ).fetchone()
        return str(row[0]) if row else "not run"

    def events(self) -> list[tuple[str, str]]:
        found = self.conn.execute(
            "SELECT kind, actor FROM pgrunbook.event WHERE step <> '' AND kind <> 'observed' ORDER BY id"
        )
        return [(str(kind), str(actor)) for kind, actor in found]

    def in_file(self, source: str) -> list[Any]:
        """The outputs of a cell as they are in the file."""
        try:
            cells = nbformat.read(self.lab.notebook, as_version=4).cells
        except nbformat.reader.NotJSONError:
            return []  # half written
        return next(cell.outputs for cell in cells if source in cell.source)

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


def texts(cell: Any) -> list[str]:
    return [out.get("evalue") or out.get("data", {}).get("text/plain", "") for out in cell.outputs]


def widgets(cells: list[Any]) -> list[str]:
    return [
        kind for cell in cells for out in cell.outputs for kind in out.get("data", {}) if "widget" in kind
    ]
