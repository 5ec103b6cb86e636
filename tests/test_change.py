"""A change folder: what is read from it, and that a folder with a mistake never loads."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from pgrunbook import change
from pgrunbook.change import Change
from pgrunbook.errors import BadChange, BadHeader, BadStatement, RunbookError, UnknownName
from pgrunbook.header import Kind

pytestmark = pytest.mark.static

CHECK = "-- Rows are the problem\n\nSELECT 1 AS one WHERE false;\n"
STEP = "-- Add the column\n-- lock: AccessExclusive on classes\n\nALTER TABLE classes ADD class_code text;\n"
INDEX = (
    "-- Build the index\n-- lock: ShareUpdateExclusive on classes\n-- transaction: none\n\n"
    "CREATE INDEX CONCURRENTLY i ON classes (class_code);\n"
)
REMEDY = (
    "-- Clear the codes\n\n"
    "WITH batch AS (SELECT class_id FROM classes LIMIT 1000)\n"
    "UPDATE classes SET class_code = NULL FROM batch\n"
    "RETURNING '{}'::jsonb AS key, '{}'::jsonb AS before, '{}'::jsonb AS after;\n"
)
FILES = {
    "README.md": "# Class code\n\nWhat it is for.\n",
    "preflight/10_duplicate_codes.sql": CHECK,
    "preflight/20_null_codes.sql": CHECK,
    "remedy/10_duplicate_codes.sql": REMEDY,
    "migrate/001_add_column.sql": STEP,
    "verify/001_add_column.sql": CHECK,
    "rollback/001_add_column.sql": STEP.replace("ADD class_code text", "DROP class_code").replace(
        "classes", "users", 1
    ),
    "migrate/001a_build_index.sql": INDEX.replace(
        "-- transaction", "-- requires: 005_b, 004_a\n-- transaction"
    ),
    "verify/001a_build_index.sql": CHECK,
    "rollback/001a_build_index.1.sql": STEP.replace("classes", "log"),
    "rollback/001a_build_index.2.sql": INDEX.replace("CREATE", "DROP").replace(
        " ON classes (class_code)", ""
    ),
    "timing/10_lookup.sql": "-- Look up\n-- expect: rows 1\n\nSELECT 1 AS one;\n",
    "samples/go.sql": "INSERT INTO classes VALUES (1);\n",
    "samples/data.sql": "SELECT 1;\n",
    "samples/no_go/10_duplicate_codes.sql": "BEGIN; INSERT INTO classes VALUES (1); COMMIT;\n",
    "samples/traffic/reader.sql": "SELECT 1;\n",
}
NAME = "010_class_code"
Write = Callable[[dict[str, str | bytes | None]], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes the good change with some files replaced (None: left out)."""

    def write_change(files: dict[str, str | bytes | None]) -> Path:
        contents: dict[str, str | bytes | None] = {**FILES, **files}
        for name, content in contents.items():
            if content is not None:
                path = tmp_path / NAME / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        return tmp_path

    return write_change


@pytest.fixture
def loaded(write: Write) -> Change:
    return change.load(NAME, root=write({}))


def refusal(root: Path, error: type[RunbookError]) -> str:
    with pytest.raises(error) as caught:
        change.load(NAME, root=root)
    return str(caught.value)


def test_everything_in_the_folder_is_read_in_order(loaded: Change, tmp_path: Path) -> None:
    folder = tmp_path / NAME
    assert (loaded.name, loaded.folder, loaded.title) == (NAME, folder, "Class code")
    assert loaded.readme == FILES["README.md"]
    assert [script.label for script in loaded.preflight] == [
        "preflight/10_duplicate_codes.sql",
        "preflight/20_null_codes.sql",
    ]
    assert [(step.number, step.name) for step in loaded.steps] == [
        ("001", "001_add_column"),
        ("001a", "001a_build_index"),
    ]
    assert [script.name for script in loaded.steps[1].rollback] == [
        "001a_build_index.1",
        "001a_build_index.2",
    ]
    assert [script.label for script in loaded.timings] == ["timing/10_lookup.sql"]
    assert loaded.go_sample == folder / "samples/go.sql"
    assert loaded.data_sample == folder / "samples/data.sql"
    assert loaded.no_go_samples == {"10_duplicate_codes": folder / "samples/no_go/10_duplicate_codes.sql"}
    assert loaded.traffic == (folder / "samples/traffic/reader.sql",)
    assert loaded.requires == ("005_b", "004_a")
    assert loaded.tables == ("classes", "users", "log")


