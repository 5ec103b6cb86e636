"""A draft: a file that a change takes, whatever the names in it are."""

from __future__ import annotations

import pytest

from pgrunbook import header
from pgrunbook.header import Kind
from pgrunbook.strategies import Draft

pytestmark = pytest.mark.static


def test_the_file_has_a_header_that_can_be_read_and_warnings_as_comments() -> None:
    draft = Draft(
        "move", "Move\nt (\u2028a\x00)", "word " * 40 + "; DROP\r\nTABLE x", ("mind\nthis",), "UPDATE t", ""
    )
    lines = draft.text.split("\n")
    assert lines[0] == "-- Move t ( a )"
    assert lines[-5:] == ["-- Mind: mind this", "", "UPDATE t;", ""][-5:] or lines[-4:] == [
        "-- Mind: mind this",
        "",
        "UPDATE t;",
        "",
    ]
    read = header.parse(draft.text, kind=Kind.REMEDY, file="x.sql")
    assert (read.title, read.effect) == ("Move t ( a )", ("word " * 40).strip() + " ; DROP TABLE x")
    assert max(map(len, lines)) <= 110


def test_without_warnings_the_statement_follows_the_header() -> None:
    assert Draft("move", "T", "e", (), "UPDATE t", "").text == "-- T\n-- effect: e\n\nUPDATE t;\n"
