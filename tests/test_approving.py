"""The command `approve`: another person's GO from their own terminal, and what it counts for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from operating import AT_ONCE, GO, Desk, ended
from throwaway import NAME

from pgrunbook import approving
from pgrunbook.ledger import HOLD_CHAIN

if TYPE_CHECKING:
    from conftest import Elsewhere

TWO = (*AT_ONCE, "--approvals", "2")
STEPS = ("001_add_note", "002_build_index", "003_require_code")


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    with Desk(database, tmp_path) as desk:
        desk.write()
        yield desk


def asked(desk: Desk, step: str) -> Callable[[], Any]:
    """Whether the run has said GO to a step."""
    said = f"SELECT 1 FROM pgrunbook.event WHERE kind = 'gate' AND actor = 'ann' AND step = '{step}'"
    return lambda: desk.has_ledger and desk.ask(said)


def test_apply_waits_at_each_gate_for_the_second_person(desk: Desk, eventually: Callable[..., Any]) -> None:
    going = desk.start("apply", NAME, *TWO)
    for step in STEPS:
        eventually(asked(desk, step))
        assert step not in desk.ask("SELECT step FROM pgrunbook.step")
        said = desk("approve", NAME, step, "--reason", "read it", PGRUNBOOK_OPERATOR="bob")
        assert said.code == 0
        first, *about = said.out.splitlines()
        assert first.startswith(f"{step}: GO by bob recorded in run ")
        assert first.endswith(" of ann")
        assert any(f"migrate/{step}.sql, SHA-256 " in line for line in about)
    came = ended(going)
    assert (came.code, desk.statuses) == (0, ["done"] * 3)
    assert f"1 of 2 people approved it (ann); it waits for: pgrunbook approve {NAME} 001_add_note" in came.err
    kept = "SELECT detail FROM pgrunbook.event WHERE kind = 'gate' AND actor = 'bob' ORDER BY id"
    first = desk.ask(kept)[0]
    assert (first["how"], first["reason"], first["role"]) == ("pgrunbook approve", "read it", "postgres")
    # What is done waits for nobody.
    assert desk("apply", NAME, *TWO).code == 0


def test_a_no_go_from_elsewhere_ends_an_apply_that_waits(desk: Desk, eventually: Callable[..., Any]) -> None:
    going = desk.start("apply", NAME, *TWO)
    eventually(asked(desk, STEPS[0]))
    said = desk(
        "approve", NAME, "001", "--no-go", "--reason", "no backup", "--json", PGRUNBOOK_OPERATOR="bob"
    )
    assert (said.code, said.facts["go"], said.facts["step"]) == (0, False, STEPS[0])
    came = ended(going)
    assert (came.code, desk.statuses, came.err) == (3, [], came.err)
    assert "GateClosed: the gate of 001_add_note is closed: bob said NO-GO (no backup)" in came.err


@pytest.mark.parametrize("same_id", [False, True], ids=["another run", "the same run id again"])
def test_a_gate_over_a_step_that_was_interrupted_is_approved_as_any_other(
    desk: Desk, elsewhere: Elsewhere, eventually: Callable[..., Any], *, same_id: bool
) -> None:
    elsewhere.begin_and_hold("SELECT count(*) FROM things")
    going = desk.start("apply", NAME, *AT_ONCE)
    eventually(lambda: desk.has_ledger and desk.statuses == ["running"])
    going.kill()
    going.communicate()
    eventually(lambda: not desk.ours)
    going = desk.start("apply", NAME, *TWO)
    (run_id,) = eventually(
        lambda: desk.ask("SELECT run_id FROM pgrunbook.event WHERE kind = 'gate' OFFSET 1")
    )
    if same_id:
        with desk.looking() as conn:
            conn.execute("UPDATE pgrunbook.step SET run_id = %s", (run_id,))
    assert desk.statuses == ["running"]
    assert desk("approve", NAME, "001", "--reason", "read it", PGRUNBOOK_OPERATOR="bob").code == 0
    # Now it runs, and waits; its session is idle from time to time.
    eventually(lambda: desk.ask("SELECT 1 FROM pgrunbook.event WHERE kind = 'apply started' OFFSET 1"))
    for _ in range(5):
        assert "it is running" in refusal(desk, "--no-go", "--reason", "stop")
    elsewhere.release()
    eventually(lambda: desk.statuses == ["done"])


def test_a_run_that_lost_its_connection_while_it_waits_is_found_again(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    desk.start("apply", NAME, *TWO)
    eventually(asked(desk, STEPS[0]))
    lost = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name LIKE 'pgrunbook control%'"
    )
    assert desk.ask(lost) == [True]
    eventually(
        lambda: desk("approve", NAME, "001", "--reason", "read it", PGRUNBOOK_OPERATOR="bob").code == 0
    )
    eventually(lambda: desk.statuses == ["done"])


def test_ctrl_c_ends_an_apply_that_waits(desk: Desk, eventually: Callable[..., Any]) -> None:
    going = desk.start("apply", NAME, *TWO)
    eventually(asked(desk, STEPS[0]))
    going.terminate()
    assert ended(going).code == 1
    assert (desk.statuses, desk.ours) == ([], [])


def refusal(desk: Desk, *more: str, who: str = "bob", step: str = "001") -> str:
    said = desk("approve", NAME, step, *more, PGRUNBOOK_OPERATOR=who)
    assert (said.code, said.out) == (3, "")
    return said.err


def test_what_would_count_for_nothing_is_refused_and_says_why(
    desk: Desk, tmp_path: Path, eventually: Callable[..., Any]
) -> None:
    why = ("--reason", "read it")
    assert refusal(desk).startswith("ReasonMissing: approve needs a reason\n")
    assert "no run of 700_throwaway is open there" in refusal(desk, *why)
    desk.start("apply", NAME, *TWO)
    eventually(asked(desk, STEPS[0]))
    assert "Ann has approved it already" in refusal(desk, *why, who="Ann")
    assert "nobody has said GO to it in run " in refusal(desk, *why, step="002")
    file = tmp_path / "changes" / NAME / "migrate" / "001_add_note.sql"
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}-- edited\n", encoding="utf-8")
    assert "your file is another text (SHA-256 " in refusal(desk, *why)
    file.write_text(text, encoding="utf-8")
    assert desk("approve", NAME, "001", *why, PGRUNBOOK_OPERATOR="bob").code == 0
    eventually(lambda: desk.statuses == ["done"])
    assert "001_add_note was not approved: it is done" in refusal(desk, *why)
    assert desk("approve", NAME, "009", *why).code == 1


def test_the_second_person_sees_what_the_gate_shows_before_they_say_go(
    desk: Desk, eventually: Callable[..., Any]
) -> None:
    # However busy the machine is.
    calm = {
        name: str(text).replace("-- lock:", "-- hold_budget: 60 s\n-- lock:", 1)
        for name, text in throwaway.FILES.items()
        if name.startswith("rollback/")
    }
    throwaway.write(desk.changes, calm)
    assert desk("apply", NAME, *AT_ONCE).code == 0
    going = desk.start("rollback", NAME, "--to", "001", *GO, "--approvals", "2")
    way = "rollback to 001_add_note"
    eventually(asked(desk, way))
    shown = desk("approve", NAME, "rollback to 001", "--show")
    assert shown.code == 0
    first, *lines = shown.out.splitlines()
    assert first == way
    for told in (
        "where LIVE: ", "undoes 003_require_code: Require the code", "002_build_index: Build the index",
        "stays 1 step: 001", "runs rollback/003_require_code.sql, SHA-256 ",
        "locks AccessExclusive on things: nobody can read or write meanwhile; declared",
        "others wait 100 ms at most because of us at each file", "in the way nobody",
    ):  # fmt: skip
        assert any(told in " ".join(line.split()) for line in lines), told
    assert desk.statuses == ["done"] * 3, "to look is no GO"
    said = desk("approve", NAME, way, "--reason", "read it", "--json", PGRUNBOOK_OPERATOR="bob")
    assert (said.code, said.facts["step"]) == (0, way)
    assert said.facts["about"]["stays"] == "1 step: 001"
    came = ended(going)
    assert (came.code, desk.statuses) == (0, ["done", "rolled back", "rolled back"]), came.err


def test_who_decides_waits_for_no_look_that_fails_nor_long_for_a_ledger_that_is_held(
    desk: Desk, elsewhere: Elsewhere, eventually: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    going = desk.start("apply", NAME, *TWO, "--window-ends", "2999-01-01 04:00Z")
    eventually(asked(desk, STEPS[0]))
    about = desk("approve", NAME, "001", "--show", "--json").facts["about"]
    assert about["window"].startswith("ends at 2999-01-01 04:00:00 UTC, ")
    assert "; reserve " in about["window"], "as the gate says it where the run is"
    elsewhere.begin_and_hold(HOLD_CHAIN)
    monkeypatch.setattr(approving, "CHAIN_MS", 50)
    no = ("approve", NAME, "001", "--no-go", "--reason", "no backup")
    held = desk(*no, PGRUNBOOK_OPERATOR="bob")
    assert (held.code, held.out) == (3, "")
    assert "001_add_note was not approved: somebody has been writing to the ledger for 0.05 s; " in held.err
    elsewhere.release()

    def fails(*_what: object) -> None:
        raise psycopg.errors.InsufficientPrivilege("permission denied for schema shop\nLINE 1")

    monkeypatch.setattr(approving, "in_the_way", fails)
    said = desk(*no, "--json", PGRUNBOOK_OPERATOR="bob")
    assert (said.code, said.facts["go"]) == (0, False)
    assert said.facts["about"]["in the way"] == "not known: permission denied for schema shop"
    assert ended(going).code == 3


def test_the_undo_of_a_remedy_waits_for_a_go_of_its_own(desk: Desk, eventually: Callable[..., Any]) -> None:
    with desk.looking() as conn:
        conn.execute("UPDATE things SET code = 'c1' WHERE id IN (2, 3)")
    remedy = "10_doubled_codes"
    assert desk("remedy", NAME, remedy, *GO).code == 0
    going = desk.start("remedy", NAME, remedy, "--undo", *GO, "--approvals", "2")
    eventually(asked(desk, f"undo {remedy}"))
    assert "nobody has said GO to it in run " in refusal(desk, "--reason", "read it", step=remedy)
    said = desk("approve", NAME, f"undo {remedy}", "--reason", "read it", PGRUNBOOK_OPERATOR="bob")
    assert "rows         gives back 2 rows that it replaced, newest first" in said.out
    came = ended(going)
    assert came.code == 0
    assert f"it waits for: pgrunbook approve {NAME} 'undo {remedy}' --reason TEXT" in came.err


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", ""])
def test_how_many_people_is_a_number(desk: Desk, number: str) -> None:
    assert desk("apply", NAME, *AT_ONCE, f"--approvals={number}").code == 2
    assert not desk.has_ledger
