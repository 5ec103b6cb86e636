"""A run: its order, its gates, and that after anything the next one knows the truth and finishes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import throwaway
from throwaway import FILES, NAME, TABLE, apply, changed, roll_back, run, running, statuses, told, write

from pgrunbook import catalog, session
from pgrunbook import server as embedded
from pgrunbook.deciding import Deciding
from pgrunbook.errors import (
    GateClosed,
    JournalRefused,
    NotPrimary,
    OtherCluster,
    PreflightFailed,
    PreflightMissing,
    RequirementMissing,
    RowsInTheWay,
    RunbookError,
    RunnerBusy,
    ScriptChanged,
    StepCancelled,
    StepFailed,
    StepOutOfOrder,
    UnknownName,
)
from pgrunbook.gate import Policy
from pgrunbook.journal import Journal
from pgrunbook.run import Run
from pgrunbook.target import Kind, Target

if TYPE_CHECKING:
    from conftest import Elsewhere

Conn = psycopg.Connection[dict[str, Any]]
Eventually = Callable[..., Any]
INDEX = "SELECT indisvalid AS valid FROM pg_index WHERE indexrelid = to_regclass('things_code')"
BUILDING = """
SELECT count(*) FROM pg_stat_activity
 WHERE query ~ 'CREATE UNIQUE INDEX C' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"""
DROPPING = BUILDING.replace("CREATE UNIQUE INDEX C", "DROP INDEX C")
KILL = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook {}%'"
)
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook %' AND pid <> pg_backend_pid()"
CONTROL = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook control%'"

# Another process that applies steps: arguments are the change's root, the database, records, and the steps.
RUNNER = """
import sys
from pathlib import Path
import throwaway
root, database, records, *steps = sys.argv[1:]
with throwaway.running(throwaway.change.load(throwaway.NAME, root=Path(root)), database, Path(records)) as run:
    print("ready", flush=True)
    throwaway.apply(run, *steps)
