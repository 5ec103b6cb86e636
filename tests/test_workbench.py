"""Commands for the workshop: a rehearsal ends with a verdict and a record, a new change is complete."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from jupyter_server.services.config import ConfigManager
from operating import Desk, ended
from throwaway import NAME

from pgrunbook import change, scaffold, workbench

ROOT = Path(__file__).parents[1]
OPEN = f"from pgrunbook import Runbook\n\nrunbook = Runbook.open({NAME!r}, planted=[])\nrunbook"
APPLY = [
    ("Preflight", "runbook.preflight()"),
    ("Step 001", 'await runbook.gate("001")\nawait runbook.apply("001")'),
    ("Step 002", 'await runbook.gate("002")\nawait runbook.apply("002")'),
    ("Step 003", 'await runbook.gate("003")\nawait runbook.apply("003")'),
    ("Record", "runbook.record()"),
]


@pytest.fixture
def desk(database: str, major: int, tmp_path: Path) -> Iterator[Desk]:
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    more = {"PGRUNBOOK_NOTEBOOKS": str(notebooks), "PGRUNBOOK_POSTGRES": str(major), "LANG": "C.UTF-8"}
    with Desk(database, tmp_path, more=more) as desk:
        desk.write(sql="SELECT")
        yield desk


def write_notebook(desk: Desk, cells: list[tuple[str, str]], *, first: str = OPEN) -> Path:
    """Write the notebook of the small change, as one who just edited it leaves it: without outputs."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_markdown_cell(f"# {NAME}\n\n## Bind"), nbformat.v4.new_code_cell(first)]
    for heading, source in cells:
        book.cells += [nbformat.v4.new_markdown_cell(f"## {heading}"), nbformat.v4.new_code_cell(source)]
    path = desk.folder / "notebooks" / f"{NAME}.ipynb"
    nbformat.write(book, path)
    return path