def test_a_script_knows_its_bytes_and_what_they_say(loaded: Change) -> None:
    script = loaded.step("001a").migrate
    data = script.path.read_bytes()
    assert script.text.encode() == data
    assert script.sha256 == hashlib.sha256(data).hexdigest()
    assert (script.kind, script.header.in_transaction) == (Kind.MIGRATE, False)
    assert [(s.verb, s.line) for s in script.statements] == [("CREATE INDEX", 6)]


def test_a_change_cannot_be_altered_once_it_is_loaded(loaded: Change) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        loaded.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        loaded.no_go_samples["x"] = Path()  # type: ignore[index]
    assert hash(loaded) == hash(change.load(NAME, root=loaded.folder.parent))


def test_steps_checks_and_remedies_are_found_by_name(loaded: Change) -> None:
    assert loaded.step("001") is loaded.step("001_add_column") is loaded.steps[0]
    assert loaded.check("20_null_codes") is loaded.preflight[1]
    assert loaded.remedy("10_duplicate_codes") is loaded.remedies[0]


@pytest.mark.parametrize(
    ("find", "message"),
    [
        (lambda c: c.step("1"), "no step named '1'\n  next: choose one of: 001_add_column, 001a_build_index"),
        (
            lambda c: c.check("nulls"),
            "no check named 'nulls'\n  next: choose one of: 10_duplicate_codes, 20_null_codes",
        ),
        (lambda c: c.remedy("../x"), "no remedy named '../x'\n  next: choose one of: 10_duplicate_codes"),
    ],
)
def test_an_unknown_name_is_refused_with_those_that_exist(
    loaded: Change, find: Callable[[Change], object], message: str
) -> None:
    with pytest.raises(UnknownName) as caught:
        find(loaded)
    assert str(caught.value) == message


def test_a_change_needs_no_more_than_a_readme_and_one_whole_step(write: Write) -> None:
    optional = {name: None for name in FILES if "001_add_column" not in name and name != "README.md"}
    loaded = change.load(NAME, root=write({**optional, "README.md": "no heading"}))
    assert loaded.title == NAME
    assert (loaded.preflight, loaded.go_sample, loaded.no_go_samples, loaded.traffic) == ((), None, {}, ())
    assert loaded.data_sample is None


def test_windows_line_ends_load_and_keep_their_bytes(write: Write) -> None:
    text = STEP.replace("\n", "\r\n")
    script = change.load(NAME, root=write({"migrate/001_add_column.sql": text})).steps[0].migrate
    assert script.text == text
    assert [claim.table for claim in script.header.locks] == ["classes"]
    assert script.statements[0].line == 4


def test_hidden_files_are_nobodys_business(write: Write) -> None:
    change.load(NAME, root=write({".DS_Store": b"\0", "migrate/.001_add_column.sql.swp": b"\xff"}))


