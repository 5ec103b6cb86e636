"""A record as PDF: printed by the machine's Chromium, or a plain word why not."""

from __future__ import annotations

import os
import re
import socket
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pgrunbook import printing
from pgrunbook.errors import NoBrowser, PdfNotMade

pytestmark = pytest.mark.static


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "a run #1 ä" / "record.html"
    file.parent.mkdir()
    file.write_text(
        "<!doctype html><meta charset=utf-8><title>x</title><p>one<p style='break-before: page'>two"
        "<img src='http://127.0.0.1:PORT/x.png'><img src='http://localhost:PORT/x.png'>",
        encoding="utf-8",
    )
    return file


def program(folder: Path, body: str, name: str = "chromium") -> Path:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return file


def test_a_page_is_printed_page_by_page_and_without_the_network(page: Path) -> None:
    try:
        printing.browser(os.environ)
    except NoBrowser:
        pytest.skip("no Chromium on this machine")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        page.write_text(page.read_text("utf-8").replace("PORT", str(listening.getsockname()[1])), "utf-8")
        file = printing.to_pdf(page)
        listening.settimeout(0)
        with pytest.raises(BlockingIOError):
            listening.accept()
    assert file == page.with_suffix(".pdf")
    content = file.read_bytes()
    assert content.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", content)) == 2
    assert sorted(one.name for one in page.parent.iterdir()) == ["record.html", "record.pdf"]


def test_a_long_temporary_folder_is_left_alone(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket in it would have a path that no system takes; Chromium then ends without a word."""
    long = tmp_path / ("x" * 60) / "tmp"
    long.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(long))
    tells = program(tmp_path, f'echo "$TMPDIR" > {tmp_path}/told; exit 1')
    monkeypatch.setenv("PGRUNBOOK_CHROMIUM", str(tells))
    with pytest.raises(PdfNotMade):
        printing.to_pdf(page)
    told = (tmp_path / "told").read_text().strip()
    assert len(f"{told}/org.chromium.Chromium.XXXXXX/SingletonSocket") < 104
    assert not Path(told).exists()
    assert list(long.iterdir()) == []


def test_the_variable_names_the_browser_and_else_it_is_looked_for(tmp_path: Path) -> None:
    mine, other = program(tmp_path, "", "mine"), program(tmp_path, "", "google-chrome")
    assert printing.browser({"PATH": str(tmp_path)}) == str(other)
    assert printing.browser({"PATH": str(tmp_path), "PGRUNBOOK_CHROMIUM": str(mine)}) == str(mine)
    assert printing.browser({"PATH": str(tmp_path), "PGRUNBOOK_CHROMIUM": " mine "}) == str(mine)


def test_where_there_is_none_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(printing, "NAMES", ("chromium",))
    with pytest.raises(NoBrowser) as caught:
        printing.browser({"PATH": str(tmp_path)})
    assert caught.value.named == ""
    program(tmp_path, "")
    # One that was asked for by name and is not there is not replaced by another.
    with pytest.raises(NoBrowser) as caught:
        printing.browser({"PATH": str(tmp_path), "PGRUNBOOK_CHROMIUM": "netscape"})
    assert caught.value.named == "netscape"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("echo first; echo cannot open display >&2; exit 21", "exit code 21, cannot open display"),
        ("exit 0", "exit code 0, it said nothing"),
        ('for one; do case $one in --print*) echo no > "${one#*=}";; esac; done', "exit code 0, it said nothing"),
    ],
)  # fmt: skip
def test_a_browser_that_fails_is_told_and_leaves_the_old_file(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    page.with_suffix(".pdf").write_text("old")
    monkeypatch.setenv("PGRUNBOOK_CHROMIUM", str(program(tmp_path, body)))
    with pytest.raises(PdfNotMade) as caught:
        printing.to_pdf(page)
    assert caught.value.reason == reason
    assert page.with_suffix(".pdf").read_text() == "old"


def test_a_browser_that_hangs_is_ended_with_all_that_it_started(
    page: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    monkeypatch.setenv(
        "PGRUNBOOK_CHROMIUM", str(program(tmp_path, f"sleep 600 & echo $! > {tmp_path}/child; wait"))
    )
    with pytest.raises(PdfNotMade) as caught:
        printing.to_pdf(page, limit_s=3)
    assert caught.value.reason == "no end after 3 s"
    child = int((tmp_path / "child").read_text())
    status = Path(f"/proc/{child}/stat")
    # What nobody has collected yet is dead all the same.
    eventually(lambda: not status.exists() or status.read_text().rsplit(")")[-1].split()[0] == "Z")


def test_a_program_that_cannot_run_is_told(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = program(tmp_path, "")
    broken.write_bytes(b"#!/nowhere/at/all\n")
    monkeypatch.setenv("PGRUNBOOK_CHROMIUM", str(broken))
    with pytest.raises(PdfNotMade) as caught:
        printing.to_pdf(page)
    assert caught.value.reason == "No such file or directory"
