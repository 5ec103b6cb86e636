"""Executes a change's notebook from top to bottom, without a person, and keeps what it showed."""

from __future__ import annotations

import asyncio
import os
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from jupyter_core.utils import ensure_async
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from pgrunbook.errors import UnknownName

__all__ = ["Execution", "execute", "path_of", "save"]

TIMEOUT_S = 600


@dataclass(frozen=True, slots=True)
class Execution:
    """An executed notebook; `ename` and `evalue` tell what stopped it, if anything did."""

    notebook: NotebookNode
    ename: str = ""
    evalue: str = ""

    @property
    def finished(self) -> bool:
        """Return whether every cell ran."""
        return not self.ename


def path_of(name: str, *, within: Path) -> Path:
    """Return the path of a notebook by name; raises UnknownName."""
    path = within / f"{name}.ipynb"
    if not path.is_file():
        known = sorted(file.stem for file in within.glob("*.ipynb"))
        raise UnknownName(kind="notebook", name=name, known=known)
    return path


def execute(
    path: Path,
    *,
    environment: Mapping[str, str],
    log: Path,
    on_section: Callable[[str], None] = lambda _heading: None,
) -> Execution:
    """Return the notebook as it came out of a kernel of its own, in its own folder, with this environment.

    Stops at the first cell that raises, as Run All does. `on_section` is told each heading as it is reached;
    what the kernel itself says goes to the file `log`. KeyboardInterrupt stops the cell that runs and ends the
    execution there, a second one kills the kernel.
    """
    environment = {**environment, "JUPYTER_PREFER_ENV_PATH": "1", "PYDEVD_DISABLE_FILE_VALIDATION": "1"}
    notebook = nbformat.read(path, as_version=4)
    told: list[str] = []
    stop = threading.Event()

    def section(cell: NotebookNode, cell_index: int) -> None:
        if stop.is_set():
            raise _Stopped
        heading = _heading_before(notebook, cell_index)
        if heading and told[-1:] != [heading]:
            told.append(heading)
            on_section(heading)

    client = NotebookClient(
        notebook,
        timeout=TIMEOUT_S,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=section,
    )
    try:
        with log.open("wb") as said:
            _in_thread(client, stop, env=environment, stderr=said)
    except CellExecutionError as error:
        return Execution(notebook, error.ename, error.evalue)
    except (CellTimeoutError, DeadKernelError) as error:
        return Execution(notebook, type(error).__name__, str(error).strip().splitlines()[0])
    except _Stopped:
        return Execution(notebook, "KeyboardInterrupt")
    return Execution(notebook)


class _Stopped(Exception):
    """The operator asked to stop between two cells."""


def _in_thread(client: NotebookClient, stop: threading.Event, **options: Any) -> None:
    """Execute away from the main thread, where nbclient answers signals by taking the kernel from itself."""
    failure: list[BaseException] = []
    ended = threading.Event()
    loop = asyncio.new_event_loop()

    def body() -> None:
        try:
            loop.run_until_complete(client.async_execute(**options))
        except BaseException as error:
            failure.append(error)
        finally:
            ended.set()

    thread = threading.Thread(target=body, name="pgrunbook-notebook")
    thread.start()
    while True:
        try:
            # Not join(): interrupted, it takes the thread for ended. All inside: a signal comes at any time.
            while not ended.wait(0.1):
                pass
            break
        except KeyboardInterrupt:
            asyncio.run_coroutine_threadsafe(_end(client, at_once=stop.is_set()), loop)
            stop.set()
    thread.join()
    loop.close()
    if failure:
        raise failure[0]


async def _end(client: NotebookClient, *, at_once: bool) -> None:
    if client.km is not None and client.km.has_kernel:
        await ensure_async(client.km.shutdown_kernel(now=True) if at_once else client.km.interrupt_kernel())


def save(notebook: NotebookNode, path: Path) -> None:
    """Write an executed notebook and its text twin, without what varies from run to run.

    Outputs and counts stay, because notebook tests compare with them; pictures stay for the reader.
    """
    kept = nbformat.from_dict(notebook)
    kept.metadata = {
        key: kept.metadata[key] for key in ("kernelspec", "language_info") if key in kept.metadata
    }
    kept.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    kept.metadata.get("language_info", {}).pop("version", None)
    for cell in kept.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = nbformat.from_dict({})
    written = path.with_suffix(".tmp")
    nbformat.write(kept, written)
    os.replace(written, path)
    jupytext.write(kept, path.with_suffix(".py"), fmt="py:percent")


def _heading_before(notebook: NotebookNode, index: int) -> str:
    for cell in reversed(notebook.cells[: index + 1]):
        found = re.findall(r"^##? +(.+)$", cell.source, re.M) if cell.cell_type == "markdown" else []
        if found:
            return str(found[-1])
    return ""
