"""Where a step stands: decided from the ledger's row, the file and the cluster."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import throwaway

from pgrunbook import standing
from pgrunbook.change import Change, Step
from pgrunbook.errors import OtherCluster, ScriptChanged
from pgrunbook.ledger import Status, StepRow
from pgrunbook.standing import Standing

pytestmark = pytest.mark.static

HERE = "system 7001, timeline 1"
PROMOTED = "system 7001, timeline 2"


@pytest.fixture
def change(tmp_path: Path) -> Change:
    return throwaway.write(tmp_path)


@pytest.fixture
def step(change: Change) -> Step:
    return change.steps[0]


def row(step: Step, status: Status, *, sha256: str | None = None, cluster: str = HERE) -> StepRow:
    ended = status not in (Status.RUNNING, Status.ROLLING_BACK)
    return StepRow(
        step=step.name,
        status=status,
        script_sha256=sha256 or step.migrate.sha256,
        run_id="r1",
        started_at="2026-01-31 12:00:00 UTC",
        finished_at="2026-01-31 12:00:01 UTC" if ended else None,
        seconds=1.0 if ended else None,
        detail={"note": "apply"},
        cluster=cluster,
    )


def test_a_step_that_the_ledger_does_not_know_is_not_run(step: Step) -> None:
    assert standing.of(step, {}, HERE) is Standing.NOT_RUN
    assert standing.of(step, {}, HERE, backwards=True) is Standing.NOT_RUN


@pytest.mark.parametrize(
    ("status", "forwards", "backwards"),
    [
        (Status.DONE, Standing.DONE, Standing.DONE),
        (Status.RUNNING, Standing.UNFINISHED, Standing.UNFINISHED),
        (Status.FAILED, Standing.UNFINISHED, Standing.UNFINISHED),
        (Status.ROLLING_BACK, Standing.UNFINISHED, Standing.DONE),
        (Status.ROLLED_BACK, Standing.NOT_RUN, Standing.NOT_RUN),
    ],
)
def test_each_status_has_its_standing_in_both_directions(
    step: Step, status: Status, forwards: Standing, backwards: Standing
) -> None:
    rows = {step.name: row(step, status)}
    assert standing.of(step, rows, HERE) is forwards
    assert standing.of(step, rows, HERE, backwards=True) is backwards


def test_the_row_of_another_step_says_nothing(change: Change, step: Step) -> None:
    other = change.steps[1]
    assert standing.of(step, {other.name: row(other, Status.DONE)}, HERE) is Standing.NOT_RUN


def test_a_script_that_was_edited_after_it_ran_is_refused(step: Step) -> None:
    rows = {step.name: row(step, Status.DONE, sha256="ab" * 32)}
    with pytest.raises(ScriptChanged) as caught:
        standing.of(step, rows, HERE)
    assert str(caught.value) == (
        "migrate/001_add_note.sql was edited after it ran at 2026-01-31 12:00:01 UTC\n"
        f"  ran with {'ab' * 32}\n"
        f"  is now   {step.migrate.sha256}\n"
        "  next: restore the file, or roll the step back and apply the new text"
    )


def test_its_way_back_is_another_file_and_stays_open(step: Step) -> None:
    rows = {step.name: row(step, Status.DONE, sha256="ab" * 32)}
    assert standing.of(step, rows, HERE, backwards=True) is Standing.DONE


@pytest.mark.parametrize("status", [Status.FAILED, Status.ROLLED_BACK, Status.RUNNING])
def test_a_script_that_did_not_come_to_its_end_is_free_to_edit(step: Step, status: Status) -> None:
    rows = {step.name: row(step, status, sha256="ab" * 32)}
    assert standing.of(step, rows, HERE) is not Standing.DONE


@pytest.mark.parametrize("status", [Status.RUNNING, Status.ROLLING_BACK])
@pytest.mark.parametrize("now", ["system 7001, timeline 0", "system 9, timeline 1", "system 9, timeline 2"])
def test_an_unfinished_step_of_another_cluster_is_refused(step: Step, status: Status, now: str) -> None:
    with pytest.raises(OtherCluster) as caught:
        standing.of(step, {step.name: row(step, status)}, now)
    assert str(caught.value) == (
        "the unfinished run of 001_add_note was started on another server\n"
        f"  started on {HERE}\n"
        f"  this is    {now}\n"
        "  next: point PGRUNBOOK_TARGET at the server of that run, or roll back the unfinished step here"
    )


@pytest.mark.parametrize("status", [Status.RUNNING, Status.ROLLING_BACK])
def test_it_can_be_rolled_back_there_as_that_message_says(step: Step, status: Status) -> None:
    assert standing.of(step, {step.name: row(step, status)}, PROMOTED, backwards=True) in (
        Standing.UNFINISHED,
        Standing.DONE,
    )


@pytest.mark.parametrize("status", [Status.RUNNING, Status.ROLLING_BACK])
def test_an_unfinished_step_goes_on_after_a_promotion(step: Step, status: Status) -> None:
    assert standing.of(step, {step.name: row(step, status)}, PROMOTED) is Standing.UNFINISHED


def test_a_finished_step_stays_finished_after_a_failover(step: Step) -> None:
    assert standing.of(step, {step.name: row(step, Status.DONE)}, PROMOTED) is Standing.DONE


def test_the_board_has_a_row_a_step(change: Change) -> None:
    first, second, third = change.steps
    failed = dataclasses.replace(row(second, Status.FAILED), detail={"reason": "no room"})
    rows = {first.name: row(first, Status.DONE), second.name: failed}
    assert standing.table(change, rows) == [
        {
            "step": "001_add_note",
            "title": "Add the note",
            "status": "done",
            "finished": "2026-01-31 12:00:01 UTC",
            "note": "apply",
        },
        {
            "step": "002_build_index",
            "title": "Build the index",
            "status": "failed",
            "finished": "2026-01-31 12:00:01 UTC",
            "note": "",
        },
        {
            "step": "003_require_code",
            "title": "Require the code",
            "status": "not run",
            "finished": "",
            "note": "",
        },
    ]
    assert third.name not in rows


@pytest.mark.parametrize(("status", "warned"), [(Status.DONE, True), (Status.ROLLED_BACK, False)])
def test_the_board_warns_of_an_edited_file_only_where_it_matters(
    change: Change, step: Step, status: Status, warned: bool
) -> None:
    rows = {step.name: row(step, status, sha256="ab" * 32)}
    [first, *_] = standing.table(change, rows)
    assert first["note"] == ("the file was edited after it ran" if warned else "apply")
