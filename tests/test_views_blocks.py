"""The blocks of a record: what is kept is shown, what was left out is counted, what is false is not shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
import recorded
from bs4 import BeautifulSoup

from pgrunbook.views import blocks
from pgrunbook.views.blocks import Block
from pgrunbook.views.summary import Summary

pytestmark = pytest.mark.static


@pytest.fixture(scope="module")
def summary() -> Summary:
    return recorded.summary("things")


def words(shown: Iterable[Block]) -> str:
    html = "".join(f"<h3>{one.title}</h3><p>{one.says}</p>{one.figure}{one.table}{one.code}" for one in shown)
    return BeautifulSoup(html, "html.parser").get_text(" ")


def test_a_check_shows_its_rows_in_the_order_of_its_columns_and_how_many_more_there_are(
    summary: Summary,
) -> None:
    row = {**summary.findings[0], "columns": ["b", "a"], "found": [[None, "NULL"]], "rows": 7}
    text = words(blocks.found(replace(summary, findings=(row,))))
    assert "7 rows" in text
    assert "the first 1 are kept" in text
    assert text.index(" b ") < text.index(" a ")
    assert "Audits" in text


def test_a_script_is_shown_as_it_ran_with_its_hash_computed_again(summary: Summary) -> None:
    (table, step, *_) = blocks.ran(summary)
    assert recorded.SHA256 in table.table
    assert step.title == "things"
    shown = list(blocks.ran(summary))
    (one,) = [block for block in shown if block.title == "migrate/000_things.sql"]
    assert recorded.SHA256 in one.says
    assert "ALTER TABLE things ADD COLUMN note text;" in BeautifulSoup(one.code, "html.parser").get_text()
    # The way back has a hash that the ledger keeps no text of.
    assert "The ledger does not keep its text." in [block.says for block in shown]


def test_an_altered_script_is_told_and_not_shown(summary: Summary) -> None:
    forged = replace(summary, texts={recorded.SHA256: "DROP TABLE things;"})
    shown = [block for block in blocks.ran(forged) if block.title.startswith("migrate/")]
    assert [block.bad for block in shown] == [True]
    assert "ALTERED" in shown[0].says
    assert "DROP" not in words(shown)


def test_a_long_script_is_cut_and_says_so(summary: Summary) -> None:
    text = "SELECT 1;\n" * 10_000
    sha256 = blocks.sha256_of(text)
    row = {**summary.ran[0], "sha256": sha256}
    (_, one) = blocks.ran(replace(summary, ran=(row,), texts={sha256: text}))
    assert "Its first 40,000 characters." in one.says
    assert len(one.code) < 60_000


def test_who_was_in_the_way_and_who_waited_are_told(summary: Summary) -> None:
    picture, way, waited = blocks.waits(summary)
    assert "<svg" in picture.figure
    assert (way.title, waited.title) == ("Who was in the way", "Who waited")
    assert "waited behind us" in waited.table


def test_of_very_many_rows_the_first_and_the_last_are_shown_and_the_others_counted() -> None:
    rows = tuple({"n": number} for number in range(10_000))
    first, last = blocks.capped(rows)
    assert "The first 250 of 10,000" in first.says
    assert ">0<" in first.table
    assert ">9999<" in last.table
    assert ">5000<" not in first.table + last.table
    (only,) = blocks.capped(rows[:500])
    assert (only.says, only.table.count("<tr>")) == ("", 501)


def test_a_plan_stands_under_its_time_with_what_it_misses(summary: Summary) -> None:
    shown = list(blocks.plans(summary))
    plans = [(one.title, one.says) for one in shown if one.code]
    assert [title for title, _ in plans] == ["things, before: 9 ms", "things, after: 0.5 ms"]
    assert plans[0][1] == "Expected otherwise: things."


def test_sizes_that_stayed_are_left_out(summary: Summary) -> None:
    assert "8 kB 16 kB" in " ".join(words(blocks.sizes(summary)).split())
    same = replace(summary, sizes=({**summary.sizes[0], "after bytes": 8192},))
    assert "No size changed." in words(blocks.sizes(same))


def test_a_size_that_was_not_read_is_told_as_such(summary: Summary) -> None:
    row = {**summary.sizes[0], "after bytes": None}
    text = words(blocks.sizes(replace(summary, sizes=(row,))))
    assert "8 kB" in text
    assert "not known" in text
