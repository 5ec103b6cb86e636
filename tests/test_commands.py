"""Commands for a target: what each does to it, says of it, and leaves alone."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operating import AT_ONCE, GO, Desk
from throwaway import FILES, NAME, changed, step

from pgrunbook import session, target
from pgrunbook.ledger import Ledger

STEPS = ["001_add_note", "002_build_index", "003_require_code"]
DOUBLED = "UPDATE things SET code = 'c1' WHERE id IN (2, 3)"


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        yield desk


def spoil(desk: Desk, sql: str = DOUBLED) -> None:
    with desk.looking() as conn:
        conn.execute(sql.encode())


def test_preflight_says_go_and_changes_nothing(desk: Desk) -> None:
    before = desk.catalog()
    said = desk("preflight", NAME)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{NAME}: GO, ")
    as_json = desk("preflight", NAME, "--json")
    assert (as_json.code, as_json.err) == (0, "")
    assert (as_json.facts["change"], as_json.facts["verdict"]) == (NAME, "GO")
    assert desk.catalog() == before
    assert not desk.has_ledger


def test_preflight_says_no_go_with_the_rows_and_the_remedy(desk: Desk) -> None:
    spoil(desk)
    said = desk("preflight", NAME)
    assert (said.code, said.err) == (3, "")
    assert said.out.startswith(f"{NAME}: NO-GO, 1 of ")
    assert "\npreflight/10_doubled_codes.sql: Codes used twice\ncode\n----\nc1\n" in said.out
    assert "\n  effect: the index cannot be built\n" in said.out
    facts = desk("preflight", NAME, "--json").facts
    assert facts["verdict"] == "NO-GO"
    (found,) = [finding for finding in facts["findings"] if finding["stops"]]
    assert (found["check"], found["rows"], found["first"]) == (
        "preflight/10_doubled_codes.sql",
        1,
        [{"code": "c1"}],
    )


def test_preflight_lists_what_was_derived_from_the_statements(desk: Desk) -> None:
    found = {one["check"]: one for one in desk("preflight", NAME, "--json").facts["findings"]}
    built = found["derived: 002 build of things_code on things"]
    assert (built["severity"], built["stops"], built["before"]) == ("info", False, "002_build_index")
    build = FILES["migrate/002_build_index.sql"].replace("(code)", "(lower(code))")
    desk.write(
        changed({"migrate/002_build_index.sql": build}), sql="UPDATE things SET code = 'C1' WHERE id = 2"
    )
    said = desk("preflight", NAME)
    assert said.code == 3
    label = "derived: 002 duplicates of things (lower(code))"
    assert f"\n{label}: Rows that a unique index would refuse\n" in said.out
    [stops] = [one for one in desk("preflight", NAME, "--json").facts["findings"] if one["stops"]]
    assert (stops["check"], stops["rows"], stops["first"]) == (
        label, 1, [{"lower(code)": "c1", "rows": 2, "first id": 1, "last id": 2}],
    )  # fmt: skip
    assert "Seq Scan on things" in stops["cost"]


def test_a_check_that_guards_a_step_stops_apply_there_with_its_rows(desk: Desk) -> None:
    check = FILES["preflight/10_doubled_codes.sql"].replace("\n\n", "\n-- before: 002\n\n", 1)
    desk.write(changed({"preflight/10_doubled_codes.sql": check}), sql=DOUBLED)
    facts = desk("preflight", NAME, "--json").facts
    assert (facts["verdict"], facts["goes_until"]) == ("NO-GO", "002_build_index")
    said = desk("apply", NAME, *AT_ONCE)
    assert (said.code, said.out) == (3, "")
    assert f"PreflightFailed: {NAME} is NO-GO before 002_build_index: 1 of " in said.err
    assert "\n  code: c1\n" in said.err
    assert f"{NAME}: GO until 002_build_index, 1 of " in said.err
    assert desk.statuses == ["done"]
    as_json = desk("apply", NAME, *AT_ONCE, "--json")
    assert (as_json.code, as_json.facts["error"]) == (3, "PreflightFailed")
    assert "code: c1" in as_json.facts["details"]
    assert desk("remedy", NAME, "10_doubled_codes", *GO).code == 0
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk.statuses == ["done"] * 3


def test_apply_without_approval_changes_nothing(desk: Desk) -> None:
    before = desk.catalog()
    said = desk("apply", NAME)
    assert (said.code, said.out) == (3, "")
    assert said.err.endswith(
        "GateClosed: the gate of 001_add_note is closed: nobody is here to ask, and no policy was set\n"
        '  next: approve it with runbook.gate("001") in the notebook,'
        " or --approve-all --reason TEXT on the command line; nothing was changed\n"
    )
    for reason in ([], ["--reason", "  "]):
        said = desk("apply", NAME, "--approve-all", *reason)
        assert (said.code, said.out) == (3, "")
        assert (
            said.err
            == "ReasonMissing: --approve-all needs a reason\n  next: add --reason TEXT; it is kept in the record\n"
        )
    # A reason alone is no approval.
    assert desk("apply", NAME, "--reason", "because").code == 3
    assert desk("rollback", NAME).code == 3
    assert desk("remedy", NAME, "10_doubled_codes").code == 3
    assert desk.catalog() == before
    assert not desk.has_ledger


def test_apply_stops_at_no_go_before_anything_is_written(desk: Desk) -> None:
    spoil(desk)
    before = desk.catalog()
    said = desk("apply", NAME, *GO)
    assert (said.code, said.out) == (3, "")
    assert f"PreflightFailed: {NAME} is NO-GO: 1 of " in said.err
    assert "next: look at the rows of these checks, then run remedy 10_doubled_codes" in said.err
    assert desk.catalog() == before
    assert not desk.has_ledger
    (record,) = desk.records.glob("*/record.html")
    assert f"record: {record}\n" in said.err


def test_apply_audits_rehearses_applies_verifies_and_records(desk: Desk) -> None:
    said = desk("apply", NAME, *GO)
    assert said.code == 0, said.err
    verdict, record = said.out.splitlines()
    assert verdict == f"{NAME}: done"
    assert Path(record.removeprefix("record: ")).read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    told = [line.split(" s] ")[1] for line in said.err.splitlines()]
    assert told[0].startswith(f"{NAME}: GO, ")
    assert told[1].startswith(
        f"{NAME} rehearsed on a clone: 6 files, every lock as declared; the way back restores"
    )
    assert told[3:7] == [
        "001 Add the note ... done, nobody stalled",
        "002 Build the index ... done, nobody stalled",
        "003 Require the code ... done, nobody stalled",
        "3 steps verified, all promises hold",
    ]
    gates = "SELECT concat_ws(' ', step, detail ->> 'reason', actor) FROM pgrunbook.event WHERE kind = 'gate'"
    assert sorted(desk.ask(gates)) == [f"{name} CHG-1234 ann" for name in STEPS]
    assert desk.ask("SELECT outcome FROM pgrunbook.run") == ["done"]


def test_apply_again_runs_nothing_twice(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE).code == 0
    before = desk.catalog()
    said = desk("apply", NAME, *GO)
    assert said.code == 0, said.err
    assert [line.split(" s] ")[1] for line in said.err.splitlines() if "already" in line] == [
        "001 Add the note ... already done",
        "002 Build the index ... already done",
        "003 Require the code ... already done",
    ]
    assert "rehearsed" not in said.err
    assert desk.catalog() == before


def test_apply_rehearses_only_what_remains(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("rollback", NAME, "--to", "001", *GO).code == 0
    said = desk("apply", NAME, *GO, "--json")
    assert (said.code, said.err) == (0, "")
    assert [row["status"] for row in said.facts["steps"]] == ["done"] * 3
    assert said.facts["verified"] is True
    rehearsed = "SELECT jsonb_array_length(detail -> 'locks') FROM pgrunbook.event WHERE kind = 'rehearsed'"
    assert desk.ask(rehearsed) == [4]


def test_apply_stops_where_the_rehearsal_is_not_what_was_declared(desk: Desk) -> None:
    text = FILES["migrate/001_add_note.sql"] or ""
    desk.write(changed({"migrate/001_add_note.sql": text.replace("AccessExclusive", "Share")}), sql="SELECT")
    before = desk.catalog()
    said = desk("apply", NAME, *GO)
    assert (said.code, said.out) == (3, "")
    assert said.err.endswith(
        f"RehearsalDiffers: the rehearsal of {NAME} was not what its files declare\n"
        "  migrate/001_add_note.sql: declared Share on things, took AccessExclusive on things\n"
        "  next: mend the files, or apply with --no-rehearsal if you know why; nothing was changed\n"
    )
    assert desk.catalog() == before
    assert desk("apply", NAME, *AT_ONCE).code == 0


def test_a_step_that_fails_is_recorded_and_resumed(desk: Desk) -> None:
    spoil(desk, "ALTER TABLE things ADD COLUMN note int; ALTER TABLE things RENAME COLUMN note TO code_2")
    broken = changed(
        {"migrate/003_require_code.sql": "-- Fail\n-- lock: AccessExclusive on things\n\nSELECT 1 / 0;\n"}
    )
    desk.write(broken, sql="SELECT")
    said = desk("apply", NAME, *AT_ONCE)
    assert (said.code, said.out) == (1, "")
    assert (
        "\nStepFailed: 003_require_code failed: migrate/003_require_code.sql: division by zero\n" in said.err
    )
    assert desk.statuses == ["done", "done", "failed"]
    (record,) = desk.records.glob("*/record.html")
    assert f"record: {record}\n" in said.err
    assert "failed at 003_require_code" in record.read_text(encoding="utf-8")
    desk.write(FILES, sql="SELECT")
    assert desk("apply", NAME, *GO).code == 0
    assert desk.statuses == ["done"] * 3


def test_a_second_runner_is_refused(desk: Desk) -> None:
    bound = target.rehearsal(desk.database)
    before = desk.catalog()
    with contextlib.closing(session.connect(bound, purpose="control of a colleague")) as colleague:
        Ledger(colleague, bound).take_runner_lock()
        for command in (
            ["apply", NAME, *AT_ONCE],
            ["rollback", NAME, *GO],
            ["remedy", NAME, "10_doubled_codes", *GO],
        ):
            said = desk(*command)
            assert (said.code, said.out) == (3, "")
            assert "RunnerBusy: another runner is at work in " in said.err
            assert "pgrunbook control of a colleague (pid " in said.err
        # Looking is no work.
        assert desk("status").code == 0
        assert desk("preflight", NAME).code == 0
    assert desk.catalog() == before
    assert not desk.has_ledger
    assert desk("apply", NAME, *AT_ONCE).code == 0


def test_status_reads_only(desk: Desk, eventually: Callable[..., Any]) -> None:
    def written() -> Any:
        # A session tells the statistics what it wrote before it is gone, which may be after its client went.
        others = (
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        eventually(lambda: desk.ask(others) == [])
        return desk.ask("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables")

    before = desk.catalog()
    rows = written()
    assert rows[0] > 0
    said = desk("status")
    assert (said.code, said.err) == (0, "")
    assert said.out.splitlines()[0].endswith("; event chain: not begun")
    assert f"{NAME}: 0 of 3 steps done\nresume here: the notebook {NAME}, preflight and the cell" in said.out
    facts = desk("status", NAME, "--json").facts
    assert [row["status"] for row in facts["changes"][NAME]] == ["not run"] * 3
    assert facts["chain"] == ""
    assert desk.catalog() == before
    assert written() == rows
    assert not desk.has_ledger
    assert not desk.records.exists()


def test_status_tells_what_was_applied_and_edited(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("rollback", NAME, "--to", "002", *GO).code == 0
    desk.write(
        changed({"migrate/001_add_note.sql": (FILES["migrate/001_add_note.sql"] or "") + "\n"}), sql="SELECT"
    )
    kept = sorted(desk.records.iterdir())
    facts = desk("status", "--json").facts
    assert [(row["status"], row["note"]) for row in facts["changes"][NAME]] == [
        ("done", "the file was edited after it ran"),
        ("done", "apply"),
        ("rolled back", "rollback"),
    ]
    assert facts["resume"][NAME].endswith(f'gate("003"); or pgrunbook apply {NAME}')
    assert facts["chain"].startswith("unbroken, ")
    assert sorted(desk.records.iterdir()) == kept


def test_verify_tells_a_broken_promise(desk: Desk) -> None:
    assert desk("verify", NAME).out.startswith(
        "0 steps verified, all promises hold\nevent chain: not begun\n"
    )
    assert desk("apply", NAME, *AT_ONCE).code == 0
    said = desk("verify", NAME)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("3 steps verified, all promises hold\nevent chain: unbroken, ")
    spoil(desk, "DROP INDEX things_code")
    said = desk("verify", NAME)
    assert (said.code, said.err) == (1, "")
    assert said.out.startswith("3 steps verified, 1 BROKEN\n")
    assert "verify/002_build_index.sql: missing\n" in said.out
    facts = desk("verify", NAME, "--json").facts
    assert [row["rows"] for row in facts["steps"]] == [0, 1, 0]


def test_a_remedy_is_previewed_applied_and_undone(desk: Desk) -> None:
    spoil(desk)
    codes = "SELECT id FROM things WHERE code = 'c1' ORDER BY id"
    said = desk("remedy", NAME, "10_doubled_codes", "--preview")
    assert (said.code, said.err) == (0, "")
    assert "10_doubled_codes" in said.out
    assert "undo gives every row back" in said.out
    facts = desk("remedy", NAME, "10_doubled_codes", "--preview", "--json").facts
    assert facts["undo_proved"] is True
    assert desk.ask(codes) == [1, 2, 3]
    assert not desk.has_ledger
    done = desk("remedy", NAME, "10_doubled_codes", *GO, "--json")
    assert (done.code, done.err, done.facts) == (0, "", {"rows": 2, "batches": 1, "table": "things"})
    assert desk.ask(codes) == [1]
    assert desk("preflight", NAME).code == 0
    # Somebody decides otherwise meanwhile: undo must not take that away.
    spoil(desk, "UPDATE things SET code = 'new' WHERE id = 3")
    said = desk("remedy", NAME, "10_doubled_codes", "--undo", *GO, "--json")
    assert (said.code, said.facts["restored"], said.facts["left_alone"]) == (1, 1, 1)
    assert desk.ask(codes) == [1, 2]
    outcomes = "SELECT outcome FROM pgrunbook.run ORDER BY started_at"
    assert desk.ask(outcomes) == ["remedy 10_doubled_codes applied", "remedy 10_doubled_codes undone"]


def test_an_unknown_remedy_or_step_is_refused_with_those_that_exist(desk: Desk) -> None:
    said = desk("remedy", NAME, "20_nothing", *GO)
    assert (said.code, said.out) == (1, "")
    assert "named '20_nothing'\n  next: choose one of: " in said.err
    assert desk("apply", NAME, *AT_ONCE).code == 0
    said = desk("rollback", NAME, "--to", "009", *GO)
    assert (said.code, said.out) == (1, "")
    assert said.err == f"UnknownName: no step named '009'\n  next: choose one of: {', '.join(STEPS)}\n"
    # An empty name comes from a shell variable that is not set: it must not undo everything.
    said = desk("rollback", NAME, "--to", "", *GO)
    assert (said.code, said.out) == (2, "")
    assert "argument --to: it is empty; is a variable not set?" in said.err
    assert desk.statuses == ["done"] * 3


def test_rollback_undoes_down_to_a_step_and_then_all(desk: Desk) -> None:
    before = desk.catalog()
    assert desk("apply", NAME, *AT_ONCE).code == 0
    said = desk("rollback", NAME, "--to", "001", *GO)
    assert (said.code, said.err) == (0, "")
    *lines, record = said.out.splitlines()
    assert lines == [
        "003 Require the code ... rolled back, nobody stalled",
        "002 Build the index ... rolled back, nobody stalled",
    ]
    assert Path(record.removeprefix("record: ")).is_file()
    assert desk.statuses == ["done", "rolled back", "rolled back"]
    said = desk("rollback", NAME, *GO, "--json")
    assert (said.code, said.err) == (0, "")
    assert [row["status"] for row in said.facts["steps"]] == ["rolled back"] * 3
    assert desk.catalog() == before


def test_what_the_server_warns_of_in_a_rollback_is_told(desk: Desk) -> None:
    warns = "DO $$ BEGIN RAISE NOTICE 'a word'; RAISE WARNING 'job 7 still runs'; END $$;"
    back = f"ALTER TABLE things DROP COLUMN note;\n{warns}"
    shutil.rmtree(desk.changes / NAME)
    desk.write(step("ALTER TABLE things ADD COLUMN note text;", rollback=back), sql="SELECT")
    assert desk("apply", NAME, *AT_ONCE).code == 0
    said = desk("rollback", NAME, *GO).out.splitlines()
    assert said[:2] == ["001 Step ... rolled back, nobody stalled", "  WARNING: job 7 still runs"]
    assert said[2].startswith("record: ")


def test_a_rollback_that_fails_is_recorded(desk: Desk) -> None:
    files = step("ALTER TABLE things ADD COLUMN note text;", rollback="SELECT 1 / 0;")
    shutil.rmtree(desk.changes / NAME)
    desk.write(files, sql="SELECT")
    assert desk("apply", NAME, *AT_ONCE).code == 0
    said = desk("rollback", NAME, *GO)
    assert (said.code, said.out) == (1, "")
    assert "StepFailed: 001_only failed: rollback/001_only.sql: division by zero\n" in said.err
    assert "record: " in said.err
    assert desk.ask("SELECT kind FROM pgrunbook.event WHERE kind LIKE 'rollback%' ORDER BY id") == [
        "rollback started",
        "rollback failed",
    ]


def test_a_record_is_written_from_the_ledger_alone(desk: Desk) -> None:
    assert desk("apply", NAME, *AT_ONCE).code == 0
    assert desk("rollback", NAME, *GO).code == 0
    first, last = sorted(path.name for path in desk.records.iterdir())
    shutil.rmtree(desk.records)
    # The change's files may be gone, too.
    shutil.rmtree(desk.changes / NAME)
    said = desk("record", NAME)
    assert (said.code, said.err) == (0, "")
    assert said.out == f"{last}: rolled back\nrecord: {desk.records / last / 'record.html'}\n"
    said = desk("record", NAME, "--run", first, "--json")
    assert (said.code, said.facts["run"]) == (0, first)
    text = Path(said.facts["record"]).read_text(encoding="utf-8")
    assert "CHG-1234" in text
    assert "002_build_index" in text
    said = desk("record", NAME, "--run", "../../etc")
    assert (said.code, said.err) == (
        1,
        f"UnknownName: no run of {NAME} named '../../etc'\n  next: choose one of: {first}, {last}\n",
    )


def test_without_a_ledger_there_is_no_record(desk: Desk) -> None:
    said = desk("record", NAME)
    assert (said.code, said.err) == (
        1,
        f"UnknownName: no run or change in the ledger named '{NAME}'\n"
        "  next: there is no run or change in the ledger to choose\n",
    )


def test_every_command_answers_machines_with_one_object_and_nothing_else(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    spoil(desk)
    for code, *command in (
        (3, "preflight", NAME),
        (3, "apply", NAME, *GO),
        (3, "apply", NAME, "--approve-all"),
        (0, "remedy", NAME, "10_doubled_codes", "--preview"),
        (0, "remedy", NAME, "10_doubled_codes", *GO),
        (3, "apply", NAME),
        (0, "apply", NAME, *AT_ONCE),
        (0, "verify", NAME),
        (0, "status"),
        (1, "rollback", NAME, "--to", "9", *GO),
        (0, "rollback", NAME, *GO),
        (0, "record", NAME),
        (1, "record", NAME, "--run", "x"),
    ):
        said = desk(*command, "--json")  # type: ignore[arg-type]
        assert said.code == code, (command, said)
        assert isinstance(said.facts, dict)
        assert said.err == "", command
    eventually(lambda: not desk.ours)


# --- races -------------------------------------------------------------------------------------------------

RACE = "# Made\n# expect: n 1\n\nteardown { SELECT 1 AS n; }\nsession s1 step x { SELECT 1; }\nsession s2 step y {}\n"


@pytest.fixture
def races(desk: Desk, major: int) -> Path:
    folder = desk.folder / "races"
    folder.mkdir()
    (folder / "10_made.spec").write_text(RACE)
    (folder / "20_broken.spec").write_text(RACE.replace("n 1\n", "n 2\n"))
    desk.more |= {"PGRUNBOOK_RACES": str(folder), "PGRUNBOOK_POSTGRES": str(major)}
    return folder


def test_races_run_beside_the_target_and_a_broken_promise_fails(desk: Desk, races: Path) -> None:
    before = desk.catalog()
    said = desk("races")
    assert (said.code, said.err) == (1, "")
    table = [line.split() for line in said.out.splitlines()]
    assert ["10_made", "|", "2", "|", "2", "|", "1", "|", "holds"] in table
    assert said.out.splitlines()[-1] == "20_broken: expected n 2 in every permutation: not in x y"
    assert desk("races", "10_made").code == 0
    assert desk("races", "10_made", "20_broken").code == 1
    assert desk.catalog() == before


def test_a_race_is_printed_in_full_and_kept_to_be_compared(desk: Desk, races: Path) -> None:
    said = desk("races", "10_made", "--save", str(races))
    assert said.out.startswith(
        "10_made: Made\n2 of 2 permutations can happen\nexpect n 1 in every permutation: holds\n"
    )
    assert (races / "10_made.out").read_text() == said.out


def test_races_speak_json_and_name_what_is_there(desk: Desk, races: Path) -> None:
    (found,) = desk("races", "20_broken", "--json").facts["races"]
    assert (found["race"], found["happened"]) == ("20_broken", 2)
    assert found["broken"] == ["expected n 2 in every permutation: not in x y"]
    said = desk("races", "30_nowhere")
    assert said.code == 1
    assert "choose one of: 10_made, 20_broken" in said.err
