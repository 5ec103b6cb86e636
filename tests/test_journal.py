"""The local journal: on disk before the call returns, whole after any crash."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from pgrunbook.errors import JournalRefused
from pgrunbook.journal import Journal

pytestmark = pytest.mark.static


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "records" / "run")


def kinds(journal: Journal) -> list[str]:
    return [entry["kind"] for entry in journal.entries()]


def test_an_entry_says_when_what_who_and_whether_the_ledger_knows(journal: Journal) -> None:
    journal.write("apply starting", step="001_a", actor="ann", detail={"file": Path("a.sql")}, in_ledger=True)
    [entry] = journal.entries()
    at = entry.pop("at")
    assert at.endswith("Z")
    assert len(at) == len("2026-01-31T12:00:00.000Z")
    assert entry == {
        "n": 1,
        "kind": "apply starting",
        "step": "001_a",
        "actor": "ann",
        "detail": {"file": "a.sql"},
        "in_ledger": True,
        "database": "",
    }


def test_nothing_is_made_before_the_first_entry(journal: Journal) -> None:
    assert journal.entries() == []
    assert journal.pending() == []
    assert not journal.path.parent.exists()


def test_only_its_owner_reads_a_journal(journal: Journal) -> None:
    journal.write("a")
    assert stat.S_IMODE(journal.path.stat().st_mode) == 0o600


def test_an_entry_and_its_folders_are_synced_before_the_call_returns(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[Path, bytes]] = []
    real = os.fsync

    def spy(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        synced.append((path, path.read_bytes() if path.is_file() else b""))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", spy)
    journal.write("first")
    [(path, written), *folders] = synced
    assert (path, written) == (journal.path, journal.path.read_bytes())
    run = journal.path.parent
    # The file's name is in run, that of run in records, that of records above it.
    assert {folder for folder, _ in folders} == {run, run.parent, run.parent.parent}
    synced.clear()
    journal.write("second")
    assert [path for path, _ in synced] == [journal.path]


def test_entries_outlive_a_killed_process(journal: Journal) -> None:
    program = (
        "import os, pathlib, signal, sys\n"
        "from pgrunbook.journal import Journal\n"
        "Journal(pathlib.Path(sys.argv[1])).write('before the end')\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(journal.path.parent)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert kinds(journal) == ["before the end"]


@pytest.mark.parametrize("torn", [b'{"at": "2026', b'{"kind": "\xc3', b"5", b'"text"', b"{}", b"\0\0\0\0"])
def test_a_line_that_a_crash_cut_short_is_left_out_and_takes_nothing_with_it(
    journal: Journal, torn: bytes
) -> None:
    journal.write("before")
    with journal.path.open("ab") as file:
        file.write(torn)
    assert kinds(journal) == ["before"]
    journal.write("after")
    journal.write("later")
    assert kinds(journal) == ["before", "after", "later"]


@pytest.mark.parametrize(
    "text",
    ["a\u2028b", "a\x85b", "a\x0bb\x0cc\x1cd", "a\r\nb", "a\0b", "\ud83d", "😀", '"; DROP TABLE y', "<b>"],
)
def test_no_text_breaks_an_entry_in_two(journal: Journal, text: str) -> None:
    journal.write(text, step=text, actor=text, detail={text: text})
    [entry] = journal.entries()
    assert entry["step"] == text.replace("\0", "␀").replace("\ud83d", "�")
    assert journal.path.read_bytes().count(b"\n") == 1


def test_what_the_ledger_does_not_hold_is_pending(journal: Journal) -> None:
    journal.write("opened")
    journal.write("told", in_ledger=True)
    journal.write("lost")
    assert [entry["kind"] for entry in journal.pending()] == ["opened", "lost"]
    journal.write("merged", in_ledger=True)
    assert journal.pending() == []
    journal.write("lost again")
    assert [entry["kind"] for entry in journal.pending()] == ["lost again"]


def test_two_journals_do_not_mix(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "one"), Journal(tmp_path / "other")
    one.write("a")
    other.write("b")
    one.write("c")
    assert (kinds(one), kinds(other)) == (["a", "c"], ["b"])


def test_threads_do_not_write_into_each_others_lines(journal: Journal) -> None:
    def write(name: int) -> None:
        for number in range(20):
            journal.write("x", detail={"name": name, "number": number, "long": "y" * 3000})

    threads = [threading.Thread(target=write, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found: dict[int, list[int]] = {}
    for line in journal.path.read_text().splitlines():
        detail: dict[str, Any] = json.loads(line)["detail"]
        found.setdefault(detail["name"], []).append(detail["number"])
    assert found == {name: list(range(20)) for name in range(6)}


def test_a_folder_that_cannot_be_made_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    journal = Journal(tmp_path / "file" / "run")
    with pytest.raises(JournalRefused) as caught:
        journal.write("a")
    assert str(caught.value) == (
        f"the journal {journal.path} cannot be kept: Not a directory\n"
        "  next: make room, or name a folder that you may write in PGRUNBOOK_RECORDS, then do it again"
    )


def test_a_journal_that_cannot_be_read_is_refused_too(journal: Journal) -> None:
    journal.path.mkdir(parents=True)
    with pytest.raises(JournalRefused) as caught:
        journal.entries()
    assert caught.value.reason == "Is a directory"


def test_a_full_disk_is_refused_and_says_so() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    journal = Journal(Path("/dev"))
    journal.path = Path("/dev/full")
    with pytest.raises(JournalRefused) as caught:
        journal.write("a")
    assert caught.value.reason == "No space left on device"
