"""Commands about duplicates: nothing is changed but a file of the change, and that never overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from doubled import MESSAGES
from operating import GO, Desk
from throwaway import NAME

from pgrunbook import change, duplication, remedy, session, target
from pgrunbook.duplication import Wanted
from pgrunbook.errors import BadChange, BadStatement, BadStrategy
from pgrunbook.strategies import Draft

KEY = ("--table", "messages", "--key", "channel, sequence")
GAPS = (*KEY, "--strategy", "resequence-gaps", "--order", "at")


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        with desk.looking() as conn:
            conn.execute(MESSAGES)
        yield desk


def test_duplicates_are_shown_and_nothing_is_written(desk: Desk) -> None:
    said = desk("duplicates", NAME, *GAPS)
    assert (said.code, said.err) == (0, "")
    lines = said.out.splitlines()
    assert lines[0] == (
        "messages (channel, sequence): 30 groups of duplicates, 90 rows, 60 too many; the largest group has 3"
    )
    assert lines[2:5] == ["rows in a group | groups", "----------------+-------", "              3 |     30"]
    assert lines[6] == "group 1 of 30: channel = 1, sequence = 0"
    assert lines[-1] == "90  | 2026-01-01 00:00:00+00 | note 54 | 42 → 43" or "→" in lines[-1]
    assert not desk.records.exists()
    with desk.looking() as conn:
        assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None


def test_all_of_them_go_to_a_file_beside_the_records(desk: Desk) -> None:
    said = desk("duplicates", NAME, *KEY, "--export", "--json")
    [file] = desk.records.glob(f"*-{NAME}-*/duplicates.csv")
    assert said.facts["file"] == str(file)
    assert (said.facts["groups"], said.facts["rows"], said.facts["surplus"], said.facts["largest"]) == (
        30,
        90,
        60,
        3,
    )
    assert len(file.read_text().splitlines()) == 91
    assert (
        desk("duplicates", NAME, "--table", "messages", "--key", "id", "--export", "--json").facts["file"]
        is None
    )


def test_a_remedy_is_written_read_run_and_undone(desk: Desk) -> None:
    said = desk("new-remedy", NAME, *GAPS)
    file = desk.changes / NAME / "remedy/20_resequence_gaps_duplicates.sql"
    assert (said.code, said.out.splitlines()[-2:]) == (
        0,
        [f"created {file}", f"next: read it, then `pgrunbook remedy {NAME} {file.stem} --preview`"],
    )
    printed = desk("new-remedy", NAME, *GAPS, "--print")
    assert printed.out == file.read_text()
    assert desk("remedy", NAME, file.stem, "--preview").code == 0
    assert desk("remedy", NAME, file.stem, *GO).code == 0
    assert desk("duplicates", NAME, *KEY).out == "messages (channel, sequence): no duplicates\n"
    assert desk("remedy", NAME, file.stem, "--undo", *GO).code == 0
    assert "30 groups" in desk("duplicates", NAME, *KEY).out


def test_no_file_is_ever_overwritten(desk: Desk) -> None:
    assert desk("new-remedy", NAME, *GAPS, "--name", "30_mine").code == 0
    file = desk.changes / NAME / "remedy/30_mine.sql"
    file.write_text(file.read_text() + "-- changed\n")
    said = desk("new-remedy", NAME, *KEY, "--strategy", "merge", "--name", "30_mine")
    assert (said.code, said.err) == (
        1,
        f"BadChange: {NAME}: remedy/30_mine.sql is there already\n  next: choose another name\n",
    )
    assert file.read_text().endswith("-- changed\n")
    assert desk("new-remedy", NAME, *GAPS, "--name", "../x").err == (
        f"BadChange: {NAME}: '../x' is not a name for a remedy\n"
        "  next: use a number and lower-case words, e.g. 20_doubled_sequences\n"
    )
    assert (
        desk("new-remedy", NAME, *GAPS, "--json")
        .facts["file"]
        .endswith("remedy/40_resequence_gaps_duplicates.sql")
    )


def test_what_cannot_be_repaired_is_said_and_nothing_is_written(desk: Desk) -> None:
    said = desk("new-remedy", NAME, *KEY, "--strategy", "set-null")
    assert (said.code, said.err) == (
        1,
        "BadStrategy: set-null cannot repair messages (channel, sequence): sequence is NOT NULL\n"
        "  next: choose move, or merge\n",
    )
    assert len(list((desk.changes / NAME / "remedy").iterdir())) == 1


def test_a_draft_that_the_change_would_not_take_is_taken_away_again(desk: Desk) -> None:
    loaded = change.load(NAME, root=desk.changes)
    with pytest.raises(BadStatement):
        duplication.keep(loaded, Draft("merge", "T", "e", (), "SELECT 1", ""))
    assert len(list((desk.changes / NAME / "remedy").iterdir())) == 1
    with pytest.raises(BadChange):
        duplication.keep(loaded, Draft("merge", "T", "e", (), "SELECT 1", ""), name="x")


def test_a_notebook_gets_a_view_with_what_a_preview_did(desk: Desk) -> None:
    desk("new-remedy", NAME, *GAPS, "--name", "30_mine")
    bound = target.rehearsal(desk.database)
    wanted = Wanted("messages", "channel, sequence", order='at, "note"')
    with session.connect(bound, purpose="look") as look, session.connect(bound, purpose="work") as work:
        script = change.load(NAME, root=desk.changes).remedy("30_mine")
        repairs = remedy.preview(work, look, script).repairs
        shown = duplication.look(look, wanted, file=desk.folder / "all.csv", previewed=repairs)
        assert "sequence: 0 → 1" in (shown.html or "")
        assert shown.text.endswith("; 90 rows in all.csv")
        with pytest.raises(BadStrategy, match="there is no such strategy"):
            duplication.look(look, Wanted("messages", "channel", strategy="guess"))
