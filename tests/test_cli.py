"""The command line: its grammar, its exit codes, and that a person or a machine can read whatever happens."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from operating import AT_ONCE, GO, Desk, ended
from throwaway import FILES, NAME, changed

from pgrunbook import cli, workbench
from pgrunbook.commands import COMMANDS
from pgrunbook.errors import NothingToTest

if TYPE_CHECKING:
    from conftest import Elsewhere

SECRET = "hunter2-secret"
HEAVY = [
    "IPython",
    "bleach",
    "ipywidgets",
    "jinja2",
    "jupytext",
    "matplotlib",
    "nbclient",
    "nbconvert",
    "nbformat",
]
HEAVY += ["numpy", "pandas", "pygraphviz", "sqlalchemy"]


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        yield desk


def test_help_lists_every_command(desk: Desk) -> None:
    said = desk("--help")
    assert (said.code, said.err) == (0, "")
    listed = [line.split()[0] for line in said.out.splitlines() if line.startswith("    ") and line[4] != " "]
    assert listed == [*COMMANDS, "lab", "test"]
    for command in COMMANDS:
        assert desk(command, "--help").code == 0


def test_the_readme_lists_every_command_that_changes_a_target() -> None:
    readme = (Path(cli.__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"| `{command} " in readme or f"./pgrunbook {command} " in readme, command


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["apply"],
        ["apply", NAME, "--reason"],
        ["remedy", NAME],
        ["status", NAME, "--frobnicate"],
        ["new"],
        # A shell variable that is not set must not mean another target, no window or any signer.
        ["apply", NAME, *AT_ONCE, "--target", ""],
        ["apply", NAME, *AT_ONCE, "--window-ends", " "],
        ["status", NAME, "--changes", ""],
        ["tick", NAME, "--run", ""],
        ["record", NAME, "--sign", ""],
        ["verify", "record.html", "--signer", ""],
        ["verify", "record.html", "--signer", "allowed", "--identity", ""],
    ],
)
def test_wrong_usage_is_exit_code_2_with_nothing_on_standard_output(desk: Desk, arguments: list[str]) -> None:
    said = desk(*arguments)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("usage: pgrunbook")


def test_an_option_that_takes_a_text_refuses_an_empty_one_but_for_the_reason() -> None:
    (verbs,) = (one for one in cli.parser()._actions if isinstance(one, argparse._SubParsersAction))
    options = [(sub, one) for sub in verbs.choices.values() for one in sub._actions if one.option_strings]
    taken = [(sub, one) for sub, one in options if one.nargs is None and one.dest != "reason"]
    assert {"to", "step", "run", "where", "save", "tick"} < {one.dest for _, one in taken}
    for sub, one in taken:
        with pytest.raises(argparse.ArgumentError):
            sub._check_value(one, sub._get_value(one, ""))


def test_a_command_starts_without_the_notebooks_libraries() -> None:
    code = f"import sys, pgrunbook.cli; print(*sorted(set(sys.modules) & set({HEAVY})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


def test_a_ctrl_c_while_the_libraries_load_is_no_traceback() -> None:
    stops = (
        "import runpy, sys\n"
        "class Stop:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'pgrunbook.commands':\n"
        "            raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Stop())\n"
        "runpy.run_module('pgrunbook', run_name='__main__')\n"
    )
    said = subprocess.run([sys.executable, "-c", stops], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout, said.stderr) == (1, "", "Stopped: nothing was begun\n")


def test_without_a_target_nothing_is_touched(desk: Desk) -> None:
    desk.write()
    for command in (
        ["status"],
        ["preflight", NAME],
        ["apply", NAME, *GO],
        ["verify", NAME],
        ["record", NAME],
    ):
        said = desk(*command, PGRUNBOOK_TARGET=" ")
        assert (said.code, said.out) == (1, "")
        assert said.err == (
            "NoTarget: no target is named, and nothing here defaults to a live one\n"
            "  next: set PGRUNBOOK_TARGET to a connection string or service=NAME,"
            " or use `pgrunbook rehearse CHANGE`, which brings its own server\n"
        )


@pytest.mark.parametrize(
    "text", [f"postgresql://me:{SECRET}@[db", f"host=db1 {SECRET}", f"password='{SECRET}"]
)
def test_a_target_that_cannot_be_read_is_not_repeated(desk: Desk, text: str) -> None:
    said = desk("status", PGRUNBOOK_TARGET=text)
    assert said.code == 1
    assert said.err == (
        "BadTarget: the text of PGRUNBOOK_TARGET is not a connection string that libpq understands\n"
        "  next: write it as `host=... dbname=... user=...`, as `postgresql://...`, or as `service=NAME`\n"
    )


def test_the_target_can_be_named_on_the_command_line(desk: Desk) -> None:
    desk.write()
    said = desk("status", NAME, "--target", desk.database, PGRUNBOOK_TARGET="")
    assert said.code == 0
    assert said.out.splitlines()[2] == f"{NAME}: 0 of 3 steps done"


def test_an_unknown_change_is_refused_with_those_that_exist(desk: Desk) -> None:
    desk.write()
    for command in ("preflight", "apply", "verify", "rollback", "status", "rehearse"):
        said = desk(command, "070_nothing")
        assert (said.code, said.out) == (1, "")
        assert said.err == f"UnknownName: no change named '070_nothing'\n  next: choose one of: {NAME}\n"


def test_the_folder_of_changes_is_named_by_option_or_variable(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write()
    monkeypatch.chdir(tmp_path)
    assert desk("preflight", NAME).code == 0
    assert desk("preflight", NAME, PGRUNBOOK_CHANGES="").code == 1
    assert desk("preflight", NAME, "--changes", "changes", PGRUNBOOK_CHANGES="").code == 0
    assert desk("preflight", NAME, "--changes", "changes", PGRUNBOOK_CHANGES="/nowhere").code == 0
    assert desk("preflight", NAME, "--changes=~/changes", PGRUNBOOK_CHANGES="", HOME=str(tmp_path)).code == 0
    said = desk("preflight", NAME, PGRUNBOOK_CHANGES="/nowhere")
    assert said.err == (
        "BadChange: /nowhere: there is no such folder of changes\n"
        "  next: set PGRUNBOOK_CHANGES to the folder of changes, or work inside the project\n"
    )


@pytest.mark.parametrize("named", ["99", "abc", "18.1", "-18"])
def test_a_postgres_that_is_not_there_is_refused(desk: Desk, named: str) -> None:
    desk.write()
    said = desk("apply", NAME, *GO, PGRUNBOOK_POSTGRES=named)
    assert (said.code, said.out) == (1, "")
    assert said.err.splitlines()[-2:] == [
        f"UnknownName: no embedded PostgreSQL (PGRUNBOOK_POSTGRES) named '{named}'",
        "  next: choose one of: 16, 18",
    ]


def test_errors_are_json_where_machines_asked_for_it(desk: Desk) -> None:
    desk.write()
    said = desk("apply", NAME, "--approve-all", "--json")
    assert (said.code, said.err) == (3, "")
    assert said.facts == {
        "error": "ReasonMissing",
        "found": "--approve-all needs a reason",
        "details": [],
        "next": "add --reason TEXT; it is kept in the record",
    }


def test_what_the_database_refuses_unexpectedly_is_one_clear_message(desk: Desk) -> None:
    desk.write()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    with desk.looking() as conn:
        conn.execute("DROP TABLE pgrunbook.step CASCADE")
    for command in (["status"], ["verify", NAME], ["apply", NAME, *AT_ONCE], ["rollback", NAME, *GO]):
        said = desk(*command)
        assert (said.code, said.out) == (1, "")
        message = said.err[said.err.index("TargetFailed") :]
        assert message.startswith("TargetFailed: the database did not do what it was asked: relation")
        assert message.endswith(
            "\n  next: look at `pgrunbook status`;"
            " when the cause is mended the same command again goes on from there\n"
        )
    assert desk("status", "--json").facts["error"] == "TargetFailed"


@pytest.mark.parametrize("command", ["status", "verify"])
def test_a_connection_that_is_lost_in_the_middle_is_one_clear_message(
    desk: Desk, elsewhere: Elsewhere, eventually: Callable[..., Any], command: str
) -> None:
    desk.write()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    elsewhere.begin_and_hold("LOCK TABLE pgrunbook.step IN ACCESS EXCLUSIVE MODE")
    process = desk.start(command, NAME)
    # As an administrator would, or the server that shuts down.
    eventually(
        lambda: desk.ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name LIKE 'pgrunbook %' AND wait_event_type = 'Lock'"
        )
    )
    said = ended(process)
    elsewhere.release()
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        "TargetFailed: the database did not do what it was asked: terminating connection"
    )
    assert "Traceback" not in said.err
    assert "\n  next: " in said.err


def test_a_reader_that_has_gone_is_no_traceback(desk: Desk) -> None:
    desk.write()
    for command in (["status"], ["status", "--json"], ["preflight", "070_nothing", "--json"], ["--help"]):
        reader, writer = os.pipe()
        os.close(reader)
        said = desk.run(*command, stdout=writer)
        os.close(writer)
        # Help is printed by argparse, which minds only where Python keeps a buffer.
        assert said.code == 1 or command == ["--help"], command
        assert said.err == "", command


def test_progress_that_nobody_reads_stops_nothing(desk: Desk) -> None:
    desk.write()
    reader, writer = os.pipe()
    os.close(reader)
    said = desk.run("apply", NAME, *AT_ONCE, stderr=writer)
    os.close(writer)
    assert said.code == 0
    assert desk.statuses == ["done"] * 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_behind_standard_output_is_told(desk: Desk) -> None:
    desk.write()
    with Path("/dev/full").open("w") as full:
        said = desk.run("status", stdout=full)
    assert said.code == 1
    assert said.err.startswith("FileRefused: the system: No space left on device\n  next: ")
    assert "Traceback" not in said.err


def test_a_folder_for_records_that_cannot_be_made_is_told_before_anything_is_changed(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    desk.write()
    desk.records.write_text("a file")
    said = desk("apply", NAME, *AT_ONCE)
    assert said.code == 1
    assert said.err.startswith(f"JournalRefused: the journal {desk.records}/")
    assert not desk.has_ledger
    eventually(lambda: not desk.ours)


def test_a_record_that_cannot_be_written_is_told(desk: Desk) -> None:
    desk.write()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    blocked = desk.folder / "file"
    blocked.touch()
    said = desk("record", NAME, PGRUNBOOK_RECORDS=str(blocked))
    assert said.code == 1
    assert said.err.startswith(f"FileRefused: {blocked}/")
    assert said.err.splitlines()[0].endswith(": Not a directory")


def test_names_that_a_terminal_cannot_show_end_no_command(desk: Desk) -> None:
    text = FILES["migrate/001_add_note.sql"] or ""
    desk.write(changed({"migrate/001_add_note.sql": text.replace("Add the note", "Größe ändern")}))
    desk.more = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    said = desk.run("apply", NAME, *AT_ONCE)
    assert said.code == 0
    assert "001 Gr\\xf6\\xdfe \\xe4ndern ... done" in said.err
    assert desk.run("status", NAME, "--json").facts["changes"][NAME][0]["title"] == "Größe ändern"


@pytest.mark.parametrize("command", ["test", "lab"])
def test_the_workshops_errors_are_told_too(desk: Desk, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(arguments: list[str]) -> int:
        raise NothingToTest(found=f"nothing for {arguments}", next_step="go home")

    monkeypatch.setattr(workbench, command, refuse)
    said = desk(command, "-x")
    assert (said.code, said.out, said.err) == (1, "", "NothingToTest: nothing for ['-x']\n  next: go home\n")


def test_no_password_reaches_an_output_a_file_the_ledger_or_another_process(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write()
    desk.conninfo = f"{desk.database} password={SECRET}"
    lines: list[str] = []
    start = subprocess.Popen.__init__

    def noting(self: Any, *arguments: Any, **options: Any) -> None:
        start(self, *arguments, **options)
        lines.append(str(self.args))
        with contextlib.suppress(OSError):
            # What others see; empty when the process has ended already.
            lines.append(Path(f"/proc/{self.pid}/cmdline").read_text())

    monkeypatch.setattr(subprocess.Popen, "__init__", noting)
    with desk.looking() as conn:
        conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    said = [
        desk("preflight", NAME),
        desk("apply", NAME),
        desk("remedy", NAME, "10_doubled_codes", "--preview"),
        desk("remedy", NAME, "10_doubled_codes", *GO),
        desk("remedy", NAME, "10_doubled_codes", "--undo", *GO),
        desk("remedy", NAME, "10_doubled_codes", *GO, "--json"),
        desk("apply", NAME, "--approve-all", "--reason", f"as agreed, {SECRET}"),
        desk("rollback", NAME, "--to", "002", *GO),
        desk("apply", NAME, *GO, "--json"),
        desk("verify", NAME, "--json"),
        desk("status", "--json"),
        desk("status"),
        desk("record", NAME),
    ]
    assert [one.code for one in said] == [3, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], said
    assert any("pg_dump" in line for line in lines)
    with desk.looking() as conn:
        conn.execute("DROP TABLE pgrunbook.step CASCADE")
        ledger = [
            conn.execute(f"SELECT * FROM pgrunbook.{table}".encode()).fetchall()
            for table in ("run", "event", "quarantine")
        ]
    failures = [desk("status"), desk("verify", NAME, "--json"), desk("apply", NAME, *GO)]
    nowhere = f"host=/nowhere password={SECRET}"
    failures += [
        desk("status", "--json", PGRUNBOOK_TARGET=nowhere),
        desk("apply", NAME, PGRUNBOOK_TARGET=nowhere),
    ]
    wrong = f"{desk.conninfo} sslpassword={SECRET} connect_timeout={SECRET}"
    failures += [desk("status", PGRUNBOOK_TARGET=wrong)]
    assert [one.code for one in failures] == [1] * 6
    files = [path.read_text(errors="replace") for path in desk.records.rglob("*") if path.is_file()]
    assert len(files) > 10
    assert SECRET not in str([said, failures, ledger, lines])
    assert not [text for text in files if SECRET in text]
