"""Executing a notebook without a person: where it stops, what is kept of it, and what is not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from pgrunbook import notebook
from pgrunbook.errors import UnknownName


def write(folder: Path, *cells: str, name: str = "book") -> Path:
    book = nbformat.v4.new_notebook()
    book.cells = [
        nbformat.v4.new_markdown_cell(cell) if cell.startswith("#") else nbformat.v4.new_code_cell(cell)
        for cell in cells
    ]
    path = folder / f"{name}.ipynb"
    nbformat.write(book, path)
    return path


def execute(path: Path, **options: Any) -> notebook.Execution:
    return notebook.execute(path, environment=dict(os.environ), log=path.parent / "kernel.log", **options)


@pytest.mark.static
def test_a_notebook_is_found_by_name_or_refused_with_those_that_exist(tmp_path: Path) -> None:
    path = write(tmp_path, name="010_class_code")
    write(tmp_path, name="020_other")
    assert notebook.path_of("010_class_code", within=tmp_path) == path
    with pytest.raises(UnknownName) as caught:
        notebook.path_of("030_none", within=tmp_path)
    assert (
        str(caught.value) == "no notebook named '030_none'\n  next: choose one of: 010_class_code, 020_other"
    )


def test_it_runs_in_its_own_folder_tells_each_heading_once_and_stops_at_the_first_failure(
    tmp_path: Path,
) -> None:
    told: list[str] = []
    path = write(
        tmp_path, "# Title\n\n## One", "import os; os.getcwd()", "1", "## Two", "1 / 0", "## Three", "3"
    )
    done = execute(path, on_section=told.append)
    assert (done.finished, done.ename, done.evalue) == (False, "ZeroDivisionError", "division by zero")
    assert told == ["One", "Two"]
    first, *_, last = [cell for cell in done.notebook.cells if cell.cell_type == "code"]
    assert first.outputs[0].data["text/plain"] == repr(str(tmp_path))
    assert last.execution_count is None


def test_an_interrupt_stops_the_cell_that_runs_and_begins_no_other(
    tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    flag = tmp_path / "reached"
    # The cell takes the interrupt for itself: the next one must not run all the same.
    first = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()"
    cell = f"{first}\ntry:\n    time.sleep(60)\nexcept KeyboardInterrupt:\n    pass"
    path = write(tmp_path, "## One", cell, "## Two", "pathlib.Path('two').touch()")

    def interrupt() -> None:
        eventually(flag.exists, timeout=60)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    hand = threading.Thread(target=interrupt)
    hand.start()
    done = execute(path)
    hand.join()
    assert (done.finished, done.ename) == (False, "KeyboardInterrupt")
    assert not (tmp_path / "two").exists()


@pytest.mark.static
def test_what_is_saved_keeps_counts_and_outputs_and_nothing_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "book.ipynb"
    cell = nbformat.v4.new_code_cell(
        "1", execution_count=1, metadata={"execution": {"iopub.status": "x"}, "tags": ["t"]}
    )
    cell.outputs = [
        nbformat.v4.new_output(
            "execute_result", {"text/plain": "1"}, execution_count=1, metadata={"pgrunbook": {"pid": 7}}
        ),
        nbformat.v4.new_output("stream", text="said"),
    ]
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell("# Title"), cell],
        metadata={
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python", "version": "3.11.9"},
            "widgets": {"state": {}},
        },
    )
    notebook.save(book, path)
    saved = nbformat.read(path, as_version=4)
    nbformat.validate(saved)
    (code,) = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert (code.execution_count, code.metadata) == (1, {"tags": ["t"]})
    assert [output.get("metadata", {}) for output in code.outputs] == [{}, {}]
    assert code.outputs[0].data == {"text/plain": "1"}
    assert saved.metadata.language_info == {"name": "python"}
    assert "widgets" not in saved.metadata
    assert "# # Title" in path.with_suffix(".py").read_text(encoding="utf-8")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["book.ipynb", "book.py"]
