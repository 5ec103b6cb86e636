"""Text from outside hides nothing."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.views.text import encodable, marks, shorten, visible

pytestmark = pytest.mark.static


@given(st.text(st.characters()))
def test_visible_text_has_no_character_that_hides_or_moves_others(text: str) -> None:
    shown = visible(text)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert "\n" not in shown


@given(st.text(st.characters()))
def test_any_text_can_be_written_as_utf8(text: str) -> None:
    encodable(text).encode("utf-8")


def test_a_bidi_override_is_spelled_out() -> None:
    assert visible("admin\u202enimda") == "admin\\u202enimda"


def test_a_non_breaking_space_does_not_pass_for_a_space() -> None:
    assert visible("A\u00a01") == "A\\xa01"
    assert visible("A 1") == "A 1"


def test_emoji_and_accents_stay_as_they_are() -> None:
    assert visible("é 日本 😀") == "é 日本 😀"


def test_marks_tell_a_spelled_out_line_end_from_an_arrow_in_the_text() -> None:
    assert list(marks("a\n↵")) == [("a", False), ("↵", True), ("↵", False)]


def test_short_text_is_not_shortened() -> None:
    assert shorten("abc", 3) == "abc"
    assert shorten("x" * 5000, 2) == "xx… (5,000 characters)"
