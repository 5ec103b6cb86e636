"""Tables show hostile values as what they are."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal

import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.views.sanitise import clean_html
from pgrunbook.views.table import columns_of, to_html, to_text

pytestmark = pytest.mark.static

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "x'\"; DROP TABLE classes; --",
    "</td></table><h1>gone",
    "&lt;b&gt;",
    "😀 日本",
    "a\nb\tc",
    "\x00\x07\x1b[31m",
    "admin\u202enimda",
    "{{ 7 * 7 }}{% raw %}",
]


def cells(html: str) -> list[str]:
    return [cell.get_text() for cell in BeautifulSoup(html, "html.parser").find_all("td")]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_stays_text_wherever_it_stands(value: str) -> None:
    html = to_html([{value: value}], caption=value)
    soup = BeautifulSoup(html, "html.parser")
    allowed = {"table", "caption", "thead", "tbody", "tr", "th", "td", "span", "em"}
    assert {tag.name for tag in soup.find_all(True)} <= allowed
    assert not [tag for tag in soup.find_all(True) if set(tag.attrs) - {"class", "scope"}]
    assert len(soup.find_all("td")) == len(soup.find_all("th")) == 1


@given(st.lists(st.dictionaries(st.text(max_size=8), st.text(st.characters()), max_size=3), max_size=4))
def test_any_table_is_already_as_clean_as_the_record_wants_it(rows: list[dict[str, str]]) -> None:
    html = to_html(rows)
    assert BeautifulSoup(clean_html(html), "html.parser").get_text() == (
        BeautifulSoup(html, "html.parser").get_text() if clean_html(html) else ""
    )


def test_a_table_is_accessible() -> None:
    html = to_html([{"class_code": "A"}], caption="codes used twice")
    assert '<table class="pgrunbook">' in html
    assert "<caption>codes used twice</caption>" in html
    assert '<th scope="col">class code</th>' in html


def test_null_the_word_null_and_empty_text_look_different() -> None:
    values = [None, "NULL", "", "''", " "]
    rows = [{"v": value} for value in values]
    found = re.findall(r"<td.*?</td>", to_html(rows))
    assert len(set(found)) == len(values)
    assert found[0] == '<td><em class="null">NULL</em></td>'
    assert to_text(rows).splitlines()[2:] == ["NULL", "'NULL'", "''", "''''''", "' '"]


def test_line_ends_and_outer_blanks_are_marked() -> None:
    html = to_html([{"v": " ABC\n1 "}])
    assert '<span class="mark">·</span>ABC<span class="mark">↵</span>1<span class="mark">·</span>' in html


def test_a_long_value_is_cut_and_says_how_long_it_was() -> None:
    html = to_html([{"v": "x" * 100_000}])
    assert "(100,000 characters)" in html
    assert len(html) < 1000
    assert "(100,000 characters)" in to_text([{"v": "x" * 100_000}])


def test_a_caption_that_is_a_sentence_keeps_one_mark_before_the_count() -> None:
    rows = [{"n": 1}, {"n": 2}]
    assert "<caption>Renumber them: first 1 of 2 rows</caption>" in to_html(
        rows, caption="Renumber them.", cap=1
    )
    assert "<caption>Renumber them.</caption>" in to_html(rows, caption="Renumber them.")


def test_rows_are_capped_and_the_caption_says_so() -> None:
    rows = [{"n": number} for number in range(60)]
    assert "<caption>duplicates: first 50 of 12,345 rows</caption>" in to_html(
        rows, caption="duplicates", total=12345
    )
    assert len(cells(to_html(rows))) == 50
    assert to_text(rows, cap=2).splitlines()[0] == "first 2 of 60 rows"
    assert "caption" not in to_html(rows[:50], total=50)


def test_values_are_spelled_as_postgresql_spells_them() -> None:
    values = [True, b"\x01\xff", Decimal("1.10"), datetime(2026, 3, 1, 22), {"a": [1, None]}, 5]
    assert cells(to_html([{"v": value} for value in values])) == [
        "true",
        "\\x01ff",
        "1.10",
        "2026-03-01 22:00:00",
        '{"a": [1, null]}',
        "5",
    ]


def test_columns_are_those_asked_for_in_that_order() -> None:
    rows = [{"a": 1, "b": 2}, {"c": 3}]
    assert columns_of(rows) == ("a", "b", "c")
    assert cells(to_html(rows, ["c", "a"])) == ["NULL", "1", "3", "NULL"]


def test_wide_characters_keep_columns_in_line() -> None:
    lines = to_text([{"a": "日本", "b": "x"}, {"a": "abcd", "b": "y"}]).splitlines()
    assert lines[2] == "日本 | x"
    assert lines[3] == "abcd | y"


def test_an_outcome_is_marked_as_good_or_bad_but_a_code_is_not() -> None:
    html = to_html([{"outcome": "done", "code": "done"}, {"outcome": "NO-GO, 2 rows", "code": "failed"}])
    assert html.count('class="good"') == html.count('class="bad"') == 1


def test_no_rows_make_a_table_of_headings_alone() -> None:
    assert cells(to_html([], ["a"])) == []
    assert to_text([], ["a"]) == "a\n-"
