"""Decisions: kept before anything acts on them; from another terminal they count beside one at the screen."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway

from pgrunbook.deciding import Deciding
from pgrunbook.errors import GateClosed
from pgrunbook.gate import TERMINAL, Policy
from pgrunbook.run import Run
from pgrunbook.ticking import Ticking

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
