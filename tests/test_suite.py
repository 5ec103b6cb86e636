"""What `pgrunbook test` runs, and that nothing missing passes for green."""

from __future__ import annotations

import dataclasses
import os
import shutil
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from pgrunbook import errors, suite

pytestmark = pytest.mark.static

REPORT = """<?xml version="1.0"?>
<testsuites><testsuite name="pytest" errors="1" failures="2" skipped="3" tests="10" time="1"/></testsuites>
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    (tmp_path / "tests").mkdir()
    return tmp_path


def lane(checkout: Path, script: str, *, report: str | None = None) -> suite.Lane:
    junit = checkout / "report.xml"
    if report:
        junit.write_text(report)
    return suite.Lane("lane", ((sys.executable, "-c", script),), junit=junit if report else None)


def ran(lanes: list[suite.Lane], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(suite, "lanes", lambda root, reports: iter(lanes))
    return suite.run([])


def test_the_lanes_cover_both_versions_and_the_notebooks_three_times(tmp_path: Path) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "010.ipynb").touch()
    (tmp_path / "notebooks" / "010.py").touch()
    lanes = list(suite.lanes(tmp_path, tmp_path))
    assert [(lane.name, lane.major, lane.beside) for lane in lanes] == [
        ("style", 18, False),
        ("types", 18, False),
        ("tests on 18", 18, False),
        ("tests on 16", 16, True),
        ("tests in a browser", 18, True),
        ("faults on 18, a sample", 18, False),
        ("faults on 16, a sample", 16, True),
        ("notebooks on 18", 18, False),
        ("notebooks on 16", 16, True),
        ("notebooks on 18, again", 18, False),
    ]
    for notebooks in lanes[-3:]:
        (command,) = notebooks.commands
        assert "--nbval" in command
        assert "-x" in command
        assert [word for word in command if word.startswith("notebooks/")] == ["notebooks/010.ipynb"]
    assert len({lane.junit for lane in lanes if lane.junit}) == 8


def test_a_folder_without_notebooks_is_red(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / "notebooks").mkdir()
    lanes = list(suite.lanes(checkout, checkout))[-3:]
    assert ran(lanes, monkeypatch) == 1


def test_the_last_line_counts_and_stands_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    green = lane(checkout, "print('hello')", report=REPORT.replace('errors="1" failures="2"', 'errors="0"'))
    assert ran([green, green], monkeypatch) == 0
    printed = capfd.readouterr().out.splitlines()
    assert printed[-1] == "14 passed, 0 failed"
    assert "hello" in printed


def test_every_lane_runs_and_one_red_lane_makes_all_red(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    red = lane(checkout, "raise SystemExit(2)")
    green = lane(
        checkout, "print('still here')", report=REPORT.replace('errors="1" failures="2"', 'errors="0"')
    )
    assert ran([red, green], monkeypatch) == 1
    printed = capfd.readouterr().out.splitlines()
    assert "still here" in printed
    assert printed[-1] == "7 passed, 1 failed"


def test_lanes_beside_another_run_meanwhile_and_are_printed_after_it(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    # Each is done only when it has met the next.
    meet = (
        "import pathlib, sys, time; mine, other = map(pathlib.Path, {names}); mine.touch()\n"
        "until = time.monotonic() + 60\n"
        "while not other.exists() and time.monotonic() < until: time.sleep(0.01)\n"
        "print('met', mine); sys.exit(not other.exists())"
    )
    one, *others = (
        lane(checkout, meet.format(names=[str(checkout / name) for name in names]))
        for names in (("a", "b"), ("b", "c"), ("c", "a"))
    )
    assert ran([one, *(dataclasses.replace(other, beside=True) for other in others)], monkeypatch) == 0
    printed = capfd.readouterr().out
    assert [printed.index(f"met {checkout / name}") for name in "abc"] == sorted(
        printed.index(f"met {checkout / name}") for name in "abc"
    )
    red = dataclasses.replace(lane(checkout, "raise SystemExit('broken')"), beside=True)
    assert ran([lane(checkout, "pass"), red], monkeypatch) == 1
    assert "broken" in capfd.readouterr().out


def trying(checkout: Path, tests: str) -> suite.Lane:
    (checkout / "test_luck.py").write_text(f"from pathlib import Path\nimport pytest\n{tests}")
    (checkout / "pytest.ini").touch()
    return suite._tests("lane", "not slow", checkout / "report.xml", "test_luck.py")


LUCK = """
@pytest.mark.parametrize("n", range({}))
def test_luck(n):
    met = Path(f"met-{{n}}")
    before = met.exists()
    met.touch()
    assert before
