"""The extract: every row, every value to be had back, and nothing that a spreadsheet would run."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import throwaway
from doubled import MESSAGES

from pgrunbook import strategies, uniquekey
from pgrunbook.duplicates import extract
from pgrunbook.errors import BadKey
from pgrunbook.session import Connection
from pgrunbook.strategies import Strategy
from pgrunbook.uniquekey import UniqueKey

KEY = UniqueKey("messages", ("channel", "sequence"))
HOSTILE = [
    "=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "'quoted", "''", "'=x", "\uff1dx", "\uff20x", " =x",
    "a,b", 'a"b', "a\nb", "", "NULL", "é 📚", "x=1", "\\N", "\\.",
]  # fmt: skip


@pytest.fixture
def look(database: str) -> Iterator[Connection]:
    with throwaway.looking(database) as conn:
        conn.execute(MESSAGES)
        yield conn


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def test_every_row_of_every_group_is_in_it_largest_first(look: Connection, tmp_path: Path) -> None:
    look.execute("UPDATE messages SET sequence = 7 WHERE id IN (0, 3); DELETE FROM messages WHERE id = 89")
    draft = strategies.propose(look, KEY, Strategy.RESEQUENCE_GAPS, order=["at"])
    written = extract.write(look, KEY, tmp_path / "run/all.csv", order=["at"], draft=draft)
    found = rows(written.file)
    assert (written.rows, len(found), written.bytes) == (88, 88, written.file.stat().st_size)
    assert [name.name for name in written.file.parent.iterdir()] == ["all.csv"]
    assert list(found[0]) == [
        "duplicate_group", "duplicate_rows", "id", "channel", "sequence", "code", "note", "at", "parent", "remedy",
    ]  # fmt: skip
    assert [one["duplicate_group"] for one in found[:6]] == ["1"] * 5 + ["2"]
    assert [(one["id"], one["remedy"]) for one in found[:3]] == [
        ("0", "stays"),
        ("15", "7 → 8"),
        ("3", "7 → 9"),
    ]
    kept = look.execute(draft.outlook.encode()).fetchall()
    assert sum(one["remedy"] != "stays" for one in found) == len(
        [one for one in kept if str(one["key"]["id"]) in {row["id"] for row in found}]
    )


def test_no_value_is_a_formula_and_every_value_can_be_had_back(look: Connection, tmp_path: Path) -> None:
    look.execute(
        'ALTER TABLE messages ADD "=cmd|x" int, ADD n numeric DEFAULT -1.50, ADD yes bool DEFAULT true'
    )
    for number, value in enumerate(HOSTILE):
        look.execute("UPDATE messages SET note = %s WHERE id = %s", (value, number))
    found = rows(extract.write(look, KEY, tmp_path / "all.csv").file)
    by_id = {int(one["id"]): one for one in found}
    for number, value in enumerate(HOSTILE):
        cell = by_id[number]["note"]
        assert cell[:1] not in tuple("=+-@\t\r\n\uff1d\uff20"), cell
        assert (cell[1:] if cell.startswith("'") else cell) == value
    assert [by_id[number]["note"] for number in (0, 7, 8, 9, 12, 19)] == [
        "'=1+1", "''quoted", "'''", "''=x", " =x", "x=1",
    ]  # fmt: skip
    assert (by_id[0]["'=cmd|x"], by_id[0]["n"], by_id[0]["yes"]) == ("", "-1.50", "t")


def test_null_and_the_empty_text_are_told_apart(look: Connection, tmp_path: Path) -> None:
    look.execute("UPDATE messages SET note = NULL, code = '', at = NULL, parent = NULL")
    text = extract.write(look, KEY, tmp_path / "all.csv").file.read_text(encoding="utf-8")
    assert text.splitlines()[1] == '1,3,0,1,0,"",,,'


def test_under_nulls_not_distinct_groups_with_null_are_in_it(look: Connection, tmp_path: Path) -> None:
    look.execute("UPDATE messages SET channel = NULL WHERE channel = 2")
    key = UniqueKey("messages", ("channel", "sequence"), nulls_not_distinct=True)
    assert extract.write(look, key, tmp_path / "all.csv").rows == 90
    assert extract.write(look, KEY, tmp_path / "all.csv").rows == 60


def test_what_fails_leaves_no_file_and_keeps_the_one_that_is_there(look: Connection, tmp_path: Path) -> None:
    file = tmp_path / "all.csv"
    file.write_text("before")
    with pytest.raises(BadKey):
        extract.write(look, UniqueKey("messages", ("gone",)), file)
    look.execute("ALTER TABLE messages ADD bad int")
    with pytest.raises(Exception, match="division by zero"):
        extract.write(look, uniquekey.parse("messages", "1 / (id - id)"), file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]