"""


@pytest.fixture(autouse=True)
def _table(conn: Conn) -> None:
    conn.execute(TABLE)


def said(error: type[RunbookError], act: Callable[[], object]) -> str:
    with pytest.raises(error) as caught:
        act()
    return str(caught.value)


def events(made: Run, *kinds: str) -> list[tuple[str, str]]:
    found = made.ledger.events(change=made.change.name)
    return [(event["kind"], event["step"]) for event in found if event["kind"] in kinds]


def go(made: Run, name: str) -> Callable[[], object]:
    made.decide_by_policy(name)
    return lambda: made.apply(name)


# --- order, gates, audit -----------------------------------------------------------------------------------


def test_steps_are_applied_once_and_in_order(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        assert said(StepOutOfOrder, go(made, "002")) == (
            "002_build_index cannot run yet: 001_add_note before it is not run\n"
            "  next: apply 001_add_note first; nothing was changed"
        )
        assert apply(made) == ["apply", "apply", "apply"]
        assert apply(made) == ["already done"] * 3
        assert statuses(made) == ["done"] * 3
        assert [finding.total for finding in made.verify()] == [0, 0, 0]
        assert len(events(made, "apply done")) == 3


def test_a_step_needs_an_audit_and_a_gate(conn: Conn, database: str, tmp_path: Path) -> None:
    with contextlib.closing(run(write(tmp_path), database, tmp_path)) as made:
        assert said(PreflightMissing, lambda: made.apply("001")) == (
            f"{NAME} was not audited in this run\n  next: run preflight first; nothing was changed"
        )
        assert said(PreflightMissing, lambda: made.decide_by_policy("001"))
        made.preflight()
        assert said(GateClosed, lambda: made.apply("001")) == (
            "the gate of 001_add_note is closed: nobody approved it in this run\n"
            '  next: approve it with runbook.gate("001") in the notebook, or --approve-all --reason TEXT'
            " on the command line; nothing was changed"
        )
        assert 'runbook.gate("rollback")' in said(GateClosed, made.roll_back)
        assert 'runbook.gate("10_doubled_codes")' in said(
            GateClosed, lambda: made.apply_remedy("10_doubled_codes")
        )
        assert said(GateClosed, lambda: made.undo_remedy("10_doubled_codes"))
        assert not made.ledger.exists


def test_a_kernel_that_shuts_down_applies_nothing(database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        made.decide_by_policy("001")
        made.still_here = lambda: False
        assert "the kernel is shutting down" in said(GateClosed, lambda: made.apply("001"))
        assert statuses(made) == ["not run"] * 3


def test_a_live_target_approves_nothing_by_itself(database: str, tmp_path: Path) -> None:
    live = Target(Kind.LIVE, database)
    with running(write(tmp_path), live, tmp_path, policy=Policy.of(Kind.LIVE)) as made:
        assert "nobody is here to ask, and no policy was set" in said(
            GateClosed, lambda: made.decide_by_policy("001")
        )
    reasoned = {"policy": Policy.APPROVE_ALL, "reason": "window 7"}
    with running(write(tmp_path), live, tmp_path, **reasoned) as made:
        assert made.decide_by_policy("001").reason == "window 7"
    with running(write(tmp_path), live, tmp_path, policy=Policy.APPROVE_ALL) as made:
        assert said(GateClosed, lambda: made.decide_by_policy("001"))


def test_no_go_stops_before_anything_is_written(conn: Conn, database: str, tmp_path: Path) -> None:
    conn.execute(FILES["samples/no_go/10_doubled_codes.sql"])
    before = catalog.snapshot(conn)
    with running(write(tmp_path), database, tmp_path) as made:
        expected = (
            f"{NAME} is NO-GO: 1 of {len(made.board.findings) if made.board else 0} checks found rows\n"
            "  preflight/10_doubled_codes.sql: Codes used twice (1 row)\n"
            "  next: look at the rows of these checks, then run remedy 10_doubled_codes"
            " or repair them by hand, and run preflight again; nothing was changed"
        )
        assert said(PreflightFailed, lambda: made.apply("001")) == expected
        assert said(PreflightFailed, lambda: made.decide_by_policy("001")) == expected
    assert catalog.differences(before, catalog.snapshot(conn)) == []
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None


def test_status_reads_only(conn: Conn, database: str, tmp_path: Path) -> None:
    with contextlib.closing(run(write(tmp_path), database, tmp_path)) as made:
        made.control.execute("SET default_transaction_read_only = on")
        assert statuses(made) == ["not run"] * 3
        assert made.check_chain() is None
        assert made.verify() == []
        assert [finding.label for finding in made.preflight().failed] == []
    assert session.value(conn, "SELECT to_regnamespace('pgrunbook')") is None


def test_unknown_names_are_refused_with_those_that_exist(database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        known = "  next: choose one of: 001_add_note, 002_build_index, 003_require_code"
        assert said(UnknownName, lambda: made.apply("9")) == f"no step named '9'\n{known}"
        assert said(UnknownName, lambda: made.roll_back('x"; DROP')) == f"no step named 'x\"; DROP'\n{known}"
        assert said(UnknownName, lambda: made.decide_by_policy("<b>")) == f"no step named '<b>'\n{known}"


def test_required_changes_come_first(conn: Conn, database: str, tmp_path: Path) -> None:
    head = "-- Add the note\n"
    files = changed(
        {
            "migrate/001_add_note.sql": FILES["migrate/001_add_note.sql"].replace(
                head, f"{head}-- requires: 690_first\n"
            )
        }
    )
    first = write(tmp_path, throwaway.step("CREATE TABLE notes (note text);", lock="none"), name="690_first")
    with running(write(tmp_path, files), database, tmp_path) as made:
        assert said(RequirementMissing, go(made, "001")) == (
            f"{NAME} requires 690_first, not applied here\n  next: apply 690_first first; nothing was changed"
        )
        assert statuses(made) == ["not run"] * 3
    with running(first, database, tmp_path) as made:
        assert apply(made) == ["apply"]
    with running(write(tmp_path, files), database, tmp_path) as made:
        assert apply(made) == ["apply"] * 3


# --- edited files ------------------------------------------------------------------------------------------


def test_a_file_that_ran_may_not_be_edited_and_one_that_did_not_may(database: str, tmp_path: Path) -> None:
    chosen = write(tmp_path)
    with running(chosen, database, tmp_path) as made:
        apply(made, "001")
        ran_at = made.ledger.steps(NAME)["001_add_note"].finished_at
    edited = {
        path: FILES[path].replace("\n\n", "\n\n-- edited\n")
        for path in ("migrate/001_add_note.sql", "migrate/002_build_index.sql")
    }
    again = write(tmp_path, changed(edited))
    with running(again, database, tmp_path) as made:
        assert said(ScriptChanged, go(made, "001")) == (
            f"migrate/001_add_note.sql was edited after it ran at {ran_at}\n"
            f"  ran with {chosen.steps[0].migrate.sha256}\n"
            f"  is now   {again.steps[0].migrate.sha256}\n"
            "  next: restore the file, or roll the step back and apply the new text"
        )
        assert made.status()[0]["note"] == "the file was edited after it ran"
        assert apply(made, "002") == ["apply"]
        assert roll_back(made) == ["002_build_index", "001_add_note"]
        assert apply(made) == ["apply"] * 3


# --- failures and resuming ---------------------------------------------------------------------------------


def test_after_a_failure_the_next_run_goes_on_with_that_step(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made, "001")
        conn.execute("ALTER TABLE things RENAME code TO mislaid")
        said(StepFailed, go(made, "002"))
        assert said(StepOutOfOrder, go(made, "003")).startswith(
            "003_require_code cannot run yet: 002_build_index before it is failed"
        )
    conn.execute("ALTER TABLE things RENAME mislaid TO code")
    with running(write(tmp_path), database, tmp_path) as made:
        assert apply(made) == ["already done", "apply", "apply"]
        assert made.check_chain()


def test_what_was_applied_by_hand_is_found_in_place(
    conn: Conn, database: str, tmp_path: Path, server: embedded.Server
) -> None:
    chosen = write(tmp_path)
    for script in (step.migrate for step in chosen.steps[:2]):
        command = [str(server.bin / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", str(script.path), database]
        subprocess.run(command, check=True, capture_output=True)
    with running(chosen, database, tmp_path) as made:
        assert apply(made) == ["found in place", "found in place", "apply"]
        assert roll_back(made) == ["003_require_code", "002_build_index", "001_add_note"]
    assert conn.execute(INDEX).fetchall() == []


def test_what_was_undone_by_hand_is_not_called_done(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made)
        conn.execute("DROP INDEX things_code")
        assert said(StepFailed, go(made, "002")) == (
            "002_build_index failed: the ledger says done, but verify/002_build_index.sql finds rows:"
            " it was undone by other means\n"
            "  nothing was changed\n"
            '  next: roll back to the step before it (its ledger row goes with it), then apply "002" again'
        )
        assert roll_back(made, "001") == ["003_require_code", "002_build_index"]
        assert apply(made, "002", "003") == ["apply", "apply"]


@contextlib.contextmanager
def other_process(root: Path, database: str, *steps: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RUNNER, str(root), database, str(root / "records"), *steps]
    places = os.pathsep.join([str(Path(session.__file__).parents[1]), str(Path(__file__).parent)])
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": places},
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("built", [True, False], ids=["the build ends well", "the build fails"])
def test_a_build_whose_runner_was_killed_is_decided_by_ledger_catalog_and_server(
    built: bool, conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    chosen = write(tmp_path)
    with running(chosen, database, tmp_path) as made:
        apply(made, "001")
    elsewhere.begin_and_hold(
        "UPDATE things SET code = 'c1' WHERE id IN (1, 2)" if not built else "UPDATE things SET code = code"
    )
    with other_process(tmp_path, database, "002") as process:
        eventually(lambda: session.value(conn, BUILDING), 20)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    eventually(lambda: not session.value(conn, CONTROL))
    # Its client is gone, the build goes on.
    assert session.value(conn, BUILDING) == 1
    with running(chosen, database, tmp_path) as made:
        assert statuses(made) == ["done", "running", "not run"]
        made.decide_by_policy("002")
        with ThreadPoolExecutor(1) as pool:
            resumed = pool.submit(made.apply, "002")
            own = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgrunbook control {made.run_id}'"
            eventually(lambda: session.value(conn, own))
            assert not resumed.done()
            elsewhere.release()
            if built:
                assert resumed.result(60).note == "finished by an earlier run"
            else:
                with pytest.raises(RowsInTheWay, match="could not create unique index"):
                    resumed.result(60)
                assert statuses(made) == ["done", "failed", "not run"]
                conn.execute("UPDATE things SET code = 'c2' WHERE id = 2")
                made.preflight()
                assert apply(made, "002") == ["apply"]
        assert conn.execute(INDEX).fetchall() == [{"valid": True}]
        assert len(events(made, "apply done")) == 2
        assert apply(made) == ["already done", "already done", "apply"]
        assert made.check_chain()


def test_a_runner_that_was_killed_while_it_waited_for_a_lock_left_nothing(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    chosen = write(tmp_path)
    elsewhere.execute("SELECT pg_advisory_lock(1)")
    # Killed with its lock in its hands: the file waits for us.
    held = FILES["migrate/001_add_note.sql"].replace("\n\n", "\n-- hold_budget: 60 s\n\n")
    held = held.replace(";", "; SET LOCAL lock_timeout TO 0; SELECT pg_advisory_lock(1);")
    chosen = write(tmp_path, changed({"migrate/001_add_note.sql": held}))
    waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory'"
    with other_process(tmp_path, database, "001") as process:
        eventually(lambda: session.value(conn, waits), 20)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    elsewhere.execute("SELECT pg_advisory_unlock(1)")
    eventually(lambda: not session.value(conn, OURS))
    with running(chosen, database, tmp_path) as made:
        assert statuses(made) == ["running", "not run", "not run"]
        assert apply(made) == ["apply"] * 3


def test_two_runs_at_once_the_second_is_refused(conn: Conn, database: str, tmp_path: Path) -> None:
    chosen = write(tmp_path)
    with running(chosen, database, tmp_path) as first, running(chosen, database, tmp_path) as second:
        apply(first, "001")
        pid, since = (
            conn.execute(
                "SELECT pid, to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS \"UTC\"') AS since FROM pg_stat_activity"
                f" WHERE application_name = left('pgrunbook control {first.run_id}', 63)"
            )
            .fetchall()[0]
            .values()
        )
        message = said(RunnerBusy, lambda: second.decide_by_policy("002"))
        assert message.startswith("another runner is at work in the rehearsal database\n")
        assert f"pid {pid}" in message
        assert since in message
        assert message.endswith(
            "\n  next: wait until it ends, or ask its operator to cancel it; nothing was run"
        )
        assert statuses(second) == ["done", "not run", "not run"]
        first.close()
        assert apply(second, "002") == ["apply"]


def test_connections_that_died_between_steps_are_made_again(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made, "001")
        conn.execute(KILL.format(""))
        assert apply(made, "002") == ["apply"]
        assert made.check_chain()


def test_the_journal_is_merged_once(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        assert [entry["kind"] for entry in made.binding.journal.pending()] == ["run opened", "preflight"]
        apply(made, "001")
        conn.execute("ALTER TABLE things RENAME code TO mislaid")
        said(StepFailed, go(made, "002"))
        assert made.binding.journal.pending() == []
        conn.execute(KILL.format(""))
        conn.execute("ALTER TABLE things RENAME mislaid TO code")
        apply(made, "002")
        made.finish("tried")
        assert made.binding.journal.pending() == []
        kinds = [event["kind"] for event in told(made)]
        assert kinds[:2] == ["run opened", "preflight"]
        assert [kind for kind in kinds[2:] if kind not in ("preflight", "observed")] == [
            "gate", "apply started", "apply done", "gate", "apply started", "apply failed",
            "gate", "apply started", "apply done", "run finished",
        ]  # fmt: skip
        assert [e["kind"] for e in Journal(tmp_path / made.run_id).entries()].count("merged") == 2


def test_a_run_that_began_on_another_cluster_is_not_resumed(
    conn: Conn, database: str, tmp_path: Path
) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made, "001")
        cluster = made.facts.cluster
    conn.execute("UPDATE pgrunbook.step SET status = 'running'")
    conn.execute("UPDATE pgrunbook.run SET timeline = timeline + 1")
    with running(write(tmp_path), database, tmp_path) as made:
        timeline = made.facts.timeline
        assert said(OtherCluster, go(made, "001")).splitlines()[1:3] == [
            f"  started on {cluster.replace(f'timeline {timeline}', f'timeline {timeline + 1}')}",
            f"  this is    {cluster}",
        ]


# --- the way back ------------------------------------------------------------------------------------------

PARTS = {
    "rollback/003_require_code.sql": None,
    "rollback/003_require_code.1.sql": (
        "-- Build one more index\n-- transaction: none\n-- lock: ShareUpdateExclusive on things\n\n"
        "CREATE INDEX CONCURRENTLY things_more ON things (code);\n"
    ),
    "rollback/003_require_code.2.sql": (
        "-- Drop the rule\n-- lock: AccessExclusive on things\n\n"
        "ALTER TABLE things DROP CONSTRAINT things_code_present;\n"
    ),
    "rollback/003_require_code.3.sql": (
        "-- Drop the index\n-- transaction: none\n-- lock: ShareUpdateExclusive on things\n\n"
        "DROP INDEX CONCURRENTLY things_more;\n"
    ),
}  # fmt: skip


def test_a_way_back_of_several_parts_goes_on_with_the_part_that_failed(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere
) -> None:
    chosen = write(tmp_path, changed(PARTS))
    with running(chosen, database, tmp_path) as made:
        before = catalog.snapshot(conn)
        apply(made)
        elsewhere.begin_and_hold("SELECT count(*) FROM things")
        made.decide_by_policy("rollback")
        with pytest.raises(RunbookError, match="could not take AccessExclusive on things"):
            made.roll_back()
        assert statuses(made) == ["done", "done", "rolling back"]
        assert said(StepFailed, go(made, "003")) == (
            "003_require_code failed: its way back was begun (rollback/003_require_code.2.sql) and not finished\n"
            "  nothing was changed\n"
            "  next: roll back to the step before it, which goes on where it stopped, then apply it again"
        )
        elsewhere.release()
    with running(chosen, database, tmp_path) as made:
        assert roll_back(made) == ["003_require_code"] * 2 + ["002_build_index", "001_add_note"]
        assert catalog.differences(before, catalog.snapshot(conn)) == []
        assert statuses(made) == ["rolled back"] * 3
        assert roll_back(made) == []
        assert apply(made) == ["apply"] * 3


def test_a_runner_that_was_killed_on_its_way_back_is_followed_up(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    chosen = write(tmp_path, changed(PARTS))
    with running(chosen, database, tmp_path) as made:
        apply(made)
    elsewhere.begin_and_hold("UPDATE things SET code = code")
    with running(chosen, database, tmp_path) as made, ThreadPoolExecutor(1) as pool:
        made.decide_by_policy("rollback to 002")
        going = pool.submit(made.roll_back, "002")
        eventually(lambda: session.value(conn, BUILDING.replace("UNIQUE ", "")))
        # The control connection first, so that nothing can be written about the end.
        conn.execute(KILL.format("control"))
        conn.execute(KILL.format("step"))
        elsewhere.release()
        with pytest.raises(StepFailed):
            going.result(60)
        assert [entry["kind"] for entry in made.binding.journal.pending()][-2:] == [
            "rollback failed",
            "observed",
        ]
    with running(chosen, database, tmp_path) as made:
        assert statuses(made) == ["done", "done", "rolling back"]
        assert roll_back(made, "002") == ["003_require_code"] * 3
        assert session.value(conn, "SELECT to_regclass('things_more')") is None


def test_an_interrupted_drop_of_an_index_is_built_again_on_the_way_back(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    conn.execute("CREATE INDEX old ON things (code)")
    lock, alone = "ShareUpdateExclusive on things", "-- transaction: none"
    gone = "SELECT 1 AS there WHERE to_regclass('old') IS NOT NULL;"
    back = "CREATE INDEX CONCURRENTLY old ON things (code);"
    drop = throwaway.step("DROP INDEX CONCURRENTLY IF EXISTS old;", gone, back, lock=lock, head=alone)
    drop["rollback/001_only.sql"] = f"-- Way back\n-- lock: {lock}\n{alone}\n\n{back}\n"
    with running(write(tmp_path, drop), database, tmp_path) as made:
        before = catalog.snapshot(conn)
        elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 1")
        made.decide_by_policy("001")
        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(made.apply, "001")
            eventually(lambda: session.value(conn, DROPPING))
            made.cancel()
            with pytest.raises(StepCancelled):
                going.result(60)
        elsewhere.release()
        assert (
            session.value(conn, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'old'::regclass") is False
        )
        assert roll_back(made) == ["001_only"]
        assert catalog.differences(before, catalog.snapshot(conn)) == []


def test_rolling_back_leaves_what_was_never_finished(conn: Conn, database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        apply(made, "001")
        conn.execute("ALTER TABLE things RENAME code TO mislaid")
        said(StepFailed, go(made, "002"))
        conn.execute("ALTER TABLE things RENAME mislaid TO code")
        assert roll_back(made) == ["001_add_note"]
        assert statuses(made) == ["rolled back", "rolled back", "not run"]
        assert made.status()[1]["note"] == "was not finished, nothing to undo"


# --- remedies, rehearsal, standby --------------------------------------------------------------------------


def test_a_remedy_is_approved_applied_and_undone_in_a_run(conn: Conn, database: str, tmp_path: Path) -> None:
    conn.execute(FILES["samples/no_go/10_doubled_codes.sql"])
    name = "10_doubled_codes"
    with running(write(tmp_path), database, tmp_path) as made:
        assert [dict(repair.key) for repair in made.preview_remedy(name).repairs] == [{"id": 2}, {"id": 3}]
        made.decide_by_policy(name)
        assert made.apply_remedy(name).repairs == 2
        assert made.preflight().go
        undone = throwaway.undo(made, name)
        assert (undone.restored, undone.refused) == (2, ())
        kinds = [event["kind"] for event in made.ledger.events(run_id=made.run_id)]
        assert kinds[-7:] == [
            "remedy started", "remedy applied", "preflight",
            "gate", "gate withdrawn", "remedy undone", "gate withdrawn",
        ]  # fmt: skip


def test_a_cancelled_remedy_says_so(
    conn: Conn, database: str, tmp_path: Path, elsewhere: Elsewhere, eventually: Eventually
) -> None:
    conn.execute(FILES["samples/no_go/10_doubled_codes.sql"])
    elsewhere.begin_and_hold("UPDATE things SET code = code WHERE id = 2")
    with running(write(tmp_path), database, tmp_path) as made:
        made.decide_by_policy("10_doubled_codes")
        with ThreadPoolExecutor(1) as pool:
            going = pool.submit(made.apply_remedy, "10_doubled_codes")
            waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'transactionid'"
            eventually(lambda: session.value(conn, waits))
            made.cancel()
            with pytest.raises(StepCancelled) as caught:
                going.result(60)
        assert str(caught.value).startswith("10_doubled_codes was cancelled\n")
        elsewhere.release()
        made.decide_by_policy("10_doubled_codes")
        assert made.apply_remedy("10_doubled_codes").repairs == 2


def test_a_rehearsal_finds_tables_where_the_targets_role_does(
    conn: Conn, database: str, tmp_path: Path, server: embedded.Server
) -> None:
    with throwaway.role(conn) as name:
        conn.execute(f"CREATE SCHEMA {name} AUTHORIZATION {name}; ALTER TABLE things SET SCHEMA {name}")
        conn.execute(f"ALTER TABLE {name}.things OWNER TO {name}")
        with running(write(tmp_path), f"{database} user={name}", tmp_path) as made:
            assert made.rehearse(server).holds
            assert made.ledger.exists is False


def test_a_run_that_cannot_begin_leaves_no_session(
    conn: Conn, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    refusal = NotPrimary(where="the standby")

    def bind(*_arguments: object) -> None:
        raise refusal

    monkeypatch.setattr(session, "bind", bind)
    with pytest.raises(NotPrimary):
        run(write(tmp_path), database, tmp_path)
    ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pgrunbook %'"
    eventually(lambda: not session.value(conn, ours))


def test_a_run_that_cannot_keep_how_its_question_ended_leaves_no_session(
    conn: Conn, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    def full(*_: object) -> None:
        raise JournalRefused(path="there", reason="No space left on device")

    made = run(write(tmp_path), database, tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(Deciding, "leave", full)
        with pytest.raises(JournalRefused):
            made.close()
    eventually(lambda: not session.value(conn, OURS))


def test_timings_are_kept_before_and_after(database: str, tmp_path: Path) -> None:
    with running(write(tmp_path), database, tmp_path) as made:
        assert [timing.rows for timing in made.time_queries(after=False)] == [1]
        assert [timing.name for timing in made.time_queries(after=True)] == ["10_lookup"]
        assert made.timed_before != made.timed_after