def test_steady():
    pass
"""


def test_a_few_tests_that_failed_run_once_more_and_that_is_told(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert ran([trying(checkout, LUCK.format(2))], monkeypatch) == 0
    printed = capfd.readouterr().out
    assert "FAILED test_luck.py::test_luck[1]" in printed
    assert "--- 2 failed: once more, alone ---" in printed
    assert printed.splitlines()[-1] == "3 passed (2 only when run again), 0 failed"


@pytest.mark.parametrize(
    ("tests", "last"),
    [
        (LUCK.format(suite.FEW + 1), f"1 passed, {suite.FEW + 1} failed"),
        (LUCK.format(1) + "    raise ValueError", "1 passed (1 only when run again), 1 failed"),
        ("raise ValueError", "0 passed, 1 failed"),
    ],
    ids=["too many", "one for good", "nothing to collect"],
)
def test_what_fails_again_or_too_often_stays_red(
    checkout: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tests: str,
    last: str,
) -> None:
    assert ran([trying(checkout, tests)], monkeypatch) == 1
    assert capfd.readouterr().out.splitlines()[-1] == last


def test_a_lane_that_hangs_is_stopped_and_red(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = dataclasses.replace(lane(checkout, "import time; time.sleep(60)"), seconds=1)
    assert ran([slow], monkeypatch) == 1


def test_k_runs_the_matching_tests_only(checkout: Path) -> None:
    (only,) = suite._chosen("060", False, checkout)
    (command,) = only.commands
    assert command[-2:] == ("-k", "060")
    assert only.name == "tests on 18"


def test_faults_are_refused_while_there_are_none_and_get_a_lane_a_server(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(errors.NothingToTest) as caught:
        suite.run(["--faults"])
    assert str(caught.value) == "tests/faults holds no tests\n  next: run pgrunbook test without --faults"
    (checkout / "tests" / "faults").mkdir()
    (checkout / "tests" / "faults" / "test_kill.py").touch()
    for debian in (True, False):
        place = checkout / "postgres"
        place.touch() if debian else place.unlink()
        monkeypatch.setattr(suite, "DEBIANS_15", place)
        lanes = suite._chosen(None, True, checkout)
        assert [lane.major for lane in lanes] == [18, 16, *([15] if debian else [])]
        assert {lane.commands[0][-1] for lane in lanes} == {"tests"}
        assert {lane.seconds for lane in lanes} == {suite.FAULT_SECONDS}


@pytest.mark.parametrize(
    ("free", "flags", "in_memory"),
    [(suite.ROOM, 0, True), (suite.ROOM - 1, 0, False), (suite.ROOM, os.ST_NOEXEC, False)],
)
def test_test_servers_have_their_data_in_memory_where_there_is_room_and_programs_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, flags: int, in_memory: bool
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/elsewhere")
    monkeypatch.setattr(suite, "MEMORY", tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=flags))
    assert suite.place() == (tmp_path if in_memory else Path("/tmp"))
    monkeypatch.setattr(suite, "MEMORY", tmp_path / "none")
    assert suite.place() == Path("/tmp")


def test_all_lanes_make_their_temporary_files_in_one_folder_that_goes_with_the_suite(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = tempfile.gettempdir()
    script = (
        "import os, tempfile; made = tempfile.gettempdir(); print('made', oct(os.stat(made).st_mode), made)"
    )
    assert ran([lane(checkout, script)], monkeypatch) == 0
    said = capfd.readouterr().out.splitlines()
    ((mode, made),) = (line.split()[1:] for line in said if line.startswith("made "))
    assert Path(made).name.startswith("pgrunbook-suite-")
    # Another user runs the servers that root starts.
    assert mode == "0o40711"
    assert not Path(made).exists()
    assert tempfile.gettempdir() == before


def test_outside_a_checkout_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite, "ROOT", tmp_path)
    with pytest.raises(
        errors.NothingToTest, match=r"is not a checkout of the project\n  next: run \./pgrunbook test"
    ):
        suite.run([])


def test_no_lane_gets_to_see_the_operators_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGSERVICE", "PGRUNBOOK_TARGET", "PGRUNBOOK_POSTGRES", "PGRUNBOOK_CHANGES"):
        monkeypatch.setenv(name, "live")
    seen = {name: value for name, value in suite.environment(16).items() if name.startswith("PG")}
    assert seen == {"PGRUNBOOK_POSTGRES": "16", "PGRUNBOOK_CHANGES": "live"}
