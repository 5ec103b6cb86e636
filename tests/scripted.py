"""A scripted front end: a kernel, and a page before it that sends a widget's messages as a browser would."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import throwaway
from jupyter_client.manager import start_new_kernel

OPENED = f"""
from pgrunbook import Runbook
runbook = Runbook.open("{throwaway.NAME}")
runbook.preflight()
"""
PATIENCE_S = 30


@contextlib.contextmanager
def kernel(folder: Path, target: str, **more: str) -> Iterator[tuple[Any, Any]]:
    """Give the manager and the client of a kernel of ann's, whose changes, records and log lie in a folder."""
    environment = {
        "PGRUNBOOK_TARGET": target,
        "PGRUNBOOK_CHANGES": str(folder / "changes"),
        "PGRUNBOOK_RECORDS": str(folder / "records"),
        "PGRUNBOOK_OPERATOR": "ann",
        "JUPYTER_PREFER_ENV_PATH": "1",
        "IPYTHONDIR": str(folder / "ipython"),
        **more,
    }
    with (folder / "kernel.log").open("wb") as said:
        manager, client = start_new_kernel(
            kernel_name="python3", stderr=said, env={**os.environ, **environment}
        )
        try:
            yield manager, client
        finally:
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


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
