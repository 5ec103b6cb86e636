"""Commands about duplicates: nothing is changed but a file of the change, and that never overwritten."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from doubled import MESSAGES
from operating import GO, Desk
from throwaway import NAME

from pgrunbook import change, duplication, remedy, session, target
from pgrunbook.duplication import Wanted
from pgrunbook.errors import BadChange, BadStatement, BadStrategy
from pgrunbook.strategies import Draft

if TYPE_CHECKING:
    from conftest import Elsewhere

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


ASKED = "write it as CREATE UNIQUE INDEX would have it"
ALLOWED = "use a role that may read all of it (SELECT), and change it (UPDATE, DELETE) where a remedy is to be written"
SEEN = "use a role with BYPASSRLS, or its owner where the policies are not forced"
WRONG = {
    ("gone", "a"): ("there is no table gone", "check the spelling and the search_path of this role; say the schema if"
                    " need be"),
    ("seen", "a"): ("seen is a view", "name the table that holds the rows"),
    ("far", "a"): ("far is a foreign table", "name the table that holds the rows"),
    ("pg_temp.mine", "a"): ("there is no table pg_temp.mine", "check the spelling and the search_path of this role; say"
                            " the schema if need be"),
    ("messages", "gone"): ("messages (gone): column t.gone does not exist", ASKED),
    ("messages", "now() > CURRENT_DATE"): ("'now() > CURRENT_DATE' is not columns of a unique index: no index holds a"
                                           " SQLValueFunction", f"{ASKED}, e.g. channel_id, lower(code)"),
    ("messages", "count(*)"): ("messages (count(*)): aggregate functions are not allowed in WHERE", ASKED),
    ("messages", "generate_series(1, 2)"): ("messages (generate_series(1, 2)): set-returning functions are not allowed"
                                            " in WHERE", ASKED),
    ("messages", "'{}'::json"): ("messages ('{}'::pg_catalog.json): could not identify an equality operator for type"
                                 " json", ASKED),
    ("hidden.t", "a"): ("hidden.t: permission denied for schema hidden", ALLOWED),
    ("secret", "a"): ("secret (a): permission denied for table secret", ALLOWED),
    ("partly", "a"): ("a row-level security policy may hide rows of partly from this role", SEEN),
}  # fmt: skip
COMMANDS = (("duplicates", NAME), ("new-remedy", NAME, "--strategy", "merge"))


def test_what_cannot_be_read_is_told_by_both_commands_with_the_way_out(desk: Desk) -> None:
    with desk.looking() as conn:
        role = f"clerk_{conn.info.dbname}"
        conn.execute(
            f"""CREATE VIEW seen AS SELECT 1 AS a; CREATE TABLE secret (id int PRIMARY KEY, a int);
            CREATE FOREIGN DATA WRAPPER none; CREATE SERVER away FOREIGN DATA WRAPPER none;
            CREATE FOREIGN TABLE far (a int) SERVER away;
            CREATE SCHEMA hidden; CREATE TABLE hidden.t (a int);
            CREATE TABLE partly (id int PRIMARY KEY, a int); ALTER TABLE partly ENABLE ROW LEVEL SECURITY;
            CREATE ROLE {role} LOGIN; GRANT SELECT ON messages, partly TO {role}""".encode()
        )
        desk.conninfo = f"{desk.database} user={role}"
        try:
            for (table, key), (found, way_out) in WRONG.items():
                for command in COMMANDS:
                    said = desk(*command, "--table", table, "--key", key)
                    assert (said.code, said.out) == (1, "")
                    assert said.err == f"BadKey: the key of the duplicates: {found}\n  next: {way_out}\n"
            said = desk(*COMMANDS[1], *KEY)
            assert (said.code, said.err) == (
                1,
                "BadStrategy: merge cannot repair messages (channel, sequence): the server refuses the remedy:"
                f" permission denied for table messages\n  next: {ALLOWED}\n",
            )
            for command in COMMANDS:
                said = desk(*command, "--table", "messages", "--key", "channel", "--order", "at desc")
                assert (said.code, said.err) == (
                    1,
                    "BadKey: the key of the duplicates: 'at desc' is no list of columns to order by\n  next: write"
                    " columns with commas, e.g. created_at, id; the newest stays where that is asked for\n",
                )
        finally:
            conn.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())
    assert len(list((desk.changes / NAME / "remedy").iterdir())) == 1


def test_a_value_that_a_key_fails_for_and_a_lock_are_told_so_too(desk: Desk, elsewhere: Elsewhere) -> None:
    said = desk("duplicates", NAME, "--table", "messages", "--key", "1 / (id - id)")
    assert (said.code, said.err) == (
        1,
        "BadKey: the key of the duplicates: messages (1 / (id - id)): division by zero\n"
        "  next: mend the value that it fails for, or leave its row out by a predicate\n",
    )
    elsewhere.begin_and_hold("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
    for command in COMMANDS:
        said = desk(*command, *KEY)
        assert (said.code, said.err) == (
            1,
            "BadKey: the key of the duplicates: messages (channel, sequence): canceling statement due to lock timeout\n"
            "  next: somebody has locked it: try again when he is done\n",
        )
    elsewhere.release()


def test_of_an_empty_table_and_of_postgresqls_own_nothing_is_repaired(desk: Desk) -> None:
    with desk.looking() as conn:
        conn.execute("CREATE TABLE void (id int PRIMARY KEY, a int)")
    said = desk("duplicates", NAME, "--table", "void", "--key", "a", "--export")
    assert (said.code, said.out, said.err) == (0, "void (a): no duplicates\n", "")
    assert not desk.records.exists()
    assert desk(*COMMANDS[1], "--table", "pg_class", "--key", "relkind", "--order", "oid").err == (
        "BadStrategy: merge cannot repair pg_class (relkind): pg_class is PostgreSQL's own\n"
        "  next: name a table of yours\n"
    )


def test_a_folder_that_takes_no_file_is_named(desk: Desk) -> None:
    desk.records.write_text("no folder")
    said = desk("duplicates", NAME, *KEY, "--export")
    assert said.code == 1
    assert said.err.startswith(f"FileRefused: {desk.records}/")
    assert "Not a directory\n  next: mend that, " in said.err
    opened = Path.open

    def closed(file: Path, mode: str = "r", **how: Any) -> Any:
        if mode == "x":
            raise PermissionError(13, "Permission denied", str(file))
        return opened(file, mode, **how)

    with mock.patch.object(Path, "open", closed):
        said = desk("new-remedy", NAME, *GAPS, "--name", "20_mine")
    file = desk.changes / NAME / "remedy/20_mine.sql"
    assert (said.code, said.err.splitlines()[0]) == (1, f"FileRefused: {file}: Permission denied")


def test_a_file_that_was_written_in_part_is_taken_away_again(desk: Desk) -> None:
    loaded = change.load(NAME, root=desk.changes)
    with pytest.raises(UnicodeEncodeError):
        duplication.keep(loaded, Draft("merge", "T", "e", (), "SELECT 1; \ud800", ""))
    assert len(list((desk.changes / NAME / "remedy").iterdir())) == 1


def test_a_word_that_is_no_strategy_is_wrong_usage(desk: Desk) -> None:
    for command in ("duplicates", "new-remedy"):
        said = desk(command, NAME, *KEY, "--strategy", "merg")
        assert said.code == 2
        assert "invalid choice: 'merg'" in said.err
    assert desk("new-remedy", NAME, *KEY).code == 2


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
