"""A gate under the lowest and the highest ipykernel that pyproject.toml allows, answered as a browser would.

The front end is scripted: it sends the messages of the widgets, one change of a field at a time, the next one
when the kernel has said that it is idle. It draws nothing: what a page makes of it is for tests/browser.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import psycopg
import pytest
import throwaway
from jupyter_client.manager import start_new_kernel
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
Conn = psycopg.Connection[dict[str, Any]]
OPENED = f"""
from pgrunbook import Runbook
runbook = Runbook.open("{throwaway.NAME}")
runbook.preflight()
"""
PATIENCE_S = 30

pytestmark = pytest.mark.slow


def pinned() -> dict[str, str]:
    """What to ask pip for at both ends of the range."""
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["dependencies"]
    (kernel,) = [one for one in map(Requirement, wanted) if one.name == "ipykernel"]
    (least,) = [one.version for one in kernel.specifier if one.operator == ">="]
    return {"lowest": f"ipykernel=={least}.*,<{least}.1", "highest": str(kernel)}


@pytest.fixture(scope="module", params=["lowest", "highest"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds one ipykernel and nothing else: a wheel of 0.1 MB."""
    folder = tmp_path_factory.mktemp("kernel")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder)]
    done = subprocess.run([*command, pinned()[request.param]], capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI"):
            pytest.fail(done.stderr)
        pytest.skip("pip cannot fetch another ipykernel here")
    return folder


class FrontEnd:
    """A page without a picture: it knows the widgets that are there, and answers them."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.widgets: dict[str, dict[str, Any]] = {}
        self.idle: set[str] = set()
        self.said: dict[str, list[str]] = {}
        # As JupyterLab does: a widget's messages go past the cell that waits, through a subshell.
        request = client.session.msg("create_subshell_request", {})
        client.control_channel.send(request)
        self.subshell = client.get_control_msg(timeout=PATIENCE_S)["content"]["subshell_id"]

    def until(self, what: Any) -> None:
        """Read what the kernel tells until something is so."""
        ends = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < ends, f"not within {PATIENCE_S} s; said so far: {self.said}"
            try:
                message = self.client.get_iopub_msg(timeout=0.2)
            except Empty:
                continue
            parent, content = message["parent_header"].get("msg_id", ""), message["content"]
            match message["msg_type"]:
                case "comm_open":
                    self.widgets[content["comm_id"]] = dict(content["data"].get("state", {}))
                case "comm_msg" if content["data"].get("method") == "update":
                    self.widgets[content["comm_id"]].update(content["data"]["state"])
                case "comm_close":
                    self.widgets.pop(content["comm_id"], None)
                case "status" if content["execution_state"] == "idle":
                    self.idle.add(parent)
                case "display_data" | "execute_result":
                    self.said.setdefault(parent, []).append(content["data"].get("text/plain", ""))
                case "error":
                    self.said.setdefault(parent, []).append(f"{content['ename']}: {content['evalue']}")

    def run(self, cell: str) -> str:
        sent: str = self.client.execute(cell, allow_stdin=True)
        return sent

    def done(self, cell: str) -> str:
        self.until(lambda: cell in self.idle)
        return self.said.get(cell, [""])[-1]

    def field(self, words: str) -> str:
        """The widget whose label or placeholder holds some words, once it is there."""

        def found() -> list[str]:
            return [
                one for one, state in self.widgets.items()
                if re.search(words, f"{state.get('placeholder', '')}|{state.get('description', '')}")
            ]  # fmt: skip

        self.until(found)
        return found()[-1]

    def shown(self, cell: str) -> None:
        """Return once a cell shows its panel: a button is there before it knows whom a click is for."""
        self.until(lambda: any(text.startswith("VBox(") for text in self.said.get(cell, [])))

    def send(self, widget: str, data: dict[str, Any]) -> str:
        message = self.client.session.msg("comm_msg", {"comm_id": widget, "data": data})
        message["header"]["subshell_id"] = self.subshell
        self.client.shell_channel.send(message)
        return str(message["header"]["msg_id"])

    def type(self, widget: str, text: str) -> None:
        """As ipywidgets does: the next change only when the kernel has been idle for the one before."""
        for end in range(1, len(text) + 1):
            state = {"value": text[:end]}
            sent = self.send(widget, {"method": "update", "state": state, "buffer_paths": []})
            self.until(lambda sent=sent: sent in self.idle)

    def click(self, widget: str) -> None:
        self.send(widget, {"method": "custom", "content": {"event": "click"}})


@pytest.fixture
def page(
    library: Path, conn: Conn, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FrontEnd]:
    conn.execute(throwaway.TABLE)
    throwaway.write(tmp_path / "changes")
    more = {
        "PYTHONPATH": os.pathsep.join([str(library), str(ROOT / "lib")]),
        "PGRUNBOOK_TARGET": database,
        "PGRUNBOOK_CHANGES": str(tmp_path / "changes"),
        "PGRUNBOOK_RECORDS": str(tmp_path / "records"),
        "PGRUNBOOK_OPERATOR": "ann",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(tmp_path / "ipython"),
    }
    with (tmp_path / "kernel.log").open("wb") as said:
        manager, client = start_new_kernel(kernel_name="python3", stderr=said, env={**os.environ, **more})
        try:
            made = FrontEnd(client)
            where = made.done(made.run("import ipykernel; ipykernel.__file__"))
            assert str(library) in where
            made.done(made.run(OPENED))
            yield made
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def test_a_typed_word_and_go_let_one_step_run_and_no_go_closes_the_next(page: FrontEnd, conn: Conn) -> None:
    gate = page.run("await runbook.gate('001')")
    step = page.run("await runbook.apply('001')")
    page.shown(gate)
    go = page.field("^[|]GO$")
    page.type(page.field("to arm GO"), "APPLY")
    page.type(page.field("reason or ticket"), "CHG-1")
    page.until(lambda: page.widgets[go]["disabled"] is False)
    page.click(go)
    assert page.done(gate) == "gate 001_add_note ... open, approved by ann (CHG-1)"
    assert page.done(step).startswith("001 Add the note ... done, ")

    second, never = page.run("await runbook.gate('002')"), page.run("print('went on')")
    page.shown(second)
    no_go = page.field("^[|]NO-GO$")
    page.click(no_go)
    page.until(lambda: any("needs a reason" in str(state.get("value")) for state in page.widgets.values()))
    page.type(page.field("reason or ticket"), "too late")
    page.click(no_go)
    assert page.done(second).startswith(
        "GateClosed: the gate of 002_build_index is closed: ann said NO-GO (too late)"
    )
    page.done(never)
    assert never not in page.said
    assert [one["status"] for one in conn.execute("SELECT status FROM pgrunbook.step")] == ["done"]


def test_both_ends_of_the_range_are_named() -> None:
    assert re.fullmatch(r"ipykernel==7\.\d+\.\*,<7\.\d+\.1", pinned()["lowest"])
    assert re.fullmatch(r"ipykernel[<>=.,0-9]+", pinned()["highest"])
