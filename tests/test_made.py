"""Files that are made: written, and compared with what lies there."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgrunbook import made
from pgrunbook.errors import MadeFilesNotWritten

TEXTS = {"a.md": "one\ntwo\n", "b.md": "sha256 1\nx\n"}


def test_what_was_written_does_not_differ(tmp_path: Path) -> None:
    assert made.write(TEXTS, tmp_path / "new" / "folder") == [
        tmp_path / "new" / "folder" / name for name in TEXTS
    ]
    assert made.differing(TEXTS, tmp_path / "new" / "folder") == []


def test_the_first_line_that_differs_is_told_and_a_hash_is_none(tmp_path: Path) -> None:
    made.write({"a.md": "one\n2\n", "b.md": "sha256 2\ny\n"}, tmp_path)
    assert made.differing(TEXTS, tmp_path) == [
        "a.md line 2: has '2', should have 'two'",
        "b.md line 2: has 'y', should have 'x'",
    ]
    made.write({"b.md": "sha256 2\nx\n"}, tmp_path)
    assert made.differing({"b.md": TEXTS["b.md"]}, tmp_path) == ["b.md has another hash"]


def test_of_a_long_line_the_part_that_differs_is_shown(tmp_path: Path) -> None:
    made.write({"a.md": "x" * 200 + "left"}, tmp_path)
    [line] = made.differing({"a.md": "x" * 200 + "right"}, tmp_path)
    assert line == f"a.md line 1: has '{'x' * 30}left', should have '{'x' * 30}right'"


def test_a_file_that_is_missing_longer_or_no_text_differs(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("one\ntwo\nthree\n")
    (tmp_path / "c.md").write_bytes(b"\xff")
    assert made.differing({**TEXTS, "c.md": ""}, tmp_path) == [
        "a.md line 3: has 'three', should have ''",
        "b.md: not there",
        "c.md: cannot be read",
    ]
    (tmp_path / "a.md").write_text("one\ntwo")
    assert made.differing({"a.md": TEXTS["a.md"]}, tmp_path) == ["a.md line 3: has 2 lines, should have 3"]


def test_a_folder_that_cannot_be_written_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(MadeFilesNotWritten):
        made.write(TEXTS, tmp_path / "file")
