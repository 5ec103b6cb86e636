"""Decisions: kept before anything acts on them; from another terminal they count beside one at the screen."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from attended import Person

from pgrunbook import question
from pgrunbook.binding import Binding
from pgrunbook.deciding import Deciding
from pgrunbook.errors import GateClosed, JournalRefused, RunbookError
from pgrunbook.gate import TERMINAL, Policy
from pgrunbook.history import summarise
from pgrunbook.ledger import HOLD_CHAIN
from pgrunbook.run import Run
from pgrunbook.ticking import Ticking
from pgrunbook.views.gate_panel import GatePanel

Conn = psycopg.Connection[dict[str, Any]]
STEP = "001_add_note"


@pytest.fixture
def run(conn: Conn, database: str, tmp_path: Path) -> Iterator[Run]:
    """A run that two people have to approve, whose board says GO."""
    conn.execute(throwaway.TABLE)
    chosen = throwaway.write(tmp_path / "changes")
    with throwaway.running(
        chosen, database, tmp_path, policy=Policy.APPROVE_ALL, reason="window", approvals_needed=2
    ) as made:
        yield made


def elsewhere(
    run: Run, who: str, *, go: bool = True, sha: str = "", step: str = STEP, **more: object
) -> None:
    """Somebody decides at another terminal."""
    sha = sha or run.change.step(step).migrate.sha256
    told = {"who": who, "go": go, "reason": "I read it", "how": TERMINAL, "script_sha256": sha, **more}
    run.ledger.event(
        run_id=run.run_id, change=run.change.name, step=step, kind="gate", actor=who, detail=told
    )


def at_screen(run: Run, who: str = "ann", *, go: bool = True) -> None:
    run.decide("001", go=go, who=who, reason="window", how="typed")


def why_closed(run: Run) -> str:
    run.deciding.hear()
    with pytest.raises(GateClosed) as caught:
        run.gates.require(STEP, run.change.steps[0].migrate.sha256)
    return caught.value.reason


def test_a_go_from_another_terminal_counts_beside_one_at_the_screen(run: Run) -> None:
    at_screen(run)
    assert why_closed(run) == "1 of 2 people approved it (ann)"
    elsewhere(run, "bob")
    assert run.deciding.hear()
    assert not run.deciding.hear()
    assert run.apply("001").note == "apply"


def test_apply_itself_hears_who_has_approved_since(run: Run) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    run.deciding.hear()
    elsewhere(run, "bob", go=False)
    with pytest.raises(GateClosed, match=r"bob said NO-GO \(I read it\)"):
        run.apply("001")
    assert throwaway.statuses(run)[0] == "not run"


@pytest.mark.parametrize("who", ["ann", " ANN ", "Ann", "a\u200bnn", "\uff41nn"])
def test_nobody_is_two_people(run: Run, who: str) -> None:
    at_screen(run)
    elsewhere(run, who)
    assert why_closed(run).startswith("1 of 2 people approved it (")


def test_many_answers_of_one_person_are_one(run: Run) -> None:
    at_screen(run)
    for _ in range(5):
        at_screen(run)
        elsewhere(run, "ann")
    assert why_closed(run) == "1 of 2 people approved it (ann)"
    run.gates.approvals_needed = 3
    for _ in range(5):
        elsewhere(run, "bob")
    assert why_closed(run) == "2 of 3 people approved it (ann, bob)"


@pytest.mark.parametrize("go", [1, "true", None, [True]])
def test_what_is_not_plainly_a_go_is_none(run: Run, go: Any) -> None:
    at_screen(run)
    elsewhere(run, "bob", go=go)
    assert why_closed(run) == "bob said NO-GO (I read it)"


def test_a_go_from_elsewhere_opens_nothing_alone(run: Run) -> None:
    at_screen(run, go=False)
    run.gates.approvals_needed = 1
    elsewhere(run, "bob")
    elsewhere(run, "cid")
    assert why_closed(run) == "ann said NO-GO (window)"


def test_a_go_to_another_text_of_the_script_is_none(run: Run) -> None:
    at_screen(run)
    elsewhere(run, "bob", sha="0" * 64)
    assert why_closed(run) == "1 of 2 people approved it (ann)"


def test_a_go_of_another_run_is_none(run: Run, database: str, tmp_path: Path) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    run.close()
    with throwaway.running(run.change, database, tmp_path, approvals_needed=2) as other:
        at_screen(other)
        assert why_closed(other) == "1 of 2 people approved it (ann)"


def test_after_a_rollback_all_are_asked_anew(run: Run) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    run.apply("001")
    elsewhere(run, "cid")
    run.gates.approvals_needed = 1
    throwaway.roll_back(run)
    run.gates.approvals_needed = 2
    # What cid said nobody has heard yet: it was said before the rollback, and is worth nothing after it.
    at_screen(run)
    assert why_closed(run) == "1 of 2 people approved it (ann)"


def test_a_file_that_was_edited_after_the_run_had_read_it_needs_another_run(run: Run, tmp_path: Path) -> None:
    file = run.change.steps[0].migrate.path
    file.write_text(file.read_text() + "\n-- more\n", encoding="utf-8")
    reason = "migrate/001_add_note.sql was edited after this run had read it: open the runbook again"
    with pytest.raises(GateClosed) as caught:
        at_screen(run)
    assert caught.value.reason == reason
    file.unlink()
    with pytest.raises(GateClosed, match="was edited"):
        at_screen(run)
    at_screen(run, go=False)


def test_no_policy_overrides_a_no_go_from_another_terminal(run: Run) -> None:
    run.binding.begin_writing()
    elsewhere(run, "bob", go=False)
    with pytest.raises(GateClosed, match=r"bob said NO-GO \(I read it\)"):
        run.decide_by_policy("001")
    at_screen(run)
    run.decide_by_policy("001")


def test_a_go_does_not_override_a_no_go_that_nobody_has_seen(run: Run) -> None:
    run.binding.begin_writing()
    for _ in range(2):
        elsewhere(run, "bob", go=False)
        with pytest.raises(GateClosed, match=r"bob said NO-GO \(I read it\)"):
            at_screen(run)
        # Now it was seen.
        at_screen(run)
    elsewhere(run, "bob", go=False)
    at_screen(run, go=False)


def test_a_no_go_at_the_last_moment_stops_a_step_before_it_runs_anything(
    run: Run, conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    # The last thing that apply looks at before it begins.
    monkeypatch.setattr(Ticking, "require", lambda *_: elsewhere(run, "cid", go=False))
    with pytest.raises(GateClosed, match=r"cid said NO-GO \(I read it\)"):
        run.apply("001")
    assert throwaway.statuses(run)[0] == "failed"
    assert "note" not in throwaway.columns(conn)


def test_a_policy_overrides_no_no_go_that_comes_while_it_audits(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.binding.begin_writing()
    ready = Deciding.require_ready

    def audits(deciding: Deciding, name: str) -> None:
        ready(deciding, name)
        elsewhere(run, "bob", go=False)

    monkeypatch.setattr(Deciding, "require_ready", audits)
    with pytest.raises(GateClosed, match=r"bob said NO-GO \(I read it\)"):
        run.decide_by_policy("001")
    assert "bob said NO-GO" in why_closed(run)


def test_after_a_promotion_that_lost_events_those_of_the_new_primary_are_heard_and_none_twice(
    run: Run,
) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    assert run.deciding.hear()
    # What the old primary had told further than the standby had heard of.
    run.deciding._heard += 1_000
    elsewhere(run, "cid", go=False)
    assert not run.deciding.hear()
    facts = run.binding.facts
    run.binding.facts = dataclasses.replace(facts, timeline=facts.timeline + 1)
    assert run.deciding.hear()
    assert "cid said NO-GO" in why_closed(run)
    # Whoever has read it may go on, and is not stopped by it a second time.
    at_screen(run)
    run.binding.facts = dataclasses.replace(facts, timeline=facts.timeline + 2)
    assert not run.deciding.hear()
    assert "1 of 2 people approved it (ann)" in why_closed(run)


def test_where_there_is_no_ledger_nobody_is_heard(run: Run, conn: Conn) -> None:
    assert not run.deciding.hear()
    assert conn.execute("SELECT to_regnamespace('pgrunbook') AS it").fetchone() == {"it": None}


def test_whom_the_ledger_lets_read_nothing_hears_nothing(run: Run, conn: Conn) -> None:
    at_screen(run)
    elsewhere(run, "bob")
    with throwaway.role(conn) as name:
        run.control.execute(f"SET ROLE {name}")
        assert not run.deciding.hear()
        run.control.execute("RESET ROLE")
    assert run.deciding.hear()


# -- what was withdrawn, and what nobody answered --------------------------------------------------------


def test_a_go_that_was_withdrawn_is_no_place_for_another(run: Run, terminal: Callable[..., str]) -> None:
    at_screen(run)
    assert terminal() == ""
    run.apply("001")
    run.gates.approvals_needed = 1
    throwaway.roll_back(run)
    run.gates.approvals_needed = 2
    assert terminal() == (
        f"nobody has said GO to it in run {run.run_id} yet: what was said before counts no more (a rollback was begun)"
    )
    at_screen(run)
    assert terminal() == ""
    run.deciding.hear()
    assert run.gates.require(STEP, run.change.steps[0].migrate.sha256).who == "bob"


def test_a_go_that_the_board_took_back_is_no_place_for_another(
    run: Run, conn: Conn, terminal: Callable[..., str]
) -> None:
    at_screen(run)
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    run.preflight()
    with pytest.raises(RunbookError, match="is NO-GO"):
        run.apply("001")
    assert terminal().endswith("yet: what was said before counts no more (the board says NO-GO since)")


def test_a_go_of_a_run_that_was_opened_again_since_is_no_place_for_another(
    run: Run, database: str, tmp_path: Path, terminal: Callable[..., str]
) -> None:
    at_screen(run)
    run.close()
    with throwaway.running(run.change, database, tmp_path, approvals_needed=2, run_id=run.run_id) as again:
        again.binding.begin_writing()
        assert terminal().endswith("yet: the run was opened again since, and has to ask anew")
        at_screen(again)
        assert terminal() == ""
        assert again.apply("001").note == "apply"


def test_a_go_and_a_withdrawal_at_one_moment_come_one_after_the_other(
    run: Run, conn: Conn, terminal: Callable[..., str], elsewhere: Any, eventually: Callable[..., Any]
) -> None:
    at_screen(run)
    # The run is about to tell that the gate is withdrawn.
    elsewhere.begin_and_hold(HOLD_CHAIN)
    with ThreadPoolExecutor(1) as pool:
        going = pool.submit(terminal)
        waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'advisory'"
        eventually(lambda: conn.execute(waits).fetchall())
        elsewhere.execute(
            "INSERT INTO pgrunbook.event (run_id, change, step, kind, actor, detail)"
            " VALUES (%s, %s, %s, 'gate withdrawn', 'ann', '{\"reason\": \"it is rolled back\"}')",
            (run.run_id, run.change.name, STEP),
        )
        elsewhere.release()
        assert going.result(30).endswith("what was said before counts no more (it is rolled back)")


@pytest.mark.parametrize("way", ["rollback to 001", "undo 10_doubled_codes"])
def test_what_goes_back_is_approved_for_exactly_that(
    run: Run, terminal: Callable[..., str], way: str
) -> None:
    run.gates.approvals_needed = 1
    throwaway.apply(run)
    run.gates.approvals_needed = 2
    run.decide(way, go=True, who="ann", reason="x", how="typed")
    for other in ("rollback", "rollback to 002", "10_doubled_codes"):
        assert terminal(other).startswith("nobody has said GO to it")
    assert terminal(way) == ""
    acts: dict[str, Callable[[], object]] = {
        "rollback to 001": lambda: run.roll_back("001"),
        "rollback to 002": lambda: run.roll_back("002"),
        "rollback": run.roll_back,
        "10_doubled_codes": lambda: run.apply_remedy("10_doubled_codes"),
        "undo 10_doubled_codes": lambda: run.undo_remedy("10_doubled_codes"),
    }
    done = acts.pop(way)
    for act in acts.values():
        with pytest.raises(GateClosed):
            act()
    done()
    # One GO is one way back.
    with pytest.raises(GateClosed, match="nobody approved it in this run"):
        done()


def test_a_way_back_of_another_text_is_not_approved(run: Run, terminal: Callable[..., str]) -> None:
    run.decide("rollback", go=True, who="ann", reason="x", how="typed")
    file = run.change.steps[1].rollback[0].path
    text = file.read_text(encoding="utf-8")
    file.write_text(f"{text}-- edited\n", encoding="utf-8")
    assert terminal("rollback").startswith("your file is another text (SHA-256 ")
    with pytest.raises(
        GateClosed, match=r"rollback/002_build_index.sql was edited after this run had read it"
    ):
        run.decide("rollback", go=True, who="cid", reason="x", how="typed")
    file.write_text(text, encoding="utf-8")
    assert terminal("rollback") == ""


def test_a_go_to_roll_back_is_none_to_what_was_applied_after_it(run: Run) -> None:
    run.gates.approvals_needed = 1
    throwaway.apply(run, "001")
    run.decide_by_policy("rollback")
    throwaway.apply(run, "002")
    with pytest.raises(GateClosed, match="nobody approved it in this run"):
        run.roll_back()


def test_what_closes_a_gate_closes_it_although_no_record_can_be_kept(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise JournalRefused(path="there", reason="No space left on device")

    acts: dict[str, Callable[[], object]] = {
        "ann said NO-GO (window)": lambda: at_screen(run, go=False),
        "nobody approved it in this run": lambda: run.deciding.withdraw(STEP, why="it was undone"),
    }
    for why, act in acts.items():
        at_screen(run)
        with monkeypatch.context() as patched:
            patched.setattr(Binding, "note", full)
            with pytest.raises(JournalRefused):
                act()
        assert why_closed(run) == why


@pytest.fixture
def person(monkeypatch: pytest.MonkeyPatch) -> Person:
    return Person(monkeypatch)


def unanswered(run: Run) -> list[tuple[str, str]]:
    found = run.ledger.events(run_id=run.run_id, kind="gate unanswered")
    return [(one["step"], one["detail"]["reason"]) for one in found]


@pytest.mark.parametrize("name", ["001", "10_doubled_codes", "rollback to 001"])
def test_a_question_that_nobody_answered_is_in_the_ledger_and_in_the_record(
    run: Run, person: Person, name: str
) -> None:
    async def stopped() -> None:
        asking = asyncio.ensure_future(question.ask(run, name))
        await person.panel(GatePanel)
        asking.cancel()
        with pytest.raises(GateClosed, match="the cell was stopped"):
            await asking

    asyncio.run(stopped())
    reason = "the cell was stopped before anybody answered"
    (told,) = unanswered(run)
    assert told == ({"001": STEP, "rollback to 001": "rollback to 001_add_note"}.get(name, name), reason)
    assert run.check_chain() is not None
    (row,) = summarise(run.run_id, run.ledger.events(run_id=run.run_id), chain="")["approvals"]
    assert (row["decision"], row["who"], row["reason"]) == ("NO ANSWER", "tester", reason)


def test_a_notebook_that_is_closed_leaves_its_question_in_the_ledger(run: Run, person: Person) -> None:
    async def closed() -> None:
        asking = asyncio.ensure_future(question.ask(run, "001"))
        await person.panel(GatePanel)
        # The kernel ends, and the cell with it.
        run.close()
        asking.cancel()
        with pytest.raises(GateClosed):
            await asking

    asyncio.run(closed())
    assert unanswered(run) == [(STEP, "the notebook was closed before anybody answered")]


def test_an_answer_leaves_no_question(run: Run, person: Person) -> None:
    async def answered() -> None:
        asking = asyncio.ensure_future(question.ask(run, "001"))
        await person.answer(go=False, who="ann")
        with pytest.raises(GateClosed, match="ann said NO-GO"):
            await asking

    asyncio.run(answered())
    run.close()
    assert unanswered(run) == []
