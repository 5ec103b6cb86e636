"""The library's own SQL: found by name and server version, sent whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pgrunbook import queries, statement
from pgrunbook.errors import UnknownName

pytestmark = pytest.mark.static


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("locks", "locks_post_140000", "locks_post_160000", "sizes"):
        (tmp_path / f"{name}.sql").write_bytes(f"-- {name}\r\nSELECT 1; -- ü\n".encode())
    return tmp_path


@pytest.mark.parametrize(
    ("version", "taken"),
    [
        (0, "locks"),
        (139999, "locks"),
        (140000, "locks_post_140000"),
        (159999, "locks_post_140000"),
        (160000, "locks_post_160000"),
        (180004, "locks_post_160000"),
    ],
)
def test_the_newest_text_that_the_server_understands_is_taken(folder: Path, version: int, taken: str) -> None:
    assert queries.get("locks", version, folder=folder) == f"-- {taken}\r\nSELECT 1; -- ü\n"


def test_a_query_without_variants_is_for_every_server(folder: Path) -> None:
    assert queries.get("sizes", 180004, folder=folder) == queries.get("sizes", folder=folder)


@pytest.mark.parametrize("name", ["lock", "../locks", "*", "", "locks.sql", "locks_post_140000"])
def test_an_unknown_query_is_refused_with_those_that_exist(folder: Path, name: str) -> None:
    with pytest.raises(UnknownName) as caught:
        queries.get(name, 180004, folder=folder)
    assert str(caught.value) == f"no query named {name!r}\n  next: choose one of: locks, sizes"


def test_a_query_that_is_only_for_newer_servers_is_unknown_to_older_ones(tmp_path: Path) -> None:
    (tmp_path / "io_post_160000.sql").write_text("SELECT 1;")
    assert queries.get("io", 160000, folder=tmp_path) == "SELECT 1;"
    with pytest.raises(UnknownName):
        queries.get("io", 150018, folder=tmp_path)


def test_names_are_sorted_and_can_be_chosen_by_prefix(folder: Path) -> None:
    assert queries.names(folder=folder) == ("locks", "sizes")
    assert queries.names("s", folder=folder) == ("sizes",)


def test_every_query_of_the_library_has_a_name_and_reads_as_sql() -> None:
    files = sorted(queries.FOLDER.glob("*.sql"))
    assert files
    for file in files:
        assert queries.VERSIONED_NAME.fullmatch(file.name), file.name
        text = re.sub(r"%\(\w+\)[sb]|%[sb]", "$1", file.read_text(encoding="utf-8")).replace("%%", "%")
        assert len(statement.parse(text, file=file.name)) == 1
