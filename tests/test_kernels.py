"""A gate under the lowest and the highest ipykernel that pyproject.toml allows, answered as a browser would.

The front end is scripted: it sends the messages of the widgets, one change of a field at a time, the next one
when the kernel has said that it is idle. It draws nothing: what a page makes of it is for tests/browser.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from packaging.requirements import Requirement
from scripted import OPENED, FrontEnd, kernel

ROOT = Path(__file__).resolve().parents[1]
Conn = psycopg.Connection[dict[str, Any]]

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


@pytest.fixture
def page(library: Path, conn: Conn, database: str, tmp_path: Path) -> Iterator[FrontEnd]:
    conn.execute(throwaway.TABLE)
    throwaway.write(tmp_path / "changes")
    paths = os.pathsep.join([str(library), str(ROOT / "lib")])
    with kernel(tmp_path, database, PYTHONPATH=paths) as (_manager, client):
        made = FrontEnd(client)
        where = made.done(made.run("import ipykernel; ipykernel.__file__"))
        assert str(library) in where
        made.done(made.run(OPENED))
        yield made
        client.stop_channels()


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