M1 = "migrate/001_add_column.sql"
V1 = "verify/001_add_column.sql"
TITLE = "-- T\n-- lock: none\n\n"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"README.md": None},
            "README.md is missing\n  next: say on one page what the change is for and how it goes back",
        ),
        (
            {V1: None},
            "step 001_add_column has no verify/001_add_column.sql\n"
            "  next: write the file; a step that cannot be proved or undone is not run",
        ),
        (
            {"rollback/001_add_column.sql": None},
            "step 001_add_column has no rollback/001_add_column.sql\n"
            "  next: write the file; a step that cannot be proved or undone is not run",
        ),
        (
            {"rollback/002_gone.sql": STEP},
            "rollback/002_gone.sql belongs to no step\n"
            "  next: write migrate/002_gone.sql, or rename or remove the file",
        ),
        (
            {"verify/002_gone.sql": CHECK},
            "verify/002_gone.sql belongs to no step\n"
            "  next: write migrate/002_gone.sql, or rename or remove the file",
        ),
        (
            {"rollback/001_add_column.1.sql": STEP},
            "the rollback files of 001_add_column are 001_add_column.1.sql, 001_add_column.sql\n"
            "  next: have either 001_add_column.sql alone or 001_add_column.1.sql, 001_add_column.2.sql"
            " and so on without a gap",
        ),
        (
            {"rollback/001a_build_index.1.sql": None},
            "the rollback files of 001a_build_index are 001a_build_index.2.sql\n"
            "  next: have either 001a_build_index.sql alone or 001a_build_index.1.sql, 001a_build_index.2.sql"
            " and so on without a gap",
        ),
        (
            {"samples/no_go/30_gone.sql": ""},
            "010_class_code/samples/no_go/30_gone.sql has no check of its name in preflight/\n"
            "  next: write preflight/30_gone.sql, or name the sample after the check that it must fail",
        ),
        (
            {"migrate/001_other.sql": STEP, "verify/001_other.sql": CHECK, "rollback/001_other.sql": STEP},
            "steps 001_add_column and 001_other have the same number\n  next: give each step its own number",
        ),
        (
            {"preflight/20_null_codes.sql": CHECK.replace("\n\n", "\n-- before: 009\n\n")},
            "preflight/20_null_codes.sql must be clean before 009, and there is no such step\n"
            "  next: name one of: 001, 001a",
        ),
        (
            {M1: STEP.replace("-- lock", "-- requires: 010_class_code\n-- lock")},
            "the change requires itself\n  next: take its own name out of the `requires` line",
        ),
        (
            {"prefligth/10_x.sql": CHECK},
            "prefligth has no place in a change\n  next: there may be README.md, checklist.md, contracts, migrate,"
            " papers, preflight, remedy, rollback, samples, timing, verify; rename it or take it out",
        ),
        (
            {"samples/nogo/10_x.sql": ""},
            "samples/nogo has no place in a change\n"
            "  next: there may be data.sql, go.sql, no_go, traffic; rename it or take it out",
        ),
        (
            {"timing": "", "timing/10_lookup.sql": None},
            "timing is a file where a folder belongs\n  next: move it away",
        ),
    ],
)
def test_an_incomplete_folder_is_refused(
    write: Write, files: dict[str, str | bytes | None], message: str
) -> None:
    assert refusal(write(files), BadChange) == f"010_class_code: {message}"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("README.md/x", "README.md is a folder where a file belongs"),
        ("samples/go.sql/x", "samples/go.sql is a folder where a file belongs"),
        ("samples/no_go", "samples/no_go is a file where a folder belongs"),
    ],
)
def test_a_file_in_the_place_of_a_folder_is_refused(write: Write, path: str, found: str) -> None:
    hindered = {name: None for name in FILES if name.startswith(path.removesuffix("/x"))}
    assert (
        refusal(write({**hindered, path: ""}), BadChange) == f"010_class_code: {found}\n  next: move it away"
    )


def test_a_change_without_steps_is_refused(write: Write) -> None:
    files = {name: None for name in FILES if name.startswith(("migrate", "verify", "rollback"))}
    assert refusal(write({**files}), BadChange) == (
        "010_class_code: there is no step in migrate/\n  next: write the first, and its verify and rollback"
    )


@pytest.mark.parametrize(
    "name",
    ["migrate/1_x.sql", "migrate/001_X.sql", "migrate/001_x.sql~", "migrate/001-x.sql", "migrate/001_x.SQL"],
)
def test_a_file_that_would_be_passed_over_is_refused(write: Write, name: str) -> None:
    assert refusal(write({name: STEP}), BadChange) == (
        f"010_class_code: {name} is not named like a file of migrate/\n"
        "  next: name it like 010_add_column.sql (three digits, a letter if need be) where it is a step,"
        " like 10_duplicate_codes.sql elsewhere, or take it out"
    )


ONE_SELECT = "no INTO, no FOR UPDATE and no WITH query that changes rows; return the rows instead"
WRITING_WITH = "-- T\n\nWITH x AS (DELETE FROM t RETURNING 1)\nSELECT 1 FROM x;"


