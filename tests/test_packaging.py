"""The lists of packages agree, git keeps the library, and the launcher survives what befalls launchers."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
CONDA_NAMES = {"matplotlib-base": "matplotlib", "playwright-python": "playwright"}

pytestmark = pytest.mark.static

Wanted = dict[str, SpecifierSet]


def of_pyproject(text: str) -> Wanted:
    project = tomllib.loads(text)["project"]
    lines = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    requirements = [Requirement(line) for line in lines]
    return {canonicalize_name(one.name): one.specifier for one in requirements}


def of_environment(text: str) -> Wanted:
    wanted: Wanted = {}
    dependencies: list[Any] = yaml.safe_load(text)["dependencies"]
    for line in dependencies:
        for entry in line["pip"] if isinstance(line, dict) else [line]:
            if entry in ("pip", "-e ."):
                continue
            one = Requirement(entry)
            wanted[canonicalize_name(CONDA_NAMES.get(one.name, one.name))] = one.specifier
    return wanted


def of_constraints(text: str) -> dict[str, str]:
    lines = [line.split("==") for line in text.splitlines() if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in lines}


def disagreements(pyproject: Wanted, environment: Wanted) -> list[str]:
    environment = {name: versions for name, versions in environment.items() if name != "python"}
    missing = [f"only in one of the two: {name}" for name in sorted(pyproject.keys() ^ environment.keys())]
    both = sorted(pyproject.keys() & environment.keys())
    return missing + [
        f"{name}: {pyproject[name]} and {environment[name]}"
        for name in both
        if set(pyproject[name]) != set(environment[name])
    ]


@pytest.fixture(scope="module")
def pyproject() -> Wanted:
    return of_pyproject((ROOT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def environment() -> Wanted:
    return of_environment((ROOT / "environment.yml").read_text())


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    return of_constraints((ROOT / "constraints.txt").read_text())


def test_conda_and_pip_install_the_same_packages(pyproject: Wanted, environment: Wanted) -> None:
    assert disagreements(pyproject, environment) == []


def test_the_comparison_finds_what_differs(pyproject: Wanted, environment: Wanted) -> None:
    lacking = {name: versions for name, versions in environment.items() if name != "pandas"}
    assert disagreements(pyproject, lacking) == ["only in one of the two: pandas"]
    other = {**environment, "nbval": SpecifierSet(">=0.10")}
    assert disagreements(pyproject, other) == [f"nbval: {pyproject['nbval']} and >=0.10"]


def test_the_brief_list_of_packages_is_there(environment: Wanted) -> None:
    assert {"jupyterlab", "psycopg", "pandas", "sqlalchemy", "ipywidgets", "nbval"} <= environment.keys()


def test_every_range_has_two_ends(pyproject: Wanted) -> None:
    for name, versions in pyproject.items():
        assert {one.operator for one in versions} == {">=", "<"}, name


def test_the_pinned_versions_satisfy_both(
    pyproject: Wanted, environment: Wanted, constraints: dict[str, str]
) -> None:
    for wanted in (pyproject, environment):
        for name, versions in wanted.items():
            if name != "python":
                assert constraints[name] in versions, name


def test_conda_takes_the_pythons_that_the_launcher_takes(environment: Wanted) -> None:
    launcher = (ROOT / "pgrunbook").read_text()
    assert "not (3, 11) <= sys.version_info[:2] <= (3, 14)" in launcher
    assert environment["python"] == SpecifierSet(">=3.11,<3.15")
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"] == ">=3.11"


def test_what_runs_here_is_what_is_pinned(constraints: dict[str, str]) -> None:
    if Path(sys.prefix) != ROOT / ".venv":
        pytest.skip("not in the project's own .venv")
    from importlib.metadata import distributions

    installed = {canonicalize_name(one.metadata["Name"]): one.version for one in distributions()}
    differing = {
        name: (version, installed[name])
        for name, version in constraints.items()
        if name in installed and installed[name] != version
    }
    assert differing == {}


def git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def _checkout() -> None:
    if git("rev-parse", "--git-dir").returncode != 0:
        pytest.skip("not a git checkout")


@pytest.mark.usefixtures("_checkout")
def test_git_ignores_nothing_of_the_library_and_all_that_is_made() -> None:
    kept = [
        str(file.relative_to(ROOT))
        for folder in ("lib", "sql", "notebooks", "tests")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and not {"__pycache__", ".ipynb_checkpoints", "node_modules"} & set(file.parts)
        if ".egg-info" not in str(file)
    ]
    kept += ["lib/pgrunbook/views/template/index.html.j2", "records/example/record.html"]
    ignored = subprocess.run(
        ["git", "-C", str(ROOT), "check-ignore", "--no-index", "--stdin"],
        input="\n".join(kept),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ignored.stdout == ""
    made = [".venv/bin/python", ".venv.lock", "records/2026/journal.jsonl", "lib/pgrunbook.egg-info/PKG-INFO"]
    made += ["notebooks/.ipynb_checkpoints/x.ipynb", "lib/pgrunbook/__pycache__/x.pyc"]
    assert git("check-ignore", "--no-index", *made).stdout.split() == made


class Checkout:
    """A copy of what the launcher reads, with a fake Python that records what it was asked to do."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        for name in ("pgrunbook", "pyproject.toml", "constraints.txt"):
            shutil.copy(ROOT / name, folder / name)
        self.programs = folder.parent / "programs"
        self.programs.mkdir()
        self.calls = folder.parent / "calls"
        for tool in (
            "sh",
            "cat",
            "cksum",
            "readlink",
            "dirname",
            "ln",
            "mv",
            "rm",
            "mkdir",
            "date",
            "grep",
            "sed",
        ):
            self._link(tool)
        for tool in ("tail", "sleep", "ps", "chmod", "cp"):
            self._link(tool)

    def _link(self, tool: str) -> None:
        found = shutil.which(tool)
        if found:
            (self.programs / tool).symlink_to(found)

    def program(self, name: str, text: str) -> Path:
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
        return path

    def python(self, name: str = "python3", *, venv: str = "", install: str = "exit 0") -> None:
        """Put a Python on the PATH that makes a .venv of itself and notes every installation."""
        self.program(
            name,
            f"""
case "$*" in
    "-m venv"*) {venv or ":"}; mkdir -p "$3/bin"; cp "$0" "$3/bin/python"; echo venv >>'{self.calls}' ;;
    "-m pip"*) echo "pip $*" >>'{self.calls}'; {install} ;;
    "-m pgrunbook"*) shift 2; echo "ran in $PWD with [$*]" ;;
esac
""",
        )

    def run(
        self, *arguments: str, launcher: Path | None = None, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [launcher or self.folder / "pgrunbook", *arguments],
            cwd=cwd or self.folder.parent,
            env={"PATH": str(self.programs), "HOME": str(self.folder.parent), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def installations(self) -> int:
        return self.calls.read_text().count("pip -m pip install") if self.calls.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path / "a path with spaces" / "project")
    made.python()
    return made


def test_the_first_call_installs_and_the_second_only_runs(checkout: Checkout) -> None:
    first = checkout.run("check", "two words", "*")
    assert first.stdout == f"ran in {checkout.folder.parent} with [check two words *]\n"
    assert first.stderr.startswith("pgrunbook: first use: making .venv and installing 1")
    second = checkout.run()
    assert (second.stdout, second.stderr) == (f"ran in {checkout.folder.parent} with []\n", "")
    assert checkout.installations() == 1


def test_it_works_through_links_from_any_folder(checkout: Checkout, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "one").symlink_to("a path with spaces/project/pgrunbook")
    (tmp_path / "bin" / "two").symlink_to("../one")
    result = checkout.run(launcher=tmp_path / "bin" / "two", cwd=Path("/"))
    assert result.stdout == "ran in / with []\n"
    assert (checkout.folder / ".venv").is_dir()


def test_a_changed_list_installs_again_exactly_once(checkout: Checkout) -> None:
    checkout.run()
    with (checkout.folder / "constraints.txt").open("a") as file:
        file.write("one-more==1.0\n")
    assert "bringing .venv up to date" in checkout.run().stderr
    assert checkout.run().stderr == ""
    assert checkout.installations() == 2
    assert checkout.calls.read_text().count("venv\n") == 1


def test_an_installation_that_failed_says_why_and_goes_on_next_time(checkout: Checkout) -> None:
    checkout.python(install="[ -e mended ] || { echo 'no such package' >&2; exit 1; }")
    failed = checkout.run()
    assert failed.returncode == 1
    assert "  | no such package\npgrunbook: could not install" in failed.stderr
    assert not (checkout.folder / ".venv.lock").exists()
    (checkout.folder / "mended").touch()
    assert checkout.run().returncode == 0
    assert checkout.installations() == 2


@pytest.mark.parametrize("moment", ["venv", "install"])
def test_a_launcher_killed_at_any_moment_is_followed_by_one_that_finishes(
    checkout: Checkout, moment: str
) -> None:
    kill = f"kill -9 $(readlink '{checkout.folder}/.venv.lock')"
    checkout.python(**{moment: kill})
    assert checkout.run().returncode == -signal.SIGKILL
    assert (checkout.folder / ".venv.lock").is_symlink()
    shutil.rmtree(checkout.folder / ".venv" / "bin", ignore_errors=True)
    checkout.python()
    after = checkout.run()
    assert (after.returncode, after.stdout) == (0, f"ran in {checkout.folder.parent} with []\n")
    assert not list(checkout.folder.glob(".venv.lock*"))


def test_two_at_once_install_once(checkout: Checkout, eventually: Callable[..., Any]) -> None:
    checkout.python(install=f"until [ -e '{checkout.folder}/go' ]; do sleep 0.02; done")
    told = [checkout.folder.parent / "one.txt", checkout.folder.parent / "two.txt"]
    both = []
    for file in told:
        with file.open("w") as errors:
            command = [checkout.folder / "pgrunbook"]
            both.append(subprocess.Popen(command, env={"PATH": str(checkout.programs)}, stderr=errors))
    eventually(lambda: any("which is installing" in file.read_text() for file in told), timeout=30)
    (checkout.folder / "go").touch()
    assert [one.wait(timeout=30) for one in both] == [0, 0]
    assert checkout.installations() == 1


def test_the_lock_of_a_killed_installation_is_taken_over(checkout: Checkout) -> None:
    gone = subprocess.Popen(["sleep", "0"])
    gone.wait()
    (checkout.folder / ".venv.lock").symlink_to(str(gone.pid))
    assert checkout.run().returncode == 0
    assert not list(checkout.folder.glob(".venv.lock*"))


def test_a_venv_that_moved_or_lost_its_python_is_made_anew(checkout: Checkout) -> None:
    checkout.run()
    (checkout.folder / ".venv" / "bin" / "python").unlink()
    assert "first use" in checkout.run().stderr
    moved = checkout.folder.with_name("moved")
    checkout.folder.rename(moved)
    assert "first use" in checkout.run(launcher=moved / "pgrunbook").stderr


def test_a_venv_of_somebody_else_is_left_alone(checkout: Checkout) -> None:
    (checkout.folder / ".venv").mkdir()
    (checkout.folder / ".venv" / "mine").touch()
    result = checkout.run()
    assert result.returncode == 1
    assert "was not made by pgrunbook, so it leaves it alone\n  next: move it away" in result.stderr
    assert (checkout.folder / ".venv" / "mine").exists()


def test_without_a_fitting_python_it_says_what_to_install(checkout: Checkout) -> None:
    checkout.program("python3", "exit 1")
    result = checkout.run()
    assert result.returncode == 1
    assert "needs Python 3.11 to 3.14, and found none\n  next: install one" in result.stderr
    assert not (checkout.folder / ".venv").exists()
    checkout.program("python3", 'case "$*" in *ensurepip*) exit 1 ;; esac')
    assert "python3 has no venv module" in checkout.run().stderr


def test_uv_helps_out_where_no_python_fits(checkout: Checkout) -> None:
    checkout.program("python3", "exit 1")
    inner = checkout.program("inner", 'case "$*" in *"import pip"*) exit 1 ;; *) echo "ran [$*]" ;; esac')
    checkout.program(
        "uv",
        f"""
echo "uv $*" >>'{checkout.calls}'
if [ "$1" = venv ]; then mkdir -p "$6/bin"; cp '{inner}' "$6/bin/python"; fi
""",
    )
    result = checkout.run("check")
    assert result.stdout == "ran [-m pgrunbook check]\n", result.stderr
    assert [line.split()[1] for line in checkout.calls.read_text().splitlines()] == ["venv", "pip"]


def test_pgrunbook_python_is_used_as_it_is(checkout: Checkout) -> None:
    result = checkout.run("check", PGRUNBOOK_PYTHON="python3")
    assert result.stdout == f"ran in {checkout.folder.parent} with [check]\n"
    assert not (checkout.folder / ".venv").exists()
    missing = checkout.run(PGRUNBOOK_PYTHON="/nowhere/python")
    assert missing.returncode == 1
    assert "PGRUNBOOK_PYTHON=/nowhere/python is not there" in missing.stderr


@pytest.mark.parametrize("name", ["pgrunbook", ".ci/run"])
def test_programs_are_executable_and_name_no_host(name: str) -> None:
    file = ROOT / name
    assert os.access(file, os.X_OK)
    assert "://" not in file.read_text()
