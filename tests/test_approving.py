"""The command `approve`: another person's GO from their own terminal, and what it counts for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from operating import AT_ONCE, Desk, ended
from throwaway import NAME

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
        assert said.out.startswith(f"{step}: GO by bob recorded in run ")
        assert said.out.endswith(" of ann\n")
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


@pytest.mark.parametrize("number", ["0", "-1", "two", "1.5", ""])
def test_how_many_people_is_a_number(desk: Desk, number: str) -> None:
    assert desk("apply", NAME, *AT_ONCE, f"--approvals={number}").code == 2
    assert not desk.has_ledger