@pytest.mark.parametrize(
    ("file", "text", "line", "found", "next_step"),
    [
        (M1, TITLE, 1, "there is no statement in the file", "write one, or remove the file"),
        (
            M1,
            "-- T\n-- lock: none\n-- transaction: none\n\nSELECT 1;\n\n-- two\nSELECT 2;",
            8,
            "2 statements without a transaction, where exactly one may stand",
            "move the others to files of their own",
        ),
        (
            M1,
            f"{TITLE}SELECT 1;\nCREATE INDEX CONCURRENTLY i ON t (x);",
            5,
            "CREATE INDEX CONCURRENTLY cannot run in a transaction",
            "add the line `-- transaction: none` to the header and leave the statement alone in its file",
        ),
        (
            "rollback/001_add_column.sql",
            f"{TITLE}VACUUM t;",
            4,
            "VACUUM cannot run in a transaction",
            "add the line `-- transaction: none` to the header and leave the statement alone in its file",
        ),
        (
            M1,
            f"{TITLE}/* é */\nBEGIN;\nSELECT 1;\nCOMMIT;",
            5,
            "BEGIN is the runner's to say",
            "take it out; a file is one transaction",
        ),
        (
            M1,
            f"{TITLE}-- größer\nSELEC 1;",
            5,
            'syntax error at or near "SELEC"',
            "correct the SQL; psql -v ON_ERROR_STOP=1 -f 010_class_code/migrate/001_add_column.sql"
            " has to accept it too",
        ),
        (
            V1,
            "-- T\n\nSELECT 1;\nSELECT 2;",
            4,
            "2 statements in a verify file, where exactly one may stand",
            "move the others to files of their own",
        ),
        (V1, WRITING_WITH, 3, "a verify file is one SELECT that only reads, this is SELECT", ONE_SELECT),
        (
            "preflight/20_null_codes.sql",
            "-- T\n\nUPDATE t SET x = 1;",
            3,
            "a preflight file is one SELECT that only reads, this is UPDATE",
            ONE_SELECT,
        ),
        (
            "timing/10_lookup.sql",
            "-- T\n\nSELECT 1 FROM t FOR UPDATE;",
            3,
            "a timing file is one SELECT that only reads, this is SELECT",
            ONE_SELECT,
        ),
        (
            "remedy/10_duplicate_codes.sql",
            "-- T\n\nINSERT INTO t VALUES (1) RETURNING 1 AS key, 2 AS before, 3 AS after;",
            3,
            "a remedy is one UPDATE or DELETE, or one SELECT over WITH queries that are, this is INSERT",
            "repair rows of one table; or of several, with one SELECT that returns what each WITH query changed",
        ),
        (
            "remedy/10_duplicate_codes.sql",
            "-- T\n\nDELETE FROM t;",
            3,
            "a remedy returns key, before, after, this returns nothing",
            "end it with RETURNING ... AS key, ... AS before, ... AS after; undo is made of them",
        ),
        (
            "remedy/10_duplicate_codes.sql",
            "-- T\n\nDELETE FROM t RETURNING 1 AS key, 2 AS after, 3 AS before;",
            3,
            "a remedy returns key, before, after, this returns key, after, before",
            "end it with RETURNING ... AS key, ... AS before, ... AS after; undo is made of them",
        ),
        (
            "remedy/10_duplicate_codes.sql",
            REMEDY + "DELETE FROM t;",
            6,
            "2 statements in a remedy file, where exactly one may stand",
            "move the others to files of their own",
        ),
        (
            "samples/go.sql",
            "\nINSRT;",
            2,
            'syntax error at or near "INSRT"',
            "correct the SQL; psql -v ON_ERROR_STOP=1 -f 010_class_code/samples/go.sql has to accept it too",
        ),
        (
            M1,
            b"\xef\xbb\xbf" + STEP.encode(),
            1,
            "a byte order mark begins the file",
            "save the file as UTF-8 without it",
        ),
        (
            M1,
            STEP.encode() + "-- größer".encode("latin-1"),
            5,
            "byte 0xf6 is not UTF-8",
            "save the file as UTF-8",
        ),
        (
            M1,
            STEP.encode() + b"\0DROP TABLE classes;",
            5,
            "character '\\x00' cannot be sent to PostgreSQL",
            "remove the character",
        ),
    ],
)
def test_a_file_that_could_not_run_is_refused(
    write: Write, file: str, text: str | bytes, line: int, found: str, next_step: str
) -> None:
    assert refusal(write({file: text}), BadStatement) == (
        f"010_class_code/{file} line {line}: {found}\n  next: {next_step}"
    )


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "expected the title, `-- What this file does`, found an empty line"),
        (
            "-- T\n\nSELECT 1;",
            1,
            "the key `lock` is missing; say `-- lock: none` or `-- lock: AccessExclusive on classes`",
        ),
    ],
)
def test_a_bad_header_is_named_with_its_file_in_the_change(
    write: Write, text: str, line: int, found: str
) -> None:
    assert refusal(write({M1: text}), BadHeader) == (
        f"010_class_code/migrate/001_add_column.sql line {line}: {found}\n"
        f"  next: use one of the keys {', '.join(Kind.MIGRATE.keys)}; nothing was run"
    )