def test_a_rehearsal_ends_with_the_verdict_and_the_record_and_saves_what_tests_compare(desk: Desk) -> None:
    noise = "import os, sys\nos.write(2, b'NOISE of the kernel')\nprint('told', file=sys.stderr)"
    path = write_notebook(desk, [("Noise", noise), *APPLY])
    with desk.looking() as conn:
        conn.execute("CREATE TABLE bystander (id int)")
    before = desk.catalog()
    # A live target in the environment is what this must never touch; nor may a variable of libpq lead there.
    desk.more |= {"PGHOSTADDR": "192.0.2.1", "PGSERVICE": "shop"}
    said = desk.run("rehearse", NAME, "--save")
    assert said.code == 0, said.err
    *_, verdict, record = said.out.splitlines()
    assert re.fullmatch(rf"{NAME}: done after \d+\.\d s", verdict)
    file = Path(record.removeprefix("record: "))
    assert file.is_relative_to(desk.records)
    text = file.read_text(encoding="utf-8")
    assert "a rehearsal approves itself" in text
    assert [line.split(" s] ")[1] for line in said.err.splitlines()] == [
        "starting the embedded PostgreSQL", "Bind", "Noise", "Preflight", "Step 001", "Step 002", "Step 003", "Record",
    ]  # fmt: skip
    assert "NOISE" in (file.parent / "kernel.log").read_text()
    assert desk.catalog() == before
    assert not desk.has_ledger

    saved = nbformat.read(path, as_version=4)
    nbformat.validate(saved)
    code = [cell for cell in saved.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert any("001 Add the note ... done" in str(cell.outputs) for cell in code)
    kept = path.read_text(encoding="utf-8")
    for sign in (str(desk.folder), str(Path.home()), "iopub.status", "widgets", file.parent.name):
        assert sign not in kept, sign
    assert set(saved.metadata) <= {"kernelspec", "language_info", "jupytext"}
    assert path.with_suffix(".py").read_text(encoding="utf-8").count("# %%") == len(saved.cells)


def test_a_rehearsal_that_a_closed_gate_or_no_go_stops_is_recorded_and_refused(desk: Desk) -> None:
    path = write_notebook(desk, APPLY[:2], first=OPEN.replace("planted=[]", 'planted=["10_doubled_codes"]'))
    kept = path.read_bytes()
    said = desk("rehearse", NAME, "--save", "--json")
    assert (said.code, said.err) == (3, "")
    facts = said.facts
    assert (facts["finished"], facts["outcome"]) == (False, "NO-GO")
    assert facts["error"].startswith(f"{NAME} is NO-GO: 1 of ")
    assert "Codes used twice" in Path(facts["record"]).read_text(encoding="utf-8")
    assert path.read_bytes() == kept


def test_a_rehearsal_whose_notebook_fails_says_what_stopped_it(desk: Desk) -> None:
    write_notebook(desk, [*APPLY[:1], ("Odd", "1 / 0"), *APPLY[1:]])
    said = desk("rehearse", NAME)
    assert said.code == 1
    reason, verdict, record = said.out.splitlines()
    assert reason == "division by zero"
    assert re.fullmatch(rf"{NAME}: stopped, ZeroDivisionError after \d+\.\d s", verdict)
    assert "ZeroDivisionError" in Path(record.removeprefix("record: ")).read_text(encoding="utf-8")
    assert "Traceback" not in said.err


def test_a_kernel_that_dies_is_told(desk: Desk) -> None:
    write_notebook(desk, [("Die", "import os\nos._exit(1)")])
    said = desk("rehearse", NAME)
    assert said.code == 1
    assert "stopped, DeadKernelError after" in said.out
    assert said.out.splitlines()[-1].startswith("record: ")


def test_a_change_without_a_notebook_cannot_be_rehearsed(desk: Desk) -> None:
    said = desk("rehearse", NAME)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"UnknownName: no notebook named '{NAME}'\n  next: there is no notebook to choose\n"


def test_a_change_that_does_not_load_is_refused_before_anything_starts(desk: Desk) -> None:
    write_notebook(desk, APPLY)
    (desk.changes / NAME / "verify/001_add_note.sql").unlink()
    said = desk("rehearse", NAME)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(f"BadChange: {NAME}: step 001_add_note has no verify/001_add_note.sql\n")
    assert not desk.records.exists()


@pytest.mark.parametrize("whole_group", [False, True], ids=["the command", "the terminal"])
def test_a_signal_ends_a_rehearsal_and_its_kernel(
    desk: Desk, eventually: Callable[..., Any], whole_group: bool
) -> None:
    flag = desk.folder / "reached"
    source = f"import pathlib, time\npathlib.Path({str(flag)!r}).touch()\ntime.sleep(60)"
    write_notebook(desk, [("Sleep", source)])
    process = desk.start("rehearse", NAME, start_new_session=True)
    eventually(flag.exists, timeout=60)
    began = time.monotonic()
    if whole_group:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.send_signal(signal.SIGTERM)
    said = ended(process)
    assert time.monotonic() - began < 30
    assert said.code == 1
    assert "Traceback" not in said.err + said.out
    assert "stopped" in said.out + said.err


@pytest.fixture
def workshop(desk: Desk) -> Desk:
    """The notebooks' template lies where new notebooks are written."""
    template = ROOT / "notebooks" / "_template.py"
    (desk.folder / "notebooks" / "_template.py").write_bytes(template.read_bytes())
    return desk


def test_a_new_change_loads_and_its_notebook_is_valid(workshop: Desk) -> None:
    said = workshop("new", "060_invoice_number")
    assert (said.code, said.err) == (0, "")
    *created, following = said.out.splitlines()
    files = [Path(line.removeprefix("created ")) for line in created]
    assert all(file.is_file() and file.is_relative_to(workshop.folder) for file in files)
    assert following == (
        "next: fill in the SQL, then `pgrunbook test -k 060` and `pgrunbook rehearse 060_invoice_number --save`"
    )
    loaded = change.load("060_invoice_number", root=workshop.changes)
    book = nbformat.read(workshop.folder / "notebooks/060_invoice_number.ipynb", as_version=4)
    nbformat.validate(book)
    text = "\n".join(cell.source for cell in book.cells)
    assert scaffold.PLACEHOLDER not in text
    for step in loaded.steps:
        assert f'await runbook.apply("{step.number}")' in text


def test_a_new_change_of_a_taken_number_or_a_bad_name_is_refused(workshop: Desk) -> None:
    for name in ("700_another", "Invoice"):
        said = workshop("new", name)
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith("BadChange: ")
    as_json = workshop("new", "061_other", "--json")
    assert (as_json.code, as_json.err, as_json.facts["change"]) == (0, "", "061_other")


@pytest.mark.slow
def test_a_new_change_can_be_rehearsed_as_it_is(workshop: Desk) -> None:
    assert workshop("new", "060_invoice_number").code == 0
    said = workshop("rehearse", "060_invoice_number", "--json")
    assert (said.code, said.facts["outcome"]) == (0, "done"), said.out
    rehearsed = said.facts["rehearsal"]
    assert rehearsed["holds"] is True
    forbid = next(file for file in rehearsed["locks"] if file["file"].startswith("migrate/001_"))
    (statement,) = forbid["statements"]
    (took,) = statement["took"]
    assert (statement["number"], statement["held_before"]) == (1, [])
    assert (took["schema"], took["kind"], took["mode"]) == ("public", "table", "AccessExclusive")
    assert f"{took['mode']} on {took['object']}" == forbid["declared"][0] == forbid["observed"][0]
    assert 0 < took["milliseconds"] < 10_000


def test_the_lab_opens_on_the_notebooks_while_the_server_runs(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []

    class Lab:
        def __init__(self, command: list[str], env: dict[str, str]) -> None:
            told.append(
                (command, {name: env[name] for name in env if name.startswith(("PGRUNBOOK_", "JUPYTER"))})
            )
            self.waits = iter([KeyboardInterrupt, 7])

        def wait(self) -> int:
            answer = next(self.waits)
            if isinstance(answer, int):
                return answer
            raise answer

    monkeypatch.setattr(subprocess, "Popen", Lab)
    monkeypatch.setattr(workbench.server, "start", lambda major: told.append(f"start {major}"))
    monkeypatch.setattr(workbench.server, "stop", lambda _running: told.append("stop"))
    monkeypatch.chdir(desk.folder)
    # JupyterLab asks its own question when it is interrupted; the server stays until it has ended.
    assert desk("lab", "--no-browser", PGRUNBOOK_CHANGES="changes", PGRUNBOOK_RECORDS="records").code == 7
    begun, (command, environment), over = told
    assert (begun, over) == (f"start {desk.more['PGRUNBOOK_POSTGRES']}", "stop")
    assert command[:3] == [sys.executable, "-m", "jupyterlab"]
    assert f"--ServerApp.root_dir={desk.folder / 'notebooks'}" in command
    assert "--no-browser" in command
    # Kernels work in the notebooks' folder.
    assert environment["PGRUNBOOK_CHANGES"] == str(desk.changes)
    assert environment["PGRUNBOOK_RECORDS"] == str(desk.records)
    # A panel comes back after a reload if it was saved: JupyterLab saves soon, unless somebody has set otherwise.
    monkeypatch.setenv("JUPYTER_CONFIG_PATH", environment["JUPYTER_CONFIG_PATH"])
    settings = ConfigManager(config_dir_name="labconfig").get("default_setting_overrides")
    assert settings["@jupyterlab/docmanager-extension:plugin"] == {"autosaveInterval": 5}


def test_the_suite_gets_its_own_arguments(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from pgrunbook import suite

    monkeypatch.setattr(suite, "run", lambda arguments: len(arguments))
    assert desk("test", "-k", "060").code == 2
