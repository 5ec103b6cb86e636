"""The committed notebooks: skeleton, counts, how much of them is compared, and that NO-GO stops them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jupytext
import nbformat
import pytest

from pgrunbook import change
from pgrunbook.journal import Journal

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CHANGES = change.names(ROOT / "sql" / "changes")
IGNORED = re.compile(r"#\s*NBVAL_(IGNORE_OUTPUT|SKIP)")


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)


def code_cells(path: Path) -> list[Any]:
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def is_compared(cell: Any) -> bool:
    """Whether nbval compares something of this cell: it ran, it shows something, nobody told nbval to look away."""
    ignored = IGNORED.search(cell.source) or any(
        tag.startswith("nbval-") for tag in cell.metadata.get("tags", [])
    )
    shown = [
        output
        for output in cell.outputs
        if set(output.get("data", {"text": 1})) - {"image/png", "image/jpeg"}
    ]
    return cell.execution_count is not None and bool(shown) and not ignored


@pytest.mark.static
def test_every_change_has_its_notebook() -> None:
    assert {"000_start_here", *CHANGES} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.static
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_code_cell_of_a_committed_notebook_has_run_in_order(path: Path) -> None:
    # Without counts and outputs nbval compares nothing and is green.
    nbformat.validate(read(path))
    assert [cell.execution_count for cell in code_cells(path)] == list(range(1, len(code_cells(path)) + 1))
    assert not [out for cell in code_cells(path) for out in cell.outputs if out.output_type == "error"]


@pytest.mark.static
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_at_least_nine_in_ten_code_cells_are_compared(path: Path) -> None:
    # Cells that only assign show nothing; the parameters are the one such cell of the skeleton.
    cells = [cell for cell in code_cells(path) if "parameters" not in cell.metadata.get("tags", [])]
    compared = sum(is_compared(cell) for cell in cells)
    assert compared >= 0.9 * len(cells), f"{compared} of {len(cells)} cells of {path.name} are compared"


@pytest.mark.static
def test_a_cell_without_output_or_told_to_be_ignored_does_not_count_as_compared() -> None:
    shown = nbformat.v4.new_output("execute_result", {"text/plain": "1"}, execution_count=1)
    picture = nbformat.v4.new_output("display_data", {"image/png": ""})
    cell = nbformat.v4.new_code_cell
    assert is_compared(cell("1", execution_count=1, outputs=[shown]))
    assert not is_compared(cell("1", execution_count=None, outputs=[shown]))
    assert not is_compared(cell("x = 1", execution_count=1))
    assert not is_compared(cell("plot()", execution_count=1, outputs=[picture]))
    assert not is_compared(cell("# NBVAL_IGNORE_OUTPUT\n1", execution_count=1, outputs=[shown]))


@pytest.mark.static
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_markdown_cell_stands_before_every_code_cell_and_code_cells_are_short(path: Path) -> None:
    cells = read(path).cells
    for number, cell in enumerate(cells):
        if cell.cell_type != "code":
            continue
        assert cells[number - 1].cell_type == "markdown", f"cell {number} of {path.name} is not introduced"
        assert len(cell.source.splitlines()) <= 4, f"cell {number} of {path.name} belongs into the library"


@pytest.mark.static
@pytest.mark.parametrize("name", CHANGES)
def test_a_changes_notebook_follows_the_skeleton_and_gates_every_step(name: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    text = "\n".join(cell.source for cell in read(path).cells)
    headings = re.findall(r"^## +([A-Z]\w+)", text, re.M)
    wanted = ["Operation", "Parameters", "Bind", "Preflight", "Rehearse", "Verify", "What", "Roll", "Record"]
    assert [heading for heading in headings if heading in wanted] == wanted
    for step in change.load(name, root=ROOT / "sql" / "changes").steps:
        # One call may name a group of steps.
        calls = [rf'runbook\.{verb}\([^)]*"{step.number}"' for verb in ("sql", "gate", "apply")]
        found = [re.search(call, text) for call in calls]
        assert None not in found, f"step {step.number} lacks one of {calls}"
        places = [one.start() for one in found if one]
        assert places == sorted(places), f"step {step.number}: show, gate, apply"


@pytest.mark.static
@pytest.mark.parametrize("name", CHANGES)
def test_a_way_back_to_a_step_comes_with_the_gate_of_that_name(name: str) -> None:
    text = "\n".join(cell.source for cell in read(ROOT / "notebooks" / f"{name}.ipynb").cells)
    stays = set(re.findall(r'roll_back\(to="(\w+)"', text))
    assert set(re.findall(r'\bto="(\w+)"', text)) == stays
    assert set(re.findall(r'gate\("rollback to (\w+)"', text)) == stays


@pytest.mark.static
@pytest.mark.parametrize("name", CHANGES)
def test_a_notebook_asks_for_each_part_of_the_checklist_before_the_gate_that_waits_for_it(name: str) -> None:
    text = "\n".join(cell.source for cell in code_cells(ROOT / "notebooks" / f"{name}.ipynb"))
    items = change.load(name, root=ROOT / "sql" / "changes").checklist.items
    for when, step in dict.fromkeys((item.when, item.step.partition("_")[0]) for item in items):
        # A rehearsal ticks all the same: only a live run would miss it.
        asked = re.search(rf'runbook\.checklist\("{when}"\)', text)
        assert asked, f"nobody is asked for what is to be ticked {when}"
        gate = re.search(rf'runbook\.gate\([^)]*"{step}"', text) if step else None
        assert gate is None or asked.start() < gate.start(), f"{when} is asked after its gate"


@pytest.mark.static
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_text_twin_says_what_the_notebook_says(path: Path) -> None:
    twin = jupytext.read(path.with_suffix(".py"))
    said = [(cell.cell_type, cell.source.strip()) for cell in read(path).cells]
    assert [(cell.cell_type, cell.source.strip()) for cell in twin.cells] == said


@pytest.mark.static
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_committed_notebook_holds_nothing_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    assert not any(out.get("metadata") for cell in code_cells(path) for out in cell.outputs)
    for sign in (str(ROOT), str(Path.home()), "password", "/tmp/"):
        assert sign not in text, f"{path.name} holds {sign!r}"


def run_all(folder: Path, *, planted: list[str]) -> tuple[int, str, list[str]]:
    """Run the first change's notebook, without its remedies, as a rehearsal that approves itself.

    Only a NO-GO can stop it. Returns nbmake's exit code, what it printed, and the kinds of the run's events.
    """
    notebook = read(ROOT / "notebooks" / f"{CHANGES[0]}.ipynb")
    loaded = change.load(CHANGES[0], root=ROOT / "sql" / "changes")
    gates = [f'gate("{remedy.name}' for remedy in loaded.remedies]
    for cell in notebook.cells:
        cell.source = cell.source.replace(
            "Runbook.open(change,", f"Runbook.open(change, planted={planted!r},"
        )
        if any(call in cell.source for call in ("runbook.preview", "runbook.remedy(", *gates)):
            cell.source = "None"
    path = folder / "rehearsed.ipynb"
    nbformat.write(notebook, path)
    options = ["-q", "-o", "addopts=", "-p", "no:cacheprovider", "-W", "ignore"]
    environment = {name: value for name, value in os.environ.items() if name != "PGRUNBOOK_TARGET"}
    environment |= {
        "PGRUNBOOK_RECORDS": str(folder / "records"),
        "PGRUNBOOK_CHANGES": str(ROOT / "sql" / "changes"),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-kernel=python3", *options, str(path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    (run,) = (folder / "records").iterdir()
    return done.returncode, done.stdout + done.stderr, [entry["kind"] for entry in Journal(run).entries()]


def test_a_no_go_stops_the_notebook_before_any_ddl(tmp_path: Path) -> None:
    loaded = change.load(CHANGES[0], root=ROOT / "sql" / "changes")
    code, said, kinds = run_all(tmp_path, planted=[loaded.remedies[0].name])
    assert code == 1, said
    assert "PreflightFailed" in said
    # No entry was merged: not even the ledger's own schema was made.
    assert set(kinds) <= {"run opened", "preflight", "rehearsed", "timed"}, kinds
    assert "preflight" in kinds


def test_without_the_obstacle_the_same_notebook_applies_every_step(tmp_path: Path) -> None:
    # The counterpart shows that nothing but the NO-GO stopped it.
    loaded = change.load(CHANGES[0], root=ROOT / "sql" / "changes")
    code, said, kinds = run_all(tmp_path, planted=[])
    assert code == 0, said
    assert kinds.count("apply done") >= len(loaded.steps)
    assert "merged" in kinds