@pytest.mark.parametrize("step", ["001a", "001a_build_index"])
def test_a_check_knows_the_full_name_of_the_step_that_it_guards(write: Write, step: str) -> None:
    text = CHECK.replace("\n\n", f"\n-- before: {step}\n\n")
    loaded = change.load("010_class_code", root=write({"preflight/20_null_codes.sql": text}))
    assert [script.header.before for script in loaded.preflight] == ["", "001a_build_index"]


@pytest.mark.parametrize(
    "name", ["", ".", "..", "010", "../010_class_code", "010_class_code/", "_template", "010_x\n", "0" * 5000]
)
def test_a_name_that_is_no_change_is_refused_and_never_a_path(write: Write, name: str) -> None:
    root = write({})
    (root / "_template").mkdir()
    with pytest.raises(UnknownName) as caught:
        change.load(name, root=root)
    assert str(caught.value) == f"no change named {name!r}\n  next: choose one of: 010_class_code"


def test_names_are_sorted_and_pass_over_the_template(tmp_path: Path) -> None:
    for name in ("020_b", "010_a", "_template", ".git"):
        (tmp_path / name).mkdir()
    (tmp_path / "README.md").touch()
    assert change.names(tmp_path) == ["010_a", "020_b"]


def test_a_misnamed_folder_is_refused_rather_than_passed_over(tmp_path: Path) -> None:
    (tmp_path / "60_invoice").mkdir()
    with pytest.raises(BadChange) as caught:
        change.names(tmp_path)
    assert str(caught.value) == (
        f"60_invoice: the folder in {tmp_path} is not named like a change\n"
        "  next: name it like 060_invoice_number, or begin its name with _ to keep it out"
    )


def test_the_root_is_named_by_the_environment_or_found_upwards(tmp_path: Path) -> None:
    (tmp_path / "sql/changes").mkdir(parents=True)
    (tmp_path / "a/b").mkdir(parents=True)
    assert change.root_from({}, start=tmp_path / "a/b") == tmp_path / "sql/changes"
    assert change.root_from({"PGRUNBOOK_CHANGES": ""}, start=tmp_path) == tmp_path / "sql/changes"
    assert change.root_from({"PGRUNBOOK_CHANGES": str(tmp_path / "a")}, start=tmp_path) == tmp_path / "a"


def test_outside_any_project_the_changes_are_those_of_the_library(tmp_path: Path) -> None:
    found = change.root_from({}, start=tmp_path)
    assert found == Path(change.__file__).parents[2] / "sql" / "changes"


def test_a_root_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    expected = (
        f"{missing}: there is no such folder of changes\n"
        "  next: set PGRUNBOOK_CHANGES to the folder of changes, or work inside the project"
    )
    for ask in (
        lambda: change.root_from({"PGRUNBOOK_CHANGES": str(missing)}),
        lambda: change.names(missing),
        lambda: change.load(NAME, root=missing),
    ):
        with pytest.raises(BadChange) as caught:
            ask()
        assert str(caught.value) == expected
