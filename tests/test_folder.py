"""A folder of a change: what may lie in it, and how its files are read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgrunbook.errors import BadChange, BadStatement
from pgrunbook.folder import Folder

pytestmark = pytest.mark.static


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    path = tmp_path / "010_x"
    (path / "migrate").mkdir(parents=True)
    return Folder(path)


def test_files_come_in_order_and_hidden_ones_are_passed_over(folder: Folder) -> None:
    for name in ("002_b.sql", "001_a.sql", ".002_b.sql.swp"):
        (folder.path / "migrate" / name).write_text("")
    found = folder.files("migrate", re.compile(r"[0-9]{3}_[a-z]+"))
    assert [folder.label(path) for path in found] == ["010_x/migrate/001_a.sql", "010_x/migrate/002_b.sql"]


@pytest.mark.parametrize("name", ["2_b.sql", "001_a.txt", "001_a.sql~"])
def test_a_file_of_another_name_is_refused_rather_than_passed_over(folder: Folder, name: str) -> None:
    (folder.path / "migrate" / name).write_text("")
    with pytest.raises(
        BadChange, match=re.escape(f"010_x: migrate/{name} is not named like a file of migrate/")
    ):
        folder.files("migrate", re.compile(r"[0-9]{3}_[a-z]+"))


def test_a_stranger_among_the_folders_is_refused(folder: Folder) -> None:
    (folder.path / "migrations").mkdir()
    with pytest.raises(BadChange, match="010_x: migrations has no place in a change"):
        folder.entries("", {"migrate"})


def test_text_is_utf8_and_nothing_else(folder: Folder) -> None:
    file = folder.path / "migrate" / "001_a.sql"
    file.write_bytes("-- größer\r\nSELECT 1".encode())
    assert folder.text(file) == "-- größer\r\nSELECT 1"
    file.write_bytes("-- a\n-- größer".encode("latin-1"))
    with pytest.raises(BadStatement, match=r"^010_x/migrate/001_a\.sql line 2: byte 0xf6 is not UTF-8\n"):
        folder.text(file)
    with pytest.raises(BadChange, match=r"gone\.sql cannot be read"):
        folder.text(folder.path / "gone.sql")
