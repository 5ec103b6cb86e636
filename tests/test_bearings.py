"""Bearings: where a change stands is told by ledger, catalog and server, and so is the call that goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import throwaway
from test_ticking import LIST

from pgrunbook import bearings
from pgrunbook.bearings import Bearings
from pgrunbook.change import Change
from pgrunbook.gate import Policy
from pgrunbook.run import Run

Conn = psycopg.Connection[dict[str, Any]]
GATE = 'run the cell await runbook.gate("{}")'


@pytest.fixture
def chosen(conn: Conn, tmp_path: Path) -> Change:
    conn.execute(throwaway.TABLE)
    return throwaway.write(tmp_path / "changes")


@pytest.fixture
def run(chosen: Change, database: str, tmp_path: Path) -> Iterator[Run]:
    with throwaway.running(chosen, database, tmp_path) as made:
        yield made


def states(found: Bearings) -> list[str]:
    return [place.state for place in found.places]


def where(run: Run) -> tuple[list[str], str, str]:
    found = bearings.of_run(run)
    return states(found), found.call.removeprefix("run the cell "), found.why


def test_the_next_call_follows_the_run_from_its_beginning_to_its_end(run: Run) -> None:
    board, run.audits.board = run.audits.board, None
    assert where(run) == (["blocked", "not run", "not run"], "runbook.preflight()", "no audit in this run")
    run.audits.board = board
    for number, name in (("001", "001_add_note"), ("002", "002_build_index"), ("003", "003_require_code")):
        assert where(run)[1:] == (
            f'await runbook.gate("{number}")', "gate closed: nobody approved it in this run",
        )  # fmt: skip
        run.decide_by_policy(name)
        assert where(run)[1:] == (f'await runbook.apply("{number}")', "")
        run.apply(name)
    assert where(run) == (["done"] * 3, "runbook.verify(), then runbook.record()", "every step is done")
    throwaway.roll_back(run, "001")
    assert where(run)[:2] == (["done", "rolled back", "rolled back"], 'await runbook.gate("002")')


def test_what_was_done_is_told_with_when_by_whom_and_how_long(run: Run) -> None:
    throwaway.apply(run, "001")
    first = bearings.of_run(run).places[0]
    assert (first.by, first.why, first.at.endswith(" UTC")) == ("tester", "", True)
    assert first.seconds is not None
    assert first.worst_stall_ms is not None


def test_a_no_go_names_its_checks_and_the_remedy_that_comes_before(run: Run, conn: Conn) -> None:
    conn.execute("UPDATE things SET code = 'c1' WHERE id = 2")
    run.preflight()
    states, call, why = where(run)
    assert (states[0], call) == ("blocked", 'await runbook.gate("10_doubled_codes")')
    assert why.startswith("NO-GO: ")
    assert why.endswith("the remedy 10_doubled_codes comes before")
    run.decide_by_policy("10_doubled_codes")
    assert where(run)[1] == 'await runbook.remedy("10_doubled_codes")'
    run.apply_remedy("10_doubled_codes")
    assert bearings.of_run(run).remedies == {"10_doubled_codes": "applied"}
    run.preflight()
    assert where(run)[1] == 'await runbook.gate("001")'


def test_a_no_go_and_a_second_person_are_waited_for(run: Run) -> None:
    run.decide("001", go=False, who="bob", reason="no backup", how="typed")
    assert where(run)[2] == "gate closed: bob said NO-GO (no backup)"
    run.policy, run.gates.approvals_needed = Policy.APPROVE_ALL, 2
    run.decide("001", go=True, who="ann", reason="x", how="typed")
    assert where(run)[2] == "gate closed: 1 of 2 people approved it (ann)"


def test_an_open_item_and_a_window_that_is_too_short_are_named(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    conn.execute(throwaway.TABLE)
    chosen = throwaway.write(tmp_path / "changes", throwaway.changed({"checklist.md": LIST}))
    budgets = throwaway.tight(window_ends=datetime.now(UTC) + timedelta(seconds=3))
    with throwaway.running(chosen, database, tmp_path, budgets=budgets) as made:
        assert where(made)[1:] == (
            'await runbook.checklist("before")', "open in the checklist: backup, staging",
        )  # fmt: skip
        made.decide_by_policy("001")
        assert where(made)[2].startswith("the window is too short: it ends ")


def test_a_change_that_has_to_come_before_is_named(conn: Conn, database: str, tmp_path: Path) -> None:
    conn.execute(throwaway.TABLE)
    root = tmp_path / "changes"
    throwaway.write(root, name="600_first")
    text = throwaway.FILES["migrate/001_add_note.sql"].replace("\n\n", "\n-- requires: 600_first\n\n", 1)
    chosen = throwaway.write(root, throwaway.changed({"migrate/001_add_note.sql": text}))
    with throwaway.running(chosen, database, tmp_path) as made:
        assert where(made)[1:] == ('Runbook.open("600_first")', "600_first has to be applied before")


def test_who_is_in_the_way_of_the_next_step_is_told(run: Run, someone_else: Callable[[], Any]) -> None:
    other = someone_else()
    other.begin_and_hold("SELECT count(*) FROM things")
    while not (here := bearings.of_run(run).here):
        pass
    assert f"pid {other.pid}" in here[0]
    other.release()
    assert bearings.of_run(run).here == ()


# -- what a kernel that was killed leaves ----------------------------------------------------------------


def mark(conn: Conn, step: str, status: str = "running") -> None:
    conn.execute(
        "UPDATE pgrunbook.step SET status = %s, finished_at = NULL, detail = '{}' WHERE step = %s",
        (status, step),
    )


def test_a_step_that_was_interrupted_left_nothing_in_a_transaction(
    run: Run, conn: Conn, chosen: Change, database: str, tmp_path: Path
) -> None:
    throwaway.apply(run, "001")
    run.close()
    conn.execute("ALTER TABLE things DROP COLUMN note")
    mark(conn, "001_add_note")
    with throwaway.running(chosen, database, tmp_path) as again:
        found = bearings.of_run(again)
        assert found.places[0].state == "interrupted"
        assert found.places[0].why.startswith("nothing was left behind; gate closed: ")
        assert found.call == GATE.format("001")


def test_a_step_of_a_run_that_is_open_elsewhere_is_not_called_interrupted(run: Run, conn: Conn) -> None:
    throwaway.apply(run, "001")
    run.finish("recorded")
    told = f"run {run.run_id} is open: it waits for its locks, or was cut off"
    for status, state in (("running", "interrupted"), ("rolling back", "rolling back")):
        mark(conn, "001_add_note", status)
        elsewhere = bearings.of_change(run.ledger, run.change, "").places[0]
        assert (elsewhere.state, elsewhere.why) == ("running", told)
        # The run itself knows that it does nothing now.
        assert bearings.of_run(run).places[0].state == state


def test_a_run_that_bears_the_name_of_one_that_is_open_does_not_call_its_step_interrupted(
    run: Run, conn: Conn, chosen: Change, database: str, tmp_path: Path
) -> None:
    throwaway.apply(run, "001")
    mark(conn, "001_add_note")
    with throwaway.running(chosen, database, tmp_path / "other", run_id=run.run_id) as second:
        place = bearings.of_run(second).places[0]
        assert (place.state, place.why) == (
            "running", f"run {run.run_id} is open: it waits for its locks, or was cut off",
        )  # fmt: skip
        run.close()
        assert bearings.of_run(second).places[0].state == "interrupted"


def test_a_run_that_was_opened_again_tells_since_when_nobody_has_approved(
    run: Run, chosen: Change, database: str, tmp_path: Path
) -> None:
    run.decide_by_policy("001")
    run.close()
    with throwaway.running(chosen, database, tmp_path, run_id=run.run_id) as again:
        assert where(again)[2] == "gate closed: nobody approved it since this run was opened again"


def test_a_gate_that_was_left_without_an_answer_is_told_until_somebody_answers(run: Run) -> None:
    for name in ("001", "10_doubled_codes"):
        run.deciding.asked = name
        run.deciding.leave("the cell was stopped before anybody answered")
    told = "and left without an answer: the cell was stopped before anybody answered"
    for found in (bearings.of_run(run), bearings.of_change(run.ledger, run.change, "")):
        place = found.places[0]
        assert place.why.startswith(f"its gate was asked in run {run.run_id} until 20")
        assert told in place.why
        assert found.places[1].why == ""
        assert found.remedies["10_doubled_codes"].startswith("not run; its gate was asked in run ")
    run.decide_by_policy("001")
    assert told not in bearings.of_run(run).places[0].why


def test_a_gate_that_was_left_while_the_server_was_silent_was_asked_until_then(run: Run) -> None:
    run.deciding.asked = "001"
    run.deciding.leave("the cell was stopped before anybody answered", server=False)
    (entry,) = [one for one in run.binding.journal.pending() if one["step"]]
    # The ledger is told only now.
    run.binding.begin_writing()
    assert f"in run {run.run_id} until {entry['at']}, and left" in bearings.of_run(run).places[0].why


def test_a_way_back_that_was_interrupted_left_something(run: Run, conn: Conn) -> None:
    throwaway.apply(run, "001")
    mark(conn, "001_add_note", "rolling back")
    run.close()
    place = bearings.of_change(run.ledger, run.change, run.facts.cluster).places[0]
    assert (place.state, place.why) == (
        "rolling back",
        "its way back was begun and not finished; what it had not undone is still there",
    )


@pytest.mark.parametrize(
    ("step", "gate", "to", "command"),
    [
        ("001_add_note", "rollback", "", "pgrunbook rollback 700_throwaway"),
        ("003_require_code", "rollback to 002", 'to="002"', "pgrunbook rollback 700_throwaway --to 002"),
    ],
)
def test_a_way_back_that_was_cut_between_its_files_is_gone_on_with_and_no_further(
    conn: Conn, database: str, tmp_path: Path, step: str, gate: str, to: str, command: str
) -> None:
    conn.execute(throwaway.TABLE)
    way = throwaway.FILES[f"rollback/{step}.sql"]
    files = {f"rollback/{step}.sql": None, f"rollback/{step}.1.sql": way, f"rollback/{step}.2.sql": way}
    chosen = throwaway.write(tmp_path / "changes", throwaway.changed(files))
    with throwaway.running(chosen, database, tmp_path) as made:
        done = int(step[:3])
        throwaway.apply(made, *(f"{number:03}" for number in range(1, done + 1)))
        mark(conn, step, "rolling back")
        call = f'await runbook.gate("{gate}"), then await runbook.roll_back({to})'
        assert where(made)[1:] == (call, "apply cannot go on from there")
        made.close()
        elsewhere = bearings.of_change(made.ledger, chosen, made.facts.cluster)
        assert elsewhere.call == f"the notebook 700_throwaway and in it {call}; or {command}"
        throwaway.roll_back(made, gate.removeprefix("rollback").removeprefix(" to ") or None)
        assert states(bearings.of_run(made))[:done] == ["done"] * (done - 1) + ["rolled back"]


def test_an_invalid_index_is_told_whatever_the_ledger_says(run: Run, conn: Conn) -> None:
    throwaway.apply(run, "001", "002")
    broken = "UPDATE pg_index SET indisvalid = %s WHERE indexrelid = 'things_code'::regclass"
    told = 'index "things_code" is INVALID, no query uses it; apply clears it and builds it again'
    conn.execute(broken, (False,))
    for status, state in (("done", "done"), ("running", "interrupted"), ("failed", "failed")):
        mark(conn, "002_build_index", status)
        place = bearings.of_run(run).places[1]
        assert place.state == state
        assert told in place.why
    conn.execute(broken, (True,))
    mark(conn, "002_build_index")
    assert 'index "things_code" is there and valid; apply proves it' in bearings.of_run(run).places[1].why
    conn.execute("DELETE FROM pgrunbook.step WHERE step = '002_build_index'")
    assert bearings.of_run(run).places[1].why.startswith('index "things_code" is there and valid')


def test_a_build_that_goes_on_without_its_runner_is_running(
    run: Run, conn: Conn, someone_else: Callable[[], Any], eventually: Callable[..., Any]
) -> None:
    throwaway.apply(run, "001")
    run.decide_by_policy("002")
    holder, builder = someone_else(), someone_else()
    holder.begin_and_hold("UPDATE things SET code = code")
    # The ledger as a runner leaves it that is killed while it builds; its session goes on.
    conn.execute(
        "INSERT INTO pgrunbook.step (change, step, status, script_sha256, run_id)"
        " SELECT change, '002_build_index', 'running', script_sha256, run_id FROM pgrunbook.step"
    )
    name = f"pgrunbook step {run.run_id}"[:63]
    builder.execute(f"SET application_name = '{name}'")
    builder.execute("SELECT pg_advisory_lock_shared(7239847, 3)")
    building = builder.submit(run.change.steps[1].migrate.text)
    eventually(lambda: conn.execute("SELECT 1 FROM pg_stat_progress_create_index").fetchall())
    found = bearings.of_run(run)
    assert states(found)[:2] == ["done", "running"]
    # The run itself does nothing now: it is somebody's who bore its name before.
    assert found.places[1].why == f"pid {builder.pid}, its runner is gone, the server still works on it"
    assert found.call == "run the cell runbook.status() again"
    elsewhere = bearings.of_change(run.ledger, run.change, "")
    assert elsewhere.places[1].why == f"pid {builder.pid}, run {run.run_id}"
    run.close()
    (place,) = [
        one for one in bearings.of_change(run.ledger, run.change, "").places if one.state == "running"
    ]
    assert place.why == f"pid {builder.pid}, its runner is gone, the server still works on it"
    holder.release()
    building.result(30)
    builder.execute("SELECT pg_advisory_unlock_shared(7239847, 3)")
    run.close()
    assert "is there and valid" in bearings.of_change(run.ledger, run.change, "").places[1].why


def test_without_a_run_the_command_line_is_named_too(run: Run) -> None:
    found = bearings.of_change(run.ledger, run.change, run.facts.cluster)
    assert (states(found), found.call) == (
        ["not run"] * 3,
        'the notebook 700_throwaway, preflight and the cell await runbook.gate("001");'
        " or pgrunbook apply 700_throwaway",
    )
    throwaway.apply(run)
    assert bearings.of_change(run.ledger, run.change, "").line == (
        "resume here: pgrunbook verify 700_throwaway (every step is done)"
    )
