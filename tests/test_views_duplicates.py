"""The view of duplicates: readable whatever their number, and nothing in it is more than text."""

from __future__ import annotations

from pathlib import Path

import pytest

from pgrunbook.duplicates import Duplicates, Group, Member
from pgrunbook.duplicates.extract import Extract
from pgrunbook.uniquekey import UniqueKey
from pgrunbook.views import duplicates as view

pytestmark = pytest.mark.static

KEY = UniqueKey("messages", ("channel", "sequence"))
HOSTILE = "<img src=x onerror=alert(1)>\u202e"


def found(members: int = 2, differing: int = 2, fate: str = "2 → 3") -> Duplicates:
    rows = tuple(
        Member(f'{{"id": {n}}}', {"id": str(n)}, {f"c{i}": f"{HOSTILE}{n}" for i in range(differing)}, fate)
        for n in range(members)
    )
    groups = tuple(Group({"channel": HOSTILE, "sequence": None}, 12_345, rows) for _ in range(20))
    return Duplicates(KEY, 100_000, 250_000, 12_345, tuple((n, n) for n in range(40, 2, -1)), groups)


def test_the_verdict_is_one_line_of_figures() -> None:
    assert view.line(found()) == (
        "messages (channel, sequence): 100,000 groups of duplicates, 250,000 rows, 150,000 too many;"
        " the largest group has 12,345"
    )
    one = Duplicates(KEY, 1, 2, 2)
    assert view.line(one) == (
        "messages (channel, sequence): 1 group of duplicates, 2 rows, 1 too many; the largest group has 2"
    )
    none = view.show(Duplicates(UniqueKey("a\n", ("b",))))
    assert (none.text, none.html) == ("a↵ (b): no duplicates", None)


def test_many_groups_stay_readable() -> None:
    html = view.show(found(members=5)).html or ""
    assert len(html) < 40_000
    assert html.count("<table") == 21
    assert "first 10 of 38 rows" in html
    assert "group 20 of 100,000: channel = " in html
    assert "first 5 of 12,345 rows" in html


def test_hostile_text_is_only_text() -> None:
    html = view.show(found()).html or ""
    assert "<img" not in html
    assert "\u202e" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "sequence = NULL" in html


def test_columns_beyond_the_first_are_counted_and_none_is_said() -> None:
    assert "; 4 more columns differ: first 2 of" in (view.show(found(differing=12)).html or "")
    assert "; 1 more column differs: first 2 of" in (view.show(found(differing=9)).html or "")
    assert "; nothing else differs: first 2 of" in (view.show(found(differing=0)).html or "")


def test_without_a_remedy_there_is_no_column_for_it() -> None:
    assert "the remedy" in (view.show(found()).html or "")
    assert "the remedy" not in (view.show(found(fate="")).html or "")


def test_the_file_is_named_and_its_size_is_a_fact() -> None:
    shown = view.show(found(), Extract(Path("/records/run/duplicates.csv"), 250_000, 77))
    assert shown.text.endswith("; 250,000 rows in duplicates.csv")
    assert shown.facts == {"file": "duplicates.csv", "rows": 250_000, "bytes": 77}


def test_a_terminal_gets_the_same() -> None:
    sizes, group, *more = view.text(found())
    assert sizes.splitlines()[:2] == ["first 10 of 38 rows", "rows in a group | groups"]
    assert group.splitlines()[1].split() == ["id", "|", "c0", "|", "c1", "|", "the", "remedy"]
    assert len(more) == 19
    assert list(view.text(Duplicates(KEY))) == []
